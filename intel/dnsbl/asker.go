package dnsbl

import (
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// How many addresses an Asker remembers to have asked for, and how long.
const (
	recentSlots = 1 << 14
	recentFor   = time.Minute
)

// An Asker hands the addresses of one worker over. It belongs to one goroutine; it
// neither waits nor allocates.
type Asker struct {
	c      *Checker
	recent [recentSlots]recent
}

// A recent is an address that was handed over.
type recent struct {
	addr netip.Addr
	at   time.Time
}

// NewAsker makes the hand of one worker.
func (c *Checker) NewAsker() *Asker { return &Asker{c: c} }

// Ask hands over the address at a side of a record that no table lists, to be asked
// for unless it was a moment ago. It must be an outside address, unmapped; now is the
// time of receipt. A full queue drops and counts it.
func (a *Asker) Ask(r *flow.Record, side flow.Side, addr netip.Addr, now time.Time) {
	slot := &a.recent[maphash.Comparable(a.c.seed, addr)%recentSlots]
	if slot.addr == addr && now.Sub(slot.at) < recentFor {
		return
	}
	select {
	case a.c.queue <- request{record: *r, side: side, addr: addr}:
		slot.addr, slot.at = addr, now
		a.c.asked.Add(1)
	default:
		a.c.dropped.Add(1)
	}
}
