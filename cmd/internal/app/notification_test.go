package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// A channel takes what is posted to it, as a channel of Slack does.
type channel struct {
	url   string
	mu    sync.Mutex
	named []int // offenders in each message
	more  []int // that each does not name
}

func newChannel(t *testing.T) *channel {
	t.Helper()
	c := new(channel)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var doc struct {
			Blocks []struct {
				Type     string
				Elements []struct{ Text string }
			}
		}
		b, err := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Errorf("%v: %s", err, b)
		}
		named, more := 0, 0
		for _, block := range doc.Blocks {
			if block.Type == "section" {
				named++
			}
			for _, e := range block.Elements {
				if _, err := fmt.Sscanf(e.Text, "%d more are not named here", &more); err != nil {
					t.Errorf("%q", e.Text)
				}
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.named, c.more = append(c.named, named), append(c.more, more)
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// got gives how many messages there were, and how many offenders they were about.
func (c *channel) got() (messages, offenders int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.named {
		offenders += c.named[i] + c.more[i]
	}
	return len(c.named), offenders
}

// TestStormOfIncidents: 10,000 incidents at once are two messages of the service, from the packets
// of the router on: one at once, and one at the end of the interval, or of the program, which
// names how many are not named. None is repeated after a restart, and an incident that somebody
// has taken counts as handled.
func TestStormOfIncidents(t *testing.T) {
	incidents := 10_000
	if raceDetector {
		incidents = 1500 // the database is 20 times slower
	}
	dir, slack := shortDir(t), newChannel(t)
	var lines []string
	for n := range incidents {
		lines = append(lines, fmt.Sprintf("62.1.%d.%d", n/200, n%200))
	}
	config := "{feeds: [{file: " + list(t, dir, "bad.txt", lines...) + ", category: c2, score: 95}]}\n" +
		"sinks: [{webhook: {kind: template, template: slack, interval: 1h, url: \"" + slack.url + "\"}}]\nrules: {shipped: false}\n" // their alerts are messages, too
	w := observed(t, dir, config, Options{})
	flood := func(addrs []string) {
		t.Helper()
		enc, conn := w.exporter(t, flow.V9)
		defer conn.Close()
		before := w.sinks.status()[0].Appended
		for some := range slices.Chunk(addrs, 20) {
			var flows []synth.Flow
			for i, a := range some {
				flows = append(flows, calls(i, a))
			}
			d, err := enc.EncodeAlone(nil, flows, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(d); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Microsecond) // loopback drops what nobody reads in time
		}
		for end := time.Now().Add(hang); w.sinks.status()[0].Appended-before < uint64(len(addrs)); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("only %d hits of %d are in the journal", w.sinks.status()[0].Appended-before, len(addrs))
			}
		}
	}
	flood(lines)
	first := netip.MustParseAddr(lines[0])
	incidentOf(t, dir, lines[0])
	if w.incidents.handled(t.Context(), first) {
		t.Error("nobody has taken it")
	}
	s, err := w.incidents.ready()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Act(t.Context(), incident.Action{Act: incident.ActTake, Offender: first, Author: "ann", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if !w.incidents.handled(t.Context(), first) || w.incidents.handled(t.Context(), netip.MustParseAddr("192.0.2.1")) {
		t.Error("what was taken is not known, or what is not there is")
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	messages, offenders := slack.got()
	if messages != 2 || offenders != incidents || slack.more[1] < incidents-incidents/3 { // the first one has what came within a moment
		t.Errorf("%d messages about %d offenders; named %v, more %v", messages, offenders, slack.named, slack.more)
	}
	w = observed(t, dir, config, Options{})
	flood(lines[:100])
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if messages, _ := slack.got(); messages != 2 {
		t.Errorf("%d messages after a restart", messages)
	}
}
