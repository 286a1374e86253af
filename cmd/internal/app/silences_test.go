package app

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/intel/silence"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A shiftedMachine is one whose clock is right, and ahead of the test's.
type shiftedMachine struct {
	began time.Time
	ahead atomic.Int64
	wrong atomic.Int64 // by how much the wall clock alone is set
}

func (m *shiftedMachine) add(d time.Duration) { m.ahead.Add(int64(d)) }
func (m *shiftedMachine) Wall() time.Time {
	return time.Now().Add(time.Duration(m.ahead.Load() + m.wrong.Load()))
}
func (m *shiftedMachine) Uptime() time.Duration {
	return time.Since(m.began) + time.Duration(m.ahead.Load())
}
func (m *shiftedMachine) Synced() (bool, error)       { return true, nil }
func (m *shiftedMachine) Hardware() (time.Time, bool) { return time.Time{}, true }

// A quietApp is the part of an app through which events go: clock, silences, journal, two hit
// logs, of which one takes what is silenced, and the incidents.
type quietApp struct {
	*App
	dir     string
	machine *shiftedMachine
}

func startQuiet(t *testing.T, dir string, log *zap.Logger) quietApp {
	t.Helper()
	cfg, err := configs.Parse("f", []byte("state_dir: "+dir+`
home: [10.0.0.0/8]
sinks:
  - jsonlog: {path: `+dir+`/hits.json}
  - jsonlog: {path: `+dir+`/all.json}
    delivery: {filter: {silenced: true}}
`))
	if err != nil {
		t.Fatal(err)
	}
	machine := &shiftedMachine{began: time.Now()}
	a := &App{cfg: cfg, log: log, since: time.Now(), registry: new(observe.Registry), background: newBackground(log), opts: Options{Machine: machine}}
	a.checks = newHealthWatch(a.registry, a.background, log)
	a.watch = newWatch(&a.cfg, &a.opts, a.background, log)
	a.feeds = new(feedService)
	a.silences = newSilences(a)
	a.sinks = newOutputs(&a.cfg, &a.opts, time.Now, time.Now, canary.NewWatch(0), a.background, log)
	a.sinks.stamps = append(a.sinks.stamps, a.silences.book.Stamp)
	a.incidents = newIncidentLog(a)
	for _, c := range []component{a.watch, a.silences, a.sinks, a.incidents, a.background} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	return quietApp{a, dir, machine}
}

func (q quietApp) stop(t *testing.T) {
	t.Helper()
	for _, c := range []component{q.background, q.incidents, q.sinks, q.silences, q.watch} {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// happen publishes an event and gives where it has come: "log", "all", "log all".
func (q quietApp) happen(t *testing.T, e event.Event) string {
	t.Helper()
	e.ID, e.Time = uuid.Must(uuid.NewV7()), time.Now()
	publish := q.sinks.publish
	if e.Retro {
		publish = func(events []event.Event) {
			if err := q.sinks.secure(events); err != nil {
				t.Error(err)
			}
		}
	}
	publish([]event.Event{e})
	var found []string
	for deadline := time.Now().Add(hangs); ; {
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		found = nil
		for _, name := range []string{"hits", "all"} {
			b, _ := os.ReadFile(filepath.Join(q.dir, name+".json"))
			if strings.Contains(string(b), e.ID.String()) {
				found = append(found, name)
			}
		}
		waiting := false
		for _, s := range q.sinks.status() {
			waiting = waiting || s.Pending > 0
		}
		if !waiting {
			return strings.Join(found, " ")
		}
		if time.Now().After(deadline) {
			t.Fatal("a sink does not get on")
		}
	}
}

// TestSilenceEndToEnd: added, stamped, left out by sinks, counted, shown, over a restart,
// ended by the clock, removed.
func TestSilenceEndToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		q := startQuiet(t, dir, zap.NewNop())
		hit, retro, alert, other := eventtest.Hit(), eventtest.Hit(), eventtest.Alert(), eventtest.Hit()
		retro.Retro, retro.Days = true, 3
		other.Offender, other.Dst = netip.MustParseAddr("198.51.100.77"), netip.MustParseAddr("198.51.100.77")
		expect := func(what string, e event.Event, want string) {
			t.Helper()
			if got := q.happen(t, e); got != want {
				t.Errorf("%s: came to %q, want %q", what, got, want)
			}
		}
		add := func(words ...string) silence.Silence {
			t.Helper()
			v := url.Values{"reason": {"a test"}, "for": {"1h"}}
			for i := 0; i < len(words); i += 2 {
				v.Set(words[i], words[i+1])
			}
			s, err := AddSilence(t.Context(), q.silences.book, v, "ann")
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		expect("before", hit, "hits all")
		first := add("offender", "203.0.113.9", "host", "10.0.0.5")
		rule := add("rule", "own_address_listed")
		expect("silenced", hit, "all")
		expect("a retro hit", retro, "all")
		expect("an alert", alert, "all")
		expect("another offender", other, "hits all")
		if b, err := os.ReadFile(filepath.Join(dir, "all.json")); err != nil || strings.Count(string(b), `"silenced":"`+first.ID+`"`) != 2 || strings.Count(string(b), `"silenced":"`+rule.ID+`"`) != 1 {
			t.Errorf("%v, %s", err, b)
		}
		s := q.silences.status()
		if s.InForce != 2 || s.Critical != 2 || s.High != 1 || s.NextEnd.IsZero() {
			t.Errorf("status %+v", s)
		}
		var text strings.Builder
		printSilences(&text, s, false)
		if want := "silences   2 in force, the next ends "; !strings.HasPrefix(text.String(), want) || !strings.HasSuffix(text.String(), "; events silenced: 3, 2 critical, 1 high\n") {
			t.Errorf("status prints %q", text.String())
		}
		if sinks := q.sinks.status(); sinks[0].Filtered != 3 || sinks[1].Filtered != 0 {
			t.Errorf("filtered %d and %d", sinks[0].Filtered, sinks[1].Filtered)
		}
		q.stop(t)
		q = startQuiet(t, dir, zap.NewNop())
		expect("after a restart", hit, "all")
		if list := q.silences.book.List(false); len(list) != 2 || list[0].Events != 3 {
			t.Errorf("after a restart: %+v", list)
		}
		time.Sleep(time.Until(first.Until) - 2*time.Second)
		expect("before the end", hit, "all")
		time.Sleep(4 * time.Second)
		expect("after the end", hit, "hits all")
		expect("an alert after the end", alert, "hits all")
		again := add("offender", "203.0.113.0/24")
		expect("again", hit, "all")
		if _, err := q.silences.book.Remove(t.Context(), again.ID, "bob"); err != nil {
			t.Error(err)
		}
		expect("removed", hit, "hits all")
		q.stop(t)
	})
}

// TestSilencesDamaged: the program starts without the silences, logs one error and warns; what
// a newer version has written is kept for it.
func TestSilencesDamaged(t *testing.T) {
	newer := []byte(`{"v":9,"silences":[{"id":"k7xq2mfa","form":"another"}]}`)
	for suffix, content := range map[string][]byte{
		".damaged": []byte(`{"v":1`),
		".newer":   fmt.Appendf(newer, "\n%08x\n", crc32.Checksum(newer, crc32.MakeTable(crc32.Castagnoli))),
	} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, silence.FileName)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			core, logs := observer.New(zap.ErrorLevel)
			q := startQuiet(t, dir, zap.New(core))
			if logs.Len() != 1 || !strings.Contains(logs.All()[0].Message, "silences of earlier runs") {
				t.Errorf("%s: logged %v", suffix, logs.All())
			}
			if f := silenceCheck(q.silences.status).State(time.Now()); f.State != observe.Warning || !strings.Contains(f.Text, silence.FileName+suffix) {
				t.Errorf("%s: check: %v %s", suffix, f.State, f.Text)
			}
			if got := q.happen(t, eventtest.Hit()); got != "hits all" {
				t.Errorf("%s: an event came to %q", suffix, got)
			}
			q.stop(t)
			if kept, err := os.ReadFile(path + suffix); err != nil || string(kept) != string(content) {
				t.Errorf("%s has %q, %v", suffix, kept, err)
			}
		})
	}
}

// TestSilenceRoutes asks a whole app over its control socket: silences with their author and
// the errors of operators, and a prefix that is allowed, which changes the set, and comes back
// when its time is over.
func TestSilenceRoutes(t *testing.T) {
	dir := shortDir(t)
	machine := &shiftedMachine{began: time.Now()}
	w := observed(t, dir, `{feeds: [{name: bad, file: `+list(t, dir, "bad.txt", "81.2.69.9", "81.2.69.10")+`}]}`, Options{Machine: machine})
	ask := func(method, path string, v any) error {
		return web.Request(t.Context(), dir, method, path, v)
	}
	var s silence.Silence
	if err := ask(http.MethodPost, SilencesPath+"?offender=81.2.69.10&for=1h&reason=a+test", &s); err != nil {
		t.Fatal(err)
	}
	if s.Author != web.OurName() || s.Offender != netip.MustParsePrefix("81.2.69.10/32") {
		t.Errorf("got %+v", s)
	}
	for _, tt := range []struct {
		method, path string
		status       int // 0 = a wrong request
	}{
		{http.MethodPost, SilencesPath + "?offender=81.2.69.10&for=2h&reason=again", http.StatusConflict},
		{http.MethodPost, SilencesPath + "?offender=0.0.0.0/0&for=2h&reason=all", 0},
		{http.MethodPost, SilencesPath + "?offender=81.2.69.11&for=2h", 0},
		{http.MethodPost, SilencesPath + "?host=10.0.0.0/8&for=2h&reason=x", http.StatusOK}, // home is more than that
		{http.MethodDelete, SilencesPath + "/aaaaaaaa", http.StatusNotFound},
		{http.MethodPost, AllowedPath + "?prefix=0.0.0.0/0&for=2h&reason=all", 0},
		{http.MethodDelete, AllowedPath + "?prefix=81.2.69.9", http.StatusNotFound},
		{http.MethodDelete, AllowedPath + "?prefix=x", 0},
	} {
		err := ask(tt.method, tt.path, new(any))
		refused, isRefused := errors.AsType[*web.RefusedError](err)
		_, isBad := errors.AsType[web.BadRequestError](err)
		if ok := tt.status == http.StatusOK && err == nil || isRefused && refused.Status == tt.status || isBad && tt.status == 0; !ok {
			t.Errorf("%s %s: got %v, want status %d", tt.method, tt.path, err, tt.status)
		}
	}
	w.contact(t, "81.2.69.10")
	until(t, "a silenced event", func() bool {
		return w.Status().Silences.Critical+w.Status().Silences.High+w.Status().Silences.Medium+w.Status().Silences.Low > 0
	})
	if b, _ := os.ReadFile(filepath.Join(dir, "hits.json")); strings.Contains(string(b), "81.2.69.10") {
		t.Errorf("it came to the hit log: %s", b)
	}
	look := func() Lookup {
		var l []Lookup
		if err := ask(http.MethodGet, "/lookup?prefix=81.2.69.9/32&prefix=81.2.69.10/32", &l); err != nil {
			t.Fatal(err)
		}
		if len(l[1].Silences) != 1 || l[1].Silences[0].ID != s.ID || len(l[0].Silences) != 0 {
			t.Errorf("lookup shows %+v", l)
		}
		return l[0]
	}
	if l := look(); len(l.Listings) != 1 || len(l.Allowed) != 0 {
		t.Fatalf("got %+v", l)
	}
	var a silence.Allowed
	if err := ask(http.MethodPost, AllowedPath+"?prefix=81.2.69.9&for=30m&reason=ours", &a); err != nil {
		t.Fatal(err)
	}
	until(t, "the allowed prefix is in no set", func() bool { return len(look().Listings) == 0 })
	if l := look(); len(l.Allowed) != 1 || l.Allowed[0].Reason != "ours" || l.Allowed[0].Author != s.Author || len(l.Stopped) == 0 {
		t.Errorf("got %+v", l)
	}
	cfg := w.cfg
	if table, _, err := BuildTable(&cfg, nil); err != nil || table.Len() != 1 {
		t.Errorf("a set of what is on the disk has %d entries, %v", table.Len(), err)
	}
	machine.add(31 * time.Minute)
	until(t, "the prefix is listed again", func() bool { return len(look().Listings) == 1 })
}

// TestHandOver: what root writes belongs to who owns the directory.
func TestHandOver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("is for root")
	}
	dir := t.TempDir()
	if err := errors.Join(os.Chown(dir, 1, 1), os.WriteFile(filepath.Join(dir, "f"), nil, 0o600), HandOver(dir, "f"), HandOver(dir, "none")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "f")); err != nil || ownerOf(info) != 1 {
		t.Errorf("%v belongs to %d", err, ownerOf(info))
	}
}
