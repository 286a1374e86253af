package listings

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"
)

// maxPool bounds the bytes of all strings of a set, so that offsets fit into a
// uint32 and, on 32-bit machines, into an int.
const maxPool = math.MaxInt32

// A pool holds strings without a pointer to any of them, so that the garbage
// collector never looks inside: each one once, its length (uvarint) in front. A
// handle is the offset of that length; 0 is the empty string.
//
// The tail is what later sets have added, see Draft.fromBase: its offsets go on
// where those of the blob end.
type pool struct{ blob, tail []byte }

// at gives the string of a handle, copied: it does not keep the pool alive.
func (p *pool) at(handle uint32) string {
	if handle == 0 {
		return ""
	}
	return string(p.raw(handle))
}

func (p *pool) raw(handle uint32) []byte {
	blob := p.blob
	if int(handle) >= len(blob) {
		handle -= uint32(len(blob))
		blob = p.tail
	}
	n, w := binary.Uvarint(blob[handle:])
	start := int(handle) + w
	return blob[start : start+int(n)]
}

// is reports whether a handle is of s.
func (p *pool) is(handle uint32, s string) bool {
	if handle == 0 || s == "" {
		return handle == 0 && s == ""
	}
	return string(p.raw(handle)) == s
}

// An interner fills a pool. Its index is an open hash of handles: 8 bytes a string
// where a map would need 40, and it is thrown away when the set is built.
type interner struct {
	pool
	seed  maphash.Seed
	index []uint32 // length a power of two, at most half full; 0 = free
	n     int
}

func newInterner() *interner {
	return &interner{
		pool:  pool{blob: make([]byte, 1)}, // offset 0 is the empty string
		seed:  maphash.MakeSeed(),
		index: make([]uint32, 1024),
	}
}

// intern gives the handle of s, or false when the pool is full.
func (in *interner) intern(s string) (uint32, bool) {
	if s == "" {
		return 0, true
	}
	if 2*in.n >= len(in.index) {
		in.grow()
	}
	slot := in.slot(maphash.String(in.seed, s), s)
	if h := in.index[slot]; h != 0 {
		return h, true
	}
	if len(s) > maxPool-binary.MaxVarintLen32-len(in.blob) {
		return 0, false
	}
	handle := uint32(len(in.blob))
	in.blob = append(binary.AppendUvarint(in.blob, uint64(len(s))), s...)
	in.index[slot] = handle
	in.n++
	return handle, true
}

// tight gives the pool alone, without much room to grow.
func (in *interner) tight() pool {
	if slack := cap(in.blob) - len(in.blob); slack > len(in.blob)/8 {
		return pool{blob: bytes.Clone(in.blob)}
	}
	return in.pool
}

// slot gives the place of s in the index, or the free place where it belongs.
func (in *interner) slot(hash uint64, s string) int {
	mask := len(in.index) - 1
	i := int(hash) & mask
	for in.index[i] != 0 && string(in.raw(in.index[i])) != s {
		i = (i + 1) & mask
	}
	return i
}

func (in *interner) grow() {
	old := in.index
	in.index = make([]uint32, 2*len(old))
	mask := len(in.index) - 1
	for _, h := range old {
		if h == 0 {
			continue
		}
		i := int(maphash.Bytes(in.seed, in.raw(h))) & mask
		for in.index[i] != 0 {
			i = (i + 1) & mask
		}
		in.index[i] = h
	}
}

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
