package position

import "testing"

// TestSkipWhileLent drops events while a batch is at the sink: what is lent counts
// as delivered, what lies behind it as dropped.
func TestSkipWhileLent(t *testing.T) {
	c := newPlace("", "x", 0)
	c.next = 10 // ten are lent
	c.Skip(5)
	c.Skip(15)
	c.Skip(12)
	if c.Dropped() != 5 || c.next != 15 {
		t.Errorf("dropped %d up to %d", c.Dropped(), c.next)
	}
	c.Settle(Mark{Position: 4, Delivered: 4}, false)
	c.Settle(Mark{Position: 10, Delivered: 10}, true)
	if want := (Mark{Position: 15, Delivered: 10, Dropped: 5}); c.done != want || c.lost != 0 {
		t.Errorf("got %+v, want %+v", c.done, want)
	}
}
