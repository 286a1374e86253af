package dnsbl

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// How many addresses an Asker remembers to have looked at (512 KiB), and how long; how long it
// lets an address rest that found no room in the queue.
const (
	recentSlots = 1 << 16
	recentFor   = time.Minute
	fullFor     = 4 * time.Second
)

// An Asker hands the addresses of one worker over. It belongs to one goroutine; it
// neither waits nor allocates.
type Asker struct {
	c *Checker
	// recent are the addresses that were claimed. Their hash is that of the checker's
	// marks.
	recent *marks
}

// NewAsker makes the hand of one worker.
func (c *Checker) NewAsker() *Asker {
	recent := newMarks(recentSlots, recentFor)
	recent.key = c.clean.key
	return &Asker{c: c, recent: recent}
}

// Claim4 appends to claimed the indices of the addresses, IPv4 in host order, that may
// need a question: neither known not to be listed nor claimed during the last minute.
// They are claimed by that. now is the time of receipt.
func (a *Asker) Claim4(addrs []uint32, now time.Time, claimed []int32) []int32 {
	at := unit(now)
	for i, addr := range addrs {
		if addr != 0 && a.claim(flow.Mapped(addr), at) {
			claimed = append(claimed, int32(i))
		}
	}
	return claimed
}

// Claim6 is Claim4 for IPv6.
func (a *Asker) Claim6(addrs []flow.Addr6, now time.Time, claimed []int32) []int32 {
	at := unit(now)
	for i, addr := range addrs {
		if addr != (flow.Addr6{}) && a.claim(addr, at) {
			claimed = append(claimed, int32(i))
		}
	}
	return claimed
}

func (a *Asker) claim(addr flow.Addr6, now uint64) bool {
	h := a.recent.hash(addr)
	if a.recent.has(h, now) || a.c.clean.has(h, now) {
		return false
	}
	a.recent.set(h, now, recentFor)
	return true
}

// Room reports whether the queue takes another address. If not, the address counts as
// dropped and may be claimed again after a few seconds.
func (a *Asker) Room(addr netip.Addr, now time.Time) bool {
	if len(a.c.queue) < cap(a.c.queue) {
		return true
	}
	a.drop(addr, now)
	return false
}

// Ask hands over a claimed address at a side of a record that no table lists. forms are the
// addresses to look up for it, which must be outside ones: the address itself, unmapped, and
// the IPv4 address in it; an invalid one is none. now is the time of receipt. A full queue
// drops and counts it.
func (a *Asker) Ask(r *flow.Record, side flow.Side, addr netip.Addr, forms [2]netip.Addr, now time.Time) {
	select {
	case a.c.queue <- request{record: *r, side: side, addr: addr, forms: forms}:
		a.c.asked.Add(1)
	default:
		a.drop(addr, now)
	}
}

func (a *Asker) drop(addr netip.Addr, now time.Time) {
	a.c.dropped.Add(1)
	a.recent.set(a.recent.hash(flow.Addr6Of(addr)), unit(now), fullFor)
}
