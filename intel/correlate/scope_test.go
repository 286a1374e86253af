package correlate

import (
	"fmt"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestSamplingFrom: events name the part of the exporter that their rate is for.
func TestSamplingFrom(t *testing.T) {
	s := newStage(t, nil)
	rated := func(sport uint16, from string) flow.Record {
		return with(counted(sport, 10), func(r *flow.Record) {
			if r.Rate = 100; from != "" {
				r.RateFrom = &from
			}
		})
	}
	s.at(0, rated(1, "interface 10"))
	if ev := s.one(event.KindHit); ev.Sampling != 100 || ev.SamplingFrom != "interface 10" {
		t.Errorf("hit: %d from %q", ev.Sampling, ev.SamplingFrom)
	}
	s.at(time.Second, rated(2, "interface 20"))
	s.Flush(t0.Add(time.Minute))
	if ev := s.one(event.KindUpdate); ev.SamplingFrom != "interface 20" {
		t.Errorf("update: %q", ev.SamplingFrom)
	}
	s.at(2*time.Minute, rated(3, ""))
	if ev := s.one(event.KindHit); ev.SamplingFrom != "" {
		t.Errorf("of everything: %q", ev.SamplingFrom)
	}
	for i := range 2 * maxScopeTexts {
		from := fmt.Sprint("interface ", i)
		if n := s.scopes.of(&from); n != 0 && s.scopes.text(n) != from {
			t.Fatalf("%q is kept as %q", from, s.scopes.text(n))
		}
	}
	if n := len(s.scopes.texts); n != maxScopeTexts {
		t.Errorf("%d texts are kept", n)
	}
}
