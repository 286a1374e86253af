package detect

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/compact"
)

// alertOf gives the first alert of a rule.
func alertOf(t *testing.T, name string, alerts []Alert) *Alert {
	t.Helper()
	i := slices.IndexFunc(alerts, func(a Alert) bool { return a.Rule.Name == name })
	if i < 0 {
		t.Fatalf("no alert of %s, but of %v", name, names(alerts))
	}
	return &alerts[i]
}

// TestSentences: what people read of each shipped rule.
func TestSentences(t *testing.T) {
	start := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	bad, us := address("203.0.113.9"), address("10.0.0.5")
	host := func(n int) flow.Addr6 { return flow.Mapped(10<<24 | uint32(n)) }
	hits := func(n int, every time.Duration, make func(i int, when time.Time) rule.Observation) []Alert {
		e := engine(t, rule.Hits)
		oslo := e.Text("oslo")
		for i := range n {
			o := make(i, start.Add(time.Duration(i)*every))
			o.Site = oslo
			e.Observe(&o)
		}
		return e.Alerts()
	}
	tries := func(to func(i int) (flow.Addr6, uint16)) func(i int, when time.Time) rule.Observation {
		return func(i int, when time.Time) rule.Observation {
			local, port := to(i)
			return hit(when, bad, local, port, 1, 0)
		}
	}
	for name, tc := range map[string]struct {
		alerts []Alert
		want   string
	}{
		"contact_source": {hits(20, 10*time.Second, tries(func(i int) (flow.Addr6, uint16) { return host(i % 10), 22 })),
			"20 flows from 203.0.113.9 to our hosts within 10m, no answer known"},
		"contact_pair": {hits(10, time.Second, tries(func(int) (flow.Addr6, uint16) { return us, 22 })),
			"10 flows from 203.0.113.9 to 10.0.0.5 at oslo within 10m, no answer known"},
		"same_service": {hits(10, time.Second, tries(func(int) (flow.Addr6, uint16) { return us, 22 })),
			"10 flows from 203.0.113.9 to 10.0.0.5 tcp/22 within 10m, no answer known"},
		"services_source": {hits(5, time.Second, tries(func(i int) (flow.Addr6, uint16) { return host(i), uint16(20 + i) })),
			"203.0.113.9 tried 5 services of our hosts within 10m, no answer known"},
		"services_pair": {hits(5, time.Second, tries(func(i int) (flow.Addr6, uint16) { return us, uint16(20 + i) })),
			"203.0.113.9 tried 5 services of 10.0.0.5 at oslo within 10m, no answer known"},
		"answered_after": {hits(6, time.Second, func(i int, when time.Time) rule.Observation { return hit(when, bad, us, 22, 1, uint8(i/5)) }),
			"A listed address got an answer after many tries: 203.0.113.9 and 10.0.0.5 at oslo within 10m"},
		"fan_in": {hits(20, time.Minute, tries(func(i int) (flow.Addr6, uint16) { return host(i), 22 })),
			"203.0.113.9 tried 20 of our hosts within 1h"},
		"fan_out": {hits(10, time.Minute, func(i int, when time.Time) rule.Observation { return hit(when, source(i), us, 443, 0, 2) }),
			"10.0.0.5 called 10 listed addresses at oslo within 1h"},
		"swarm_hits": {hits(20, 15*time.Minute, func(i int, when time.Time) rule.Observation { return hit(when, source(i), us, 25, 1, 2) }),
			"20 listed addresses tried 10.0.0.5 tcp/25 at oslo within 6h, none more than 8 times"},
		"beacon": {hits(7, time.Hour, func(i int, when time.Time) rule.Observation {
			return hit(when.Add(time.Duration(i%3)*time.Minute), bad, us, 443, 0, 1)
		}), "10.0.0.5 called 203.0.113.9 6 times at oslo within 7d, every 1h, spread 2.2 %"},
		"volume_out": {hits(4, time.Minute, func(_ int, when time.Time) rule.Observation {
			o := hit(when, bad, us, 443, 0, 1)
			o.BytesOut = 30_400_000
			return o
		}), "10.0.0.5 sent 122 MB to 203.0.113.9 at oslo within 1h"},
		"swarm": {observeContacts(engine(t, rule.Contacts), swarm(28), time.Hour),
			"89 sources tried 192.0.2.25 tcp/25 within 6h, usual 28, none more than 8 times"},
		"lockstep": {observeContacts(engine(t, rule.Contacts), steps(address("198.51.100.21"), address("203.0.113.21"), func(i int) time.Duration { return time.Duration(i%2) * time.Second }, scanned), time.Hour),
			"198.51.100.21 and 203.0.113.21 tried the same 17 ports of 192.0.2.80 within 1h, at most 2s apart, none answered"},
	} {
		a := alertOf(t, name, tc.alerts)
		if got, want := a.Sentence(), name+": "+tc.want; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		checkEvent(t, a)
	}
}

// TestSentencesOfAllRules: no shipped rule is without a test of its sentence.
func TestSentencesOfAllRules(t *testing.T) {
	b := shipped(t)
	for _, r := range b {
		if r.Generate && !r.Disabled && !slices.Contains([]string{"contact_source", "contact_pair", "same_service", "services_source", "services_pair", "answered_after",
			"fan_in", "fan_out", "swarm_hits", "beacon", "volume_out", "swarm", "lockstep"}, r.Name) {
			t.Errorf("%s has no test in TestSentences", r.Name)
		}
	}
}

// checkEvent holds what every event of an alert has.
func checkEvent(t *testing.T, a *Alert) {
	t.Helper()
	e := a.Event("pi-oslo")
	if e.Kind != event.KindAlert || e.Alert != "rule_"+a.Rule.Name || e.ID != a.ID || !e.Time.Equal(a.To) || e.Sensor != "pi-oslo" ||
		e.Severity != a.Rule.Level || event.SeverityOf(int(e.Score)) != e.Severity || e.Reason != a.Sentence() || e.Rule == nil {
		t.Errorf("got %+v", e)
	}
	if want := a.Rule.Correlation.Type.String(); e.Rule.Type != want || e.Rule.Count != a.Count || e.Rule.Threshold != a.Threshold || len(e.Rule.Stop) != 0 {
		t.Errorf("got %+v", e.Rule)
	}
	for name, field := range map[string]netip.Addr{"offender": e.Offender, "outside": e.Offender, "local": e.Local, "inside": e.Local} {
		if want := e.Rule.Of(name); want != "" && field.String() != want {
			t.Errorf("%s: got %s, want %s", name, field, want)
		}
	}
	line := event.AppendJSON(nil, &e)
	got, err := event.ParseJSON(line)
	if err != nil || len(line) > event.MaxLine || got.Rule.LeftOut != 0 || got.Rule.Count != e.Rule.Count || !slices.Equal(got.Rule.Sources, e.Rule.Sources) {
		t.Errorf("%v in %s", err, line)
	}
	b, cut := compact.Append(nil, &e)
	if got, err := compact.Decode(b); err != nil || cut || !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v, cut %v, %v", got, cut, err)
	}
}

// TestEvent: what the event has of the group, of the rule, and of a long histogram.
func TestEvent(t *testing.T) {
	a := *alertOf(t, "swarm", observeContacts(engine(t, rule.Contacts), swarm(28), time.Hour))
	a.Histogram = nil
	for i := range 20 {
		a.Histogram = append(a.Histogram, Bar{Times: uint64(i + 1), Values: 2})
	}
	e := a.Event("x")
	if e.Local != netip.MustParseAddr("192.0.2.25") || e.Offender.IsValid() || !e.HasProtocol || e.Protocol != 6 || e.ServicePort != 25 || e.Direction != event.Inbound {
		t.Errorf("got %+v", e)
	}
	if h := e.Rule.Histogram; len(h) != 16 || h[15] != (event.RuleBar{Times: 16, Values: 10}) || !e.Rule.OrMore {
		t.Errorf("got %+v", e.Rule)
	}
	if want := []event.RuleField{{Field: "inside", Value: "192.0.2.25"}, {Field: "protocol", Value: "tcp"}, {Field: "service_port", Value: "25"}}; !slices.Equal(e.Rule.Group, want) {
		t.Errorf("got %v, want %v", e.Rule.Group, want)
	}
}

// TestSentenceOfOthers: rules that people may write.
func TestSentenceOfOthers(t *testing.T) {
	for _, tc := range []struct {
		rule  string
		alert Alert
		want  string
	}{
		{"where: {answered: yes}\ncorrelation: {type: value_count, group-by: [local], timespan: 2d, condition: {field: country, gte: 5}}",
			Alert{Group: []Pair{{"local", "10.0.0.5"}}, Count: 7, Failure: 0.1, Update: true},
			"about 7 values of country between listed addresses and 10.0.0.5 within 2d, all answered, at least twice as many as in the last alert"},
		{"correlation: {type: value_count, group-by: [feed], timespan: 90m, condition: {field: offender, gte: 5}, each: {gte: 3}}",
			Alert{Group: []Pair{{"feed", "otx"}}, Count: 7}, "7 listed addresses were in contact with our hosts (feed otx) within 90m, each at least 3 times"},
		{"where: {direction: outbound}\ncorrelation: {type: value_count, group-by: [offender, service_port], timespan: 1h, condition: {field: local, gte: 5}}",
			Alert{Group: []Pair{{"offender", "203.0.113.9"}, {"service_port", "53"}}, Count: 5}, "5 of our hosts called 203.0.113.9 port 53 within 1h"},
		{"correlation: {type: value_sum, group-by: [site], timespan: 1h, condition: {field: packets_in, gte: 500}}",
			Alert{Group: []Pair{{"site", "oslo"}}, Count: 999}, "our hosts received 999 packets from listed addresses at oslo within 1h"},
		{"correlation: {type: value_sum, group-by: [protocol], timespan: 1h, condition: {field: flows, gte: 500}}",
			Alert{Group: []Pair{{"protocol", "udp"}}, Count: 999}, "999 flows from listed addresses to our hosts udp within 1h"},
		{"over: contacts\nwhere: {direction: inbound, answered: no}\ncorrelation: {type: rise, group-by: [inside], timespan: 1h, condition: {field: outside, gte: 50}, cold: 200}",
			Alert{Group: []Pair{{"inside", "192.0.2.25"}}, Count: 60, Threshold: 50}, "60 sources tried 192.0.2.25 within 1h, usual 0, none answered"},
		{"over: contacts\nwhere: {direction: outbound}\ncorrelation: {type: rise, group-by: [inside], timespan: 1h, condition: {field: outside, gte: 50}, cold: 200}",
			Alert{Group: []Pair{{"inside", "192.0.2.25"}}, Count: 200, Threshold: 200}, "192.0.2.25 called 200 addresses outside within 1h"},
	} {
		list, bad := rule.Read("test.yml", []byte("title: A title\nname: own\n"+tc.rule+"\n"))
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		tc.alert.Rule = list[0]
		if got := tc.alert.Sentence(); got != "own: "+tc.want {
			t.Errorf("got  %s\nwant own: %s", got, tc.want)
		}
	}
}

func TestSizesAndIntervals(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 999_600: "1 MB", 100_000_000: "100 MB", 1_234_000_000: "1.23 GB"} {
		if got := size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	for d, want := range map[string]string{"1h0m12s": "1h", "1h1m10s": "1h1m", "59.6s": "1m", "1m1.2s": "1m1s", "2.34s": "2.3s", "24h": "24h", "20s": "20s", "10m20s": "10m20s", "9.96s": "10s"} {
		v, err := time.ParseDuration(d)
		if got := interval(v); err != nil || got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

// TestInStep: many addresses in step are not all named.
func TestInStep(t *testing.T) {
	var list []Share
	for i, want := range []string{"several listed addresses", "a", "a and b", "a, b and 1 more", "a, b and 2 more"} {
		w := words{Alert: &Alert{Rule: &rule.Rule{}, Sources: list}}
		if got := w.inStep(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		list = append(list, Share{Value: string(rune('a' + i))})
	}
	w := words{Alert: &Alert{Rule: &rule.Rule{}, Sources: slices.Repeat(list[:1], mostShares)}}
	if got := w.inStep(); !strings.HasSuffix(got, "and at least 6 more") {
		t.Error(got)
	}
}

// TestRestrictedEvidence: an alert has the most restricted label of all listings that its group
// has met, over a restart, too; one of contacts has none.
func TestRestrictedEvidence(t *testing.T) {
	start := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for name, restart := range map[string]bool{"": false, "restart": true} {
		e := engine(t, rule.Hits)
		for i := range 10 {
			o := hit(start.Add(time.Duration(i)*time.Second), address("203.0.113.9"), address("10.0.0.5"), 22, 1, 0)
			if i == 3 {
				o.TLP = 3
			}
			if i == 5 && restart {
				next := engine(t, rule.Hits)
				if err := next.Restore(e.Save()); err != nil {
					t.Fatal(err)
				}
				e = next
			}
			e.Observe(&o)
		}
		a := alertOf(t, "contact_pair", e.Alerts())
		if got := a.Event("x").Rule.TLP; got != "amber" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	a := alertOf(t, "swarm", observeContacts(engine(t, rule.Contacts), swarm(28), time.Hour))
	if got := a.Event("x").Rule.TLP; got != "" {
		t.Errorf("an alert of contacts has %q", got)
	}
	for rank := range uint8(9) {
		a.TLP = rank
		if got := intel.TLPRank(a.Event("x").Rule.TLP); got != min(int(rank), 5) {
			t.Errorf("rank %d: got %d", rank, got)
		}
	}
}
