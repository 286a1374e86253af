package prefilter

import "math/bits"

// A bitmap is a set of small numbers, its length a power of two.
type bitmap []uint64

// newBitmap makes a bitmap for numbers below 1<<width, of at least one word.
func newBitmap(width int) bitmap { return make(bitmap, 1<<max(width-6, 0)) }

// at gives the bit of i as 0 or 1, without a branch.
func (b bitmap) at(i uint32) uint64 { return b[i>>6] >> (i & 63) & 1 }

func (b bitmap) set(i uint32) { b[i>>6] |= 1 << (i & 63) }

// setRange sets the bits from first to last.
func (b bitmap) setRange(first, last uint32) {
	from, to := ^uint64(0)<<(first&63), ^uint64(0)>>(63-last&63)
	i, end := first>>6, last>>6
	if i == end {
		b[i] |= from & to
		return
	}
	b[i] |= from
	for i++; i < end; i++ {
		b[i] = ^uint64(0)
	}
	b[end] |= to
}

// widthOf gives the width of a bitmap with 1<<spare bits for each of n numbers,
// rounded up to a power of two, within bounds.
func widthOf(n, spare, least, most int) int {
	return min(max(bits.Len(uint(max(n-1, 0)))+spare, least), most)
}

// hash32 scatters a number over 32 bits, the upper ones best (Knuth's
// multiplicative hashing with the golden ratio).
func hash32(a uint32) uint32 { return a * 0x9e3779b1 }
