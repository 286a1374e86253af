package detect_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/contacts"
	"github.com/flowsnitch/flowsnitch/intel/detect/hits"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// A seen is a flow as it is exported.
type seen struct {
	at       time.Duration // after noon
	src, dst netip.Addr
	sport    uint16
	dport    uint16
	bytes    uint64
	back     bool // src is the service
}

func bad(n int) netip.Addr  { return netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}) }
func ours(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }

// in is a try from outside, out a call of ours, reply the answer to either.
func in(at time.Duration, from, to int, port uint16) seen {
	return seen{at: at, src: bad(from), dst: ours(to), sport: uint16(40_000 + at/time.Second%20_000), dport: port, bytes: 40}
}

func out(at time.Duration, from, to int, bytes uint64) seen {
	return seen{at: at, src: ours(from), dst: bad(to), sport: uint16(40_000 + at/time.Second%20_000), dport: 443, bytes: bytes}
}

func (s seen) reply() seen {
	return seen{at: s.at + time.Millisecond, src: s.dst, dst: s.src, sport: s.dport, dport: s.sport, bytes: 60, back: true}
}

// series makes n flows, a step apart.
func series(n int, step time.Duration, one func(i int, at time.Duration) seen) (all []seen) {
	for i := range n {
		all = append(all, one(i, time.Duration(i)*step))
	}
	return all
}

// listed is a table in which 203.0.113.0/24 is listed.
func listed() *lookup.Table {
	b := lookup.NewBuilder(lookup.Policy{})
	b.Add(intel.Indicator{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Feed: "dshield", Score: 60, Category: "scan"}, lookup.OriginOperator)
	t, _ := b.Build("v1")
	return t
}

// fired takes flows through the correlator and gives the rules that alert, each once.
func fired(t *testing.T, flows []seen) (names []string) {
	t.Helper()
	e := detect.New(detect.Config{Over: rule.Hits, Rules: rulebook.Load(rulebook.Config{Shipped: true}).On(), MaxGroups: 100_000, MaxBytes: 64 << 20, Seed: 7})
	h := hits.New(hits.Config{Text: e.Text, MaxContacts: 10_000})
	cfg := correlate.DefaultConfig()
	c := correlate.New(cfg, func(events []event.Event) {
		for i := range events {
			list := h.Of(&events[i])
			for n := range list {
				e.Observe(&list[n])
			}
		}
	})
	table := listed()
	slices.SortStableFunc(flows, func(a, b seen) int { return cmp.Compare(a.at, b.at) })
	now := noon
	for _, f := range flows {
		at := noon.Add(f.at)
		for ; now.Before(at); now = now.Add(10 * time.Second) {
			c.Tick(now)
		}
		r := flow.Record{Exporter: flow.Exporter{Addr: netip.MustParseAddr("192.0.2.1")}, Received: at, Start: at, End: at, Src: f.src, Dst: f.dst, Rate: 1,
			Has: flow.HasSrcPort | flow.HasDstPort | flow.HasProtocol | flow.HasBytes | flow.HasPackets | flow.HasTCPFlags | flow.HasSampling, SrcPort: f.sport, DstPort: f.dport, Protocol: 6,
			Packets: 1 + f.bytes/1500, Bytes: f.bytes, TCPFlags: 2}
		hit := lookup.Hit{Record: &r, Offender: f.src, Side: flow.SideSrc}
		if f.back {
			r.TCPFlags = 0x12
		}
		if f.dst.Is4() && table.Find(f.src, f.sport).Empty() {
			hit.Offender, hit.Side = f.dst, flow.SideDst
		}
		hit.Match = table.Find(hit.Offender, 0)
		c.Handle([]lookup.Hit{hit}, at)
	}
	for range 720 {
		now = now.Add(10 * time.Second)
		c.Tick(now)
	}
	c.Flush(now)
	for _, a := range e.Alerts() {
		if !slices.Contains(names, a.Rule.Name) {
			names = append(names, a.Rule.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TestShippedOverHits: each rule fires, does not just below, and does not for what evades it
// and is meant to, from flows through the correlator.
func TestShippedOverHits(t *testing.T) {
	minute := time.Minute
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name  string
		flows []seen
		want  string // the rules that fire
	}{
		{"contact_source", series(20, 20*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1+i%10, 22) }), "contact_source"},
		{"contact_source below", series(19, 20*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1+i%10, 22) }), ""},
		{"contact_source slowly", series(24, 40*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1+i%10, 22) }), ""},
		{"contact_pair", series(10, 30*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1, uint16(22+i%2)) }), "contact_pair"},
		{"contact_pair below", series(9, 30*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1, uint16(22+i%2)) }), ""},
		{"contact_pair slowly", series(30, 90*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1, uint16(22+i%2)) }), ""},
		{"same_service", series(10, 30*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1, 22) }), "contact_pair same_service"},
		{"same_service below", series(9, 30*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1, 22) }), ""},
		{"services_pair", series(5, minute, func(i int, at time.Duration) seen { return in(at, 1, 1, uint16(20+i)) }), "services_pair services_source"},
		{"services_pair below", series(4, minute, func(i int, at time.Duration) seen { return in(at, 1, 1, uint16(20+i)) }), ""},
		{"services_pair slowly", series(8, 3*minute, func(i int, at time.Duration) seen { return in(at, 1, 1, uint16(20+i)) }), ""},
		{"services_source", series(5, minute, func(i int, at time.Duration) seen { return in(at, 1, 1+i, uint16(20+i)) }), "services_source"},
		{"services_source below", series(4, minute, func(i int, at time.Duration) seen { return in(at, 1, 1+i, uint16(20+i)) }), ""},
		{"services_source slowly", series(8, 3*minute, func(i int, at time.Duration) seen { return in(at, 1, 1+i, uint16(20+i)) }), ""},
		{"answered_after", append(series(6, 20*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1, 22) }),
			in(4*minute, 1, 1, 22), in(4*minute, 1, 1, 22).reply()), "answered_after"},
		{"answered_after below", append(series(3, 20*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1, 22) }),
			in(4*minute, 1, 1, 22), in(4*minute, 1, 1, 22).reply()), ""},
		{"answered_after late", append(series(6, 20*time.Second, func(i int, at time.Duration) seen { return in(at, 1, 1, 22) }),
			in(40*minute, 1, 1, 22), in(40*minute, 1, 1, 22).reply()), ""},
		{"fan_in", series(20, 2*minute, func(i int, at time.Duration) seen { return in(at, 1, 1+i, 22) }), "fan_in"},
		{"fan_in below", series(19, 2*minute, func(i int, at time.Duration) seen { return in(at, 1, 1+i, 22) }), ""},
		{"fan_in slowly", series(30, 4*minute, func(i int, at time.Duration) seen { return in(at, 1, 1+i, 22) }), ""},
		{"fan_out", series(10, 2*minute, func(i int, at time.Duration) seen { return out(at, 1, 1+i, 500) }), "fan_out"},
		{"fan_out below", series(9, 2*minute, func(i int, at time.Duration) seen { return out(at, 1, 1+i, 500) }), ""},
		{"fan_out slowly", series(15, 8*minute, func(i int, at time.Duration) seen { return out(at, 1, 1+i, 500) }), ""},
		{"swarm_hits", series(20, 10*minute, func(i int, at time.Duration) seen { return in(at, 1+i, 1, 25) }), "swarm_hits"},
		{"swarm_hits below", series(19, 10*minute, func(i int, at time.Duration) seen { return in(at, 1+i, 1, 25) }), ""},
		{"swarm_hits slowly", series(30, 25*minute, func(i int, at time.Duration) seen { return in(at, 1+i, 1, 25) }), ""},
		{"beacon", series(10, 30*minute, func(i int, at time.Duration) seen { return out(at+time.Duration(i%3)*20*time.Second, 1, 1, 500) }), "beacon"},
		{"beacon below", series(5, 30*minute, func(i int, at time.Duration) seen { return out(at, 1, 1, 500) }), ""},
		{"beacon at random", series(20, 30*minute, func(i int, at time.Duration) seen {
			return out(at+time.Duration(rnd.Int64N(int64(28*minute))), 1, 1, 500)
		}), ""},
		{"volume_out", series(4, 10*minute, func(i int, at time.Duration) seen { return out(at, 1, 1, 26_000_000) }), "volume_out"},
		{"volume_out below", series(4, 10*minute, func(i int, at time.Duration) seen { return out(at, 1, 1, 24_000_000) }), ""},
		{"volume_out slowly", series(8, 40*minute+7*time.Second, func(i int, at time.Duration) seen {
			return out(at+time.Duration(i%2)*20*minute, 1, 1, 26_000_000)
		}), ""},
	} {
		if got := strings.Join(fired(t, c.flows), " "); got != c.want {
			t.Errorf("%s: fires %q, want %q", c.name, got, c.want)
		}
	}
}

// overContacts takes rows of single tries, in whatever order, through an engine, in intervals
// of so many minutes, and gives the rules that alert.
func overContacts(rows []row.Row, minutes uint32) (names []string) {
	e := detect.New(detect.Config{Over: rule.Contacts, Rules: rulebook.Load(rulebook.Config{Shipped: true}).On(), MaxGroups: 100_000, MaxBytes: 64 << 20, Seed: 7})
	slices.SortFunc(rows, func(a, b row.Row) int { return int(a.First) - int(b.First) })
	for i := 0; i < len(rows); {
		interval := rows[i].First / (60 * minutes)
		table := make(map[string]row.Row)
		for ; i < len(rows) && rows[i].First/(60*minutes) == interval; i++ {
			r := rows[i]
			key := fmt.Sprint(r.Outside, r.Inside, r.Port)
			if old, ok := table[key]; ok {
				r.Add(&old)
			}
			table[key] = r
		}
		hour := interval * 60 * minutes / 3600 * 3600
		for _, r := range table {
			o := contacts.Of(&r, hour, e.Text)
			e.Observe(&o)
		}
		e.EndInterval(i == len(rows) || rows[i].First/3600 != hour/3600)
	}
	for _, a := range e.Alerts() {
		if !slices.Contains(names, a.Rule.Name) {
			names = append(names, a.Rule.Name)
		}
	}
	slices.Sort(names)
	return names
}

// tried is a row of one try.
func tried(at time.Duration, from int, port uint16) row.Row {
	when := uint32(noon.Add(at).Unix())
	return row.Row{Outside: flow.Mapped(198<<24 | 18<<16 + uint32(from)), Inside: flow.Mapped(10<<24 | 25), Protocol: 6, Port: port, Direction: row.Inbound,
		First: when, Last: when, Flows: 1, PacketsIn: 1, BytesIn: 40, Sampling: 1, Hours: 1 << (when / 3600 % 24)}
}

// TestShippedOverContacts: likewise from rows of the history, whatever the interval.
func TestShippedOverContacts(t *testing.T) {
	many := func(n int, step time.Duration, one func(i int, at time.Duration) []row.Row) (all []row.Row) {
		for i := range n {
			all = append(all, one(i, time.Duration(i)*step)...)
		}
		return all
	}
	once := func(i int, at time.Duration) []row.Row { return []row.Row{tried(at, i, 25)} }
	// usual are ten sources in each window of the days before.
	usual := many(5*4*10, 36*time.Minute, func(i int, at time.Duration) []row.Row { return []row.Row{tried(at-5*24*time.Hour, 50_000+i, 25)} })
	steps := func(n int, delay time.Duration) []row.Row {
		return many(n, time.Minute, func(i int, at time.Duration) []row.Row {
			return []row.Row{tried(at, 1, uint16(400+i)), tried(at+delay, 2, uint16(400+i))}
		})
	}
	for _, c := range []struct {
		name string
		rows []row.Row
		want string
	}{
		{"swarm", append(many(60, 5*time.Minute, once), usual...), "swarm"},
		{"swarm below", append(many(40, 7*time.Minute, once), usual...), ""},
		{"swarm slowly", append(many(120, 12*time.Minute, once), usual...), ""},
		{"swarm of many tries each", append(many(60, 5*time.Minute, func(i int, at time.Duration) (all []row.Row) {
			for n := range 9 {
				all = append(all, tried(at+time.Duration(n)*time.Second, i, 25))
			}
			return all
		}), usual...), ""},
		{"swarm, nothing known", many(220, 90*time.Second, once), "swarm"},
		{"swarm, nothing known, below", many(190, 100*time.Second, once), ""},
		{"lockstep", steps(16, time.Second), "lockstep"},
		{"lockstep below", steps(15, time.Second), ""},
		{"lockstep out of step", steps(17, 5*time.Second), ""},
	} {
		for _, minutes := range []uint32{1, 10, 60} {
			if got := strings.Join(overContacts(slices.Clone(c.rows), minutes), " "); got != c.want {
				t.Errorf("%s, interval %d minutes: fires %q, want %q", c.name, minutes, got, c.want)
			}
		}
	}
}
