package store

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// swarmOf is an alert of the rule swarm about a host.
func swarmOf(host string, count uint64, after time.Duration) event.Event {
	return event.Event{
		Kind: event.KindAlert, ID: uuid.New(), Time: t0.Add(after), Alert: "rule_swarm", Severity: event.High, Local: netip.MustParseAddr(host),
		Reason: fmt.Sprintf("swarm: %d sources tried %s tcp/25 within 6h", count, host),
		Rule: &event.Rule{
			Name: "swarm", Title: "Many sources, few tries each\n\x1b[31m", Type: "rise",
			Group: []event.RuleField{{Field: "inside", Value: host}, {Field: "protocol", Value: "tcp"}, {Field: "service_port", Value: "25"}},
			Count: count, Threshold: 50, Usual: 28, Error: math.NaN(), From: t0.Add(after - 6*time.Hour), To: t0.Add(after), Update: count > 100,
			Sources: []event.RuleShare{{Value: "198.51.100.1", Count: 8}}, Ports: []event.RulePort{{Port: 25, Count: 99}},
			Histogram: []event.RuleBar{{Times: 1, Values: 60}, {Times: 2, Values: 20}}, OrMore: true,
			Stop: []string{"nft add rule x", strings.Repeat("y", 300)}, Interval: 90 * time.Second, Spread: 0.1, LeftOut: 3,
		},
	}
}

// TestAlerts: what rules have found is kept whole, whether an offender is known or not, and an
// alert that comes twice is kept once.
func TestAlerts(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		first, second := swarmOf("192.0.2.25", 89, 0), swarmOf("192.0.2.25", 190, time.Hour)
		other := swarmOf("192.0.2.80", 60, 2*time.Hour)
		beacon := event.Event{Kind: event.KindAlert, ID: uuid.New(), Time: t0.Add(3 * time.Hour), Alert: "rule_beacon", Severity: event.Critical,
			Offender: netip.MustParseAddr("203.0.113.9"), Local: netip.MustParseAddr("192.0.2.25"), Rule: &event.Rule{Name: "beacon", Type: "regular", Count: 6, Threshold: 6}}
		plain := event.Event{Kind: event.KindAlert, ID: uuid.New(), Time: t0.Add(4 * time.Hour), Alert: "feed_held_back", Severity: event.Low}
		commit(t, s, first, second, first, other)
		commit(t, s, second, beacon, plain)

		p, err := s.Period(t.Context(), t0.Add(-time.Hour), t0.Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Raised) != 3 || p.MoreRaised != 0 || p.Raised[0].Name != "rule_beacon" || p.Raised[1].Times != 2 || p.Raised[2].Times != 1 {
			t.Fatalf("%+v", p.Raised)
		}
		r := &p.Raised[1]
		if !r.First.Equal(first.Time) || !r.Last.Equal(second.Time) || r.Evidence.Count != 190 || r.Reason != second.Reason || r.Host != first.Local || r.Offender.IsValid() {
			t.Errorf("%+v", r)
		}
		if r.Evidence.Of("service_port") != "25" || r.Evidence.Host() != first.Local || r.Evidence.Error != 0 || len(r.Evidence.Stop) != 1 ||
			strings.ContainsAny(r.Evidence.Title, "\n\x1b") || r.Evidence.Interval != 90 || !reflect.DeepEqual(r.Evidence.Histogram, []incident.EvidenceBar{{Times: 1, Values: 60}, {Times: 2, Values: 20}}) {
			t.Errorf("%+v", r.Evidence)
		}
		if want := incident.EvidenceOf(second.Rule); !reflect.DeepEqual(r.Evidence, want) {
			t.Errorf("kept %+v, want %+v", r.Evidence, want)
		}
		for about, want := range map[string]int{"192.0.2.25": 3, "192.0.2.80": 1, "203.0.113.9": 1, "203.0.113.10": 0} {
			list, err := s.Alerts(t.Context(), netip.MustParseAddr(about), t0.Add(-time.Hour), 10)
			if err != nil || len(list) != want {
				t.Errorf("%s: %d alerts, want %d, %v", about, len(list), want, err)
			}
		}
		list, err := s.Alerts(t.Context(), netip.Addr{}, t0.Add(time.Hour), 3)
		if err != nil || len(list) != 3 || list[0].Name != "feed_held_back" || list[0].Evidence != nil || list[1].ID != beacon.ID || list[2].ID != other.ID {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// TestMigrateAlerts: a database of the version before takes up the columns, and keeps its alerts.
func TestMigrateAlerts(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		old, err := database.Open(t.Context(), database.Config{Path: cfg.Path, URL: cfg.Database, Schema: schema.Steps[:2]})
		if err != nil {
			t.Fatal(err)
		}
		tx, err := old.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id := uuid.New()
		if _, err := tx.Exec("INSERT INTO alert (id, time, name, severity, offender, reason, tlp) VALUES ($1, $2, 'rule_fan_out', 2, $3, 'old', '')",
			id[:], t0.Unix(), schema.Key(netip.MustParseAddr("203.0.113.9"))); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := old.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := open(t, cfg)
		commit(t, s, swarmOf("192.0.2.25", 89, time.Hour))
		list, err := s.Alerts(t.Context(), netip.Addr{}, t0, 10)
		if err != nil || len(list) != 2 || list[1].ID != id || list[1].Evidence != nil || list[1].Host.IsValid() || list[0].Evidence == nil {
			t.Errorf("%+v, %v", list, err)
		}
		if list, err = s.Alerts(t.Context(), netip.MustParseAddr("203.0.113.9"), t0, 10); err != nil || len(list) != 1 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// TestEvidenceSize: however long the texts of a rule are, what is kept is bounded.
func TestEvidenceSize(t *testing.T) {
	r := &event.Rule{Title: strings.Repeat("\"\x00é", 500)}
	for range 50 {
		r.Group = append(r.Group, event.RuleField{Field: "category", Value: strings.Repeat("\\<", 3000)})
		r.Sources = append(r.Sources, event.RuleShare{Value: strings.Repeat("x", 500), Count: math.MaxUint64})
		r.Ports = append(r.Ports, event.RulePort{Port: 65535, Count: math.MaxUint64})
		r.Histogram = append(r.Histogram, event.RuleBar{Times: math.MaxUint64, Values: math.MaxUint64})
		r.Stop = append(r.Stop, strings.Repeat("<", 256))
	}
	r.Targets = r.Sources
	b, err := json.Marshal(incident.EvidenceOf(r))
	if err != nil || len(b) > 16<<10 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
