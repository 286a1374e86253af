package span

import (
	"net/netip"
	"strconv"
	"strings"
)

// Beginning gives the addresses that begin with a text as they are written, IPv6 without the
// :: of zeros. The text must have a dot or a colon, as many a word is the beginning of an
// address otherwise.
func Beginning(s string) []Range {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return OfAll([]netip.Prefix{netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())})
	}
	switch {
	case strings.Contains(s, ":"):
		return groups(strings.Split(s, ":"), 16, 8)
	case strings.Contains(s, "."):
		return groups(strings.Split(s, "."), 10, 4)
	}
	return nil
}

// groups gives the addresses whose groups begin with some, of which the last need not be
// whole. There are total groups.
func groups(texts []string, base, total int) (all []Range) {
	width := map[int]int{10: 8, 16: 16}[base]
	if len(texts) > total {
		return nil
	}
	var numbers []int
	last := len(texts) - 1
	for _, t := range texts[:last] {
		n, ok := group(t, base, width)
		if !ok {
			return nil
		}
		numbers = append(numbers, n)
	}
	if texts[last] == "" {
		return []Range{between(numbers, total, width)}
	}
	n, ok := group(texts[last], base, width)
	if !ok {
		return nil
	}
	// More digits may follow, unless it is 0: then the numbers from low on begin with n.
	for low, count := n, 1; low < 1<<width; low, count = low*base, count*base {
		high := min(low+count-1, 1<<width-1)
		all = append(all, Range{From: between(append(numbers, low), total, width).From, To: between(append(numbers, high), total, width).To})
		if n == 0 {
			break
		}
	}
	return all
}

// between gives the addresses that have these groups first.
func between(numbers []int, total, width int) Range {
	b := make([]byte, 0, 16)
	for _, n := range numbers {
		if width == 16 {
			b = append(b, byte(n>>8))
		}
		b = append(b, byte(n))
	}
	b = append(b, make([]byte, total*width/8-len(b))...)
	a, _ := netip.AddrFromSlice(b)
	return Of(netip.PrefixFrom(a, len(numbers)*width))
}

// group reads one group of an address, without zeros before it.
func group(s string, base, width int) (int, bool) {
	n, err := strconv.ParseUint(s, base, width)
	return int(n), err == nil && strconv.FormatUint(n, base) == strings.ToLower(s)
}
