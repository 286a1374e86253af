package window

import (
	"cmp"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/detect/state"
)

// Code writes or reads the sums.
func (s *Sums) Code(c *state.Coder) {
	state.List(c, &s.slots, 2, func(x *slotSum) {
		c.Uint32(&x.slot)
		c.Uint64(&x.n)
	})
	check(c, slices.IsSortedFunc(s.slots, func(a, b slotSum) int { return cmp.Compare(a.slot, b.slot) }))
}

// Code writes or reads the values.
func (d *Distinct) Code(c *state.Coder) {
	c.Uint8(&d.level)
	c.Uint32(&d.floor)
	c.Uint32(&d.floorAt)
	state.List(c, &d.seen, 19, func(s *Seen) {
		c.Address(&s.Value)
		c.Uint32(&s.First)
		c.Uint32(&s.Last)
		c.Uint32(&s.Count)
	})
	check(c, d.level < 64 && len(d.seen) <= Exact)
}

// Code writes or reads the touches.
func (t *Track) Code(c *state.Coder) {
	c.Bool(&t.more)
	state.List(c, &t.touches, 3, func(x *Touch) {
		c.Uint32(&x.At)
		c.Uint16(&x.Port)
		c.Uint8(&x.Protocol)
	})
	check(c, len(t.touches) <= maxTouches && slices.IsSortedFunc(t.touches, Touch.compare))
}

// Code writes or reads the pace.
func (p *Pace) Code(c *state.Coder) {
	c.Uint32(&p.last)
	c.Uint32(&p.flows)
	c.Uint32(&p.samples)
	c.Uint64(&p.seconds)
	c.Float64(&p.squares)
}

// Code writes or reads the counts.
func (u *Usual) Code(c *state.Coder) {
	state.List(c, &u.high, 2, func(h *high) {
		c.Uint32(&h.window)
		c.Uint32(&h.count)
	})
	check(c, slices.IsSortedFunc(u.high, func(a, b high) int { return cmp.Compare(a.window, b.window) }))
}

// check fails a coder that reads what cannot have been written.
func check(c *state.Coder, sound bool) {
	if c.Reads() && !sound {
		c.Fail()
	}
}
