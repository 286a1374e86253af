package feeds

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"go4.org/netipx"
)

func TestSiLKRows(t *testing.T) {
	testRows(t, "silk", []rowCase{
		{"192.0.2.1 # x", "192.0.2.1/32", 0},
		{"3232235776/24", "192.168.1.0/24", 0},
		{"0", "0.0.0.0/32", 0},
		{"4294967295", "255.255.255.255/32", 0},
		{"4294967296", "", 1},
		{"99999999999999999999999", "", 1},
		{"0/0", "", 1},
		{"10.1.2.x", "10.1.2.0/24", 0},
		{"10.x.x.x", "10.0.0.0/8", 0},
		{"x.x.x.x", "", 1},
		{"0-255.0-255.0-255.0-255", "", 1},
		{"0-127.x.x.x", "0.0.0.0/1", 0},
		{"10.0.0.1,1,0", "10.0.0.0/31", 0},
		{"10.0.0.254-255", "10.0.0.254/31", 0},
		{"10.0.0.256", "", 1},
		{"10.0.00.x", "", 1},
		{"10.0.01-02.x", "", 1},
		{"10.0.0.9-1", "", 1},
		{"10.0.0.", "", 1},
		{"10.0.x", "", 1},
		{"10.0.0.x/24", "", 1},
		{"x.x.x.1", "", 1},
		{"2001:db8::/32", "2001:db8::/32", 0},
		{"10.0.0.1-10.0.0.3", "", 1},
		{"10.0.0.1 10.0.0.3", "", 1},
	})
	testRows(t, "silk-ranges", []rowCase{
		{"10.0.0.0-10.0.0.3", "10.0.0.0/30", 0},
		{"167772160-167772163", "10.0.0.0/30", 0},
		{"167772160-10.0.0.3", "10.0.0.0/30", 0},
		{"167772160-2001:db8::", "", 1},
		{"10.0.0.0/8", "10.0.0.0/8", 0},
		{"10.0.0.1-3", "", 1}, // 3 is the address 0.0.0.3
		{"10.0.0.x", "", 1},
	})
}

// TestWildcardCap checks the most prefixes that one row may stand for.
func TestWildcardCap(t *testing.T) {
	if ps, err := wildcard("1.x.x.1"); err != nil || len(ps) != maxWildcard {
		t.Errorf("got %d prefixes, %v", len(ps), err)
	}
	if _, err := wildcard("1-2.x.x.1"); err == nil {
		t.Error("no cap")
	}
}

// TestWildcardOracle compares with counting addresses one by one.
func TestWildcardOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		third, fourth := randomOctet(r), randomOctet(r)
		text := fmt.Sprintf("10.9.%s.%s", third, fourth)
		ps, err := wildcard(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var times [1 << 16]int // how often each address of 10.9.0.0/16 is covered
		for _, p := range ps {
			first, last := bits32(p.Addr()), bits32(netipx.PrefixLastIP(p))
			for a := first; a <= last; a++ {
				times[a&0xffff]++
			}
		}
		for a, n := range times {
			if want := inOctet(third, a>>8) && inOctet(fourth, a&0xff); n > 1 || want != (n == 1) {
				t.Fatalf("%s: 10.9.%d.%d is covered %d times", text, a>>8, a&0xff, n)
			}
		}
	}
}

func randomOctet(r *rand.Rand) string {
	low := r.IntN(256)
	switch r.IntN(4) {
	case 0:
		return "x"
	case 1:
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%d-%d", low, low+r.IntN(min(8, 256-low)))
}

func inOctet(text string, v int) bool {
	low, high, isRange := strings.Cut(text, "-")
	switch {
	case text == "x":
		return true
	case !isRange:
		return text == strconv.Itoa(v)
	}
	from, _ := strconv.Atoi(low)
	to, _ := strconv.Atoi(high)
	return from <= v && v <= to
}

// TestRangeOracle compares the cover of a range with its definition: the
// prefixes follow each other without gap, and none can be joined with the next.
func TestRangeOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 2000 {
		first, last := randomAddr(r, i%2 == 0), randomAddr(r, i%2 == 0)
		if i%5 == 0 {
			last = first.Next().Next().Next()
		}
		if !last.IsValid() || last.Less(first) {
			first, last = last, first
		}
		if !first.IsValid() {
			continue
		}
		ps, err := rangePrefixes(first, last)
		if err != nil {
			t.Fatalf("%v-%v: %v", first, last, err)
		}
		next := first
		for j, p := range ps {
			if p.Addr() != next || p != p.Masked() {
				t.Fatalf("%v-%v: %v follows a gap", first, last, p)
			}
			if j > 0 && siblings(ps[j-1], p) {
				t.Fatalf("%v-%v: %v and %v can be joined", first, last, ps[j-1], p)
			}
			next = netipx.PrefixLastIP(p).Next()
		}
		if end := netipx.PrefixLastIP(ps[len(ps)-1]); end != last {
			t.Fatalf("%v-%v: ends at %v", first, last, end)
		}
	}
}

func siblings(a, b netip.Prefix) bool {
	if a.Bits() != b.Bits() {
		return false
	}
	parent, _ := a.Addr().Prefix(a.Bits() - 1)
	return parent.Contains(b.Addr())
}

func randomAddr(r *rand.Rand, v4 bool) netip.Addr {
	if v4 {
		return addr32(r.Uint32())
	}
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[0] |= 0x20 // away from the IPv4-mapped block
	return netip.AddrFrom16(b)
}
