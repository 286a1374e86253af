package correlate

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestPackedKeyIsLossless: the key of a contact comes back as it was.
func TestPackedKeyIsLossless(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	table := listedTable(t, "v1", c2("feodo", 90))
	for range 10_000 {
		h := randomHit(rng, table)
		e := conversation.EndsOf(&h)
		k := contactKey{offender: e.Offender, local: e.Local, port: e.LocalPort, protocol: e.Protocol, hasProtocol: e.HasProtocol}
		if p := k.pack(); p.key() != k {
			t.Fatalf("%+v became %+v", k, p.key())
		}
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
			latest := s.contacts.listings.Hold(hits[0].Match)
			s.contacts.listings.LetGo(latest)
			s.Flush(t0)
			if left := len(s.contacts.byHash) + len(s.contacts.offenders) + s.contacts.n; left != 0 {
				t.Errorf("%d entries are left of no contact", left)
			}
			if s.contacts.listings.Hold(hits[0].Match) == latest {
				t.Error("a listing is left of no contact")
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
