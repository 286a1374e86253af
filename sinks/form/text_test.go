package form

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
)

func TestAppendText(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::5")
	stamp := eventtest.At.Local().Format("2006-01-02 15:04:05") + "  "
	for name, tc := range map[string]struct {
		event  func() event.Event
		change func(*event.Event)
		want   string
	}{
		"hit": {eventtest.Hit, func(*event.Event) {},
			"10.0.0.5:51515 -> 203.0.113.9:443 (TCP) critical  feodo, otx https://example.net/9"},
		"v6": {eventtest.Hit, func(e *event.Event) { e.Src, e.Protocol = v6, 17 },
			"[2001:db8::5]:51515 -> 203.0.113.9:443 (UDP) critical  feodo, otx https://example.net/9"},
		"no ports": {eventtest.Hit, func(e *event.Event) { e.Src, e.HasPorts, e.Protocol = v6, false, 58 },
			"2001:db8::5 -> 203.0.113.9 (IPV6-ICMP) critical  feodo, otx https://example.net/9"},
		"NAT": {eventtest.Hit, func(e *event.Event) { e.Dst, e.Role = v6, flow.SidePostNATDst },
			"10.0.0.5:51515 -> [2001:db8::5]:443 [nat_dst 203.0.113.9] (TCP) critical  feodo, otx https://example.net/9"},
		"at a site": {eventtest.Hit, func(e *event.Event) { e.Site = "oslo" },
			"10.0.0.5:51515 -> 203.0.113.9:443 (TCP) at oslo critical  feodo, otx https://example.net/9"},
		"no addresses": {eventtest.Hit, func(e *event.Event) {
			e.Src, e.Dst, e.Offender, e.HasProtocol = netip.Addr{}, netip.Addr{}, netip.Addr{}, false
		},
			"- -> - critical  feodo, otx https://example.net/9"},
		"feed twice": {eventtest.Hit, func(e *event.Event) { e.Indicators[1].Feed, e.Indicators[0].Ref = "feodo", "" },
			"10.0.0.5:51515 -> 203.0.113.9:443 (TCP) critical  feodo"},
		"update": {eventtest.Hit, func(e *event.Event) { e.Kind, e.Flows = event.KindUpdate, 3 },
			"10.0.0.5:51515 -> 203.0.113.9:443 (TCP) critical update: 3 flows, 9 packets, 6444 bytes, answered  feodo, otx https://example.net/9"},
		"canary": {eventtest.Hit, func(e *event.Event) { e.Kind, e.Severity, e.Indicators = event.KindCanary, event.Low, nil },
			"10.0.0.5:51515 -> 203.0.113.9:443 (TCP) low canary"},
		"alert": {eventtest.Alert, func(*event.Event) {},
			"ALERT high own_address_listed 198.51.100.7  our 198.51.100.7 is listed by otx  otx"},
		"bare alert": {eventtest.Alert, func(e *event.Event) { *e = event.Event{Kind: e.Kind, Time: e.Time, Alert: "feed_held", Reason: "x"} },
			"ALERT low feed_held  x"},
	} {
		e := tc.event()
		tc.change(&e)
		if got, want := string(AppendText(nil, &e, false)), stamp+tc.want+"\n"; got != want {
			t.Errorf("%s:\ngot  %swant %s", name, got, want)
		}
	}
}

func TestAppendTextColour(t *testing.T) {
	e := eventtest.Hit()
	got := string(AppendText(nil, &e, true))
	for _, want := range []string{"10.0.0.5:51515 -> \x1b[1m203.0.113.9\x1b[0m:443", "\x1b[31mcritical\x1b[0m"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
	for severity, want := range map[event.Severity]string{
		event.High: "\x1b[31mhigh\x1b[0m", event.Medium: "\x1b[33mmedium\x1b[0m", event.Low: " low ",
	} {
		e.Severity = severity
		if got := string(AppendText(nil, &e, true)); !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}

func TestAppendTextFolded(t *testing.T) {
	e := eventtest.Hit()
	e.Kind, e.Answered, e.Refused, e.Folded = event.KindUpdate, event.AnsweredNo, true, true
	e.Ports, e.Hosts = 12, 1
	if got := string(AppendText(nil, &e, false)); !strings.Contains(got, " bytes, refused, 12 ports, 1 host  feodo") {
		t.Errorf("got %s", got)
	}
	e.Refused, e.Ports, e.Hosts, e.HostsCapped = false, 1, 1000, true
	if got := string(AppendText(nil, &e, false)); !strings.Contains(got, " bytes, 1 port, more than 1000 hosts  feodo") {
		t.Errorf("got %s", got)
	}
}

func TestAppendTextNamesManyFeeds(t *testing.T) {
	e := eventtest.Hit()
	e.Indicators = nil
	for _, feed := range strings.Fields("a b c d e f g h i j") {
		e.Indicators = append(e.Indicators, event.Indicator{Feed: feed})
	}
	if got := string(AppendText(nil, &e, false)); !strings.HasSuffix(got, "  a, b, c, d, e, f, g, h, …\n") {
		t.Errorf("got %s", got)
	}
}

func TestAppendTextHostile(t *testing.T) {
	for _, make := range []func() event.Event{eventtest.Hit, eventtest.Alert} {
		for _, s := range eventtest.Hostile {
			e := make()
			eventtest.Poison(&e, s)
			checkText(t, AppendText(nil, &e, false))
		}
	}
}

// checkText holds that a line drives no terminal.
func checkText(t *testing.T, line []byte) {
	t.Helper()
	body, ok := bytes.CutSuffix(line, []byte("\n"))
	if !ok || !utf8.Valid(line) || len(line) > 4000 {
		t.Errorf("not one line of text within 4000 bytes: %q", line)
	}
	if i := bytes.IndexFunc(body, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("not printable at %d: %q", i, line)
	}
}

func FuzzAppendText(f *testing.F) {
	for i, s := range eventtest.Hostile {
		f.Add(s, eventtest.Hostile[(i+1)%len(eventtest.Hostile)], i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, everywhere, reason string, alert bool) {
		e := eventtest.Hit()
		if alert {
			e = eventtest.Alert()
		}
		eventtest.Poison(&e, everywhere)
		e.Reason = reason
		checkText(t, AppendText(nil, &e, false))
	})
}
