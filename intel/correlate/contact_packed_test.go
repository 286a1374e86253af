package correlate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestPackedIsLossless: what a contact keeps of its first flow and its key comes back as it was.
func TestPackedIsLossless(t *testing.T) {
	for _, text := range []string{"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "::ffff:192.0.2.1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		a := netip.MustParseAddr(text)
		if got := pack(a); got.addr() != a {
			t.Errorf("%s became %s", a, got.addr())
		}
	}
	if got := pack(netip.Addr{}); got.addr().IsValid() || got == pack(netip.IPv6Unspecified()) {
		t.Error("no address became one")
	}
	for _, at := range []time.Time{{}, time.Unix(0, 0).UTC(), time.Unix(0, 1).UTC(), time.Unix(-1, 999_999_999).UTC(), t0} {
		got := packTime(at).time()
		if at.Equal(time.Unix(0, 0)) {
			at = time.Unix(0, 1).UTC() // 1970 begins a nanosecond later
		}
		if got != at {
			t.Errorf("%s became %s", at, got)
		}
	}
	for _, far := range []time.Time{time.Unix(-1<<62, 0), time.Unix(1<<62, 0), time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := packTime(far).time(); got.Before(t0) != far.Before(t0) || got.IsZero() {
			t.Errorf("%s became %s", far, got)
		}
	}
	rng := rand.New(rand.NewPCG(1, 6))
	table := listedTable(t, "v1", c2("feodo", 90))
	for range 10_000 {
		h := randomHit(rng, table)
		d := headOf(&h, nil)
		if p := d.pack(); p.head() != d {
			t.Fatalf("%+v became %+v", d, p.head())
		}
		e := endsOf(&h)
		k := contactKey{offender: e.offender, local: e.local, port: e.localPort, protocol: e.protocol, hasProtocol: e.hasProtocol}
		if p := k.pack(); p.key() != k {
			t.Fatalf("%+v became %+v", k, p.key())
		}
	}
}

// TestListingsAreLossless compares with the indicators of the match.
func TestListingsAreLossless(t *testing.T) {
	all := newListings()
	at := time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)
	full := intel.Indicator{
		Prefix: netip.MustParsePrefix("2001:db8::/32"), Port: 443, Feed: "otx", Score: 77, Category: "c2", Ref: "https://example.net/1",
		Description: "a \x00 text", NativeID: "SBL1", TLP: "amber", FirstSeen: at, LastSeen: at.Add(time.Hour), Expires: at.Add(time.Hour * 24),
	}
	for _, want := range [][]intel.Indicator{nil, {full}, {full, {Prefix: netip.MustParsePrefix("0.0.0.0/0"), Feed: "b"}}} {
		m := lookup.MatchOf("v1", netip.Addr{}, slices.Clone(want))
		l := all.hold(m)
		if got := l.indicators(); !slices.Equal(got, indicatorsOf(m)) || l.base != baseScore(got) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if again := all.hold(m); again != l || l.contacts != 2 {
			t.Error("the same listing is held twice")
		}
		if other := all.hold(lookup.MatchOf("v2", netip.Addr{}, slices.Clone(want))); other == l {
			t.Error("listings of two tables are one")
		}
	}
	for i := range 2 * maxEvidence {
		all.letGo(all.hold(lookup.MatchOf("v1", netip.Addr{}, []intel.Indicator{{Prefix: full.Prefix, Feed: fmt.Sprint(i)}})))
	}
	if n := len(all.evidence); n > maxEvidence {
		t.Errorf("%d texts are kept for sharing, want at most %d", n, maxEvidence)
	}
}

// liveHeap gives the bytes of the heap that are in use after a collection.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What a contact and a remembered flow may cost, in bytes: the worst of the cases below.
const (
	perContact = 640
	perFlow    = 320
)

// TestMemoryOfContacts fills the contacts. Each has an offender of its own and news, so that
// nothing is shared that need not be.
func TestMemoryOfContacts(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("measures 150,000 contacts; run without -short and -race")
	}
	const n = 50_000
	addr := func(a uint32) netip.Addr { return flow.Addr4(a) }
	for _, c := range []struct {
		name    string
		nat     bool
		single  bool // each offender is listed by itself
		ceiling uint64
	}{
		{"of one prefix", false, false, 560},
		{"NAT", true, false, 640},
		{"each listed by itself", false, true, perContact + 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := lookup.NewBuilder(lookup.Policy{})
			if c.single {
				for i := range uint32(n) {
					b.Add(intel.Indicator{Prefix: netip.PrefixFrom(addr(45<<24+i), 32), Feed: "feed", Score: 90, Category: "c2", Ref: "https://example.net/list", FirstSeen: t0, LastSeen: t0}, lookup.OriginOperator)
				}
			} else {
				b.Add(intel.Indicator{Prefix: netip.MustParsePrefix("45.0.0.0/8"), Feed: "feed", Score: 90, Category: "c2"}, lookup.OriginOperator)
			}
			table, _ := b.Build("v1")
			cfg := DefaultConfig()
			cfg.MaxFlows = 1
			before := liveHeap()
			s := New(cfg, func([]event.Event) {})
			hits := make([]lookup.Hit, 1)
			for i := range uint32(n) {
				for range 2 {
					r := tcp(addr(10<<24+i), 40000, addr(45<<24+i), 443, syn)
					r.Received, r.Start, r.End = t0, t0, t0
					if c.nat {
						r.PostNATSrc, r.PostNATSrcPort = addr(11<<24+i), 50000
					}
					hits[0] = hitOf(t, table, r)
					s.Handle(hits, t0)
				}
			}
			per := (liveHeap() - before) / n
			t.Logf("%d bytes a contact", per)
			if per > c.ceiling || s.contacts.n != n {
				t.Errorf("%d bytes for each of %d contacts, want at most %d for %d", per, s.contacts.n, c.ceiling, n)
			}
			s.Flush(t0)
			if left := len(s.contacts.byHash) + len(s.contacts.offenders) + len(s.contacts.listings.byHash) + s.contacts.n; left != 0 {
				t.Errorf("%d entries are left of no contact", left)
			}
			runtime.KeepAlive(table)
		})
	}
}

// TestDefaultCapsFitTheirMemory: contacts and remembered flows at their default caps stay
// below 80 MB, the queue of hits below 22 MB on top while it is full.
func TestDefaultCapsFitTheirMemory(t *testing.T) {
	cfg := DefaultConfig()
	if held := cfg.MaxContacts*perContact + cfg.MaxFlows*perFlow; held > 80_000_000 {
		t.Errorf("contacts and flows take %d bytes", held)
	}
	const perHit = 1300 // held by a test of the queue
	if queue := cfg.HitQueue * perHit; queue > 22_000_000 {
		t.Errorf("the queue takes up to %d bytes", queue)
	}
}

// TestMemoryOfFlows fills the memory of flows, with up to 16 observers of each.
func TestMemoryOfFlows(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("measures 80,000 flows; run without -short and -race")
	}
	const n, ceiling = 20_000, perFlow + 20
	for _, observers := range []int{1, 2, 3, maxObservers} {
		before := liveHeap()
		flows := newSeenFlows(n)
		forgot := 0
		for by := range observers {
			for i := range n {
				s := sight{observer: observer{netip.AddrFrom4([4]byte{192, 0, 2, byte(by)}), false}}
				note := flows.note(flowKey{uint64(i), 1, 2}, 0, &s, 0)
				forgot += note.forgot
				if note.full {
					t.Fatal("a flow has no room for an observer")
				}
			}
		}
		per := (liveHeap() - before) / n
		t.Logf("%d observers: %d bytes a flow that may be remembered, %d are", observers, per, len(flows.byKey))
		if per > ceiling || flows.observers > observersPerFlow*n || observers <= observersPerFlow && (forgot > 0 || len(flows.byKey) != n) {
			t.Errorf("%d observers: %d bytes a flow, want at most %d; %d observers and %d flows are remembered", observers, per, ceiling, flows.observers, len(flows.byKey))
		}
		all := 0
		for f := flows.first; f != nil; f = f.next {
			all += int(f.n)
		}
		if all != flows.observers {
			t.Errorf("%d observers are counted, %d are there", flows.observers, all)
		}
		flows.expire(0)
		if len(flows.byKey) != 0 || flows.observers != 0 || flows.latest != nil {
			t.Error("something is left of no flow")
		}
	}
}
