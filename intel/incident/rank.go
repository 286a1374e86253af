package incident

import (
	"cmp"
	"math/bits"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// Less compares two incidents by how badly they need somebody: it is negative when a comes
// before b. The worst severity comes first, then those that one of ours called and that
// answered, then more days with contact, more bytes that our side sent, and the latest. The
// number of flows plays no part: whoever is scanned most is not in the worst trouble. Of equal
// ones the newer incident comes first.
func Less(a, b *Incident) int {
	return cmp.Or(
		cmp.Compare(b.Worst, a.Worst), worseFlag(a.Called && a.Answered, b.Called && b.Answered),
		cmp.Compare(b.Days, a.Days), cmp.Compare(b.BytesOut, a.BytesOut),
		b.Last.Compare(a.Last), cmp.Compare(b.ID, a.ID))
}

// LessHost compares two hosts of ours in the same way.
func LessHost(a, b *HostShare) int {
	return cmp.Or(
		cmp.Compare(b.Worst, a.Worst), worseFlag(a.Called && a.Answered, b.Called && b.Answered),
		cmp.Compare(b.Days, a.Days), cmp.Compare(b.BytesOut, a.BytesOut),
		b.Last.Compare(a.Last), flow.Addr6Of(b.Addr).Compare(flow.Addr6Of(a.Addr)), cmp.Compare(b.Site, a.Site))
}

// worseFlag orders what is set before what is not.
func worseFlag(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// ExactSize is up to what number SizeKey gives the number itself.
const ExactSize = 1 << exactBits

const exactBits = 6

// SizeKey gives a number in so few steps that it changes rarely while a number grows: the
// number itself below [ExactSize], then 16 steps for each doubling. It never falls as the number
// grows, so it orders what an index of a store holds.
func SizeKey(n uint64) int64 {
	if n < ExactSize {
		return int64(n)
	}
	e := bits.Len64(n) - 1
	return ExactSize + int64(e-exactBits)<<4 + int64(n>>(e-4)&15)
}

// RankKey gives the place of an incident in the order of Less in one number, greater is
// worse: all of Less but what SizeKey leaves out, the time of the day, and the id.
func RankKey(i *Incident) int64 {
	k := int64(min(i.Worst, event.Critical)) << 1
	if i.Called && i.Answered {
		k |= 1
	}
	size := SizeKey(i.BytesOut)
	k = k<<16 | int64(min(max(i.Days, 0), 1<<16-1))
	k = k<<13 | size
	k <<= 16
	if size < ExactSize { // the day decides next only among equals
		k |= int64(min(max(DayOf(i.Last), 0), 1<<16-1))
	}
	return k
}
