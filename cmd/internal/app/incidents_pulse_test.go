package app

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"go.uber.org/zap"
)

// A pulseRun is one run of a program that decodes 10 flows a second, and has no hit.
type pulseRun struct {
	*pulseTaker
	b    *background
	away atomic.Pointer[error] // of the database
	at   *store.Store
}

func startPulse(t *testing.T, path string) *pulseRun {
	t.Helper()
	s, err := store.Open(t.Context(), store.DefaultConfig(path))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	a := &App{registry: new(observe.Registry), log: zap.NewNop()}
	r := &pulseRun{b: newBackground(a.log), at: s}
	r.pulseTaker = newPulseTaker(a, false, time.Now, func(context.Context) (*store.Store, error) {
		if err := r.away.Load(); err != nil {
			return nil, *err
		}
		return r.at, nil
	})
	r.meter.findings = func() []observe.Finding {
		return []observe.Finding{{Check: "feeds", State: observe.Warning, Text: "old"}}
	}
	r.meter.samples = func() []observe.Sample {
		var one observe.Sample
		one.Name, one.Value = "records_total", 10*time.Since(begun).Seconds()
		return []observe.Sample{one}
	}
	r.meter.start(begun)
	r.chores(r.b)
	if err := r.b.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *pulseRun) stop(t *testing.T) {
	t.Helper()
	if err := r.b.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.last(t.Context())
	if err := r.at.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// hours gives what a report of the time since from knows.
func pulsesSince(t *testing.T, path string, from time.Time) []incident.HourPulse {
	t.Helper()
	s, err := store.Open(t.Context(), store.DefaultConfig(path))
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Period(t.Context(), from, time.Now().Add(time.Second))
	if err := errors.Join(err, s.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	return p.Pulses
}

// TestPulse: hours without a hit are known, each with what was in it; those of a database that
// was away for five hours come when it is back; a stop and a start within an hour give one
// hour; a kill costs two minutes, and nothing is counted twice.
func TestPulse(t *testing.T) {
	path := filepath.Join(t.TempDir(), IncidentsFile)
	synctest.Test(t, func(t *testing.T) {
		from := time.Now() // midnight
		r := startPulse(t, path)
		settle(3 * time.Hour)
		refused := errors.New("connection refused")
		r.away.Store(&refused)
		settle(5 * time.Hour)
		if s := r.book.Stats(); s.Error == "" || s.Waiting < 5 || s.Dropped > 0 {
			t.Errorf("while the database is away: %+v", s)
		}
		r.away.Store(nil)
		settle(30*time.Minute + 40*time.Second)
		r.stop(t)
		r = startPulse(t, path)
		settle(20 * time.Minute)
		r.stop(t)
		settle(40 * time.Minute) // off, over the end of the hour
		r = startPulse(t, path)
		settle(3*time.Hour + 8*time.Minute + 20*time.Second)
		if err := r.b.Stop(t.Context()); err != nil { // as good as killed
			t.Error(err)
		}
		if err := r.at.Close(t.Context()); err != nil {
			t.Error(err)
		}
		got := pulsesSince(t, path, from)
		want := []int{60, 60, 60, 60, 60, 60, 60, 60, 50, 30, 60, 60, 37}
		if len(got) != len(want) {
			t.Fatalf("%d hours, want %d: %+v", len(got), len(want), got)
		}
		for n, h := range got {
			off := h.Minutes - want[n]
			seconds := int(h.Flows / 10)
			if !h.Hour.Equal(from.Add(time.Duration(n)*time.Hour)) || off < -2 || off > 1 || seconds < 60*want[n]-120 || seconds > 60*want[n]+60 || h.Worst != "warning" || len(h.Findings) != 1 {
				t.Errorf("hour %d: want %d minutes: %+v", n, want[n], h)
			}
		}
	})
}

// TestPulseSleep: a machine that slept was not alive in that time.
func TestPulseSleep(t *testing.T) {
	now := time.Now()
	m := pulseMeter{samples: func() []observe.Sample { return nil }, findings: func() []observe.Finding { return nil }}
	m.start(now)
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{59 * time.Second, 0}, {61 * time.Second, 2}, {5 * time.Hour, 10}, {time.Minute, 1}} {
		now = now.Add(c.after)
		if got, _ := m.take(now); got.Minutes != c.want {
			t.Errorf("%v: %d minutes, want %d", c.after, got.Minutes, c.want)
		}
	}
}
