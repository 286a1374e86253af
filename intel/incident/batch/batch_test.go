package batch

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unsafe"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
)

// TestSeqs holds numbers equal to a map, as long as none is more than 63 below the highest,
// also when two sets are merged.
func TestSeqs(t *testing.T) {
	for range 2000 {
		var all Seqs
		seen := map[uint32]bool{}
		for range 1 + rand.IntN(4) {
			var some Seqs
			fresh, quiet, mine := 0, 0, map[uint32]bool{}
			for range 1 + rand.IntN(20) {
				n, silenced := uint32(1+rand.IntN(40)), rand.IntN(2) == 0
				if some.Add(n, silenced) == mine[n] {
					t.Fatalf("%d: %+v", n, some)
				}
				if !mine[n] && !seen[n] {
					fresh++
					if silenced {
						quiet++
					}
				}
				mine[n] = true
			}
			if f, s := all.Merge(some); f != fresh || s != quiet {
				t.Fatalf("got %d and %d, want %d and %d", f, s, fresh, quiet)
			}
			if f, _ := all.Merge(some); f != 0 {
				t.Fatal("counted twice")
			}
			for n := range mine {
				seen[n] = true
			}
		}
	}
	var s Seqs
	s.Add(1000, false)
	if s.Add(936, false) || !s.Add(937, false) {
		t.Error("64 below the highest counts as seen, 63 does not")
	}
}

// TestHostile: texts from outside are short and have nothing that controls a terminal, and
// events that are no hits do no harm.
func TestHostile(t *testing.T) {
	var b Batch
	for _, s := range eventtest.Hostile {
		for _, e := range []event.Event{eventtest.Hit(), eventtest.Alert(), {Kind: event.KindCanary}, {Kind: event.KindHit}, {}} {
			e.ID, e.Seq = uuid.New(), 1
			eventtest.Poison(&e, s)
			e.ASName, e.Country = s, s
			b.Add(&e)
		}
	}
	for _, s := range b.text {
		if len(s) > maxRef+len("…") || strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("%.80q of %d bytes", s, len(s))
		}
	}
	if len(b.Alerts) != len(eventtest.Hostile) || len(b.Offenders) != 1 || b.Offenders[0].Country != [2]byte{} {
		t.Errorf("%d alerts, %d offenders", len(b.Alerts), len(b.Offenders))
	}
	b.Reset()
	if b.Bytes() != 0 || len(b.Contacts) != 0 || b.Events != 0 {
		t.Errorf("%d bytes after a reset", b.Bytes())
	}
}

// TestBytes: what a batch says it takes is about what it takes.
func TestBytes(t *testing.T) {
	var b Batch
	const n = 20_000
	mallocs := testing.AllocsPerRun(1, func() {
		b = Batch{}
		for i := range n {
			e := eventtest.Hit()
			e.Contact, e.Seq, e.Time = uuid.New(), 1, eventtest.At.Add(time.Duration(i)*time.Second)
			e.Offender = netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)})
			e.Indicators[0].Ref = fmt.Sprintf("https://example.net/%d", i)
			b.Add(&e)
		}
	})
	each := b.Bytes() / n
	if least := int(unsafe.Sizeof(Contact{}) + unsafe.Sizeof(Offender{}) + 2*unsafe.Sizeof(Listing{})); each < least || each > 4*least {
		t.Errorf("%d bytes for each contact, the structs have %d", each, least)
	}
	t.Logf("%d bytes for each contact of an offender of its own, %.0f allocations", each, mallocs/n)
}

// TestTransit: the other end of a contact in transit is no host of ours, and what was folded
// of such contacts counts for none.
func TestTransit(t *testing.T) {
	var b Batch
	for n, local := range []string{"198.51.100.7", ""} {
		e := eventtest.Hit()
		e.Contact, e.Seq, e.Direction, e.Hosts, e.HostsCapped = uuid.New(), 1, event.Transit, 40, true
		e.Local, e.Folded = netip.Addr{}, true
		if n == 0 {
			e.Local, e.Hosts = netip.MustParseAddr(local), 0
		}
		b.Add(&e)
		if c := b.Contacts[n]; c.Host != -1 || c.HostCount != 0 || c.Flags&Transit == 0 || c.Flags&MoreHosts != 0 || c.Counts != max(1, e.Ports, e.Hosts) {
			t.Errorf("%+v", c)
		}
	}
	if len(b.Hosts) != 0 {
		t.Errorf("hosts of ours: %+v", b.Hosts)
	}
}
