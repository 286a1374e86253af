package decode_test

import (
	"github.com/flowsnitch/flowsnitch/flow"
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
