package jsonline

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestAppendTime compares with the time package, over all years that RFC 3339 has.
func TestAppendTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	first := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	for i := range 100_000 {
		at := time.Unix(first+r.Int64N(last-first+1), r.Int64N(1e9)).UTC()
		switch i {
		case 0:
			at = time.Unix(first, 0).UTC()
		case 1:
			at = time.Unix(last, 999_999_999).UTC()
		}
		if got, want := string(appendTime(nil, at)), at.Format(TimeFormat); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}
