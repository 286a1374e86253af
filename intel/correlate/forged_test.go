package correlate

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/fold"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestForgedAnswersFold: what one end alone shows may be forged, and an offender makes
// no event of each packet, whatever its packets claim to be.
func TestForgedAnswersFold(t *testing.T) {
	sampled := func(r flow.Record) flow.Record {
		return with(r, func(r *flow.Record) { r.Rate = 1000 })
	}
	v6 := func(i int) netip.Addr {
		b := netip.MustParseAddr("fd00::").As16()
		b[14], b[15] = byte(i>>8), byte(i)
		return netip.AddrFrom16(b)
	}
	const n = 3000
	for name, flood := range map[string]func(i int) []flow.Record{
		"scan of ACKs, ports": func(i int) []flow.Record { return []flow.Record{tcp(bad, 40000, us, uint16(i+1), ack)} },
		"scan of ACKs, hosts": func(i int) []flow.Record { return []flow.Record{tcp(bad, 40000, host(i), 22, ack)} },
		"ACKs, sampled":       func(i int) []flow.Record { return []flow.Record{sampled(tcp(bad, 40000, host(i), 22, ack))} },
		"ACKs that are refused": func(i int) []flow.Record {
			return []flow.Record{tcp(bad, 40000, host(i), 22, ack), tcp(host(i), 22, bad, 40000, rst)}
		},
		"refused from a server's port": func(i int) []flow.Record {
			return []flow.Record{tcp(bad, 443, host(i), 40000, ack), tcp(host(i), 40000, bad, 443, rst)}
		},
		"refusals ahead": func(i int) []flow.Record {
			return []flow.Record{tcp(host(i), 40000, bad, 443, rst), tcp(bad, 443, host(i), 40000, ack)}
		},
		"flows with SYN and ACK":          func(i int) []flow.Record { return []flow.Record{tcp(bad, 40000, us, uint16(i+1), syn|ack)} },
		"all flags":                       func(i int) []flow.Record { return []flow.Record{tcp(bad, 40000, us, uint16(i+1), 0xff)} },
		"TCP from a server's port":        func(i int) []flow.Record { return []flow.Record{tcp(bad, 443, host(i), 40000, ack)} },
		"UDP from a server's port, hosts": func(i int) []flow.Record { return []flow.Record{udp(bad, 53, host(i), 40000)} },
		"UDP from all server's ports":     func(i int) []flow.Record { return []flow.Record{udp(bad, uint16(i+1), us, 40000)} },
		"UDP over IPv6":                   func(i int) []flow.Record { return []flow.Record{udp(bad, 53, v6(i), 40000)} },
		"transit": func(i int) []flow.Record {
			return []flow.Record{tcp(bad, 40000, netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 22, syn)}
		},
		"blocked, from a server's port": func(i int) []flow.Record {
			return []flow.Record{with(udp(bad, 53, host(i), 40000), func(r *flow.Record) { r.Has |= flow.HasForwarding; r.Forwarding = 0x80 })}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil)
			flows := uint64(0)
			for i := range n {
				records := flood(i)
				flows += uint64(len(records))
				s.at(0, records...)
			}
			s.Flush(t0)
			hits, told, folds := 0, uint64(0), 0
			last := make(map[string]uint64)
			for _, e := range s.take() {
				last[e.Contact.String()] = e.Flows
				if e.Kind == event.KindHit {
					hits++
					if e.Folded {
						folds++
					}
				}
			}
			for _, n := range last {
				told += n
			}
			if hits > 2*fold.OneSided+2 || folds == 0 || told != flows {
				t.Errorf("%d first hits, %d of them folded, %d of %d flows told", hits, folds, told, flows)
			}
			s.empty(t)
		})
	}
}

// TestOurOwnFlowsNeverFold: once an offender has used up what it may forge, every
// conversation in which our end takes part is still an event of its own.
func TestOurOwnFlowsNeverFold(t *testing.T) {
	s := newStage(t, nil)
	for i := range 2000 {
		s.at(0, tcp(bad, 443, host(i), 40000, ack), tcp(bad, 40000, host(i), 22, ack))
	}
	s.take()
	victim := host(5000)
	s.at(time.Second, tcp(bad, 443, victim, 50000, syn|ack)) // the way back first
	s.none()
	s.at(time.Second, tcp(victim, 50000, bad, 443, syn|ack))
	if e := s.one(event.KindHit); e.Folded || e.Local != victim || e.Direction != event.Outbound || e.Severity < event.High {
		t.Errorf("outbound: folded %v, %s, %s, %s", e.Folded, e.Local, e.Direction, e.Severity)
	}
	s.at(2*time.Second, tcp(bad, 443, victim, 50000, ack))
	if e := s.one(event.KindUpdate); e.Answered != event.AnsweredYes || e.Severity != event.Critical {
		t.Errorf("answered %s, %s", e.Answered, e.Severity)
	}
	s.at(3*time.Second, tcp(host(6000), 22, bad, 41000, syn|ack))
	if e := s.one(event.KindHit); e.Folded || e.Direction != event.Inbound || e.Answered != event.AnsweredYes {
		t.Errorf("inbound: folded %v, %s, answered %s", e.Folded, e.Direction, e.Answered)
	}
	s.at(4*time.Second, with(udp(us, 40000, bad, 53), func(r *flow.Record) { r.Has |= flow.HasForwarding; r.Forwarding = 0x80 }))
	if e := s.one(event.KindHit); e.Folded || !e.Blocked || e.Direction != event.Outbound {
		t.Errorf("blocked: folded %v, %v, %s", e.Folded, e.Blocked, e.Direction)
	}
	s.Flush(t0.Add(time.Minute))
	s.empty(t)
}

// TestOneSidedContactsStandAlone: where a router exports one way only, as many contacts as
// a network has of one offender stand alone, and those that turn out to be two-sided leave
// room for others.
func TestOneSidedContactsStandAlone(t *testing.T) {
	s := newStage(t, nil)
	for i := range fold.OneSided {
		s.at(0, tcp(bad, 443, host(i), 40000, syn|ack))
		if e := s.one(event.KindHit); e.Folded || e.Severity != event.Critical {
			t.Fatalf("contact %d: folded %v, %s", i, e.Folded, e.Severity)
		}
	}
	s.at(0, tcp(bad, 443, host(1000), 40000, syn|ack))
	if e := s.one(event.KindHit); !e.Folded || e.Severity != event.Critical || e.Hosts != 1 || e.Local != host(1000) {
		t.Errorf("folded %v, %s, %d hosts, %s", e.Folded, e.Severity, e.Hosts, e.Local)
	}
	s.at(time.Second, tcp(host(7), 40000, bad, 443, syn|ack))
	s.take()
	s.at(time.Second, tcp(bad, 443, host(1001), 40000, syn|ack))
	if e := s.one(event.KindHit); e.Folded || e.Local != host(1001) {
		t.Errorf("folded %v, %s", e.Folded, e.Local)
	}
	s.Flush(t0.Add(time.Minute))
	s.empty(t)
}

// TestForgedAnswersOfARolledUpPrefixFold: nor does it help to forge the address as well.
func TestForgedAnswersOfARolledUpPrefixFold(t *testing.T) {
	net := netip.MustParsePrefix("198.51.0.0/16")
	s := newStage(t, nil)
	s.table = listedTable(t, "v1", intel.Indicator{Prefix: net, Feed: "drop", Score: 90, Category: "c2"})
	s.RollUp([]netip.Prefix{net})
	for i := range 3000 {
		s.at(0, tcp(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 40000, host(i), 22, ack))
	}
	if e := s.one(event.KindHit); !e.Folded || e.Answered != event.AnsweredYes {
		t.Errorf("folded %v, answered %s", e.Folded, e.Answered)
	}
	s.at(time.Second, tcp(host(9), 50000, netip.MustParseAddr("198.51.7.7"), 443, syn|ack))
	if e := s.one(event.KindHit); e.Folded || e.Direction != event.Outbound {
		t.Errorf("ours: folded %v, %s", e.Folded, e.Direction)
	}
	s.Flush(t0.Add(time.Minute))
	s.empty(t)
}

// TestAFullTableMakesNoEventOfEachFlow: while all that is held is more severe, the rest
// shares one contact, in which every flow is counted, and the severe ones stay.
func TestAFullTableMakesNoEventOfEachFlow(t *testing.T) {
	s := newStage(t, func(c *Config) { c.MaxContacts = 100 })
	var listings []intel.Indicator
	offender := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) }
	for i := range 4000 {
		listings = append(listings, intel.Indicator{Prefix: netip.PrefixFrom(offender(i), 32), Feed: "a", Score: 90})
	}
	s.table = listedTable(t, "v1", listings...)
	for i := range 100 {
		s.at(0, tcp(host(i), 50000, offender(i), 443, syn|ack))
	}
	s.take()
	for i := range 3900 { // of as many offenders, so that nothing folds otherwise
		s.at(time.Second, tcp(offender(100+i), 40000, host(i), 22, syn))
	}
	e := s.one(event.KindHit)
	if !e.Folded || e.Offender != offender(100) || e.Severity != event.Low || !strings.HasSuffix(e.Reason, "; with others that found no room") {
		t.Errorf("folded %v, %s, %s, %q", e.Folded, e.Offender, e.Severity, e.Reason)
	}
	if st := s.Stats(); st.CrowdedOut != 3900 || st.ContactsEvicted != 0 || st.HitEvents != 101 {
		t.Errorf("stats %+v", st)
	}
	s.Tick(t0.Add(2 * time.Minute))
	if f, _ := s.folded(t); f.Flows != 3900 || f.Hosts < 100 || !f.HostsCapped || f.Local.IsValid() {
		t.Errorf("%d flows, %d hosts (more: %v), local %s", f.Flows, f.Hosts, f.HostsCapped, f.Local)
	}
	s.at(3*time.Minute, tcp(host(7), 50000, offender(3999), 443, syn|ack)) // as severe as the others
	if e := s.take()[0]; e.Kind != event.KindHit || e.Folded || e.Local != host(7) {
		t.Errorf("%s, folded %v, %s", e.Kind, e.Folded, e.Local)
	}
	s.Flush(t0.Add(4 * time.Minute))
	s.take()
	s.empty(t)
	s.at(5*time.Minute, tcp(offender(5), 40000, host(1), 22, syn)) // there is room again
	if e := s.one(event.KindHit); e.Folded {
		t.Error("still folded")
	}
}
