package journal

import (
	"testing"
)

// TestPastIsBounded goes back to marks that were thinned out: more come again than
// were asked for, never fewer.
func TestPastIsBounded(t *testing.T) {
	c := newPlace("", "x", 0)
	for i := uint64(1); i <= 20_000; i++ {
		c.remember(c.done)
		c.settle(mark{Position: i, Delivered: i}, false)
		if len(c.past) > maxPast || c.held().Position != 0 {
			t.Fatalf("%d marks from %d on", len(c.past), c.held().Position)
		}
	}
	c.forget(10_000)
	if p := c.held().Position; p > 10_000 || p < 9_000 {
		t.Errorf("holds from %d on, want about 10000", p)
	}
	if !c.back(100) || c.done.Position > 19_900 || c.done.Position < 19_800 || c.next != c.done.Position {
		t.Errorf("went back to %d", c.done.Position)
	}
	c.forget(0)
	if c.back(1) {
		t.Error("went back to nowhere")
	}
}

// TestSkipWhileLent drops events while a batch is at the sink: what is lent counts
// as delivered, what lies behind it as dropped.
func TestSkipWhileLent(t *testing.T) {
	c := newPlace("", "x", 0)
	c.next = 10 // ten are lent
	c.skip(5)
	c.skip(15)
	c.skip(12)
	if c.dropped() != 5 || c.next != 15 {
		t.Errorf("dropped %d up to %d", c.dropped(), c.next)
	}
	c.settle(mark{Position: 4, Delivered: 4}, false)
	c.settle(mark{Position: 10, Delivered: 10}, true)
	if want := (mark{Position: 15, Delivered: 10, Dropped: 5}); c.done != want || c.lost != 0 {
		t.Errorf("got %+v, want %+v", c.done, want)
	}
}
