package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestIncidentsAlerts: what a rule has found about a host of ours is shown with the host, though
// there is no incident, and the same by a running instance; that about an offender with its incident.
func TestIncidentsAlerts(t *testing.T) {
	config, _ := undisturbed(t)
	alert := func(name, offender, local string) event.Event {
		e := event.Event{Kind: event.KindAlert, ID: uuid.New(), Time: time.Now().Add(-time.Minute), Alert: "rule_" + name, Severity: event.High, Reason: name + ": " + evil,
			Rule: &event.Rule{Name: name, Type: "rise", Count: 89, Threshold: 84, Usual: 28, Group: []event.RuleField{{Field: "inside", Value: local}},
				Sources: []event.RuleShare{{Value: "198.51.100.7", Count: 8}, {Value: evil, Count: 1}}}}
		if offender != "" {
			e.Offender = netip.MustParseAddr(offender)
		}
		if local != "" {
			e.Local = netip.MustParseAddr(local)
		}
		return e
	}
	remember(t, config, talk("62.0.0.1", "10.1.2.77", event.Outbound, event.AnsweredYes, 95, 7), alert("swarm", "", "192.0.2.25"), alert("beacon", "62.0.0.1", "10.1.2.77"))
	look := func() {
		for a, want := range map[string][]string{
			"192.0.2.25": {"192.0.2.25 | no incident of it", "rule_swarm: swarm", "count 89, threshold 84, usual 28; most active: 198.51.100.7 (8)"},
			"62.0.0.1":   {"\nAlerts\n", "rule_beacon: beacon"},
			"10.1.2.77":  {"\nAlerts\n", "rule_beacon: beacon"},
		} {
			r := command(t, "incidents", "show", "-c", config, a)
			one := strings.Join(strings.Fields(r.out), " ")
			for _, w := range want {
				if r.code != exitDone || !strings.Contains(r.out, w) && !strings.Contains(one, w) {
					t.Errorf("%s: no %q in %+v", a, w, r)
				}
			}
			if strings.ContainsAny(r.out, "\x1b\u202e\u009b") {
				t.Errorf("%s: control characters", a)
			}
			j := command(t, "incidents", "show", "--json", "-c", config, a)
			if !strings.Contains(j.out, `"alerts":[{`) || !strings.Contains(j.out, `"threshold":84`) {
				t.Errorf("%s: %s", a, j.out)
			}
		}
	}
	look()
	if r := command(t, "incidents", "show", "-c", config, "192.0.2.26"); r.code == exitDone {
		t.Errorf("%+v", r)
	}
	startInstance(t, config)
	look()
}
