package correlate

import (
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

const rst = 0x04

// withBack adds the way back to a record.
func withBack(r flow.Record, backFlags uint16) flow.Record {
	return with(r, func(r *flow.Record) {
		r.Has |= flow.HasRevPackets | flow.HasRevBytes | flow.HasRevTCPFlags
		r.RevPackets, r.RevBytes, r.RevTCPFlags = 1, 40, backFlags
	})
}

func sampled(r flow.Record) flow.Record {
	return with(r, func(r *flow.Record) { r.Rate = 100 })
}

// unreach makes an ICMP destination unreachable, type and code in an element of their own.
func unreach(src, dst netip.Addr) flow.Record {
	return with(ip(src, dst, flow.ProtocolICMP), func(r *flow.Record) {
		r.Has |= flow.HasICMP
		r.ICMPTypeCode = 0x0303
	})
}

// unreachV5 makes one as NetFlow v5 has it: type and code in the destination port.
func unreachV5(src, dst netip.Addr) flow.Record {
	return with(ip(src, dst, flow.ProtocolICMP), func(r *flow.Record) {
		r.Has |= flow.HasSrcPort | flow.HasDstPort
		r.DstPort = 0x0301
	})
}

// TestRefused goes through the forms in which a refusal can be exported, in any order
// with what was refused. The severity is that of the unanswered contact.
func TestRefused(t *testing.T) {
	knock := tcp(bad, 40000, us, 22, syn)
	reset := tcp(us, 22, bad, 40000, rst|ack)
	low, high := tcp(bad, 53, us, 8081, syn), tcp(us, 8081, bad, 53, rst|ack)
	ours, theirs := tcp(us, 51515, bad, 443, syn), tcp(bad, 443, us, 51515, rst|ack)
	ecn := tcp(us, 22, bad, 40000, rst|ack|0x40)
	odd, oddReset := tcp(us, 5000, bad, 6000, syn), tcp(bad, 6000, us, 5000, rst|ack)
	ping := with(ip(bad, us, flow.ProtocolICMP), func(r *flow.Record) { r.Has |= flow.HasICMP; r.ICMPTypeCode = 0x0800 })
	const in, out = event.Inbound, event.Outbound
	const no, unknown, yes = event.AnsweredNo, event.AnsweredUnknown, event.AnsweredYes
	for name, c := range map[string]struct {
		records   []flow.Record
		direction event.Direction
		answered  event.Answered
		refused   bool
		severity  event.Severity
	}{
		"two flows":                      {[]flow.Record{knock, reset}, in, no, true, event.Low},
		"two flows, the reset first":     {[]flow.Record{reset, knock}, in, no, true, event.Low},
		"reset without ACK":              {[]flow.Record{knock, tcp(us, 22, bad, 40000, rst)}, in, no, true, event.Low},
		"congestion bits":                {[]flow.Record{knock, ecn}, in, no, true, event.Low},
		"a reset alone":                  {[]flow.Record{reset}, in, no, true, event.Low},
		"low port of the scanner":        {[]flow.Record{low, high}, in, no, true, event.Low},
		"low port, the reset first":      {[]flow.Record{high, low}, in, no, true, event.Low},
		"sampled packets":                {[]flow.Record{sampled(knock), sampled(reset)}, in, unknown, true, event.Low},
		"biflow":                         {[]flow.Record{withBack(knock, rst|ack)}, in, no, true, event.Low},
		"biflow, sampled":                {[]flow.Record{sampled(withBack(knock, rst|ack))}, in, unknown, true, event.Low},
		"biflow, lower address first":    {[]flow.Record{withBack(reset, syn)}, in, no, true, event.Low},
		"biflow, low port of scanner":    {[]flow.Record{withBack(high, syn)}, in, no, true, event.Low},
		"biflow, other flags":            {[]flow.Record{withBack(knock, syn|ack)}, in, yes, false, event.High},
		"biflow, no flags back":          {[]flow.Record{withBack(knock, 0)}, in, yes, false, event.High},
		"half-open scan of an open port": {[]flow.Record{tcp(bad, 40000, us, 22, syn|rst), tcp(us, 22, bad, 40000, syn|ack)}, in, yes, false, event.High},
		"half-open, sampled reset":       {[]flow.Record{sampled(knock), sampled(tcp(bad, 40000, us, 22, rst))}, in, unknown, false, event.Low},
		"answered, then reset":           {[]flow.Record{knock, tcp(us, 22, bad, 40000, syn|ack), reset}, in, yes, false, event.High},
		"reset, then answered":           {[]flow.Record{knock, reset, knock, tcp(us, 22, bad, 40001, syn|ack)}, in, yes, false, event.High},
		"answered and reset in one":      {[]flow.Record{knock, tcp(us, 22, bad, 40000, syn|rst|ack)}, in, yes, false, event.High},
		"our own connection":             {[]flow.Record{ours, theirs}, out, no, true, event.High},
		"our own, the reset first":       {[]flow.Record{theirs, ours}, out, no, true, event.High},
		"our own, odd ports":             {[]flow.Record{odd, oddReset}, out, no, true, event.High},
		"our own, odd, reset first":      {[]flow.Record{oddReset, odd}, out, no, true, event.High},
		"our own, biflow":                {[]flow.Record{withBack(ours, rst|ack)}, out, no, true, event.High},
		"our own, reset by us":           {[]flow.Record{ours, tcp(us, 51515, bad, 443, rst)}, out, unknown, false, event.High},
		"their reset of odd ports":       {[]flow.Record{tcp(bad, 6000, us, 5000, rst|ack)}, in, no, true, event.Low},
		"unreachable alone":              {[]flow.Record{unreach(us, bad)}, in, no, true, event.Low},
		"unreachable, v5":                {[]flow.Record{unreachV5(us, bad)}, in, no, true, event.Low},
		"unreachable after a ping":       {[]flow.Record{ping, unreach(us, bad)}, in, no, true, event.Low},
		"unreachable before the ping":    {[]flow.Record{unreach(us, bad), ping}, in, no, true, event.Low},
		"ping answered":                  {[]flow.Record{ping, with(ip(us, bad, flow.ProtocolICMP), func(r *flow.Record) { r.Has |= flow.HasICMP })}, in, yes, false, event.High},
		"unreachable from outside":       {[]flow.Record{unreach(bad, us)}, in, no, true, event.Low},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil)
			for i, r := range c.records {
				s.at(time.Duration(i)*time.Second, r)
			}
			s.Flush(t0.Add(30 * time.Second))
			got := s.take()
			e := got[len(got)-1]
			if st := s.Stats(); st.HitEvents != 1 {
				t.Errorf("%d contacts", st.HitEvents)
			}
			if e.Direction != c.direction || e.Answered != c.answered || e.Refused != c.refused || e.Severity != c.severity {
				t.Errorf("%s, answered %s, refused %v, severity %s (%s)", e.Direction, e.Answered, e.Refused, e.Severity, e.Reason)
			}
		})
	}
}

// TestRefusedPorts scans closed ports: no update at once, and none is worse.
func TestRefusedPorts(t *testing.T) {
	s := newStage(t, nil)
	for port := range uint16(8) {
		s.at(time.Second, tcp(bad, 40000, us, port+1, syn))
		s.at(2*time.Second, tcp(us, port+1, bad, 40000, rst|ack))
	}
	if got := s.take(); len(got) != 8 {
		t.Errorf("%d events at once, want a hit for each port", len(got))
	}
	s.Tick(t0.Add(2 * time.Minute))
	for _, e := range s.take() {
		if e.Severity != event.Low || e.Answered != event.AnsweredNo || !e.Refused || e.Flows != 2 || e.PacketsBack != 1 {
			t.Errorf("%s, answered %s, refused %v, %d flows, %d packets back", e.Severity, e.Answered, e.Refused, e.Flows, e.PacketsBack)
		}
	}
}
