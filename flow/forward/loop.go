package forward

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

const (
	// loopWindow is the time within which a datagram that comes again from the same
	// sender, byte for byte, is not forwarded again.
	loopWindow = 10 * time.Second
	// loopSlots is the number of datagrams that are remembered, a power of two.
	loopSlots = 1 << 15
)

// A loopGuard ends loops of forwarding: instances that forward to each other, however
// many they are. It remembers what was forwarded of late. A datagram that comes back
// to us has been here before, from the same sender: at once where copies keep their
// exporter's address, else at the second turn, as it then comes from the instance
// before us in the loop for the second time.
//
// No two datagrams of an exporter are alike within moments: their headers count and
// carry the time. Where a network doubles one, or an exporter repeats its templates
// within a second, the second copy is left out, too, which costs the target nothing.
// A loop goes on when somebody in it changes the payloads, when a turn takes longer
// than loopWindow, or when far more than loopSlots datagrams come meanwhile.
//
// It belongs to one goroutine. Its memory, half a megabyte, is made at the first use.
type loopGuard struct {
	seed  maphash.Seed
	slots []loopSlot
}

// A loopSlot is a datagram: its hash and its time of receipt, ns since 1970.
type loopSlot struct {
	sum uint64
	at  int64
}

// repeats reports whether the datagram has been here within loopWindow, and remembers
// it. One without a time of receipt is never a repetition.
func (g *loopGuard) repeats(d *flow.Datagram) bool {
	if d.Received.IsZero() {
		return false
	}
	if g.slots == nil {
		g.seed, g.slots = maphash.MakeSeed(), make([]loopSlot, loopSlots)
	}
	sum := maphash.Bytes(g.seed, d.Payload) ^ g.sender(d.Source)
	slot, now := &g.slots[sum%loopSlots], d.Received.UnixNano()
	age := now - slot.at
	again := slot.sum == sum && age >= 0 && age < int64(loopWindow)
	*slot = loopSlot{sum, now}
	return again
}

// sender is the hash of a sender's address and port.
func (g *loopGuard) sender(from netip.AddrPort) uint64 {
	var b [18]byte
	addr := from.Addr().As16()
	copy(b[:], addr[:])
	binary.BigEndian.PutUint16(b[16:], from.Port())
	return maphash.Bytes(g.seed, b[:])
}

// loops leaves out of a batch what must not be forwarded again. Nearly always that is
// nothing, and the batch is given back as it is.
func (f *Forwarder) loops(batch []flow.Datagram) []flow.Datagram {
	kept, looped := batch, uint64(0)
	for i := range batch {
		if f.guard.repeats(&batch[i]) {
			if looped++; looped == 1 {
				kept = append(f.kept[:0], batch[:i]...)
			}
			f.noteLoop(&batch[i])
			continue
		}
		if looped > 0 {
			kept = append(kept, batch[i])
		}
	}
	if looped == 0 {
		return batch
	}
	for _, t := range f.targets {
		t.looped.Add(looped)
	}
	f.kept = kept
	return kept
}

// noteLoop remembers who sent a datagram that came again, for those who look; once a
// second at most, as that costs memory.
func (f *Forwarder) noteLoop(d *flow.Datagram) {
	if since := d.Received.Sub(f.loopedAt); since >= 0 && since < time.Second {
		return
	}
	from := d.Source
	f.loopedFrom.Store(&from)
	f.loopedAt = d.Received
}
