package listings

import "slices"

// pageLen makes a page of entries 18 whole pages of the Go heap.
const pageLen = 4096

// pages is a slice of entries that grows without copying and without slack: the
// evidence of a million prefixes never lies in memory twice.
type pages struct {
	page []*[pageLen]Entry
	n    int
}

func (p *pages) at(i uint32) *Entry { return &p.page[i/pageLen][i%pageLen] }

func (p *pages) append(e Entry) {
	if p.n == len(p.page)*pageLen {
		p.page = append(p.page, new([pageLen]Entry))
	}
	p.n++
	*p.at(uint32(p.n - 1)) = e
}

// arrange brings the entries into the order of the keys, which must name every
// entry once, and numbers the keys anew. It works in place, along the cycles of
// the permutation.
func (p *pages) arrange(keys []key) {
	for i := range keys {
		start := uint32(i)
		moved := *p.at(start)
		for to := start; ; {
			from := keys[to].entry
			keys[to].entry = to
			if from == start {
				*p.at(to) = moved
				break
			}
			*p.at(to) = *p.at(from)
			to = from
		}
	}
}

// extended gives pages with the same entries, to which others can be added: those that
// are there are not touched.
func (p *pages) extended() pages {
	e := pages{page: slices.Clone(p.page), n: p.n}
	if last := len(e.page) - 1; last >= 0 {
		page := *e.page[last]
		e.page[last] = &page
	}
	return e
}

// truncate keeps the first n entries.
func (p *pages) truncate(n int) {
	p.n = n
	used := (n + pageLen - 1) / pageLen
	clear(p.page[used:])
	p.page = p.page[:used]
}
