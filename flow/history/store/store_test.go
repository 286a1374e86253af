package store

import (
	"testing"
	"time"
)

// A server writes every ten minutes, merges hours and days; all rows are there at any time.
func TestDaysOfAServer(t *testing.T) {
	w := newWorld(t, 1, false)
	for n := range 3 * 144 {
		w.now = w.now.Add(10 * time.Minute)
		if err := w.write(10*time.Minute, 1+n%3, 40); err != nil {
			t.Fatal(err)
		}
		w.tidy()
		if n%24 == 0 {
			w.check(w.now.String())
		}
	}
	w.check("at the end")
	if got := w.levels(); got != "ddd"+"ffffff"+"hhhhhhhhhhh" { // the last hour may still get a file
		t.Errorf("files are %s", got)
	}
	if len(w.told) > 0 {
		t.Errorf("people were told %q", w.told)
	}
}
