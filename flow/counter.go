package flow

import "math/bits"

// Sum is a + b, or the greatest number where that does not fit: an exporter may send any
// counter, and one that wraps would look small.
func Sum[T uint32 | uint64](a, b T) T {
	if s := a + b; s >= a {
		return s
	}
	return ^T(0)
}

// Scale multiplies a counter with a sampling rate. The product ends at the greatest number,
// and an unknown rate of 0 scales nothing.
func Scale(a uint64, rate uint32) uint64 {
	high, low := bits.Mul64(a, uint64(max(rate, 1)))
	if high != 0 {
		return ^uint64(0)
	}
	return low
}
