package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/detect/follow"
)

// countsOffenders is a rule that fires when a host of ours meets so many offenders.
func countsOffenders(name string, least int) string {
	return fmt.Sprintf("title: Many offenders\nname: %s\nover: hits\ncorrelation: {type: value_count, group-by: [local], timespan: 1h, condition: {field: offender, gte: %d}}\n", name, least)
}

// fired is which rules have fired, and how often.
func (w watched) fired() string {
	var names []string
	for _, l := range w.rules.list().Rules {
		if *l.LastDay > 0 {
			names = append(names, fmt.Sprintf("%s %d", l.Name, *l.LastDay))
		}
	}
	return strings.Join(names, ", ")
}

// judged waits until so many hits have been judged.
func (w watched) judged(t *testing.T, n uint64) {
	t.Helper()
	until(t, fmt.Sprintf("%d hits judged", n), func() bool { return w.rules.status().Hits == n })
}

// TestRulesReload: a reload takes up rules that were added, changed, removed and broken; those
// that have not changed go on counting where they were.
func TestRulesReload(t *testing.T) {
	dir := shortDir(t)
	var listed []string
	for n := range 12 {
		listed = append(listed, fmt.Sprintf("62.0.0.%d", n+1))
	}
	folder := filepath.Join(dir, "own")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name+".yml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(w watched) {
		t.Helper()
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	put("stays", countsOffenders("stays", 4))
	put("changes", countsOffenders("changes", 5))
	put("goes", countsOffenders("goes", 4))
	put("breaks", countsOffenders("breaks", 4))
	w := observed(t, dir, "{feeds: [{file: "+list(t, dir, "bad.txt", listed...)+", category: c2, score: 95}]}\nhistory: {enabled: false}\nsinks: [{jsonlog: {}}]\nrules: {shipped: false, files: ["+folder+"/*.yml]}", Options{})
	w.contact(t, listed[:3]...)
	w.judged(t, 3)

	put("changes", countsOffenders("changes", 4))
	put("breaks", strings.Replace(countsOffenders("breaks", 4), "gte", "gtee", 1))
	put("comes", countsOffenders("comes", 4))
	if err := os.Remove(filepath.Join(folder, "goes.yml")); err != nil {
		t.Fatal(err)
	}
	reload(w)
	broken := filepath.Join(folder, "breaks.yml") + ":4:"
	if s := w.rules.status(); s.On != 3 || s.Bad != 1 || !strings.HasPrefix(s.Invalid[0], broken) || strings.Contains(s.Invalid[0], "\n") {
		t.Errorf("%+v", s)
	}
	w.contact(t, listed[3])
	w.judged(t, 4)
	until(t, "the rule that has not changed fires", func() bool { return w.fired() == "stays 1" })

	put("breaks", countsOffenders("breaks", 4)) // begins anew, like those that have changed or come
	reload(w)
	if s := w.rules.status(); s.On != 4 || s.Bad != 0 {
		t.Errorf("%+v", s)
	}
	w.contact(t, listed[4:7]...)
	w.judged(t, 7)
	until(t, "rules of four hits ago fire", func() bool { return w.fired() == "changes 1, comes 1, stays 1" })
	w.contact(t, listed[7])
	w.judged(t, 8)
	// The eighth offender doubles what stays has counted.
	until(t, "the rule that was broken fires", func() bool { return w.fired() == "breaks 1, changes 1, comes 1, stays 2" })
}

// TestRulesQuarantined: a rule that is valid and fires always is quarantined, which the status,
// the check, the list and one alert show; others go on.
func TestRulesQuarantined(t *testing.T) {
	dir := shortDir(t)
	var listed []string
	for n := range 2*follow.MostAlerts + 4 { // the hour may end in the middle
		listed = append(listed, fmt.Sprintf("62.0.%d.%d", n/100, n%100+1))
	}
	own := filepath.Join(dir, "own.yml")
	always := "title: Always\nname: always\ncorrelation: {type: value_sum, group-by: [offender], timespan: 1h, condition: {field: bytes_in, gte: 2}}\n"
	always += "---\n" + strings.ReplaceAll(always, "bytes_in", "bytes_out")
	always = strings.Replace(always, "name: always", "name: always_in", 1)
	if err := os.WriteFile(own, []byte(always+"---\n"+countsOffenders("good", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	w := observed(t, dir, "{feeds: [{file: "+list(t, dir, "bad.txt", listed...)+", category: c2, score: 95}]}\nhistory: {enabled: false}\nsinks: [{jsonlog: {}}]\nrules: {shipped: false, files: ["+own+"]}", Options{})
	n := uint64(0)
	for part := range slices.Chunk(listed, 20) { // a receive buffer has room for so many
		w.contact(t, part...)
		n += uint64(len(part))
		w.judged(t, n)
	}
	s := w.rules.status()
	if len(s.Quiet) != 1 || s.Quarantined == 0 || s.Alerts < follow.MostAlerts || s.Alerts+s.Quarantined < n {
		t.Fatalf("%+v", s)
	}
	noisy := s.Quiet[0]
	for _, f := range w.registry.Findings(time.Now()) {
		if f.Check == "rules" && (f.State != observe.Warning || !strings.Contains(f.Text, "quiet for an hour: "+noisy+"; make their condition stricter")) {
			t.Errorf("%+v", f)
		}
	}
	for _, r := range w.rules.list().Rules {
		if r.Quarantined.IsZero() == (r.Name == noisy) || r.Name == "good" && *r.LastDay == 0 {
			t.Errorf("%+v", r)
		}
	}
	until(t, "the alert that it is quarantined", func() bool {
		all := strings.Join(w.alerts(t), "\n")
		return strings.Count(all, alertNoisy) == 1 && strings.Contains(all, "rule "+noisy+" raised more than 100 alerts within an hour")
	})
}
