package journal

import (
	"testing"
)

// TestPastIsBounded goes back to marks that were thinned out: more come again than
// were asked for, never fewer.
func TestPastIsBounded(t *testing.T) {
	c := &Cursor{places: [lanes]*place{newPlace("", "x", 0), newPlace("", "x", 0)}}
	p := c.places[ordinary]
	for i := uint64(1); i <= 20_000; i++ {
		c.remember(c.marks((*place).settled))
		p.settle(mark{Position: i, Delivered: i}, false)
		if len(c.past) > maxPast || p.held().Position != 0 {
			t.Fatalf("%d marks from %d on", len(c.past), p.held().Position)
		}
	}
	c.forget(10_000)
	if p := p.held().Position; p > 10_000 || p < 9_000 {
		t.Errorf("holds from %d on, want about 10000", p)
	}
	if !c.back(100) || p.done.Position > 19_900 || p.done.Position < 19_800 || p.next != p.done.Position {
		t.Errorf("went back to %d", p.done.Position)
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
