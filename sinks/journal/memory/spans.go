package memory

import "slices"

// spans are numbers of events, in order: each is from one to before another.
type spans [][2]uint64

// add adds the numbers from one to before another. They may be before others: a chunk that is
// being written is dropped after the next one.
func (s *spans) add(from, to uint64) {
	if from == to {
		return
	}
	i := slices.IndexFunc(*s, func(one [2]uint64) bool { return one[1] >= from })
	if i < 0 {
		i = len(*s)
	}
	end := i
	for ; end < len(*s) && (*s)[end][0] <= to; end++ {
		from, to = min(from, (*s)[end][0]), max(to, (*s)[end][1])
	}
	*s = slices.Replace(*s, i, end, [2]uint64{from, to})
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
