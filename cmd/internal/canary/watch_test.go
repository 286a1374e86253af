package canary

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// arrived gives the hit of a canary that an exporter sent, received now.
func arrived(c event.Canary, from string) *lookup.Hit {
	c.Matched = time.Now()
	return &lookup.Hit{Canary: &c, Record: &flow.Record{Received: time.Now(), Exporter: flow.Exporter{Addr: netip.MustParseAddr(from)}}}
}

// event gives the event of a canary.
func canaryEvent(c event.Canary) []event.Event {
	return []event.Event{{Kind: event.KindCanary, Start: c.Sent, DstPort: c.Token}, {Kind: event.KindHit}}
}

// TestRound: of one round one canary becomes an event, all are seen, and each stage
// and sink has its time.
func TestRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatch(time.Minute)
		w.Sink("log")
		w.Sink("away")
		for round := range uint16(3) {
			var sent []event.Canary
			for _, l := range []string{"a", "b"} {
				c := New(round)
				sent = append(sent, c)
				w.Sent(l, c)
				time.Sleep(time.Millisecond)
			}
			if !w.Judge(arrived(sent[1], "127.0.0.1")) || w.Judge(arrived(sent[0], "127.0.0.1")) {
				t.Error("not the first of a round, or more than that")
			}
			if w.Judge(arrived(sent[1], "127.0.0.1")) {
				t.Error("the same one twice")
			}
			time.Sleep(2 * time.Millisecond)
			w.Journaled(canaryEvent(sent[1]))
			time.Sleep(3 * time.Millisecond)
			w.Delivered("log", sent[1], time.Now())
			w.Delivered("log", event.Canary{Sent: time.Now(), Token: 9}, time.Now().Add(time.Hour)) // of another host
			time.Sleep(time.Minute)
		}
		s := w.Status()
		if s.Sent != 6 || s.Seen != 6 || s.Limited != 3 || len(s.Others) != 0 || s.EverySeconds != 60 {
			t.Errorf("status %+v", s)
		}
		if st := s.Stages; st["received"] != 1 || st["matched"] != 1 || st["correlated"] != 1 || st["journal"] != 3 {
			t.Errorf("stages %v", st)
		}
		if at := s.Sinks["log"]; at.Milliseconds != 6 || time.Since(at.Last) != time.Minute {
			t.Errorf("log %+v", at)
		}
		if at, ok := s.Sinks["away"]; !ok || !at.Last.IsZero() {
			t.Errorf("away %+v", at)
		}
		if a, b := s.Listeners["a"], s.Listeners["b"]; a.Milliseconds != 2 || b.Milliseconds != 1 || b.LastSeen.IsZero() {
			t.Errorf("listeners %+v", s.Listeners)
		}
	})
}

// TestOthers: hosts and their canaries are capped, the self-test is not.
func TestOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatch(time.Minute)
		events := 0
		for i := range 1000 {
			if w.Judge(arrived(New(uint16(i)), "198.51.100.1")) {
				events++
			}
		}
		if s := w.Status(); events != hostBurst || s.Limited != 1000-hostBurst || len(s.Others) != 1 {
			t.Errorf("%d events, %+v", events, s)
		}
		host := netip.MustParseAddr("203.0.113.0")
		for range 2 * maxOthers {
			if w.Judge(arrived(New(1), host.String())) {
				events++
			}
			host = host.Next()
		}
		if s := w.Status(); events != allBurst || len(s.Others) != maxOthers || s.OthersOverCap != maxOthers+1 {
			t.Errorf("%d events, %d hosts, %d over the cap", events, len(s.Others), s.OthersOverCap)
		}
		c := New(1)
		w.Sent("a", c)
		if !w.Judge(arrived(c, "198.51.100.1")) {
			t.Error("the self-test is limited")
		}
		time.Sleep(time.Second)
		events = 0
		for range 100 {
			if w.Judge(arrived(New(1), "198.51.100.1")) {
				events++
			}
		}
		if events != hostRate {
			t.Errorf("%d events a second later", events)
		}
		time.Sleep(forgetOther + time.Second)
		if !w.Judge(arrived(New(1), "192.0.2.9")) || len(w.Status().Others) != 1 {
			t.Errorf("silent hosts keep their place: %+v", w.Status().Others)
		}
	})
}

// TestForgedHosts: hosts that came once do not keep the place of one that comes later, and
// not that of one that has come for long.
func TestForgedHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatch(time.Minute)
		regular := netip.MustParseAddr("198.51.100.1")
		for range 20 {
			w.Judge(arrived(New(1), regular.String()))
			time.Sleep(time.Minute)
		}
		host := netip.MustParseAddr("203.0.113.0")
		for range 2 * maxOthers {
			w.Judge(arrived(New(1), host.String()))
			host = host.Next()
		}
		time.Sleep(forgetStranger + time.Second)
		if !w.Judge(arrived(New(1), "192.0.2.9")) {
			t.Error("forged hosts keep their place")
		}
		if s := w.Status(); len(s.Others) != 2 || s.Others[regular.String()].Last.IsZero() {
			t.Errorf("others %+v", s.Others)
		}
	})
}

// TestTwice: a datagram that the network has doubled is one canary.
func TestTwice(t *testing.T) {
	w := NewWatch(time.Minute)
	c := New(7)
	if !w.Judge(arrived(c, "198.51.100.1")) || w.Judge(arrived(c, "198.51.100.1")) || w.Status().Limited != 1 {
		t.Errorf("%+v", w.Status())
	}
}

// TestOwnIsBounded: what is remembered of our own is bounded, and what was forgotten
// counts for nobody.
func TestOwnIsBounded(t *testing.T) {
	w := NewWatch(time.Second)
	start := time.Now().Truncate(time.Microsecond)
	var first event.Canary
	for i := range maxOwn + 10 {
		c := event.Canary{Sent: start.Add(time.Duration(i) * time.Microsecond)}
		if i == 0 {
			first = c
		}
		w.Sent("a", c)
	}
	w.Journaled(canaryEvent(first))
	w.Delivered("log", first, start)
	if len(w.own) != maxOwn || len(w.order) != maxOwn || len(w.Status().Sinks) != 0 {
		t.Errorf("%d remembered, %+v", len(w.own), w.Status())
	}
}

// TestTrouble: it is news once, until a canary goes out again.
func TestTrouble(t *testing.T) {
	w := NewWatch(time.Second)
	if !w.Trouble("a", "refused") || w.Trouble("a", "refused") || !w.Trouble("a", "other") {
		t.Error("news is told wrong")
	}
	w.Sent("a", New(1))
	if s := w.Status().Listeners["a"]; s.Trouble != "" || s.LastSent.IsZero() {
		t.Errorf("%+v", s)
	}
}
