package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// TestRules: one of our hosts calls ten listed addresses, which no single hit shows; the alert
// is in the sinks once, also over a restart, and a bad rule is shown and keeps nothing from
// running.
func TestRules(t *testing.T) {
	dir := shortDir(t)
	var listed []string
	for n := range 10 {
		listed = append(listed, fmt.Sprintf("62.0.0.%d", n+1))
	}
	bad := filepath.Join(dir, "bad.yml")
	if err := os.WriteFile(bad, []byte("name: odd\ntitle: Odd\nwhere: {colour: red}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := "{feeds: [{file: " + list(t, dir, "bad.txt", listed...) + ", category: c2, score: 95, tlp: amber}]}\nhistory: {enabled: false}\nsinks: [{jsonlog: {}}]\nrules: {files: [" + bad + "]}"
	var last string
	alerts := func() (n int) {
		b, err := os.ReadFile(filepath.Join(dir, "hits.json"))
		if err != nil {
			return 0
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, `"kind":"alert"`) && strings.Contains(line, `"rule_fan_out"`) {
				n++
				last = line
			}
		}
		return n
	}
	w := observed(t, dir, config, Options{})
	for i, a := range listed {
		w.contact(t, a)
		until(t, "the hit", func() bool { return w.Status().Hits.Correlator.Hits == uint64(i+1) })
	}
	until(t, "the alert is in the hit log", func() bool { return alerts() == 1 })
	if e, err := event.ParseJSON([]byte(last)); err != nil || e.IntelVersion != w.store.Load().Version() || e.Rule == nil || e.Rule.TLP != "amber" || len(e.Rule.Stop) > 0 {
		t.Errorf("%v in %s", err, last) // a host of ours calls: nothing is to be kept from us
	}
	w.judged(t, 10) // the counters follow the alert
	s := w.rules.status()
	if s.Alerts != 1 || s.Hits != 10 || s.Bad != 1 || len(s.Invalid) != 1 || !strings.Contains(s.Invalid[0], "bad.yml:3:") {
		t.Errorf("%+v", s)
	}
	if f := ruleCheck(w.rules.status).State(time.Now()); s.HistoryOff != 2 || !strings.Contains(f.Text, "not valid") && !strings.Contains(f.Text, "left out") {
		t.Errorf("%d rules without a history; %+v", s.HistoryOff, f)
	}
	var list RuleList
	if err := web.Ask(t.Context(), dir, RulesPath, &list); err != nil {
		t.Fatal(err)
	}
	if list.Since.IsZero() || len(list.Rules) != 24 || len(list.Invalid) != 1 || list.Invalid[0] != s.Invalid[0] {
		t.Errorf("%+v", list)
	}
	for _, l := range list.Rules {
		want := uint64(0)
		if l.Name == "fan_out" {
			want = 1
		}
		if l.LastDay == nil || *l.LastDay != want || l.Last.IsZero() != (want == 0) || !l.Quarantined.IsZero() {
			t.Errorf("%+v", l)
		}
		if l.Name == "swarm" && l.Note != "there is no contact history (history.enabled)" {
			t.Errorf("%+v", l)
		}
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w = observed(t, dir, config, Options{})
	w.contact(t, listed[0])
	until(t, "the hit after a restart is judged", func() bool { return w.rules.status().Hits == 1 })
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := alerts(); n != 1 {
		t.Errorf("%d alerts, want 1", n)
	}
}

// TestRulesStop: what the correlator gives at the stop is judged as well, as a journal in memory
// does not have it after a restart.
func TestRulesStop(t *testing.T) {
	dir := shortDir(t)
	config := "{feeds: [{file: " + list(t, dir, "bad.txt", "62.0.0.1") + "}]}\nhistory: {enabled: false}\nsinks: [{jsonlog: {}}]\njournal: {durability: memory}"
	w := observed(t, dir, config, Options{})
	for i := range 3 { // a hit, and an update at the stop
		w.contact(t, "62.0.0.1")
		until(t, "the hit", func() bool { return w.Status().Hits.Correlator.Hits == uint64(i+1) })
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if s := w.rules.status(); s.Hits != 2 {
		t.Errorf("%d hits and updates judged, want 2", s.Hits)
	}
}
