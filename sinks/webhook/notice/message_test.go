package notice

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
)

var (
	hit        = eventtest.HitOf
	hostileHit = eventtest.HostileHit
	alert      = eventtest.AlertOf
)

func messageOf(events ...event.Event) *Message {
	m := &Message{MaxTLP: 2}
	for i := range events {
		m.Add(&events[i], "first contact")
	}
	return m
}

func TestText(t *testing.T) {
	second := hit(1, event.High)
	second.Local = netip.MustParseAddr("10.0.0.6")
	m := messageOf(second, hit(0, event.Critical), hit(0, event.Critical), alert("own_address_listed", "ours is listed"))
	if got, want := m.Title(), "flowsnitch pi-oslo: critical contact with 203.0.113.1 and 2 more"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	text := m.Text(func(s string) string { return "[" + s + "]" })
	for _, want := range []string{
		"critical contact with 203.0.113.1 (score 95): first contact\nWhy: [c2 listed by feodo (90); outbound, answered]\nTrigger: [20",
		" 10.0.0.5:51515 -> 203.0.113.1:443 (TCP) critical feodo https://example.net/9]\n",
		"Evidence: [203.0.113.1/32 by feodo (90), c2, https://example.net/9, botnet]\nOur side: [10.0.0.5 (2 events)]\nSensor: [pi-oslo], exporter 192.0.2.1\n",
		"What to do: Find what talks on 10.0.0.5, ",
		"medium alert [own_address_listed]\nWhy: [ours is listed]\n",
		"then ask the feed to remove it.\n",
	} {
		if !strings.Contains(strings.ReplaceAll(text, "  ", " "), want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if strings.Index(text, "203.0.113.1 ") > strings.Index(text, "203.0.113.2 ") {
		t.Errorf("the gravest is not the first:\n%s", text)
	}
}

// TestTextOfARule: whom it has seen is evidence, and each group has a key of its own.
func TestTextOfARule(t *testing.T) {
	e := eventtest.RuleAlert()
	m := messageOf(e)
	text := m.Text(func(s string) string { return "[" + s + "]" })
	for _, want := range []string{
		"high alert [rule_swarm]\nWhy: [swarm: 89 sources tried 192.0.2.25 tcp/25 at oslo within 6h, usual 28, none more than 8 times]\n",
		"\nEvidence: [Sources: 198.51.100.7 (8), 2001:db8::9 (7)]\nEvidence: [Targets: 192.0.2.25 (141)]\nEvidence: [Ports: 25]\nEvidence: [Seen once: 60, 2 times: 20, 7 times or more: 9]\n",
		"\nOur side: [192.0.2.25 at oslo (1 event)]\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if got, want := m.View(1).Notices[0].Key, "flowsnitch/pi-oslo//rule_swarm/inside 192.0.2.25, site oslo, protocol tcp, service_port 25"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTextIsBounded(t *testing.T) {
	var events []event.Event
	for n := range 500 {
		e := hostileHit()
		e.Offender = hit(n, event.High).Offender
		e.Indicators = slices.Repeat(e.Indicators, 100)
		for l := range 50 {
			e.Local = netip.AddrFrom4([4]byte{10, 0, 0, byte(l)})
			events = append(events, e)
		}
	}
	m := messageOf(events...)
	text := m.Text(func(s string) string { return s })
	if len(text) > 400_000 || !strings.Contains(text, "480 more are not named here") || !strings.Contains(text, "and more (50 events)") {
		t.Errorf("%d bytes: %.3000s", len(text), text)
	}
}

func TestAdvice(t *testing.T) {
	for want, change := range map[string]func(*event.Event){
		"Find what talks on 10.0.0.5, ":                func(*event.Event) {},
		"The border dropped it, but 10.0.0.5 tried":    func(e *event.Event) { e.Blocked = true },
		"10.0.0.5 answered: read its logs":             func(e *event.Event) { e.Direction = event.Inbound },
		"Nothing is known to have answered; block 203": func(e *event.Event) { e.Direction, e.Answered = event.Inbound, event.AnsweredNo },
		"Neither end is ours":                          func(e *event.Event) { e.Direction = event.Transit },
		"Find what talks on our host":                  func(e *event.Event) { e.Local = netip.Addr{} },
		"One of our own addresses is listed":           func(e *event.Event) { *e = alert("own_address_listed", "") },
		"One entry of a feed matches an absurd share":  func(e *event.Event) { *e = alert("entry_quarantined", "") },
		"The last good copy stays in use":              func(e *event.Event) { *e = alert("feed_held_back", "") },
		"Check what runs on 192.0.2.25, and read its logs of that time. If it is expected: `flowsnitch silence add --rule swarm --host 192.0.2.25 --for 7d": func(e *event.Event) { *e = eventtest.RuleAlert() },
		"`flowsnitch incidents show 203.0.113.9` has all": func(e *event.Event) {
			*e = eventtest.RuleAlert()
			e.Offender, e.Alert = netip.MustParseAddr("203.0.113.9"), "rule_feed_of_ours"
		},
		"Check the sources, targets and ports. If it is expected: `flowsnitch silence add --rule abc --for 7d --reason TEXT`.": func(e *event.Event) {
			*e = eventtest.RuleAlert()
			e.Local, e.Rule = netip.Addr{}, &event.Rule{Name: "a`b <c>"}
		},
		"See `flowsnitch status` and the log": func(e *event.Event) { *e = alert("other", "") },
	} {
		e := hit(0, event.High)
		change(&e)
		if got := advice(&e); !strings.HasPrefix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestTextOfARestrictedRule: of an alert that rests on listings that may not be shown, neither the
// evidence nor the lines for firewalls leave, and alerts about different hosts stay apart.
func TestTextOfARestrictedRule(t *testing.T) {
	e := eventtest.RuleAlert()
	if text := messageOf(e).Text(strings.TrimSpace); !strings.Contains(text, "\nEvidence: Stop it: nft add rule inet filter input ip daddr 192.0.2.25 ") {
		t.Errorf("no line for firewalls in\n%s", text)
	}
	restricted := *e.Rule
	restricted.TLP = "amber"
	e.Rule = &restricted
	m := messageOf(e)
	text := m.Text(strings.TrimSpace)
	for _, not := range []string{"198.51.100.7", "nft", "89 sources", "Sources"} {
		if strings.Contains(text, not) {
			t.Errorf("%s is in\n%s", not, text)
		}
	}
	if !strings.Contains(text, "1 listing not shown (TLP)") || !strings.Contains(text, "high alert rule_swarm") {
		t.Errorf("got\n%s", text)
	}
	other := e
	other.Local = netip.MustParseAddr("192.0.2.26")
	if a, b := m.View(1).Notices[0].Key, messageOf(other).View(1).Notices[0].Key; a == b {
		t.Errorf("both have the key %s", a)
	}
}
