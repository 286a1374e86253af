package correlate

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/fold"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

func host(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// folded gives the only folded event among the last ones of all contacts, and how many
// contacts stand alone.
func (s *stage) folded(t *testing.T) (f event.Event, alone int) {
	t.Helper()
	last := make(map[string]event.Event)
	for _, e := range s.take() {
		last[e.Contact.String()] = e
	}
	found := 0
	for _, e := range last {
		if e.Folded {
			f = e
			found++
		}
	}
	if found > 1 {
		t.Fatalf("%d folded contacts", found)
	}
	return f, len(last) - found
}

func TestScansFold(t *testing.T) {
	block := func(r flow.Record) flow.Record {
		return with(r, func(r *flow.Record) { r.Has |= flow.HasForwarding; r.Forwarding = 0x80 })
	}
	type counts struct {
		alone        int
		hosts, ports uint32
		flows        uint64
		local        netip.Addr
		port         uint16
		refused      bool
	}
	for name, c := range map[string]struct {
		scan func(s *stage)
		want counts
	}{
		"ports of one host": {func(s *stage) {
			for i := range uint16(20) {
				s.at(0, tcp(bad, 40000, us, i+1, syn))
			}
		}, counts{8, 1, 12, 12, us, 0, false}},
		"8 ports": {func(s *stage) {
			for i := range uint16(8) {
				s.at(0, tcp(bad, 40000, us, i+1, syn))
			}
		}, counts{alone: 8}},
		"one port of many hosts": {func(s *stage) {
			for i := range 100 {
				s.at(0, tcp(bad, 40000, host(i), 22, syn))
			}
		}, counts{32, 68, 1, 68, netip.Addr{}, 22, false}},
		"ports of many hosts": {func(s *stage) {
			for i := range 40 * 10 {
				s.at(0, tcp(bad, 40000, host(i/10), uint16(i%10+1), syn))
			}
		}, counts{32 * 8, 40, 10, 400 - 32*8, netip.Addr{}, 0, false}},
		"one more port": {func(s *stage) {
			for i := range uint16(9) {
				s.at(0, tcp(bad, 40000, us, i+1, syn), tcp(bad, 40001, us, i+1, syn))
			}
		}, counts{8, 1, 1, 2, us, 9, false}},
		"refused, resets behind": {func(s *stage) {
			for i := range uint16(20) {
				s.at(0, tcp(bad, 40000, us, i+1, syn), tcp(us, i+1, bad, 40000, rst|ack))
			}
		}, counts{8, 1, 12, 24, us, 0, true}},
		"refused, resets ahead, low source port": {func(s *stage) {
			for i := range uint16(20) {
				s.at(0, tcp(us, 8000+i, bad, 53, rst|ack), tcp(bad, 53, us, 8000+i, syn))
			}
		}, counts{8, 1, 12, 24, us, 0, true}},
		"refused, biflows": {func(s *stage) {
			for i := range uint16(20) {
				s.at(0, withBack(tcp(bad, 40000, us, i+1, syn), rst|ack))
			}
		}, counts{8, 1, 12, 12, us, 0, true}},
		"blocked": {func(s *stage) {
			for i := range uint16(20) {
				s.at(0, block(tcp(bad, 40000, us, i+1, syn)))
			}
		}, counts{8, 1, 12, 12, us, 0, false}},
		"UDP, and the same numbers of TCP": {func(s *stage) {
			for i := range uint16(10) {
				s.at(0, udp(bad, 40000, us, i+1), tcp(bad, 40000, us, i+1, syn))
			}
		}, counts{8, 1, 12, 12, us, 0, false}},
		"sweep of pings": {func(s *stage) {
			for i := range 100 {
				s.at(0, with(ip(bad, host(i), flow.ProtocolICMP), func(r *flow.Record) { r.Has |= flow.HasICMP; r.ICMPTypeCode = 0x0800 }))
			}
		}, counts{32, 68, 1, 68, netip.Addr{}, 0, false}},
		"two exporters": {func(s *stage) {
			for i := range uint16(20) {
				r := tcp(bad, 40000, us, i+1, syn)
				s.at(0, r, seenBy(r, edge2))
			}
		}, counts{8, 1, 12, 12, us, 0, false}},
		"outbound never": {func(s *stage) {
			for i := range 100 {
				s.at(0, tcp(host(i), 51515, bad, 443, syn))
			}
		}, counts{alone: 100}},
		"blocked outbound never": {func(s *stage) {
			for i := range uint16(100) {
				s.at(0, block(tcp(us, 51515, bad, i+1, syn)))
			}
		}, counts{alone: 100}},
		"refused outbound never": {func(s *stage) {
			for i := range uint16(100) {
				s.at(0, tcp(us, 51515, bad, i+1, syn), tcp(bad, i+1, us, 51515, rst|ack))
			}
		}, counts{alone: 100}},
		"answered never": {func(s *stage) {
			for i := range uint16(100) {
				s.at(0, withBack(tcp(bad, 40000, us, i+1, syn), syn|ack))
			}
		}, counts{alone: 100}},
		"internal and transit never": {func(s *stage) {
			for i := range uint16(20) {
				s.at(0, tcp(bad, 40000, public, i+1, syn))
			}
		}, counts{alone: 20}},
		"what was answered leaves room": {func(s *stage) {
			for i := range uint16(8) {
				s.at(0, tcp(bad, 40000, us, i+1, syn), tcp(us, i+1, bad, 40000, syn|ack))
			}
			for i := range uint16(8) {
				s.at(0, tcp(bad, 40000, us, i+100, syn))
			}
		}, counts{alone: 16}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil)
			c.scan(s)
			s.Flush(t0)
			e, alone := s.folded(t)
			got := counts{alone, e.Hosts, e.Ports, e.Flows, e.Local, e.ServicePort, e.Refused}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if e.Folded && (e.Offender != bad || e.Direction != event.Inbound || e.Severity != event.Low || e.Answered == event.AnsweredYes || e.Score > 27) {
				t.Errorf("%s, %s, answered %s, severity %s, score %d", e.Offender, e.Direction, e.Answered, e.Severity, e.Score)
			}
			st := s.Stats()
			if (st.FoldedContacts == 1) != e.Folded || e.Folded && st.FoldedHits < c.want.flows {
				t.Errorf("stats %+v", st)
			}
			s.empty(t)
		})
	}
}

// empty holds that nothing is left of contacts that have ended.
func (s *stage) empty(t *testing.T) {
	t.Helper()
	if len(s.contacts.offenders) != 0 || s.contacts.n != 0 {
		t.Errorf("%d offenders, %d contacts are left", len(s.contacts.offenders), s.contacts.n)
	}
}

// TestFoldsGiveTheirMemoryBack: scans that come one after the other are each counted in full,
// although together they have more ports than folded contacts may remember.
func TestFoldsGiveTheirMemoryBack(t *testing.T) {
	s := newStage(t, func(c *Config) { c.MaxContacts = 400 }) // 1,600 values
	for range 5 {
		for i := range uint16(900) {
			s.at(0, tcp(bad, 40000, us, i+1, syn))
		}
		s.Flush(t0)
		if e, _ := s.folded(t); e.Ports < 800 || e.PortsCapped {
			t.Errorf("%d ports, more: %v", e.Ports, e.PortsCapped)
		}
		s.empty(t)
	}
	if st := s.Stats(); st.FoldsCut != 0 {
		t.Errorf("%d counts are cut", st.FoldsCut)
	}
}

// TestFoldedAndAnswered: whatever answers a scan is an event at once, with the ports of
// the conversation the right way round, also when the scanner uses a server's port.
func TestFoldedAndAnswered(t *testing.T) {
	for _, port := range []uint16{40000, 53, 9000} {
		s := newStage(t, nil)
		for i := range uint16(20) {
			s.at(0, tcp(bad, port, us, 8000+i, syn))
		}
		s.take()
		s.at(time.Second, tcp(us, 8019, bad, port, syn|ack))
		e := s.one(event.KindHit)
		if e.Folded || e.ServicePort != 8019 || e.Local != us || e.Direction != event.Inbound || e.Answered != event.AnsweredYes || e.Severity != event.High {
			t.Errorf("from port %d: folded %v, port %d, %s, answered %s, severity %s", port, e.Folded, e.ServicePort, e.Direction, e.Answered, e.Severity)
		}
		s.at(2*time.Second, tcp(bad, port, us, 8019, ack)) // and goes on
		s.none()
		s.at(3*time.Second, tcp(bad, port, us, 8018, syn|ack)) // the offender acknowledges: it had an answer
		if e := s.one(event.KindHit); e.Folded || e.ServicePort != 8018 || e.Answered != event.AnsweredYes {
			t.Errorf("from port %d: folded %v, port %d, answered %s", port, e.Folded, e.ServicePort, e.Answered)
		}
	}
}

// TestFoldCountsTo1000 counts exactly, and says when there are more.
func TestFoldCountsTo1000(t *testing.T) {
	for _, n := range []int{1000, 1001, 5000} {
		s := newStage(t, nil)
		for i := range n + fold.Hosts {
			s.at(0, tcp(bad, 40000, host(i), 22, syn))
		}
		for i := range n {
			s.at(0, tcp(bad, 40000, host(n+fold.Hosts-1), uint16(i+1), syn))
		}
		s.Flush(t0)
		e, _ := s.folded(t)
		if e.Hosts != 1000 || e.Ports != 1000 || e.HostsCapped != (n > 1000) || e.PortsCapped != (n > 1000) || e.Local.IsValid() || e.ServicePort != 0 {
			t.Errorf("%d: %d ports (more: %v) of %d hosts (more: %v), local %s", n, e.Ports, e.PortsCapped, e.Hosts, e.HostsCapped, e.Local)
		}
		want := map[bool]string{false: ", 1000 ports of 1000 hosts", true: ", more than 1000 ports of more than 1000 hosts"}[n > 1000]
		if !strings.HasSuffix(e.Reason, want) {
			t.Errorf("%q, want the end %q", e.Reason, want)
		}
		s.empty(t)
	}
}

// TestFoldsShareTheirMemory: the counts of all offenders together remember so many
// values; a count that ends early says so, and is a number in the stats.
func TestFoldsShareTheirMemory(t *testing.T) {
	offenders := make([]netip.Addr, 10)
	var listings []intel.Indicator
	for i := range offenders {
		offenders[i] = netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + i)})
		listings = append(listings, intel.Indicator{Prefix: netip.PrefixFrom(offenders[i], 32), Feed: "a", Score: 50})
	}
	s := newStage(t, func(c *Config) { c.MaxContacts = 400 }) // 1,600 values
	s.table = listedTable(t, "v1", listings...)
	for i := range 5000 {
		s.at(0, tcp(offenders[i%10], 40000, us, uint16(i/10+1), syn))
	}
	s.Flush(t0)
	cut := uint64(0)
	for _, e := range s.take() {
		if e.Folded && e.Last {
			if e.PortsCapped {
				cut++
			}
			if e.Ports < 100 || e.PortsCapped == (e.Ports == 492) || e.Hosts != 1 {
				t.Errorf("%s: %d ports, more: %v; %d hosts", e.Offender, e.Ports, e.PortsCapped, e.Hosts)
			}
		}
	}
	if st := s.Stats(); st.FoldsCut != cut || cut == 0 || st.FoldedHits != 5000-80 {
		t.Errorf("%d are cut, stats %+v", cut, st)
	}
	s.empty(t)
}

// TestAScanForgetsNothingElse: the flows of a scan do not drive out those that tell
// duplicates of others.
func TestAScanForgetsNothingElse(t *testing.T) {
	s := newStage(t, func(c *Config) { c.MaxFlows = 100 })
	s.at(0, beacon)
	for i := range 5000 {
		s.at(time.Second, tcp(bad, 40000, us, uint16(i+1000), syn))
	}
	s.take()
	s.at(2*time.Second, seenBy(beacon, edge2)) // the same flow by another exporter
	s.Flush(t0.Add(3 * time.Second))
	for _, e := range s.take() {
		if e.Direction == event.Outbound && e.Flows != 1 {
			t.Errorf("%d flows", e.Flows)
		}
	}
	if st := s.Stats(); st.FlowsForgotten != 0 || st.FoldedFlowsForgotten != 5000-8-100/foldShare || st.Duplicates != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestFoldEndsLikeAContact: idle contacts leave room for new ones, and the next scan
// is another contact.
func TestFoldEndsLikeAContact(t *testing.T) {
	s := newStage(t, nil)
	scan := func(at time.Duration) event.Event {
		for i := range uint16(20) {
			s.at(at, tcp(bad, 40000, us, i+1, syn))
		}
		var f event.Event
		n := 0
		for _, e := range s.take() {
			if e.Kind == event.KindHit {
				n++
			}
			if e.Folded && e.Kind == event.KindHit {
				f = e
			}
		}
		if n != 9 || f.Ports != 1 || f.Seq != 1 {
			t.Errorf("%d hits, folded %+v", n, f)
		}
		return f
	}
	first := scan(0)
	s.Tick(t0.Add(time.Minute))
	f, _ := s.folded(t)
	if f.Contact != first.Contact || f.Ports != 12 || f.Seq != 2 || f.ContactFirstSeen != t0 {
		t.Errorf("after a minute: %+v", f)
	}
	if again := scan(3 * time.Hour); again.Contact == first.Contact {
		t.Error("the contact has not ended")
	}
}

func TestEveryHitDoesNotFold(t *testing.T) {
	s := newStage(t, func(c *Config) { c.EveryHit = true })
	for i := range uint16(50) {
		s.at(0, tcp(bad, 40000, us, i+1, syn))
	}
	if _, alone := s.folded(t); alone != 50 {
		t.Errorf("%d contacts stand alone", alone)
	}
}

// TestRollUp: what a prefix lists is one contact, whoever it is; what we opened, or
// answered, or something else lists as well stands alone.
func TestRollUp(t *testing.T) {
	net := netip.MustParsePrefix("203.0.113.0/24")
	one := intel.Indicator{Prefix: net, Feed: "drop", Score: 90, Category: "c2"}
	also := netip.MustParseAddr("203.0.113.77")
	s := newStage(t, nil)
	s.table = listedTable(t, "v1", one, intel.Indicator{Prefix: netip.PrefixFrom(also, 32), Feed: "ours", Score: 80})
	s.RollUp([]netip.Prefix{net})
	for i := range 3000 {
		s.at(0, tcp(netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i%70)}), 40000, host(i), 22, syn))
	}
	if e := s.one(event.KindHit); !e.Folded || e.Severity != event.Low || e.Score != 27 || e.Indicators[0].Prefix != net {
		t.Errorf("folded %v, score %d, %v", e.Folded, e.Score, e.Indicators)
	}
	for i := range 20 { // our own connections to the same prefix
		s.at(time.Second, tcp(host(i), 51515, netip.MustParseAddr("203.0.113.99"), 443, syn|ack))
		if e := s.one(event.KindHit); e.Folded || e.Direction != event.Outbound || e.Severity != event.High {
			t.Errorf("connection of %s: folded %v, %s, %s", e.Local, e.Folded, e.Direction, e.Severity)
		}
	}
	s.at(time.Second, tcp(host(7), 22, netip.MustParseAddr("203.0.113.8"), 40000, syn|ack))
	if e := s.one(event.KindHit); e.Folded || e.Direction != event.Inbound || e.Answered != event.AnsweredYes {
		t.Errorf("answer: folded %v, %s, answered %s", e.Folded, e.Direction, e.Answered)
	}
	s.at(time.Second, tcp(also, 40000, us, 22, syn))
	if e := s.one(event.KindHit); e.Folded || len(e.Indicators) != 2 {
		t.Errorf("listed twice: folded %v, %d indicators", e.Folded, len(e.Indicators))
	}
	s.Tick(t0.Add(10 * time.Minute))
	if f, _ := s.folded(t); f.Flows != 3000 || f.Hosts != 1000 || !f.HostsCapped || f.ServicePort != 22 || f.Ports != 1 {
		t.Errorf("%d flows, %d hosts (more: %v), port %d of %d", f.Flows, f.Hosts, f.HostsCapped, f.ServicePort, f.Ports)
	}
	s.RollUp(nil)
	s.at(11*time.Minute, tcp(netip.MustParseAddr("203.0.113.5"), 40000, host(9), 23, syn))
	if e := s.one(event.KindHit); e.Folded {
		t.Error("still rolled up")
	}
	s.Flush(t0.Add(12 * time.Minute))
	s.empty(t)
}

// TestFoldsKeepEveryFlow scans at random from a few offenders: every flow is in the last
// event of exactly one contact, and every port that has answered has an event that says so.
func TestFoldsKeepEveryFlow(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 5))
		s := newStage(t, func(c *Config) { c.MaxContacts = 20 + rng.IntN(1000) })
		type service struct {
			host netip.Addr
			port uint16
		}
		answered := make(map[service]bool)
		last := make(map[string]event.Event)
		said := make(map[service]bool)
		n, now := 0, time.Duration(0)
		collect := func() {
			for _, e := range s.take() {
				flows := last[e.Contact.String()].Flows
				if e.Flows < flows || e.Seq != last[e.Contact.String()].Seq+1 {
					t.Fatalf("seed %d: %d flows after %d, seq %d", seed, e.Flows, flows, e.Seq)
				}
				last[e.Contact.String()] = e
				if e.Answered == event.AnsweredYes {
					said[service{e.Local, e.ServicePort}] = true
				}
				if e.Folded && (e.Answered == event.AnsweredYes || e.Direction != event.Inbound || e.Hosts != 1 && e.Local.IsValid() || e.Ports != 1 && e.ServicePort != 0) {
					t.Fatalf("seed %d: folded %+v", seed, e)
				}
			}
		}
		for i := range 3000 {
			now += time.Duration(rng.IntN(int(2 * time.Second)))
			to := service{host(rng.IntN(60)), uint16(rng.IntN(40) + 1)}
			client := uint16(40000 + i)
			s.at(now, tcp(bad, client, to.host, to.port, syn))
			n++
			switch rng.IntN(10) {
			case 0:
				s.at(now, tcp(to.host, to.port, bad, client, syn|ack))
				answered[to] = true
				n++
			case 1, 2, 3:
				s.at(now, tcp(to.host, to.port, bad, client, rst|ack))
				n++
			}
			collect()
		}
		s.Flush(t0.Add(now))
		collect()
		var flows uint64
		for _, e := range last {
			flows += e.Flows
		}
		if flows != uint64(n) {
			t.Errorf("seed %d: %d flows in events, %d handled", seed, flows, n)
		}
		for to := range answered {
			if !said[to] {
				t.Errorf("seed %d: the answer of %v is in no event", seed, to)
			}
		}
		s.empty(t)
	}
}
