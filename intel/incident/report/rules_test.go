package report

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// raised are a swarm, which has no offender, and an alert that rests on a listing of TLP red.
func raised() []incident.Raised {
	when := from.Add(30 * time.Hour)
	host := netip.MustParseAddr("10.0.0.25")
	swarm := &incident.Evidence{Rule: "swarm", Type: "rise", Count: 190, Error: 0.065, Threshold: 84, Usual: 28, From: when.Add(-6 * time.Hour), To: when,
		Group:   []incident.Part{{Field: "inside", Value: "10.0.0.25"}, {Field: "protocol", Value: "tcp"}, {Field: "service_port", Value: "25"}, {Field: "site", Value: hostile}},
		Sources: []incident.EvidenceShare{{Value: "198.51.100.7", Count: 8}, {Value: hostile, Count: 7}}, Ports: []event.RulePort{{Port: 25, Count: 190}, {Port: 587, Count: 1}},
		Histogram: []incident.EvidenceBar{{Times: 1, Values: 100}, {Times: 2, Values: 45}}, Stop: []string{"nft add element inet flowsnitch block { 198.51.100.7 }"}}
	secret := &incident.Evidence{Rule: "fan_in", Type: "value_count", Count: 20, Threshold: 20, Group: []incident.Part{{Field: "offender", Value: "198.51.100.99"}}}
	return []incident.Raised{
		{Alert: incident.Alert{Name: "rule_swarm", Severity: event.High, Reason: "swarm: about 190 sources " + hostile, Host: host, Evidence: swarm}, Times: 2, First: when.Add(-time.Hour), Last: when},
		{Alert: incident.Alert{Name: "rule_fan_in", Severity: event.Medium, Reason: "fan_in: 198.51.100.99 is in secret", Offender: netip.MustParseAddr("198.51.100.99"), Evidence: secret, TLP: "red"}, Times: 1, First: when, Last: when},
	}
}

// TestRules: what rules have found is in each form with its evidence, without a host of ours in
// the place of an offender, and withheld where listings are restricted; histogram, days and totals
// are those of the history, and what the history lacks is stated.
func TestRules(t *testing.T) {
	o := options()
	var asked []AttackedService
	n := &Attempts{Tries: 3072, Sources: 1942, Days: []TryDay{{"2026-11-11", 468}, {"2026-11-12", 1307}}, Histogram: []TryBar{{1, 1235}, {2, 469}}}
	o.Count = func(_ context.Context, s AttackedService, from, until time.Time) (*Attempts, error) {
		asked = append(asked, s)
		n.From, n.Until = from, until
		return n, nil
	}
	r := made(t, week(), o)
	if want := []AttackedService{{netip.MustParseAddr("10.0.0.25"), "tcp", 25}}; !reflect.DeepEqual(asked, want) {
		t.Errorf("counted %v, want %v", asked, want)
	}
	var text, page, again bytes.Buffer
	for _, err := range []error{r.Text(&text), r.HTML(&page), r.JSON(&again)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	read, err := Read(&again, r.zone)
	if err != nil || !reflect.DeepEqual(read.Rules, r.Rules) || read.MoreRules != 3 {
		t.Errorf("read again: %+v, %v", read.Rules, err)
	}
	for _, want := range []string{"WHAT RULES HAVE FOUND\n  high swarm, 2 times, first", "count about 190 (standard error 6.5 %), threshold 84, usual 28", "most active: 198.51.100.7 (8)",
		"3072 tries by 1942", "\n  once                     #################### 1235 addresses\n", "\n  2 times                  ########             469 addresses\n",
		"\n  2026-11-12               #################### 1307 tries\n", "\n      nft add element inet flowsnitch block { 198.51.100.7 }\n", "medium fan_in, once", restrictedReason, "and 3 more"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	for _, out := range []string{text.String(), page.String()} {
		if strings.Contains(out, "198.51.100.99") || strings.ContainsAny(out, "\x1b\u202e") {
			t.Error("restricted or hostile text is shown")
		}
	}
	if !strings.Contains(page.String(), "1307") || strings.Contains(page.String(), "<script") {
		t.Error("no count, or a script, in the page")
	}
	o.MaxTLP, n.Error, n.Missing, n.Lost, n.More = "red", "", 2, 7, true
	text.Reset()
	r = made(t, week(), o)
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"198.51.100.99", "the history has nothing of 2 days", "the history lost 7 flows", "more than 1942 addresses"} {
		if !strings.Contains(strings.Join(strings.Fields(text.String()), " "), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	o.Count = func(context.Context, AttackedService, time.Time, time.Time) (*Attempts, error) {
		return nil, errors.New("no history")
	}
	if r = made(t, week(), o); r.Rules[0].Attempts == nil || r.Rules[0].Attempts.Error != "no history" || len(r.Rules[0].charts()) != 1 {
		t.Errorf("%+v", r.Rules[0].Attempts)
	}
}
