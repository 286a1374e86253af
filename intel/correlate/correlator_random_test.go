package correlate

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/hittest"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// slowContact is a contact as the oracle keeps it: nothing but all of its hits.
type slowContact struct {
	local    netip.Addr
	port     uint16
	hits     []flow.Record
	at       []time.Duration
	reported *event.Event // the last event
	worst    event.Severity
}

func (c *slowContact) last() time.Duration { return c.at[len(c.at)-1] }

// A slowOracle finds the contact of a hit by looking at all of them.
type slowOracle struct {
	open, ended []*slowContact
	idle        time.Duration
	max         int
	crowded     uint64 // hits without a contact of their own
}

// endIdle ends the contacts that are idle at the time now.
func (o *slowOracle) endIdle(now time.Duration) {
	var still []*slowContact
	for _, c := range o.open {
		if now-c.last() >= o.idle {
			o.ended = append(o.ended, c)
		} else {
			still = append(still, c)
		}
	}
	o.open = still
}

// add adds a hit and gives its contact, the latest one at the end of open; nil when it is
// a low one that finds no room among more severe ones.
func (o *slowOracle) add(r flow.Record, local netip.Addr, port uint16, now time.Duration) *slowContact {
	o.endIdle(now)
	c := &slowContact{local: local, port: port}
	crowded := len(o.open) == o.max && r.Src == bad // opened by the offender
	for _, other := range o.open {
		same := other.local == local && other.port == port
		crowded = crowded && !same && other.worst > event.Low
	}
	if crowded {
		o.crowded++
		return nil
	}
	for i, known := range o.open {
		if known.local == local && known.port == port {
			c = known
			o.open = append(o.open[:i:i], o.open[i+1:]...)
			break
		}
	}
	c.hits, c.at = append(c.hits, r), append(c.at, now)
	o.open = append(o.open, c)
	return c
}

// evict ends the contact that makes room: of those of the lowest severity the first.
func (o *slowOracle) evict() {
	for len(o.open) > o.max {
		least := slices.MinFunc(o.open, func(a, b *slowContact) int { return cmp.Compare(a.worst, b.worst) })
		o.ended = append(o.ended, least)
		o.open = slices.DeleteFunc(o.open, func(c *slowContact) bool { return c == least })
	}
}

// check compares the last event of a contact with all of its hits.
func (c *slowContact) check(t *testing.T) {
	t.Helper()
	var forth, back, bytes uint64
	both := [2]bool{}
	for _, r := range c.hits {
		if r.Src == c.hits[0].Src {
			forth += r.Packets
			bytes += r.Bytes
			both[0] = true
		} else {
			back += r.Packets
			both[1] = true
		}
	}
	e := c.reported
	if e == nil || e.Flows != uint64(len(c.hits)) || e.Packets != forth || e.Bytes != bytes || e.PacketsBack != back {
		t.Fatalf("contact of %s, port %d: last event %+v, want %d flows, %d packets of %d bytes, %d back",
			c.local, c.port, e, len(c.hits), forth, bytes, back)
	}
	if (e.Answered == event.AnsweredYes) != (both[0] && both[1]) {
		t.Fatalf("contact of %s, port %d is answered %s, directions seen: %v", c.local, c.port, e.Answered, both)
	}
}

func TestTotalsAgainstOracle(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 1))
		o := &slowOracle{idle: 10 * time.Minute, max: 5 + rng.IntN(20)}
		s := newStage(t, func(c *Config) { c.Idle, c.MaxContacts = o.idle, o.max })
		reported := make(map[[2]any]*event.Event) // the last event of each open contact
		overflow := make(map[string]uint64)       // flows by its contacts
		now := time.Duration(0)
		collect := func() {
			for _, e := range s.take() {
				if e.Folded {
					overflow[e.Contact.String()] = e.Flows
					continue
				}
				k := [2]any{e.Local, max(e.SrcPort, e.DstPort)}
				if e.Kind == event.KindUpdate && reported[k] == nil {
					t.Fatalf("update of %v without a hit", k)
				}
				if e.Kind == event.KindHit {
					reported[k] = new(event.Event)
				}
				*reported[k] = e
			}
		}
		for range 3000 {
			now += time.Duration(rng.ExpFloat64() * float64(20*time.Second))
			local := netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(30))})
			port := uint16(40000 + rng.IntN(2))
			r := udp(local, port, bad, port) // same port: no evidence of the initiator
			if rng.IntN(4) == 0 {
				r = udp(bad, port, local, port)
			}
			r.Packets, r.Bytes = uint64(rng.IntN(100)), uint64(rng.IntN(100_000))
			if rng.IntN(10) == 0 {
				s.Tick(t0.Add(now))
				collect()
			}
			c := o.add(r, local, port, now)
			jitter := time.Duration(rng.IntN(int(time.Second))) // never ahead of the oracle
			if rng.IntN(2) == 0 {
				jitter = 0
			}
			s.at(now, r)
			s.Tick(t0.Add(now - jitter))
			collect()
			if c == nil {
				continue
			}
			c.reported = reported[[2]any{local, port}]
			c.worst = max(c.worst, c.reported.Severity)
			o.evict()
		}
		s.Flush(t0.Add(now))
		collect()
		all, hits := append(o.ended, o.open...), uint64(0)
		for _, c := range all {
			c.check(t)
			hits += c.reported.Flows
		}
		st := s.Stats()
		contacts := len(all) + len(overflow)
		if hits+o.crowded != 3000 || st.Hits != 3000 || int(st.ContactsEnded+st.ContactsEvicted) != contacts || st.HitEvents != uint64(contacts) {
			t.Fatalf("seed %d: %d flows told of 3000, %d contacts, stats %+v", seed, hits, len(all), st)
		}
		sum := uint64(0)
		for _, n := range overflow {
			sum += n
		}
		if sum != o.crowded || st.CrowdedOut != o.crowded {
			t.Fatalf("seed %d: %d flows found no room, %d are told of, stats %+v", seed, o.crowded, sum, st)
		}
	}
}

// TestDuplicatesAgainstOracle lets exporters report pieces of random flows and takes,
// for each flow and number, the largest sum of one of them.
func TestDuplicatesAgainstOracle(t *testing.T) {
	type sums struct{ flows, packets, bytes uint64 }
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := newStage(t, nil)
		told := make(map[uint16]map[netip.Addr]sums)
		var records []flow.Record
		for range 500 {
			port := uint16(50000 + rng.IntN(50))
			exporter := []netip.Addr{edge1, edge2, public}[rng.IntN(3)]
			r := seenBy(udp(us, port, bad, 443), exporter)
			r.Packets, r.Bytes = uint64(rng.IntN(10)), uint64(rng.IntN(1000))
			records = append(records, r)
			if told[port] == nil {
				told[port] = make(map[netip.Addr]sums)
			}
			x := told[port][exporter]
			told[port][exporter] = sums{x.flows + 1, x.packets + r.Packets, x.bytes + r.Bytes}
		}
		var want sums
		for _, by := range told {
			var m sums
			for _, x := range by {
				m = sums{max(m.flows, x.flows), max(m.packets, x.packets), max(m.bytes, x.bytes)}
			}
			want = sums{want.flows + m.flows, want.packets + m.packets, want.bytes + m.bytes}
		}
		s.at(0, records...)
		s.Flush(t0)
		got := s.take()
		last := got[len(got)-1]
		if (sums{last.Flows, last.Packets, last.Bytes}) != want {
			t.Fatalf("seed %d: %d flows, %d packets, %d bytes, want %+v", seed, last.Flows, last.Packets, last.Bytes, want)
		}
	}
}

// FuzzHandle feeds records of any content at any time: nothing may panic or loop,
// and every hit is in the flows of some event.
func FuzzHandle(f *testing.F) {
	f.Add(uint64(1), int64(0), int64(1))
	f.Add(uint64(2), int64(-1<<62), int64(1<<62))
	f.Add(uint64(3), int64(time.Hour), -int64(time.Hour))
	table := listedTable(f, "v1", c2("feodo", 90))
	f.Fuzz(func(t *testing.T, seed uint64, step, other int64) {
		rng := rand.New(rand.NewPCG(seed, 3))
		cfg := DefaultConfig()
		cfg.MaxContacts, cfg.MaxFlows = 1+rng.IntN(4), 1+rng.IntN(4)
		events := 0
		c := New(cfg, func(batch []event.Event) { events += len(batch) })
		now := t0
		for i := range 50 {
			now = now.Add(time.Duration([]int64{step, other}[i%2]))
			c.Handle([]lookup.Hit{randomHit(rng, table)}, now)
			c.Tick(now)
		}
		c.Flush(now)
		if st := c.Stats(); st.Hits != 50 || st.HitEvents+st.UpdateEvents != uint64(events) || st.Contacts != 0 || events == 0 || events > 100 {
			t.Errorf("%d events, stats %+v", events, st)
		}
	})
}

// randomHit makes a hit of random fields, few addresses and few ports.
func randomHit(rng *rand.Rand, table *lookup.Table) lookup.Hit {
	h := hittest.Random(rng, bad, us, public)
	h.Match = table.Find(bad, hittest.Port(rng))
	return h
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	s := newStage(t, nil)
	hits := []lookup.Hit{hitOf(t, s.table, with(beacon, func(r *flow.Record) { r.Received = t0 }))}
	s.Handle(hits, t0)
	if n := testing.AllocsPerRun(100, func() { s.Handle(hits, t0) }); n != 0 {
		t.Errorf("%v allocations for a hit of a known flow, want none", n)
	}
}
