package dnsbl

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// marks are addresses that need no question until a time. Any goroutine may look and
// set without a lock: an address is one word, which holds 34 bits of its hash and the
// time. It stands in one of the eight words of its bucket, a cache line; a full bucket
// forgets the mark that ends first. The hash has a random key, so that nobody can
// choose addresses that meet. An address that was never marked is taken for a marked
// one once in two billion look-ups at most.
type marks struct {
	key     [2]uint64
	words   []atomic.Uint64
	longest uint64 // units that a mark may last
}

// How a word is divided, and the unit of its time: 30 bits of 4 s reach beyond the
// year 2100.
const (
	bucketLen  = 8
	untilBits  = 30
	markSecond = 4
)

// newMarks makes marks for n addresses, of the given life at most: what the clock has
// put further ahead, because it was wrong, does not count.
func newMarks(n int, longest time.Duration) *marks {
	size := max(1<<bits.Len(uint(max(n, 1)-1)), bucketLen)
	return &marks{
		key:     [2]uint64{rand.Uint64(), rand.Uint64()},
		words:   make([]atomic.Uint64, size),
		longest: units(longest) + 1,
	}
}

func units(d time.Duration) uint64 {
	return uint64((d + markSecond*time.Second - 1) / (markSecond * time.Second))
}

// unit gives the unit of time that t lies in.
func unit(t time.Time) uint64 { return uint64(t.Unix()) / markSecond & (1<<untilBits - 1) }

// hash mixes an address, IPv4 as IPv4-mapped.
func (m *marks) hash(a flow.Addr6) uint64 {
	hi, lo := bits.Mul64(a.Hi^m.key[0], a.Lo^m.key[1])
	hi, lo = bits.Mul64(hi^lo^m.key[1], 0x9e3779b97f4a7c15)
	return hi ^ lo
}

// bucket gives the place of the first word of a hash.
func (m *marks) bucket(h uint64) int { return int(h) & (len(m.words) - 1) &^ (bucketLen - 1) }

// has reports whether an address of this hash is marked at a unit of time.
func (m *marks) has(h, now uint64) bool {
	at := m.bucket(h)
	tag := h >> untilBits
	for i := range bucketLen {
		w := m.words[at+i].Load()
		if w>>untilBits == tag && m.lasts(w, now) {
			return true
		}
	}
	return false
}

// lasts reports whether a mark has not ended.
func (m *marks) lasts(w, now uint64) bool {
	return (w&(1<<untilBits-1))-now-1 < m.longest // an end in the past becomes a huge number
}

// set marks the address of a hash for a duration from a unit of time on.
func (m *marks) set(h, now uint64, d time.Duration) {
	at, place, soonest := m.bucket(h), 0, ^uint64(0)
	tag := h >> untilBits
	for i := range bucketLen {
		w := m.words[at+i].Load()
		if w>>untilBits == tag {
			place = i
			break
		}
		left := uint64(0)
		if m.lasts(w, now) {
			left = w&(1<<untilBits-1) - now
		}
		if left < soonest {
			place, soonest = i, left
		}
	}
	m.words[at+place].Store(tag<<untilBits | min(now+min(units(d), m.longest), 1<<untilBits-1))
}
