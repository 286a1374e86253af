package decode_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// collector keeps every record, built in full.
type collector struct {
	records []flow.Record
	frames  []int
}

func (c *collector) Records(s *decode.Set) {
	for i := range s.Len() {
		var r flow.Record
		s.Record(i, &r)
		c.records = append(c.records, r)
		c.frames = append(c.frames, s.Frame())
	}
}

// corpus gives the folder of reference captures, or skips the test.
func corpus(t testing.TB) string {
	dir := os.Getenv("FLOWSNITCH_CORPUS")
	if dir == "" {
		t.Skip("set FLOWSNITCH_CORPUS to the folder of reference captures to run this test")
	}
	return filepath.Join(dir, "flow")
}

// decodeFile reads a capture.
func decodeFile(t testing.TB, path string) *collector {
	t.Helper()
	r, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := &collector{}
	d := decode.New(decode.NewExporters(decode.DefaultLimits()), c)
	for {
		dg, err := r.Next()
		if errors.Is(err, io.EOF) {
			return c
		}
		if err != nil {
			t.Fatal(err)
		}
		d.Decode(&dg)
	}
}
