package export

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	"go4.org/netipx"
)

// TestSeenOracle: the addresses in a list of offenders are those of which a listing passes and
// that may be blocked, judged one by one; in whatever order they come. What is not to be
// shared is neither in rows nor in their reasons; sightings add up.
func TestSeenOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	never := func() *netipx.IPSet {
		var b netipx.IPSetBuilder
		for _, p := range []string{"62.0.0.16/28", "62.0.0.77/32", "2a00::8/125", "::/8", "10.0.0.0/8"} {
			b.AddPrefix(netip.MustParsePrefix(p))
		}
		set, _ := b.IPSet()
		return set
	}()
	for round := range 200 {
		o := choice.Default()
		o.MinScore = r.IntN(2) * r.IntN(90)
		if r.IntN(2) == 0 {
			o.Feeds = []string{"a", "red"}
		}
		if r.IntN(4) == 0 {
			o.Without = []string{"b"}
		}
		if r.IntN(4) == 0 {
			o.Family = 4
		}
		m, err := NewMaker(row.Can{Reasons: true, Dates: true}, never, o, "seen here", at)
		if err != nil {
			t.Fatal(err)
		}
		want, contacts := new(netipx.IPSetBuilder), uint64(0)
		met := make(map[netip.Addr]bool)
		for range 150 {
			a := netip.AddrFrom4([4]byte{62, 0, 0, byte(r.IntN(100))})
			switch r.IntN(8) {
			case 0:
				a = netip.AddrFrom16([16]byte{0: 0x2a, 15: byte(r.IntN(32))})
			case 1:
				a = netip.AddrFrom16([16]byte{15: byte(r.IntN(9))})
			case 2:
				a = netip.AddrFrom4([4]byte{10, 0, 0, 1})
			}
			if met[a] {
				continue
			}
			met[a] = true
			s := Seen{Addr: a, Contacts: uint64(1 + r.IntN(9)), First: at.Add(-time.Hour), Last: at}
			passes := false
			for range r.IntN(4) {
				l := intel.Indicator{Feed: []string{"a", "b", "red"}[r.IntN(3)], Score: uint8(1 + r.IntN(100)), Category: "c2"}
				if l.Feed == "red" {
					l.TLP = []string{"red", "amber"}[r.IntN(2)]
				}
				s.Listings = append(s.Listings, l)
				passes = passes || int(l.Score) >= o.MinScore && (o.Feeds == nil || l.Feed == "a") && l.Feed != "red" && (o.Without == nil || l.Feed != "b") && (o.Family == 0 || a.Is4())
			}
			if m.Add(&s); passes && !never.Contains(a) {
				want.Add(a)
				contacts += s.Contacts
			}
		}
		l := m.Done()
		got, sum := new(netipx.IPSetBuilder), uint64(0)
		for r := range l.Rows {
			got.AddPrefix(r.Prefix)
			sum += r.Sighting.Count
			if strings.Contains(r.Reason(), "red") || r.TLP != "" || r.Sighting.First != at.Add(-time.Hour).Unix() || r.Sighting.Last != at.Unix() {
				t.Fatalf("%+v", r)
			}
		}
		a, _ := got.IPSet()
		b, _ := want.IPSet()
		if !a.Equal(b) || sum != contacts {
			t.Fatalf("round %d: %v, want %v; %d contacts, want %d", round, a.Ranges(), b.Ranges(), sum, contacts)
		}
		if p := l.Report; p.Listings != len(met) || p.Filtered+p.TLP+p.Expired+p.Port > p.Listings {
			t.Fatalf("%+v of %d", p, len(met))
		}
		if h := strings.Join(l.Header("text"), "\n"); !strings.Contains(h, "filter: seen here, ") {
			t.Fatal(h)
		}
	}
}

// TestSeenCapped: of too many offenders those with the best scores stay.
func TestSeenCapped(t *testing.T) {
	o := choice.Default()
	o.Max = 10
	m, err := NewMaker(row.Can{}, new(netipx.IPSet), o, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		m.Add(&Seen{Addr: netip.MustParseAddr(fmt.Sprintf("62.0.0.%d", 2*i)), Listings: []intel.Indicator{{Feed: "f", Score: uint8(i)}}})
	}
	if l := m.Done(); l.Report.Rows != 10 || l.Report.Cut != 90 || l.Report.Lowest != 90 {
		t.Errorf("%+v", l.Report)
	}
}
