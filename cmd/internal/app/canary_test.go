package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// until waits for a status that is as it should be.
func until(t *testing.T, a *app.App, what string, ok func(app.Status) bool) app.Status {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		s := a.Status()
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("not %s within %s: %+v", what, patience, s.Canary)
		}
	}
}

// canaries gives the canaries in a hit log, and whether anything else is there.
func canaries(t *testing.T, path string) (events []map[string]any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil || e["kind"] != "canary" {
			t.Errorf("%s (%v)", line, err)
		}
		events = append(events, e)
	}
	return events
}

// TestSelfTest: one canary a round reaches the hit log from all listeners, is not
// counted as a hit anywhere, and is missing only where the sink is.
func TestSelfTest(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	dir := stateDir(t)
	leavesNothing(t, func() {
		a := app.New(config(t, dir, fmt.Sprintf(listen, several())+`
canary: {every: 1s}
sinks:
- jsonlog: {}
  kinds: [hit, update, alert, canary]
  delivery: {filter: {min_severity: high, feeds: [none], directions: [inbound]}, limit: {rate: 0.001, burst: 1}}
- console: {}
- syslog: {servers: ["`+nobody.Addr().String()+`"], transport: tcp}
- jsonlog: {path: `+dir+`/alerts.json}
  kinds: [alert]
`), app.Options{Out: io.Discard}, zap.NewNop())
		if err := a.Start(); err != nil {
			t.Fatal(err)
		}
		s := until(t, a, "seen twice at both", func(s app.Status) bool { return s.Canary.Seen >= 4 && s.Sinks[0].Sent >= 2 })
		c := s.Canary
		if c.EverySeconds != 1 || c.Sent < 4 || len(c.Listeners) != 2 || len(c.Others) != 0 || c.Limited+c.Queue+c.Malformed != 0 {
			t.Errorf("status %+v", c)
		}
		last := 0.0
		for _, stage := range []string{"received", "matched", "correlated", "journal"} {
			took, ok := c.Stages[stage]
			if !ok || took < last || took > 1000*patience.Seconds() {
				t.Errorf("%s after %v ms, there %v, the stage before after %v", stage, took, ok, last)
			}
			last = took
		}
		for at, l := range c.Listeners {
			if l.LastSeen.Before(l.LastSent) && l.LastSeen.IsZero() || l.Trouble != "" {
				t.Errorf("%s: %+v", at, l)
			}
		}
		log, there := c.Sinks["jsonlog:"+dir+"/hits.json"]
		beside := c.Sinks["jsonlog:"+dir+"/alerts.json"]
		lost, known := c.Sinks[s.Sinks[2].Name]
		if !there || beside.Last.IsZero() || log.Last.IsZero() || log.Milliseconds <= 0 || !known || !lost.Last.IsZero() || len(c.Sinks) != 3 {
			t.Errorf("sinks %+v", c.Sinks)
		}
		if h := s.Hits; h.Found+h.HitQueueFull+h.Correlator.Hits+h.Correlator.HitEvents+h.Correlator.Contacts != 0 || h.Correlator.Canaries < 4 {
			t.Errorf("hits %+v", h)
		}
		if x := s.Exporters; x.Lost.Records+x.Lost.Datagrams+x.Lost.Flows+x.Lost.Undecoded != 0 || x.Exporters != 1 || s.Decoded.UnknownSets != 0 || slices.Max(slices.Collect(maps.Values(s.Decoded.Problems))) != 0 {
			t.Errorf("exporters %+v, decoded %+v", x, s.Decoded)
		}
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
		s = a.Status()
		got := canaries(t, filepath.Join(dir, "hits.json"))
		if uint64(len(got)) != s.Canary.Sent/2 || s.Hits.Correlator.CanaryEvents != s.Canary.Sent/2 {
			t.Errorf("%d events in the log of %d canaries to two listeners", len(got), s.Canary.Sent)
		}
		if got[0]["dstip"] != "192.0.2.253" || got[0]["sensor"] != "test" {
			t.Errorf("event %v", got[0])
		}
		if b, err := os.ReadFile(filepath.Join(dir, "alerts.json")); err != nil || len(b) != 0 {
			t.Errorf("of alerts alone: %s (%v)", b, err)
		}
		if beside := canaries(t, filepath.Join(dir, "alerts.json.canary")); len(beside) != 1 {
			t.Errorf("%d canaries beside the log that gets none", len(beside))
		}
	})
}

// TestSelfTestRefused: a listener that does not allow its own host is told of, once.
func TestSelfTestRefused(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	a := app.New(config(t, stateDir(t), `
listen: [{udp: "127.0.0.1:0", allow: [192.0.2.0/24]}]
canary: {every: 1s}
sinks: [{jsonlog: {}}]
`), app.Options{Out: io.Discard}, zap.New(core))
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	s := until(t, a, "in trouble", func(s app.Status) bool { return s.Canary.Listeners[s.Listeners[0].Address].Trouble != "" })
	if why := s.Canary.Listeners[s.Listeners[0].Address].Trouble; !strings.Contains(why, "does not allow 127.0.0.1") || s.Canary.Sent != 0 || s.Listeners[0].Refused != 0 {
		t.Errorf("%q, %+v", why, s.Canary)
	}
	if n := logged.FilterMessageSnippet("self-test").Len(); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestCanaryOfOthers: canaries from elsewhere are shown apart, in every protocol, and
// a flood of them is capped.
func TestCanaryOfOthers(t *testing.T) {
	dir := stateDir(t)
	a := app.New(config(t, dir, `
listen: [{udp: "127.0.0.1:0"}]
canary: {every: 0s}
sinks: [{jsonlog: {}, kinds: [canary]}]
`), app.Options{Out: io.Discard}, zap.NewNop())
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	at, sent := a.Status().Listeners[0].Address, uint64(0)
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		s, err := canary.Dial(at, v, canary.DomainCommand)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range 50 {
			if err := s.Send(canary.New(7)); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		until(t, a, v.String()+" seen", func(s app.Status) bool {
			return s.Canary.Limited+s.Canary.Queue+s.Hits.Correlator.CanaryEvents == sent
		})
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	s := a.Status()
	if o, ok := s.Canary.Others["127.0.0.1"]; !ok || o.Last.IsZero() || s.Canary.Seen != 0 || s.Canary.EverySeconds != 0 {
		t.Errorf("status %+v", s.Canary)
	}
	if n := uint64(len(canaries(t, filepath.Join(dir, "hits.json")))); n < 10 || n > 10+uint64(patience.Seconds()) || n+s.Canary.Limited != sent {
		t.Errorf("%d events, %d limited of %d", n, s.Canary.Limited, sent)
	}
	if s.Hits.Found != 0 || s.Exporters.Lost.Flows+s.Exporters.Lost.Records+s.Exporters.Lost.Datagrams != 0 {
		t.Errorf("hits %+v, exporters %+v", s.Hits, s.Exporters)
	}
}
