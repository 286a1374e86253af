package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/hunt"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// A fakePast is a history whose Flush does what a test needs.
type fakePast struct {
	root    string
	off     bool
	rests   time.Duration
	flushes atomic.Int32
	flush   func(context.Context) (time.Time, error)
}

var huntDay = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func (p *fakePast) Written() time.Time { return huntDay.Add(30 * time.Hour) }

func (p *fakePast) Rests() time.Duration { return p.rests }

func (p *fakePast) Folder() *folder.Folder {
	if p.off {
		return nil
	}
	return folder.Open(disk.OS{}, p.root)
}

func (p *fakePast) Flush(ctx context.Context) (time.Time, error) {
	p.flushes.Add(1)
	if p.flush != nil {
		return p.flush(ctx)
	}
	return huntDay.Add(31 * time.Hour), nil
}

// A huntWorld is hunts behind a control socket, and the history that they search.
type huntWorld struct {
	*hunts
	dir  string
	past *fakePast
	rows int
}

// newHuntWorld writes a history of so many contacts of 203.0.113.9.
func newHuntWorld(t *testing.T, rows int) *huntWorld {
	dir, err := os.MkdirTemp("", "hunt-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg, err := configs.Load("")
	if err != nil {
		t.Fatal(err)
	}
	cfg.StateDir = dir
	w := &huntWorld{dir: dir, past: &fakePast{root: filepath.Join(dir, HistoryDir)}, rows: rows}
	huntFile(t, w.past.root, rows)
	store := lookup.NewStore()
	b := lookup.NewBuilder(lookup.Policy{})
	for feed, p := range map[string]string{"acme": "203.0.113.0/24", "other": "198.51.100.1/32"} {
		b.Add(intel.Indicator{Prefix: netip.MustParsePrefix(p), Feed: feed, Score: 90}, lookup.OriginOperator)
	}
	table, _ := b.Build("v1")
	store.Swap(table)
	w.hunts = newHunts(&cfg, w.past, store)
	w.gate.patience = 50 * time.Millisecond
	var c observe.Registry
	w.Register(c.Component("hunt"))
	c.Component("hunt").Ready()
	control := web.NewControl(dir)
	control.Serve(c.Routes())
	if err := control.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = w.Stop(ctx)
		control.Stop(ctx)
	})
	return w
}

func huntFile(t *testing.T, root string, n int) {
	t.Helper()
	var rows []row.Row
	for i := range n {
		rows = append(rows, row.Row{
			Outside: flow.Addr6Of(netip.MustParseAddr("203.0.113.9")), Inside: flow.Addr6{Lo: 0xffff_0a00_0000 + uint64(i)}, Protocol: 6, Port: 443,
			First: uint32(huntDay.Unix()) + uint32(i%80_000), Last: uint32(huntDay.Unix()) + uint32(i%80_000) + 60, Flows: 1, PacketsOut: 1, Sampling: 1,
		})
	}
	filetest.Put(t, root, file.Name{From: huntDay, To: huntDay.AddDate(0, 0, 1), Level: file.Day}, file.Form{Edge: true}, file.Info{}, rows)
}

// open sends a question, whose answer is to be read.
func (w *huntWorld) open(ctx context.Context, q *question.Question, more ...string) (io.ReadCloser, error) {
	if q.Ranges == nil && q.Feed == "" {
		q.Ranges = span.OfAll([]netip.Prefix{netip.MustParsePrefix("203.0.113.9/32")})
	}
	var body bytes.Buffer
	if _, err := q.WriteTo(&body); err != nil {
		return nil, err
	}
	return web.Stream(ctx, w.dir, http.MethodPost, "/hunt", io.MultiReader(&body, strings.NewReader(strings.Join(more, ""))))
}

// ask gives the number of rows and the summary of an answer.
func (w *huntWorld) ask(ctx context.Context, q *question.Question) (rows int, sum hunt.Summary, err error) {
	answer, err := w.open(ctx, q)
	if err != nil {
		return 0, sum, err
	}
	defer answer.Close()
	sum, err = hunt.ReadAnswer(answer, func([]byte) error { rows++; return nil }, func(hunt.Progress) {})
	return rows, sum, err
}

// TestHuntRoute: questions to the running instance, good and bad.
func TestHuntRoute(t *testing.T) {
	w := newHuntWorld(t, 3000)
	ctx := t.Context()
	if rows, sum, err := w.ask(ctx, &question.Question{}); err != nil || rows != 3000 || sum.Rows != 3000 || !sum.Until.Equal(huntDay.Add(31*time.Hour)) || !sum.Began.Equal(huntDay) || sum.Note != "" {
		t.Errorf("%d rows, %+v, %v", rows, sum, err)
	}
	if rows, sum, err := w.ask(ctx, &question.Question{Kept: true, Limit: 5}); err != nil || rows != 5 || !sum.Limited || !sum.Until.Equal(huntDay.Add(30*time.Hour)) || w.past.flushes.Load() != 1 {
		t.Errorf("without a flush: %d rows, %+v, %v, %d flushes", rows, sum, err, w.past.flushes.Load())
	}
	for feed, want := range map[string]int{"acme": 3000, "other": 0} {
		if rows, _, err := w.ask(ctx, &question.Question{Feed: feed}); err != nil || rows != want {
			t.Errorf("feed %s: %d rows, %v", feed, rows, err)
		}
	}
	w.past.flush = func(context.Context) (time.Time, error) { return time.Time{}, errors.New("no space left on device") }
	if rows, sum, err := w.ask(ctx, &question.Question{}); err != nil || rows != 3000 || !strings.Contains(sum.Note, "could not be written: no space left") || !sum.Until.Equal(huntDay.Add(30*time.Hour)) {
		t.Errorf("a flush that fails: %d rows, %+v, %v", rows, sum, err)
	}
	w.past.off = true
	if rows, sum, err := w.ask(ctx, &question.Question{}); err != nil || rows != 3000 || !strings.Contains(sum.Note, "the history is off") || !sum.Until.Equal(huntDay.AddDate(0, 0, 1)) {
		t.Errorf("a history that is off: %d rows, %+v, %v", rows, sum, err)
	}
	done := w.status().Done
	for want, q := range map[string]*question.Question{
		"no feed nope; there are acme, other": {Feed: "nope"},
		"is more than a /8":                   {Ranges: span.All()},
		"10.0.0.5 is in home":                 {Ranges: span.OfAll([]netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")})},
		"use 1 to 64 of a-z":                  {Import: "../x"},
		"no import nope: no such file":        {Import: "nope"},
	} {
		_, _, err := w.ask(ctx, q)
		if _, bad := errors.AsType[web.BadRequestError](err); !bad || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for want, body := range map[string]string{"line 3": "nonsense\n", "too large": strings.Repeat("2001:0db8:0000:0000:0000:0000:0000:0001-2001:0db8:0000:0000:0000:0000:0000:0001\n", huntBody/80+1)} {
		if _, err := w.open(ctx, &question.Question{}, body); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	s := w.status()
	if s.Done != done || s.Refused != 5 || s.Failed != 2 || s.Cancelled != 0 || s.Running != 0 || s.Rows != 3000*4+5 || s.Seconds <= 0 {
		t.Errorf("counted %+v", s)
	}
	var text strings.Builder
	printHunts(&text, s, false)
	if want := fmt.Sprintf("hunts      %d done, contacts found: 12005, 5 refused, 2 failed\n", done); text.String() != want {
		t.Errorf("%q, want %q", text.String(), want)
	}
}

// TestHuntAgain: an answer without what is in memory has from when on another one has it, and
// is complete until what the history has written, not until the end of a later file.
func TestHuntAgain(t *testing.T) {
	w := newHuntWorld(t, 10)
	for _, tt := range []struct {
		until time.Time
		rests time.Duration
		again bool
	}{
		{w.past.Written(), 40 * time.Second, true},
		{w.past.Written().Add(time.Second), time.Minute, false}, // it has just been written
		{w.past.Written(), 0, false},
	} {
		w.past.rests, w.past.flush = tt.rests, func(context.Context) (time.Time, error) { return tt.until, nil }
		asked := time.Now()
		_, sum, err := w.ask(t.Context(), &question.Question{})
		if err != nil || !sum.Until.Equal(tt.until) || sum.Again.IsZero() == tt.again {
			t.Errorf("%+v: %+v, %v", tt, sum, err)
		}
		if tt.again && (sum.Again.Before(asked.Add(tt.rests)) || sum.Again.After(time.Now().Add(tt.rests+2*time.Second))) {
			t.Errorf("again at %v, it is %v", sum.Again, asked)
		}
	}
	earlier := huntDay.Add(time.Hour) // the file ends later, by a clock that was ahead
	w.past.flush = func(context.Context) (time.Time, error) { return earlier, nil }
	if _, sum, err := w.ask(t.Context(), &question.Question{}); err != nil || !sum.Until.Equal(earlier) {
		t.Errorf("%+v, %v", sum, err)
	}
}

// TestHuntsAtOnce: two are at work, eight wait, others are refused; all that wait come to
// their answer.
func TestHuntsAtOnce(t *testing.T) {
	w := newHuntWorld(t, 100)
	hold := make(chan struct{})
	w.past.flush = func(context.Context) (time.Time, error) { <-hold; return huntDay, nil }
	var all sync.WaitGroup
	for range huntsRunning + huntsWaiting {
		all.Go(func() {
			if rows, _, err := w.ask(t.Context(), &question.Question{}); rows != 100 || err != nil {
				t.Errorf("%d rows, %v", rows, err)
			}
		})
	}
	wait(t, "two run and eight wait", func() bool { s := w.status(); return s.Running == huntsRunning && s.Waiting == huntsWaiting })
	for range 3 {
		if _, _, err := w.ask(t.Context(), &question.Question{}); err == nil || !strings.Contains(err.Error(), "too many hunts") {
			t.Errorf("one too many: %v", err)
		}
	}
	close(hold)
	all.Wait()
	if s := w.status(); s.Done != huntsRunning+huntsWaiting || s.Refused != 3 || s.Running+s.Waiting+s.Paused != 0 {
		t.Errorf("%+v", s)
	}
}

// TestHuntCancelled: a client that goes away ends its hunt, at work or waiting.
func TestHuntCancelled(t *testing.T) {
	w := newHuntWorld(t, 200_000)
	ctx, cancel := context.WithCancel(t.Context())
	answer, err := w.open(ctx, &question.Question{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(answer, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel()
	wait(t, "the hunt is cancelled", func() bool { s := w.status(); return s.Cancelled == 1 && s.Running == 0 && s.Paused == 0 })

	hold := make(chan struct{})
	w.past.flush = func(context.Context) (time.Time, error) { <-hold; return huntDay, nil }
	ctx, cancel = context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range huntsRunning + 3 {
		all.Go(func() { _, _, _ = w.ask(ctx, &question.Question{}) })
	}
	wait(t, "three wait", func() bool { return w.status().Waiting == 3 })
	cancel()
	all.Wait()
	wait(t, "nobody waits", func() bool { return w.status().Waiting == 0 })
	close(hold)
	wait(t, "nobody runs", func() bool { return w.status().Running == 0 })
}

// TestSlowReaders: clients that do not read hold up nobody else, and get all when they read;
// when there are too many of them they are ended.
func TestSlowReaders(t *testing.T) {
	w := newHuntWorld(t, 20_000)
	var slow []io.ReadCloser
	for n := range huntsPaused {
		answer, err := w.open(t.Context(), &question.Question{})
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Close()
		slow = append(slow, answer)
		wait(t, "it is paused", func() bool { s := w.status(); return s.Paused == n+1 && s.Running == 0 })
	}
	if rows, _, err := w.ask(t.Context(), &question.Question{}); rows != 20_000 || err != nil {
		t.Errorf("beside slow readers: %d rows, %v", rows, err)
	}
	last, err := w.open(t.Context(), &question.Question{})
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	wait(t, "one too many is ended", func() bool { s := w.status(); return s.Cancelled == 1 && s.Running == 0 })
	for _, answer := range slow {
		rows := 0
		sum, err := hunt.ReadAnswer(answer, func([]byte) error { rows++; return nil }, func(hunt.Progress) {})
		if rows != 20_000 || sum.Rows != 20_000 || err != nil {
			t.Errorf("a slow reader: %d rows, %+v, %v", rows, sum, err)
		}
	}
	if s := w.status(); s.Paused != 0 {
		t.Errorf("%+v", s)
	}
}

// TestStalledReader: a client that never reads is given up.
func TestStalledReader(t *testing.T) {
	w := newHuntWorld(t, 20_000)
	w.stall = 200 * time.Millisecond
	answer, err := w.open(t.Context(), &question.Question{})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	wait(t, "it is given up", func() bool { s := w.status(); return s.Cancelled == 1 && s.Paused == 0 && s.Running == 0 })
	if _, err := hunt.ReadAnswer(answer, func([]byte) error { return nil }, func(hunt.Progress) {}); err == nil {
		t.Error("its answer has an end")
	}
}

// TestHuntsStop: a stop ends hunts, with a reason for the client, and refuses others.
func TestHuntsStop(t *testing.T) {
	w := newHuntWorld(t, 20_000)
	answer, err := w.open(t.Context(), &question.Question{})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	wait(t, "it is paused", func() bool { return w.status().Paused == 1 })
	ended := make(chan error)
	go func() { ended <- w.Stop(t.Context()) }()
	<-w.ctx.Done()
	_, err = hunt.ReadAnswer(answer, func([]byte) error { return nil }, func(hunt.Progress) {})
	if err == nil {
		t.Error("the answer has an end")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, _, err := w.ask(t.Context(), &question.Question{}); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("after the stop: %v", err)
	}
}

// wait waits until something is so.
func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come that %s", what)
		}
	}
}
