package programs

import (
	"errors"
	"math/bits"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// maxWildcard is how many prefixes one wildcard may stand for.
const maxWildcard = 65536

var errWildcard = errors.New("wildcard stands for more than 65,536 prefixes")

// SiLK makes the parser of SiLK's IP set text: addresses, unsigned integers,
// either with a length, and wildcards such as 10.x.1-2.4,5.
func SiLK(d *document.Document, _ string) (document.RowFunc, error) {
	return silkRows(d, func(s string) ([]netip.Prefix, error) {
		p, err := silkPrefix(s)
		if err != nil && strings.ContainsAny(s, "x-,") {
			return wildcard(s)
		}
		return []netip.Prefix{p}, err
	}), nil
}

// SiLKRanges makes the parser of the same text with ranges A-B, where there
// are no wildcards.
func SiLKRanges(d *document.Document, _ string) (document.RowFunc, error) {
	return silkRows(d, func(s string) ([]netip.Prefix, error) {
		if strings.IndexByte(s, '-') >= 0 {
			return prefix.Range(s, prefix.IntegerAddr)
		}
		p, err := silkPrefix(s)
		return []netip.Prefix{p}, err
	}), nil
}

func silkRows(d *document.Document, parse func(string) ([]netip.Prefix, error)) document.RowFunc {
	return func(line string) error {
		row, _, _ := strings.Cut(line, "#")
		row = document.Trim(row)
		if d.Comment(document.Trim(line), "#") || row == "" {
			return nil
		}
		ps, err := parse(row)
		if err != nil {
			d.Reject(line, err)
			return nil
		}
		return d.AcceptAll(ps, document.Entry{})
	}
}

func silkPrefix(s string) (netip.Prefix, error) {
	number, length, slash := strings.Cut(s, "/")
	n, ok := prefix.Integer(number)
	if !ok {
		return prefix.Parse(s)
	}
	if slash {
		return prefix.Parse(prefix.Addr32(n).String() + "/" + length)
	}
	return netip.PrefixFrom(prefix.Addr32(n), 32), nil
}

// An octetSet is a set of octet values.
type octetSet [256]bool

// wildcard gives the fewest prefixes for a dotted quad of octet sets. Octets at
// the end that may have any value shorten the prefix, the last one before them is
// cut into aligned blocks, and those before it are taken value by value.
func wildcard(s string) ([]netip.Prefix, error) {
	octets := strings.Split(s, ".")
	if len(octets) != 4 {
		return nil, prefix.ErrNotAddress
	}
	var sets [4]octetSet
	last, count := -1, 1
	for i, o := range octets {
		n, err := sets[i].parse(o)
		if err != nil {
			return nil, err
		}
		if n < 256 {
			last = i
		}
	}
	if last < 0 {
		return nil, prefix.ErrWhole
	}
	for i := range last {
		count *= sets[i].len()
	}
	blocks := sets[last].blocks()
	if count*len(blocks) > maxWildcard {
		return nil, errWildcard
	}
	return expand(nil, sets[:last], blocks, netip.PrefixFrom(netip.IPv4Unspecified(), 0)), nil
}

// expand appends the blocks under every combination of the values of sets; p is
// what the octets before them make.
func expand(ps []netip.Prefix, sets []octetSet, blocks []block, p netip.Prefix) []netip.Prefix {
	at := p.Bits() / 8
	octets := p.Addr().As4()
	if len(sets) == 0 {
		for _, b := range blocks {
			octets[at] = b.start
			ps = append(ps, netip.PrefixFrom(netip.AddrFrom4(octets), 8*at+b.bits))
		}
		return ps
	}
	for v, in := range sets[0] {
		if in {
			octets[at] = byte(v)
			ps = expand(ps, sets[1:], blocks, netip.PrefixFrom(netip.AddrFrom4(octets), 8*at+8))
		}
	}
	return ps
}

// parse reads x, or values and ranges of values separated by commas, and gives
// their number.
func (o *octetSet) parse(s string) (int, error) {
	if s == "x" {
		s = "0-255"
	}
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		low, ok := octet(from)
		high, okHigh := octet(to)
		if !ok || !okHigh {
			return 0, prefix.ErrNotAddress
		}
		if low > high {
			return 0, prefix.ErrReversed
		}
		for v := low; v <= high; v++ {
			o[v] = true
		}
	}
	return o.len(), nil
}

// octet reads a decimal octet without leading zeros.
func octet(s string) (int, bool) {
	n, ok := prefix.Decimal(s, 3, 255)
	return n, ok && (len(s) == 1 || s[0] != '0')
}

func (o *octetSet) len() int {
	n := 0
	for _, in := range o {
		if in {
			n++
		}
	}
	return n
}

// A block is an aligned run of octet values: bits of the octet are fixed.
type block struct {
	start byte
	bits  int
}

// blocks cuts the set into the fewest aligned blocks.
func (o *octetSet) blocks() []block {
	var bs []block
	for v := 0; v < 256; {
		if !o[v] {
			v++
			continue
		}
		size := 256
		if v > 0 {
			size = v & -v // the largest block that is aligned at v
		}
		for !o.full(v, size) {
			size /= 2
		}
		bs = append(bs, block{byte(v), 8 - bits.TrailingZeros(uint(size))})
		v += size
	}
	return bs
}

func (o *octetSet) full(start, size int) bool {
	for v := start; v < start+size; v++ {
		if !o[v] {
			return false
		}
	}
	return true
}
