package capture

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// The bounds of reassembly: at most 4 MiB.
const (
	maxPending   = 64    // packets begun
	maxPacket    = 65535 // bytes of one
	fragmentLife = 30 * time.Second
)

// A fragmentKey is which packet a fragment is of (RFC 791, RFC 8200 4.5).
type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	proto    uint8 // of IPv4; in IPv6 the first fragment alone has the say
}

// A pending packet is one of which fragments are there but not all.
type pending struct {
	key   fragmentKey
	since time.Time // of the fragment that was read first
	next  uint8     // protocol of the data, from the fragment at offset 0
	size  int       // bytes of all fragments; 0 until the last one is there
	have  int       // bytes that are there
	parts []part    // by offset, without overlap
	data  []byte
	// spoiled: given up, but still here to swallow the fragments that follow, as
	// RFC 5722 demands.
	spoiled bool
}

// A part is the place of one fragment in the data.
type part struct{ from, to int }

// A reassembler puts fragments together. Its memory is bounded by the constants
// above, its time by the clock of the capture.
type reassembler struct {
	packets []*pending // oldest first

	reassembled, expired, evicted, overlapping, duplicates uint64
}

// add takes a fragment. When it completes the packet, p becomes that packet and
// the finding names what it carries; else the finding is isFragment, or
// isMalformed for one that no packet can have.
func (r *reassembler) add(p *packet, now time.Time) finding {
	at := part{p.frag.offset, p.frag.offset + len(p.data)}
	// All but the last are multiples of 8 bytes long.
	if at.from == at.to || at.to > maxPacket || p.frag.more && len(p.data)%8 != 0 {
		return isMalformed
	}
	r.expire(now)
	q := r.find(p, now)
	if q.spoiled || r.repeats(q, at, p.data) {
		return isFragment
	}
	if !q.fits(at, p.frag.more) {
		q.spoil()
		r.overlapping++
		return isFragment
	}
	q.put(at, p)
	if q.have != q.size {
		return isFragment
	}
	r.remove(q)
	r.reassembled++
	return p.become(q)
}

// become turns the last fragment into the whole packet. A fragment of a fragment
// is nothing that a sender makes.
func (p *packet) become(q *pending) finding {
	p.next, p.data, p.frag = q.next, q.data, fragment{}
	what := p.transport()
	if what == isFragment {
		return isMalformed
	}
	return what
}

// expire gives up what is too old. Time in a capture can jump, backwards too
// where captures were joined: a packet from the future will never be completed.
func (r *reassembler) expire(now time.Time) {
	r.packets = slices.DeleteFunc(r.packets, func(q *pending) bool {
		old := now.Sub(q.since).Abs() > fragmentLife
		if old && !q.spoiled {
			r.expired++
		}
		return old
	})
}

// find gives the packet of a fragment; a new one, if need be in the place of the
// oldest.
func (r *reassembler) find(p *packet, now time.Time) *pending {
	key := fragmentKey{src: p.src, dst: p.dst, id: p.frag.id}
	if p.src.Is4() {
		key.proto = p.next
	}
	for _, q := range r.packets {
		if q.key == key {
			return q
		}
	}
	if len(r.packets) == maxPending {
		if !r.packets[0].spoiled {
			r.evicted++
		}
		r.packets = slices.Delete(r.packets, 0, 1)
	}
	q := &pending{key: key, since: now}
	r.packets = append(r.packets, q)
	return q
}

func (r *reassembler) remove(q *pending) {
	i := slices.Index(r.packets, q)
	r.packets = slices.Delete(r.packets, i, i+1)
}

// repeats counts a fragment that is there already, byte for byte. Networks
// duplicate, and captures on two interfaces do; that is no overlap (RFC 8200 4.5).
func (r *reassembler) repeats(q *pending, at part, data []byte) bool {
	i, found := q.search(at)
	if !found || q.parts[i] != at || !bytes.Equal(q.data[at.from:at.to], data) {
		return false
	}
	r.duplicates++
	return true
}

// search finds the first part that begins at or after another.
func (q *pending) search(at part) (int, bool) {
	return slices.BinarySearchFunc(q.parts, at, func(a, b part) int { return cmp.Compare(a.from, b.from) })
}

// fits reports whether a fragment overlaps none that is there, and agrees with
// them about the end of the packet.
func (q *pending) fits(at part, more bool) bool {
	i, _ := q.search(at)
	if i > 0 && q.parts[i-1].to > at.from || i < len(q.parts) && q.parts[i].from < at.to {
		return false
	}
	if more {
		return q.size == 0 || at.to < q.size
	}
	return q.size == 0 && i == len(q.parts)
}

// put keeps a fragment that fits.
func (q *pending) put(at part, p *packet) {
	i, _ := q.search(at)
	q.parts = slices.Insert(q.parts, i, at)
	q.have += len(p.data)
	if !p.frag.more {
		q.size = at.to
	}
	if at.from == 0 {
		q.next = p.next
	}
	if n := at.to - len(q.data); n > 0 {
		q.data = append(q.data, make([]byte, n)...)
	}
	copy(q.data[at.from:], p.data)
}

// spoil frees what is there and keeps the name.
func (q *pending) spoil() {
	q.spoiled, q.parts, q.data = true, nil, nil
}

// fill writes the counters of fragments into s.
func (r *reassembler) fill(s *Stats) {
	for _, q := range r.packets {
		if !q.spoiled {
			s.Waiting++
		}
	}
	s.Reassembled, s.Expired, s.Evicted = r.reassembled, r.expired, r.evicted
	s.Overlapping, s.Duplicates = r.overlapping, r.duplicates
}
