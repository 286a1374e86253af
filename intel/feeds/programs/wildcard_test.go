package programs

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"go4.org/netipx"

	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

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
			first, last := prefix.Bits32(p.Addr()), prefix.Bits32(netipx.PrefixLastIP(p))
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
