package sinks

import (
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
)

func TestFilter(t *testing.T) {
	tests := []struct {
		filter     Filter
		hit, alert bool // critical outbound, listed by feodo and otx; high, listed by otx
	}{
		{Filter{}, true, true},
		{Filter{MinSeverity: "low"}, true, true},
		{Filter{MinSeverity: "high"}, true, true},
		{Filter{MinSeverity: "critical"}, true, false},
		{Filter{Directions: []event.Direction{event.Inbound}}, false, true},
		{Filter{Directions: []event.Direction{event.Inbound, event.Outbound}}, true, true},
		{Filter{Feeds: []string{"feodo"}}, true, false},
		{Filter{Feeds: []string{"none", "otx"}}, true, true},
		{Filter{Feeds: []string{"none"}}, false, false},
		{Filter{Kinds: []event.Kind{event.KindAlert}}, false, true},
		{Filter{Kinds: []event.Kind{event.KindHit, event.KindUpdate}, MinSeverity: "critical"}, true, false},
	}
	for _, tt := range tests {
		h, a := eventtest.Hit(), eventtest.Alert()
		if err := tt.filter.Validate(); err != nil {
			t.Error(err)
		}
		if got, want := [2]bool{tt.filter.passes(&h), tt.filter.passes(&a)}, [2]bool{tt.hit, tt.alert}; got != want {
			t.Errorf("%+v: got %v, want %v", tt.filter, got, want)
		}
	}
	for _, kind := range []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary} {
		e := eventtest.Hit()
		e.Kind, e.Silenced = kind, "k7xq2mfa"
		if got, want := (Filter{}).passes(&e), kind == event.KindCanary; got != want {
			t.Errorf("silenced %s: passes %v, want %v", kind, got, want)
		}
		if !(Filter{Silenced: true}).passes(&e) {
			t.Errorf("silenced %s is kept back from a sink that takes silenced events", kind)
		}
	}
	if e := (event.Event{Kind: event.KindAlert}); !(Filter{Feeds: []string{"otx"}}).passes(&e) {
		t.Error("an alert without indicators is kept back by feeds")
	}
}

// TestRateLimit gives the times of events in milliseconds and which of them pass.
func TestRateLimit(t *testing.T) {
	tests := []struct {
		name  string
		limit RateLimit
		at    []int
		want  string
	}{
		{"none", RateLimit{}, []int{0, 0, 0, 0}, "++++"},
		{"burst", RateLimit{Rate: 1, Burst: 3}, []int{0, 0, 0, 0, 0}, "+++--"},
		{"refill", RateLimit{Rate: 10, Burst: 2}, []int{0, 0, 0, 99, 100, 100, 200, 5000, 5000, 5000}, "++--+-+++-"},
		{"less than one a second", RateLimit{Rate: 0.5, Burst: 1}, []int{0, 1000, 2000, 3999, 4000}, "+-+-+"},
		{"clock set back", RateLimit{Rate: 1, Burst: 1}, []int{9000, 1000, 1500, 2000, 2100}, "+--+-"},
	}
	for _, tt := range tests {
		var b Bucket
		got := ""
		for _, ms := range tt.at {
			got += map[bool]string{true: "+", false: "-"}[b.passes(tt.limit, eventtest.At.Add(time.Duration(ms)*time.Millisecond))]
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestRateLimitOfThePast: an event from before its listing neither refills the bucket nor
// passes it by.
func TestRateLimitOfThePast(t *testing.T) {
	limit := RateLimit{Rate: 1, Burst: 2}
	live, past := event.Event{Time: eventtest.At}, event.Event{Time: eventtest.At.AddDate(0, 0, -20), Retro: true}
	var b Bucket
	got := ""
	for _, e := range []*event.Event{&live, &past, &live, &past, &live} {
		got += map[bool]string{true: "+", false: "-"}[b.passesEvent(limit, e)]
	}
	if got != "++---" {
		t.Errorf("got %s, want ++---", got)
	}
}

func TestRunnerConfig(t *testing.T) {
	if err := DefaultRunnerConfig().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*RunnerConfig){
		"filter.min_severity: \"urgent\" is not valid; use one of low, medium, high, critical": func(c *RunnerConfig) { c.Filter.MinSeverity = "urgent" },
		"filter.directions[1]:": func(c *RunnerConfig) { c.Filter.Directions = []event.Direction{event.Inbound, "up"} },
		"filter.kinds[0]:":      func(c *RunnerConfig) { c.Filter.Kinds = []event.Kind{"incident"} },
		"limit.rate:":           func(c *RunnerConfig) { c.Limit.Rate = -1 },
		"limit.burst:":          func(c *RunnerConfig) { c.Limit.Rate = 1 },
		"batch:":                func(c *RunnerConfig) { c.Batch = 0 },
		"timeout:":              func(c *RunnerConfig) { c.Timeout = -1 },
		"backoff_min:":          func(c *RunnerConfig) { c.BackoffMin = 0 },
		"backoff_max:":          func(c *RunnerConfig) { c.BackoffMax = c.BackoffMin - 1 },
		"drain:":                func(c *RunnerConfig) { c.Drain = -1 },
	} {
		c := DefaultRunnerConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
