package app

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// A sampleConfig is the block of a sample.
type sampleConfig struct {
	Every time.Duration `yaml:"every"`
	Limit int           `yaml:"limit"`
	Token secret.Text   `yaml:"token"`
	File  string        `yaml:"token_file"`
}

// Validate refuses a limit that cannot be.
func (c sampleConfig) Validate() error {
	if c.Limit > 1000 {
		return errors.New("limit: at most 1000")
	}
	return nil
}

// A sample is a component that knows nothing of the app. It counts records.
type sample struct {
	cfg     atomic.Pointer[sampleConfig]
	started bool
	records atomic.Uint64
}

type sampleStats struct {
	Records uint64 `json:"records" name:"sample_records_total" help:"Records seen by the sample." show:"always"`
	Over    uint64 `json:"over" name:"sample_over_total" help:"Records over the limit of the sample." loss:"true" check:"sample" remedy:"raise sample.limit"`
}

func newSample(c sampleConfig) *sample {
	s := new(sample)
	s.cfg.Store(&c)
	return s
}

func (s *sample) Start() error               { s.started = true; return nil }
func (s *sample) Stop(context.Context) error { s.started = false; return nil }
func (s *sample) Tap() collect.Tap           { return s }
func (s *sample) Records(set *decode.Set)    { s.records.Add(uint64(set.Len())) }

func (s *sample) Reconfigure(c sampleConfig) error {
	if c.Every != s.cfg.Load().Every {
		return errors.New("every is that of the start")
	}
	s.cfg.Store(&c)
	return nil
}

func (s *sample) stats() sampleStats {
	n := s.records.Load()
	return sampleStats{n, n - min(n, uint64(s.cfg.Load().Limit))}
}

func (s *sample) Register(c *observe.Component) {
	c.Add(observe.Of("sample", s.stats), observe.Check{Name: "sample", OK: "no record over the limit"},
		observe.Route{Method: http.MethodGet, Path: "/sample", Role: observe.Reader,
			Handler: observe.JSON(func(*http.Request) (any, error) { return s.stats(), nil })})
}

// samplePlug is the one line by which a component is added.
var samplePlug = plugged("sample", func() sampleConfig { return sampleConfig{Every: time.Minute, Limit: 10} }, newSample)

// withSample adds the sample for a test, which must not run beside others.
func withSample(t *testing.T) {
	t.Helper()
	before := plugs
	plugs = append(plugs, samplePlug)
	t.Cleanup(func() { plugs = before })
}

func init() { configs.AddBlock(samplePlug.key, samplePlug.defaults) }

// TestPlug: a component that is added by one line has its keys in the configuration, its
// tap in the path, and its metric, section, check and route everywhere that people look.
func TestPlug(t *testing.T) {
	withSample(t)
	const text = "{feeds: [], deny: [62.0.0.1]}\nweb: {listen: \"127.0.0.1:0\"}\nsample: {limit: 2}"
	w := observed(t, shortDir(t), text, Options{})
	w.contact(t, "62.0.0.1", "62.0.0.2", "62.0.0.3")
	until(t, "three records are counted", func() bool {
		_, metrics := w.get(t, "/metrics")
		return strings.Contains(metrics, "flowsnitch_sample_records_total 3\n")
	})
	if _, status := w.get(t, "/api/v1/status"); !strings.Contains(status, `"sample":{"records":3,"over":1}`) {
		t.Errorf("the status is %s", status)
	}
	if _, answer := w.get(t, "/sample"); !strings.Contains(answer, `{"records":3,"over":1}`) {
		t.Errorf("the route answers %s", answer)
	}
	var text2 strings.Builder
	if err := w.registry.WriteText(&text2, false); err != nil || !strings.Contains(text2.String(), "sample") {
		t.Errorf("the text of the status is %q, %v", text2.String(), err)
	}
	w.checks.look(time.Now())
	w.contact(t, "62.0.0.4")
	until(t, "the loss is judged", func() bool {
		w.checks.look(time.Now())
		for _, f := range w.Findings() {
			if f.Check == "sample" && f.State == observe.Warning && strings.Contains(f.Text, "raise sample.limit") {
				return true
			}
		}
		return false
	})
	if list := w.registry.Complaints(); len(list) > 0 {
		t.Error(list)
	}
	if !strings.Contains(w.registry.Table(metricPrefix), "flowsnitch_sample_over_total") {
		t.Error("the table of metrics has it not")
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if s := sampleOf(w.App); s.started {
		t.Error("it has not been stopped")
	}
}

func sampleOf(a *App) *sample {
	for _, p := range a.parts {
		if s, ok := p.component.(*plugin[sampleConfig, *sample]); ok {
			return s.P
		}
	}
	return nil
}

// TestPlugReload: keys that the component takes hold at once; those that it refuses are
// named with its reason, and need a restart.
func TestPlugReload(t *testing.T) {
	withSample(t)
	f := startFiled(t, "intel: {feeds: []}\n")
	f.write(t, "intel: {feeds: []}\nsample: {limit: 7}\n")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := sampleOf(f.App).cfg.Load().Limit; got != 7 {
		t.Errorf("the limit is %d, want 7", got)
	}
	if n := f.logs.FilterMessageSnippet("restart").Len(); n != 0 {
		t.Errorf("log %v", f.logs.All())
	}
	f.write(t, "intel: {feeds: []}\nsample: {limit: 7, every: 1h}\n")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	said := f.logs.FilterMessageSnippet("needs a restart").All()
	if len(said) != 1 || said[0].ContextMap()["error"] != "every is that of the start" {
		t.Errorf("log %v", f.logs.All())
	}
	keys := f.logs.FilterMessage("changes of these keys take effect after a restart").All()
	if len(keys) != 1 {
		t.Errorf("log %v", f.logs.All())
	}
}

// TestPlugKeys: the keys of a component are checked as all others are: their names, their
// kinds, their values, with the place.
func TestPlugKeys(t *testing.T) {
	for text, want := range map[string]string{
		"sample: {limits: 3}":    "f:1:10: sample.limits: unknown key; allowed are every, limit, token, token_file",
		"sample: {limit: many}":  "f:1:17: sample.limit: must be a whole number, not \"many\"",
		"sample: {limit: 2000}":  "f:1:17: sample.limit: at most 1000",
		"sample: {every: often}": "f:1:17: sample.every: \"often\" is not a duration such as 90s, 10m or 1h",
	} {
		if _, err := configs.Parse("f", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	cfg, err := configs.Parse("f", []byte("sample: {limit: 3}"))
	if err != nil || cfg.Blocks["sample"] != (sampleConfig{Every: time.Minute, Limit: 3}) {
		t.Errorf("%+v, %v", cfg.Blocks, err)
	}
	printed, err := configs.Marshal(cfg)
	if err != nil || !strings.Contains(string(printed), "sample:\n  every: 1m0s\n  limit: 3\n") {
		t.Errorf("%s, %v", printed, err)
	}
	again, err := configs.Parse("g", printed)
	if err != nil || len(configs.Changed(&cfg, &again)) != 0 {
		t.Errorf("printed and read: %v, %v", configs.Changed(&cfg, &again), err)
	}
}

// TestTraffic: the counters of all traffic are off by default, and count what is listed and
// what is not when they are on.
func TestTraffic(t *testing.T) {
	for _, on := range []bool{false, true} {
		text := "{feeds: [], deny: [62.0.0.1]}\nweb: {listen: \"127.0.0.1:0\"}\n"
		if on {
			text += "traffic: {enabled: true}\n"
		}
		w := observed(t, shortDir(t), text, Options{})
		w.contact(t, "62.0.0.1", "62.0.0.2", "62.0.0.3")
		until(t, "the flows are decoded", func() bool {
			d := w.decoder.decodeStatus().Versions
			return d["v5"].Records+d["v9"].Records+d["ipfix"].Records == 3 && w.Status().Hits.Found == 1
		})
		const counted = "flowsnitch_traffic_flows_total{ip=\"4\",protocol=\"tcp\"} 3\n"
		if _, metrics := w.get(t, "/metrics"); strings.Contains(metrics, counted) != on {
			t.Errorf("enabled %v: %v in the metrics", on, !on)
		}
	}
}

// TestPlugSecrets: secrets of a component are looked after as all others are.
func TestPlugSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yml")
	if err := os.WriteFile(path, []byte("sample: {token: s3cret, token_file: /nowhere/token}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if said := cfg.Exposed(path); len(said) != 1 || !strings.Contains(said[0], "mode 0644") {
		t.Errorf("exposed: %q", said)
	}
	if errs := cfg.CheckKeys(path); len(errs) != 1 || errs[0].Key != "sample.token_file" {
		t.Errorf("keys: %v", errs)
	}
	if printed, err := configs.Marshal(cfg); err != nil || strings.Contains(string(printed), "s3cret") {
		t.Errorf("%s, %v", printed, err)
	}
}
