package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// An expression is one of PromQL that a file for monitoring has, with the texts that
// show labels of its result.
type expression struct{ where, promql, texts string }

// deployed reads a file of the folder deploy.
func deployed(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// alertRules reads the expressions of the alert rules.
func alertRules(t *testing.T) (list []expression) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Expr        string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(deployed(t, "prometheus/flowsnitch-rules.yml"), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
				t.Errorf("%s has no summary, no description of what to do, or no severity", r.Alert)
			}
			list = append(list, expression{r.Alert, r.Expr, r.Annotations["summary"] + r.Annotations["description"]})
		}
	}
	return list
}

// panels reads the expressions of the dashboard.
func panels(t *testing.T) (list []expression) {
	t.Helper()
	type source struct{ Type, UID string }
	var file struct {
		ID     *int
		UID    string
		Panels []struct {
			ID         int
			Type       string
			Title      string
			Datasource source
			Targets    []struct {
				Expr         string
				LegendFormat string
				Datasource   source
			}
		}
		Templating struct{ List []struct{ Name, Type string } }
	}
	if err := json.Unmarshal(deployed(t, "grafana/flowsnitch.json"), &file); err != nil {
		t.Fatal(err)
	}
	if file.UID != "flowsnitch" || file.ID != nil || len(file.Templating.List) == 0 || file.Templating.List[0].Type != "datasource" {
		t.Errorf("the dashboard has uid %q, id %v, variables %v", file.UID, file.ID, file.Templating.List)
	}
	ids := make(map[int]bool)
	for _, p := range file.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Datasource != source{"prometheus", "${DS}"} || len(p.Targets) == 0) {
			t.Errorf("panel %q has source %v and %d targets", p.Title, p.Datasource, len(p.Targets))
		}
		for _, q := range p.Targets {
			list = append(list, expression{"panel " + p.Title, q.Expr, q.LegendFormat})
		}
	}
	return list
}

var (
	metricName = regexp.MustCompile(`\b(?:flowsnitch|process|go)_[a-z_]+`)
	shownLabel = regexp.MustCompile(`\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}`)
	askedLabel = regexp.MustCompile(`([a-z_]+) ?[=!]~?"`)
)

// TestMonitoringFiles: what the dashboard and the alert rules name is what a running
// instance gives, labels too.
func TestMonitoringFiles(t *testing.T) {
	dir := shortDir(t)
	feed := list(t, dir, "bad.txt", "62.0.0.53")
	w := observed(t, dir, fmt.Sprintf("{feeds: [{file: %s}]}\nweb: {listen: \"127.0.0.1:0\"}\ncanary: {every: 1s}\n"+
		"dnsbl: {zones: [{zone: dnsbl.example.net}], server: \"127.0.0.1:9\"}\nlisten: [{udp: \"127.0.0.1:0\", forward: [\"127.0.0.1:9\"]}]", feed), Options{})
	w.contact(t, "62.0.0.53", "62.0.0.54")
	until(t, "a hit and a canary in the log", func() bool {
		s := w.Status()
		return s.Hits.Correlator.Hits == 1 && len(s.Canary.Stages) > 0 && len(s.Canary.Sinks) > 0 && !s.Canary.Sinks[s.Sinks[0].Name].Last.IsZero()
	})
	w.checks.look(time.Now())
	_, text := w.get(t, "/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	labels := make(map[string]map[string]bool) // by metric
	for name, f := range families {
		labels[name] = map[string]bool{"job": true, "instance": true}
		for _, l := range f.Metric[0].Label {
			labels[name][l.GetName()] = true
		}
	}
	for _, e := range slices.Concat(alertRules(t), panels(t)) {
		known := map[string]bool{"job": true, "instance": true} // Prometheus' own
		for _, name := range metricName.FindAllString(e.promql, -1) {
			switch has, ok := labels[name]; {
			case ok:
				maps.Copy(known, has)
			case !strings.HasPrefix(name, "process_") || runtime.GOOS == "linux":
				t.Errorf("%s: there is no %s", e.where, name)
			}
		}
		asked := append(askedLabel.FindAllStringSubmatch(e.promql, -1), shownLabel.FindAllStringSubmatch(e.texts, -1)...)
		for _, m := range asked {
			if !known[m[1]] {
				t.Errorf("%s: no metric of %s has the label %s", e.where, e.promql, m[1])
			}
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
