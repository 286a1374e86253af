package score

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

func TestScore(t *testing.T) {
	one := inEvent(c2("feodo", 90))
	for _, c := range []struct {
		name     string
		listings []event.Indicator
		want     int
	}{
		{"none", nil, 0},
		{"one", one, 90},
		{"two", inEvent(c2("a", 60), c2("b", 50)), 65},
		{"three", inEvent(c2("a", 60), c2("b", 50), c2("c", 1)), 70},
		{"four count as three", inEvent(c2("a", 60), c2("b", 50), c2("c", 1), c2("d", 1)), 70},
		{"one feed twice", inEvent(c2("a", 60), c2("a", 50)), 60},
		{"at most 100", inEvent(c2("a", 98), c2("b", 98)), 100},
	} {
		if got := Base(c.listings); got != c.want {
			t.Errorf("%s: base score %d, want %d", c.name, got, c.want)
		}
	}
}

func TestFactors(t *testing.T) {
	f := DefaultFactors()
	for _, c := range []struct {
		direction         event.Direction
		answered, blocked bool
		base              int
		want              uint8
	}{
		{event.Outbound, true, false, 95, 95},
		{event.Outbound, false, false, 95, 76},
		{event.Outbound, false, true, 95, 67}, // 66.5
		{event.Outbound, true, true, 95, 67},
		{event.Internal, true, false, 95, 76},
		{event.Internal, false, true, 95, 76},
		{event.Inbound, true, false, 95, 67},
		{event.Inbound, false, false, 95, 29}, // 28.5
		{event.Inbound, false, true, 95, 19},
		{event.Transit, true, false, 95, 48}, // 47.5
		{event.Transit, false, true, 0, 0},
		{event.Outbound, true, false, 100, 100},
	} {
		if got := f.Score(c.base, c.direction, c.answered, c.blocked); got != c.want {
			t.Errorf("%d %s, answered %v, blocked %v: score %d, want %d", c.base, c.direction, c.answered, c.blocked, got, c.want)
		}
	}
}

func TestReason(t *testing.T) {
	long := "x" + strings.Repeat("ä", 100) // a cut at an even length splits a letter
	many := inEvent(c2(long+"1", 100), c2(long[:61], 100), c2(long[:59], 100), c2("d", 1))
	many[0].Category = long
	plain := c2("ours", 80)
	plain.Category = ""
	for _, c := range []struct {
		listings  []event.Indicator
		direction event.Direction
		answered  event.Answered
		blocked   bool
		want      string
	}{
		{inEvent(c2("feodo", 90), c2("otx", 75)), event.Outbound, event.AnsweredYes, false,
			"c2 listed by feodo (90), otx (75); outbound, answered"},
		{inEvent(c2("a", 90), c2("a", 80), c2("b", 70), c2("c", 60), c2("d", 50), c2("e", 50), c2("d", 1)), event.Inbound, event.AnsweredNo, false,
			"c2 listed by a (90), b (70), c (60) and 2 more; inbound, not answered"},
		{inEvent(plain), event.Inbound, event.AnsweredUnknown, true, "listed by ours (80); inbound, blocked"},
		{nil, event.Transit, event.AnsweredUnknown, false, "listed; transit"},
	} {
		if got := Reason(&event.Event{Indicators: c.listings, Direction: c.direction, Answered: c.answered, Blocked: c.blocked}); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	got := Reason(&event.Event{Indicators: many, Direction: event.Outbound, Answered: event.AnsweredNo})
	if len(got) > 200 || strings.ToValidUTF8(got, "?") != got {
		t.Errorf("%d bytes: %q, want at most 200 of valid UTF-8", len(got), got)
	}
}

// inEvent gives indicators as an event has them.
func inEvent(listed ...intel.Indicator) []event.Indicator {
	out := make([]event.Indicator, len(listed))
	for i := range listed {
		out[i] = event.Indicator(listed[i])
	}
	return out
}

func c2(feed string, score uint8) intel.Indicator {
	return intel.Indicator{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Feed: feed, Score: score, Category: "c2"}
}
