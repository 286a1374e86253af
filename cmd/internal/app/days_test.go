package app

import (
	"maps"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/correlate/listing"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestDayCount: hits count for a day, to the hour, in both directions together.
func TestDayCount(t *testing.T) {
	var d dayCount
	begin := time.Now()
	at := func(hours int, in, out uint64) map[string]uint64 {
		d.look([]listing.FeedHits{
			{Feed: "otx", Direction: event.Inbound, Hits: in}, {Feed: "otx", Direction: event.Outbound, Hits: out},
		}, begin.Add(time.Duration(hours)*time.Hour))
		return d.status()
	}
	for _, tt := range []struct {
		hours   int
		in, out uint64
		want    uint64
	}{
		{0, 5, 2, 7}, {1, 5, 3, 8}, {2, 10, 3, 13}, {23, 10, 3, 13},
	} {
		if got := at(tt.hours, tt.in, tt.out); got["otx"] != tt.want || len(got) != 1 {
			t.Errorf("after %d hours %v, want %d", tt.hours, got, tt.want)
		}
	}
	for h := 24; h < 49; h++ {
		at(h, 11, 3)
	}
	if got := d.status(); !maps.Equal(got, map[string]uint64{}) {
		t.Errorf("a day of silence later %v", got)
	}
}
