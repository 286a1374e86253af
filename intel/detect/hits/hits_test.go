package hits

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/state"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func id(n int) uuid.UUID { return uuid.UUID{0: byte(n >> 16), 1: byte(n >> 8), 2: byte(n), 15: 1} }

// an is an event of a contact with totals.
func an(contact int, seq uint32, when time.Time, flows uint64) event.Event {
	kind := event.KindUpdate
	if seq == 1 {
		kind = event.KindHit
	}
	return event.Event{Kind: kind, Contact: id(contact), Seq: seq, Time: when, ContactFirstSeen: noon, Offender: netip.MustParseAddr("203.0.113.9"),
		Local: netip.MustParseAddr("10.0.0.5"), Direction: event.Inbound, Answered: event.AnsweredNo, Protocol: 6, HasProtocol: true, ServicePort: 22,
		Flows: flows, Packets: 2 * flows, Bytes: 100 * flows, BytesBack: 10 * flows, Role: flow.SideSrc, Start: noon, End: when,
		Indicators: []event.Indicator{{Feed: "dshield", Category: "scan"}}}
}

// first gives the only observation of an event, if there is one.
func (h *Hits) first(e *event.Event) (o rule.Observation, ok bool) {
	list := h.Of(e)
	if len(list) == 0 {
		return o, false
	}
	return list[0], len(list) == 1
}

func plain(max int) *Hits {
	return New(Config{Text: func(s string) uint32 { return uint32(len(s)) }, MaxContacts: max})
}

// TestNew: of totals what is new counts, once, whatever the order.
func TestNew(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	h := plain(100)
	want, got, bytes := uint64(0), uint64(0), uint64(0)
	for c := range 50 {
		flows, seq := uint64(0), uint32(0)
		var events []event.Event
		for range 1 + rnd.IntN(8) {
			flows, seq = flows+rnd.Uint64N(20), seq+1
			events = append(events, an(c, seq, noon.Add(time.Duration(seq)*time.Minute), max(flows, 1)))
		}
		want += max(flows, 1)
		events = append(events, events...) // as after a crash
		if rnd.IntN(2) == 0 {
			rnd.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		}
		for i := range events {
			if o, ok := h.first(&events[i]); ok {
				got, bytes = got+o.Flows, bytes+o.BytesIn
			}
		}
	}
	if got != want || bytes != 100*want {
		t.Errorf("%d flows, %d bytes, want %d flows", got, bytes, want)
	}
	if s := h.Stats(); s.Contacts != 50 || s.Covered == 0 || s.Partly != 0 {
		t.Errorf("%+v", s)
	}
}

func TestFields(t *testing.T) {
	e := an(1, 1, noon, 3)
	e.Site, e.Country, e.ASNumber, e.Severity, e.Score, e.Refused, e.Exporter = "oslo", "NO", 64500, event.High, 70, true, netip.MustParseAddr("192.0.2.1")
	o, ok := plain(10).first(&e)
	want := rule.Observation{Time: uint32(noon.Unix()), First: uint32(noon.Unix()), Last: uint32(noon.Unix()), Outside: flow.Mapped(203<<24 | 113<<8 | 9),
		Inside: flow.Mapped(10<<24 | 5), Exporter: flow.Mapped(192<<24 | 2<<8 | 1), Site: 4, Feed: 7, Category: 4, Country: 2, AS: 64500, ServicePort: 22, Protocol: 6,
		Direction: 1, Answered: 0, Severity: event.High, Score: 70, Refused: true, Flows: 3, BytesIn: 300, BytesOut: 30, PacketsIn: 6}
	if !ok || o != want {
		t.Errorf("%+v, want\n%+v", o, want)
	}
	e.Local, e.Folded, e.Hosts, e.Ports, e.Direction, e.Answered, e.Role = netip.Addr{}, true, 9, 2, "", "", flow.SideDst
	o, _ = plain(10).first(&e)
	if o.Inside != (flow.Addr6{}) || o.Folded != 9 || o.Hosts != 9 || o.Ports != 2 || o.Direction != 2 || o.Answered != 2 || o.BytesOut != 300 {
		t.Errorf("%+v", o)
	}
	e.Start, e.End = time.Time{}, noon.Add(time.Hour)
	if o, _ = plain(10).first(&e); o.First != o.Time || o.Last != o.Time {
		t.Errorf("%+v", o)
	}
}

// TestNotJudged: what is left out is counted, and what was silenced does not count when the
// silence ends.
func TestNotJudged(t *testing.T) {
	h := plain(10)
	h.cfg.FalseAlarm = func(a netip.Addr) bool { return a == netip.MustParseAddr("203.0.113.66") }
	for i, change := range []func(*event.Event){
		func(e *event.Event) { e.Kind = event.KindAlert },
		func(e *event.Event) { e.Kind = event.KindCanary },
		func(e *event.Event) { e.Retro = true },
		func(e *event.Event) { e.Silenced = "s1" },
		func(e *event.Event) { e.Offender = netip.MustParseAddr("203.0.113.66") },
	} {
		e := an(i, 1, noon, 10)
		change(&e)
		if _, ok := h.first(&e); ok {
			t.Errorf("%d is judged", i)
		}
	}
	e := an(3, 2, noon.Add(time.Hour), 12)
	if o, ok := h.first(&e); !ok || o.Flows != 2 {
		t.Errorf("%+v", o)
	}
	want := Stats{Judged: 1, Alerts: 1, Canaries: 1, Retro: 1, Silenced: 1, FalseAlarms: 1, Contacts: 2}
	if s := h.Stats(); s != want {
		t.Errorf("%+v", s)
	}
}

// TestUnknownContact: of an old contact that is not remembered one flow counts, of a young one
// everything.
func TestUnknownContact(t *testing.T) {
	h := plain(10)
	e := an(1, 5, noon.Add(2*time.Hour), 1000)
	if o, ok := h.first(&e); !ok || o.Flows != 1 || o.BytesIn != 0 || h.Stats().Partly != 1 {
		t.Errorf("%+v", o)
	}
	e = an(1, 6, noon.Add(3*time.Hour), 1007)
	if o, ok := h.first(&e); !ok || o.Flows != 7 || o.Since != uint32(noon.Add(2*time.Hour).Unix()) {
		t.Errorf("%+v", o)
	}
	e = an(2, 3, noon.Add(10*time.Minute), 50)
	if o, ok := h.first(&e); !ok || o.Flows != 50 || o.Since != uint32(noon.Unix()) {
		t.Errorf("%+v", o)
	}
	e = an(2, 4, noon.Add(20*time.Minute), 50) // the last one, without news
	if _, ok := h.first(&e); ok {
		t.Error("an event without news is judged")
	}
}

func TestBound(t *testing.T) {
	h := plain(100)
	for i := range 1000 {
		e := an(i, 1, noon.Add(time.Duration(i)*time.Second), 1)
		h.Of(&e)
		if n := h.Stats().Contacts; n > 100 {
			t.Fatal(n)
		}
	}
	if s := h.Stats(); s.Forgotten != uint64(1000-s.Contacts) {
		t.Errorf("%+v", s)
	}
	e := an(2000, 1, noon.Add(9*24*time.Hour), 1)
	h.Of(&e)
	if n := h.Stats().Contacts; n != 1 {
		t.Errorf("%d contacts after nine days", n)
	}
}

func TestState(t *testing.T) {
	h := plain(100)
	for i := range 50 {
		e := an(i, 1, noon, uint64(i))
		h.Of(&e)
	}
	b := h.Append(nil)
	again, few := plain(100), plain(10)
	if err := again.Restore(b); err != nil {
		t.Fatal(err)
	}
	if err := few.Restore(b); err != nil || few.Stats().Contacts != 10 || few.Stats().Forgotten != 40 {
		t.Error(err, few.Stats())
	}
	for i := range 50 {
		e := an(i, 2, noon.Add(time.Minute), uint64(i)+3)
		one, ok1 := h.first(&e)
		two, ok2 := again.first(&e)
		if one != two || !ok1 || !ok2 || i > 0 && one.Flows != 3 {
			t.Fatalf("%+v, %+v", one, two)
		}
	}
}

func FuzzRestore(f *testing.F) {
	h := plain(100)
	e := an(1, 1, noon, 5)
	h.Of(&e)
	whole := h.Append(nil)
	f.Add(whole[:len(whole)-4])
	f.Add([]byte{1, 0, 0, 0})
	f.Add([]byte{255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		h := plain(10)
		c := state.Writer(nil) // with the right checksum, so that more than that is tried
		c.Raw(b)
		if err := h.Restore(c.Bytes()); err != nil && h.Stats().Contacts != 0 {
			t.Error("contacts beside an error")
		}
		if n := h.Stats().Contacts; n > 10 {
			t.Errorf("%d contacts", n)
		}
	})
}

// TestUntilAnswer: the tries before an answer count as tries, for whoever looks for an answer
// after many of them.
func TestUntilAnswer(t *testing.T) {
	h := plain(10)
	e := an(1, 1, noon, 1)
	h.Of(&e)
	e = an(1, 2, noon.Add(4*time.Minute), 9)
	e.Answered = event.AnsweredYes
	list := h.Of(&e)
	if len(list) != 2 || list[0].Answered != 0 || list[0].Flows != 6 || list[0].BytesIn != 0 || list[0].Since == 0 ||
		list[1].Answered != 1 || list[1].Flows != 2 || list[1].BytesIn != 800 {
		t.Errorf("%+v", list)
	}
	e = an(1, 3, noon.Add(5*time.Minute), 19)
	e.Answered = event.AnsweredYes
	if o, ok := h.first(&e); !ok || o.Flows != 10 || o.Answered != 1 {
		t.Errorf("%+v", o)
	}
}

// TestRestricted: an observation has the most restricted label of all listings.
func TestRestricted(t *testing.T) {
	e := an(1, 1, noon, 1)
	for rank, labels := range [][]string{{""}, {"white", ""}, {"GREEN", "clear"}, {"", "green", "amber"}, {"amber+strict", "amber"}, {"clear", "red"}} {
		e.Indicators, e.Contact = nil, id(rank+1)
		for _, l := range labels {
			e.Indicators = append(e.Indicators, event.Indicator{Feed: "f", TLP: l})
		}
		if o, ok := plain(10).first(&e); !ok || int(o.TLP) != rank {
			t.Errorf("%v: got %d, want %d", labels, o.TLP, rank)
		}
	}
}
