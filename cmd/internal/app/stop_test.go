package app

import (
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// stopBound is what the stop may take whatever hangs.
const stopBound = 10 * time.Second

// TestStalledChore: work that hangs is named by log, status and health; all other work goes
// on, and it is named again when the stop leaves it behind.
func TestStalledChore(t *testing.T) {
	t.Parallel()
	f := newFiled(t, "intel: {feeds: [], deny: [62.0.0.9]}")
	f.background.work.slow = 20 * time.Millisecond
	hang := make(chan struct{})
	var others atomic.Int64
	f.background.every("the one that hangs", time.Millisecond, func(time.Time) { <-hang })
	f.background.every("another", time.Millisecond, func(time.Time) { others.Add(1) })
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the status names it", func() bool {
		s := f.Status()
		return len(s.Stalled) == 1 && s.Stalled[0].Work == "the one that hangs" && s.Stalled[0].Seconds > 0
	})
	until(t, "the log names it", func() bool {
		logged := f.logs.FilterMessageSnippet("has stalled").All()
		return len(logged) > 0 && logged[0].ContextMap()["work"] == "the one that hangs"
	})
	seen := others.Load()
	until(t, "the other goes on", func() bool { return others.Load() > seen+3 })
	f.checks.look(time.Now())
	for _, finding := range f.Findings() {
		if finding.Check == "workers" && (finding.State != observe.Warning || !strings.Contains(finding.Text, "the one that hangs has stalled")) {
			t.Errorf("%+v", finding)
		}
	}
	begin := time.Now()
	if err := f.Stop(); err == nil || !strings.Contains(err.Error(), "the background: the one that hangs did not end") {
		t.Errorf("the stop ends with %v", err)
	}
	if d := time.Since(begin); d > stopBound {
		t.Errorf("the stop took %v", d)
	}
	close(hang)
	f.background.running.Wait()
}

// A blockedWriter is a terminal that takes nothing.
type blockedWriter struct{ off chan struct{} }

func (b blockedWriter) Write(p []byte) (int, error) {
	<-b.off
	return len(p), nil
}

// A blockedSource is a socket whose worker does not come back.
type blockedSource struct {
	collect.Source
	off chan struct{}
}

func (b blockedSource) Read(batch []flow.Datagram) (int, error) {
	n, err := b.Source.Read(batch)
	if err != nil {
		<-b.off
	}
	return n, err
}

// TestStopWhateverHangs lets each part hang at the stop. The stop ends in time, names it,
// and the rest has ended.
func TestStopWhateverHangs(t *testing.T) {
	nothing := func(*App, chan struct{}) {}
	for _, tt := range []struct {
		name, want   string
		before, hang func(a *App, off chan struct{}) // the start, the stop
	}{
		{"nothing", "", nothing, nothing},
		{"worker", "a worker did not end", func(a *App, off chan struct{}) {
			a.listeners.wrap = func(s collect.Source) collect.Source { return blockedSource{s, off} }
		}, nothing},
		{"template file", "the file of templates did not end", nothing, func(a *App, off chan struct{}) {
			a.decoder.templates.date = func() time.Time { <-off; return time.Now() }
		}},
		{"console", "left behind", func(a *App, off chan struct{}) { a.opts.Out = blockedWriter{off} }, func(a *App, _ chan struct{}) {
			a.feeds.alert("test", "something to print", nil)
		}},
		{"reload", "a reload did not end", nothing, func(a *App, off chan struct{}) {
			a.reloads.Lock()
			go func() { <-off; a.reloads.Unlock() }()
		}},
		{"user of a feed", "a feed did not end", nothing, func(a *App, off chan struct{}) {
			done, err := a.feeds.current.Load().use()
			if err != nil {
				t.Error(err)
				return
			}
			go func() { <-off; done() }()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFiled(t, "intel: {feeds: [], deny: [62.0.0.9]}\nsinks: [{console: {}}, {jsonlog: {}}]")
			off := make(chan struct{})
			defer close(off)
			tt.before(f.App, off)
			if err := f.Start(); err != nil {
				t.Fatal(err)
			}
			tt.hang(f.App, off)
			begin := time.Now()
			err := f.Stop()
			if d := time.Since(begin); d > stopBound {
				t.Errorf("the stop took %v", d)
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the stop ends with %v, want %q", err, tt.want)
			}
			if c, err := net.Dial("unix", filepath.Join(filepath.Dir(f.path), "control.sock")); err == nil {
				c.Close()
				t.Error("the control socket still answers")
			}
		})
	}
}
