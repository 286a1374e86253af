package memory

// spans are numbers of events, in order: each is from one to before another.
type spans [][2]uint64

// add adds the numbers from one to before another, which are beyond all others.
func (s *spans) add(from, to uint64) {
	switch n := len(*s); {
	case from == to:
	case n > 0 && (*s)[n-1][1] >= from:
		(*s)[n-1][1] = max(to, (*s)[n-1][1])
	default:
		*s = append(*s, [2]uint64{from, to})
	}
}

// within counts those from one number to before another.
func (s spans) within(from, to uint64) (n uint64) {
	for _, one := range s {
		if begin, end := max(from, one[0]), min(to, one[1]); begin < end {
			n += end - begin
		}
	}
	return n
}

// forget forgets those before number.
func (s *spans) forget(number uint64) {
	for len(*s) > 0 && (*s)[0][1] <= number {
		*s = (*s)[1:]
	}
}
