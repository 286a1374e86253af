package listing

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestListingsAreLossless compares with the indicators of the match.
func TestListingsAreLossless(t *testing.T) {
	all := NewPool()
	at := time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)
	full := intel.Indicator{
		Prefix: netip.MustParsePrefix("2001:db8::/32"), Port: 443, Feed: "otx", Score: 77, Category: "c2", Ref: "https://example.net/1",
		Description: "a \x00 text", NativeID: "SBL1", TLP: "amber", FirstSeen: at, LastSeen: at.Add(time.Hour), Expires: at.Add(time.Hour * 24),
	}
	for _, want := range [][]intel.Indicator{nil, {full}, {full, {Prefix: netip.MustParsePrefix("0.0.0.0/0"), Feed: "b"}}} {
		m := lookup.MatchOf("v1", netip.Addr{}, slices.Clone(want))
		l := all.Hold(m)
		if got := l.Indicators(); !slices.Equal(got, IndicatorsOf(m)) || l.Base != score.Base(got) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if again := all.Hold(m); again != l || l.contacts != 2 {
			t.Error("the same listing is held twice")
		}
		other := all.Hold(lookup.MatchOf("v2", netip.Addr{}, slices.Clone(want)))
		if other == l {
			t.Error("listings of two tables are one")
		}
		for i, one := range []*Listing{other, l, l} {
			if all.LetGo(one); len(all.byHash) != []int{1, 1, 0}[i] {
				t.Errorf("%d listings are held after %d of three were let go", len(all.byHash), i+1)
			}
		}
	}
	for i := range 2 * maxEvidence {
		all.LetGo(all.Hold(lookup.MatchOf("v1", netip.Addr{}, []intel.Indicator{{Prefix: full.Prefix, Feed: fmt.Sprint(i)}})))
	}
	if n := len(all.evidence); n > maxEvidence {
		t.Errorf("%d texts are kept for sharing, want at most %d", n, maxEvidence)
	}
}
