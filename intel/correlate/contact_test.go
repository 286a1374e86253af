package correlate

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/listing"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// rev adds counters of the way back, as a biflow has them whose source is the
// initiator.
func rev(r flow.Record, packets uint64) flow.Record {
	return biflow(r, packets, 1)
}

// biflow adds counters of the way back and says how the source was chosen.
func biflow(r flow.Record, packets uint64, direction uint8) flow.Record {
	r.Has |= flow.HasRevPackets | flow.HasRevBytes | flow.HasBiflowDirection
	r.RevPackets, r.RevBytes, r.BiflowDirection = packets, packets*100, direction
	return r
}

func denied(r flow.Record) flow.Record {
	r.Has |= flow.HasFirewallEvent
	r.FirewallEvent = 3
	return r
}

func TestDirectionAndAnswer(t *testing.T) {
	const (
		in, out  = event.Inbound, event.Outbound
		yes, unk = event.AnsweredYes, event.AnsweredUnknown
	)
	type judgement struct {
		direction event.Direction
		answered  event.Answered
		blocked   bool
		port      uint16 // service port
	}
	cases := []struct {
		name  string
		flows []flow.Record
		want  judgement
	}{
		{"we open, by SYN", []flow.Record{beacon}, judgement{out, unk, false, 443}},
		{"they open, by SYN", []flow.Record{scan}, judgement{in, unk, false, 22}},
		{"they open from port 443, by SYN", []flow.Record{tcp(bad, 443, us, 51515, syn)}, judgement{in, unk, false, 51515}},
		{"we open, UDP", []flow.Record{udp(us, 51515, bad, 53)}, judgement{out, unk, false, 53}},
		{"they open, UDP", []flow.Record{udp(bad, 51515, us, 53)}, judgement{in, unk, false, 53}},
		{"only their answer seen", []flow.Record{answer}, judgement{out, yes, false, 443}},
		{"only their answer seen, high port", []flow.Record{tcp(bad, 4444, us, 51515, 0)}, judgement{out, yes, false, 4444}},
		{"only our answer seen", []flow.Record{tcp(us, 443, bad, 51515, syn|ack)}, judgement{in, yes, false, 443}},
		{"our query and the answer", []flow.Record{udp(us, 51515, bad, 53), udp(bad, 53, us, 51515)}, judgement{out, yes, false, 53}},
		{"answer before the query", []flow.Record{answer, beacon}, judgement{out, yes, false, 443}},
		{"scan and our answer", []flow.Record{scan, tcp(us, 22, bad, 40000, syn|ack)}, judgement{in, yes, false, 22}},
		{"their ACK", []flow.Record{tcp(bad, 40000, us, 22, syn|ack)}, judgement{in, yes, false, 22}},
		{"our ACK", []flow.Record{tcp(us, 51515, bad, 443, syn|ack)}, judgement{out, unk, false, 443}},
		{"ACK bit of another protocol", []flow.Record{with(udp(bad, 40000, us, 53), func(r *flow.Record) {
			r.Has |= flow.HasTCPFlags
			r.TCPFlags = ack
		})}, judgement{in, unk, false, 53}},
		{"nothing known, they send", []flow.Record{udp(bad, 5000, us, 6000)}, judgement{in, unk, false, 5000}},
		{"nothing known, we send", []flow.Record{udp(us, 5000, bad, 6000)}, judgement{out, unk, false, 5000}},
		{"same port, they send first", []flow.Record{udp(bad, 123, us, 123), udp(us, 123, bad, 123)}, judgement{in, yes, false, 123}},
		{"same port, we send first", []flow.Record{udp(us, 123, bad, 123), udp(bad, 123, us, 123)}, judgement{out, yes, false, 123}},
		{"biflow of ours", []flow.Record{rev(udp(us, 5000, bad, 6000), 3)}, judgement{out, yes, false, 6000}},
		{"biflow of theirs", []flow.Record{rev(udp(bad, 6000, us, 5000), 3)}, judgement{in, yes, false, 5000}},
		{"biflow of theirs, our end first", []flow.Record{biflow(udp(us, 5000, bad, 6000), 3, 2)}, judgement{in, yes, false, 5000}},
		{"biflow with the lower address first", []flow.Record{biflow(tcp(us, 22, bad, 40005, syn|ack), 3, 0)}, judgement{in, yes, false, 22}},
		{"biflow without a way back", []flow.Record{rev(udp(bad, 6000, us, 5000), 0)}, judgement{in, unk, false, 5000}},
		{"biflow corrects a guess", []flow.Record{udp(bad, 5000, us, 6000), rev(udp(us, 6000, bad, 5000), 1)}, judgement{out, yes, false, 5000}},
		{"NSEL", []flow.Record{with(udp(us, 5000, bad, 6000), func(r *flow.Record) {
			r.BytesIE = 231
			r.Has |= flow.HasRespBytes
			r.RespBytes = 900
		})}, judgement{out, yes, false, 6000}},
		{"denied", []flow.Record{denied(beacon)}, judgement{out, unk, true, 443}},
		{"denied ACK is no answer", []flow.Record{denied(tcp(bad, 40000, us, 22, ack))}, judgement{in, unk, true, 22}},
		{"dropped by the router", []flow.Record{with(scan, func(r *flow.Record) {
			r.Has |= flow.HasForwarding
			r.Forwarding = 0b10_000010
		})}, judgement{in, unk, true, 22}},
		{"consumed by the router", []flow.Record{with(scan, func(r *flow.Record) {
			r.Has |= flow.HasForwarding
			r.Forwarding = 0b11_000000
		})}, judgement{in, unk, false, 22}},
		{"status that was not exported", []flow.Record{with(scan, func(r *flow.Record) {
			r.Forwarding, r.FirewallEvent = 0x80, 3
		})}, judgement{in, unk, false, 22}},
		{"denied, then let through", []flow.Record{denied(scan), scan}, judgement{in, unk, false, 22}},
		{"let through, then denied", []flow.Record{scan, denied(scan)}, judgement{in, unk, false, 22}},
		{"ping of ours and echo", []flow.Record{ip(us, bad, flow.ProtocolICMP), ip(bad, us, flow.ProtocolICMP)}, judgement{out, yes, false, 0}},
		{"ping of theirs and echo", []flow.Record{ip(bad, us, flow.ProtocolICMP), ip(us, bad, flow.ProtocolICMP)}, judgement{in, yes, false, 0}},
		{"only the port of the service", []flow.Record{udp(bad, 0, us, 53)}, judgement{in, unk, false, 53}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, nil)
			s.at(0, c.flows...)
			if n := s.contacts.n; n != 1 {
				t.Fatalf("%d contacts, want 1", n)
			}
			ct := s.contacts.longestIdle()
			got := judgement{ct.Direction(), answerOf(ct, s.now), !ct.Passed, ct.packed.port}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// answerOf gives the answer that an event would have at a time.
func answerOf(ct *contact, now time.Duration) event.Answered {
	var ev event.Event
	ct.Judge(&ev, now-ct.first >= firstUpdate)
	return ev.Answered
}

// latest gives the contact that was used last.
func latest(s *stage) (c *contact) {
	for _, r := range s.contacts.ranks {
		if r.latest != nil && (c == nil || r.latest.last > c.last) {
			c = r.latest
		}
	}
	return c
}

func TestServicePortOfBefore(t *testing.T) {
	s := newStage(t, nil)
	s.at(0, rev(udp(us, 5000, bad, 6000), 1)) // 6000 is the service
	s.at(time.Second, udp(us, 5001, bad, 6000), udp(bad, 6000, us, 5002))
	if n := s.contacts.n; n != 1 {
		t.Errorf("%d contacts, want 1: the pair has used port 6000 before", n)
	}
	s.at(time.Second, udp(us, 7000, bad, 5000)) // not used before: the lower
	if n := s.contacts.n; n != 2 {
		t.Errorf("%d contacts, want 2", n)
	}
	s.at(time.Second, udp(us, 5000, bad, 6000)) // both used before: the lower
	if ct := latest(s); ct.packed.port != 5000 || s.contacts.n != 2 {
		t.Errorf("port %d of %d contacts, want 5000 of 2", ct.packed.port, s.contacts.n)
	}
}

func TestContactsAreApart(t *testing.T) {
	s := newStage(t, nil)
	noProtocol := with(udp(us, 51515, bad, 443), func(r *flow.Record) { r.Has &^= flow.HasProtocol; r.Protocol = 0 })
	other := netip.MustParseAddr("10.0.0.6")
	s.at(0, beacon, tcp(us, 51515, bad, 80, syn), udp(us, 51515, bad, 443), noProtocol, tcp(other, 51515, bad, 443, syn))
	if got := len(s.take()); got != 5 {
		t.Errorf("%d hits, want 5: port, protocol and local end tell contacts apart", got)
	}
}

func TestLocalEndAndDirection(t *testing.T) {
	visitor := netip.MustParseAddr("198.51.100.99")
	cases := []struct {
		name      string
		record    flow.Record
		role      flow.Side
		local     netip.Addr
		direction event.Direction
		port      uint16
	}{
		{"plain", beacon, flow.SideDst, us, event.Outbound, 443},
		{"transit", tcp(visitor, 51515, bad, 443, syn), flow.SideDst, visitor, event.Transit, 443},
		{"source NAT", with(beacon, func(r *flow.Record) { r.PostNATSrc = public }), flow.SideDst, us, event.Outbound, 443},
		{"return to the public address", with(tcp(bad, 443, public, 4000, ack), func(r *flow.Record) {
			r.PostNATDst, r.PostNATDstPort = us, 51515
		}), flow.SideSrc, us, event.Outbound, 443},
		{"return, port kept", with(tcp(bad, 443, public, 40000, ack), func(r *flow.Record) {
			r.PostNATDst = us
		}), flow.SideSrc, us, event.Outbound, 443},
		{"published service", with(tcp(bad, 40000, public, 8443, syn), func(r *flow.Record) {
			r.PostNATDst, r.PostNATDstPort = us, 443
		}), flow.SideSrc, us, event.Inbound, 443},
		{"its answer", with(tcp(us, 443, bad, 40000, syn|ack), func(r *flow.Record) {
			r.PostNATSrc, r.PostNATSrcPort = public, 8443
		}), flow.SideDst, us, event.Inbound, 443},
		{"only the outside is ours", with(tcp(visitor, 51515, bad, 443, syn), func(r *flow.Record) {
			r.PostNATSrc = netip.MustParseAddr("10.9.9.9")
		}), flow.SideDst, visitor, event.Outbound, 443},
		{"translated to the offender", with(tcp(us, 51515, visitor, 80, syn), func(r *flow.Record) {
			r.PostNATDst, r.PostNATDstPort = bad, 8080
		}), flow.SidePostNATDst, us, event.Outbound, 8080},
		{"translated from the offender", with(tcp(visitor, 40000, us, 22, syn), func(r *flow.Record) {
			r.PostNATSrc = bad
		}), flow.SidePostNATSrc, us, event.Inbound, 22},
		{"our own public address is the offender", with(tcp(us, 51515, visitor, 443, syn), func(r *flow.Record) {
			r.PostNATSrc = bad
		}), flow.SidePostNATSrc, visitor, event.Outbound, 443},
		{"source known only after NAT", with(tcp(netip.Addr{}, 51515, bad, 443, syn), func(r *flow.Record) {
			r.PostNATSrc = us
		}), flow.SideDst, us, event.Outbound, 443},
		{"inner source", with(ip(visitor, public, 47), func(r *flow.Record) {
			r.InnerSrc, r.InnerDst, r.InnerProtocol = bad, us, flow.ProtocolUDP
			r.InnerSrcPort, r.InnerDstPort = 40000, 53
			r.Has |= flow.HasInnerPorts | flow.HasInnerProtocol
		}), flow.SideInnerSrc, us, event.Inbound, 53},
		{"inner destination", with(ip(visitor, public, 47), func(r *flow.Record) {
			r.InnerSrc, r.InnerDst, r.InnerProtocol = us, bad, flow.ProtocolTCP
			r.InnerSrcPort, r.InnerDstPort = 40000, 80
			r.Has |= flow.HasInnerPorts | flow.HasInnerProtocol
		}), flow.SideInnerDst, us, event.Outbound, 80},
		{"second pair shares the ports", with(tcp(visitor, 51515, public, 443, syn), func(r *flow.Record) {
			r.InnerSrc, r.InnerDst = us, bad
		}), flow.SideInnerDst, us, event.Outbound, 443},
		{"tunnel between homes", with(ip(us, us, 47), func(r *flow.Record) {
			r.InnerSrc, r.InnerDst = bad, visitor
		}), flow.SideInnerSrc, visitor, event.Transit, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, nil)
			s.at(0, c.record)
			e := s.one(event.KindHit)
			port := s.contacts.longestIdle().packed.port
			if e.Role != c.role || e.Local != c.local || e.Direction != c.direction || port != c.port {
				t.Errorf("offender at %s, local %s, %s, port %d; want %s, %s, %s, %d",
					e.Role, e.Local, e.Direction, port, c.role, c.local, c.direction, c.port)
			}
		})
	}
}

func TestOwnOffender(t *testing.T) {
	own := netip.MustParseAddr("10.0.0.66")
	table := listedTable(t, "v1", intel.Indicator{Prefix: netip.PrefixFrom(own, 32), Feed: "ours", Score: 80})
	for _, c := range []struct {
		name   string
		record flow.Record
		want   event.Direction
	}{
		{"to another of ours", tcp(own, 40000, us, 22, syn), event.Internal},
		{"from another of ours", tcp(us, 40000, own, 22, syn), event.Internal},
		{"to the world", tcp(own, 40000, public, 22, syn), event.Outbound},
		{"from the world", tcp(public, 40000, own, 22, syn), event.Inbound},
		{"answer of the world", tcp(public, 22, own, 40000, ack), event.Outbound},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, nil)
			s.table = table
			s.at(0, c.record)
			if e := s.one(event.KindHit); e.Direction != c.want {
				t.Errorf("%s, want %s", e.Direction, c.want)
			}
		})
	}
}

func TestNATDirectionsJoin(t *testing.T) {
	s := newStage(t, nil)
	s.at(0,
		with(beacon, func(r *flow.Record) { r.PostNATSrc, r.PostNATSrcPort = public, 4000 }),
		with(tcp(bad, 443, public, 4000, ack), func(r *flow.Record) { r.PostNATDst, r.PostNATDstPort = us, 51515 }))
	got := s.take()
	if len(got) != 2 || got[1].Kind != event.KindUpdate || got[1].Answered != event.AnsweredYes {
		t.Errorf("got %v, want a hit and the update of its answer", kinds(got))
	}
}

func TestListingAtOnePort(t *testing.T) {
	s := newStage(t, nil)
	atPort := c2("feodo", 90)
	atPort.Port = 8080
	s.table = listedTable(t, "v1", c2("otx", 40), atPort)
	s.at(0, tcp(bad, 40000, us, 22, syn))
	s.at(time.Second, tcp(bad, 8080, us, 22, syn), tcp(bad, 40001, us, 22, syn))
	s.Flush(t0.Add(time.Second))
	got := s.take()
	if last := got[len(got)-1]; len(last.Indicators) != 2 || last.Indicators[0].Feed != "feodo" {
		t.Errorf("indicators %v, want those of both feeds: the stronger listing stays", last.Indicators)
	}
}

// listings gives the listings that contacts hold.
func (s *stage) listings() map[*listing.Listing]bool {
	all := map[*listing.Listing]bool{}
	for _, c := range s.contacts.byHash {
		for ; c != nil; c = c.sameHash {
			all[c.listing] = true
		}
	}
	return all
}

// TestContactsShareTheirListing: what was listed is held once, whoever the offender is, and
// for as long as there is a contact.
func TestContactsShareTheirListing(t *testing.T) {
	s := newStage(t, nil)
	wide := intel.Indicator{Prefix: netip.MustParsePrefix("203.0.112.0/20"), Feed: "wide", Score: 50, Ref: "https://example.net/", FirstSeen: t0}
	s.table = listedTable(t, "v1", wide)
	s.at(0, beacon, scan, tcp(us, 1, netip.MustParseAddr("203.0.113.77"), 443, syn))
	for _, e := range s.take() {
		if want := []event.Indicator{event.Indicator(wide)}; !slices.Equal(e.Indicators, want) {
			t.Errorf("indicators %v, want %v", e.Indicators, want)
		}
	}
	if n := len(s.listings()); n != 1 {
		t.Errorf("%d listings are held by %d contacts, want 1", n, s.contacts.n)
	}
	s.table = listedTable(t, "v2", c2("feodo", 90), c2("otx", 40))
	s.at(time.Second, beacon, scan)
	held := s.listings()
	if n := len(held); n != 2 {
		t.Errorf("%d listings are held, want those of both tables", n)
	}
	s.Flush(t0)
	if n := len(s.contacts.offenders); n != 0 {
		t.Errorf("%d offenders are remembered without a contact", n)
	}
	s.at(time.Second, beacon, scan)
	for l := range s.listings() {
		if held[l] {
			t.Errorf("a listing of %s is held without a contact", l.Version)
		}
	}
}
