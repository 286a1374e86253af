package table

// foldAfter is how many tiny contacts a source may have before its further ones are folded.
const foldAfter = 64

// A sketch counts by hash, up to foldAfter, in little memory (count-min): what counted is in
// a cell of each of two rows, and the smaller one is at most too large, by others that share
// both cells. Only the smaller cell grows, which keeps that error small. It fits into the
// second cache and is touched only when an entry is made.
type sketch [2][1 << 16]uint8

// full reports whether the hash was counted foldAfter times. It uses the low 32 bits.
func (s *sketch) full(hash uint64) bool {
	return min(s[0][uint16(hash)], s[1][uint16(hash>>16)]) >= foldAfter
}

// count counts the hash once more.
func (s *sketch) count(hash uint64) {
	a, b := &s[0][uint16(hash)], &s[1][uint16(hash>>16)]
	n := min(*a, *b, foldAfter-1) + 1
	*a, *b = max(*a, n), max(*b, n)
}
