package follow

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// quarantined is how many rules are.
func quarantined(r *Raised) (n int) {
	for _, a := range r.Rules() {
		if !a.Quarantined.IsZero() {
			n++
		}
	}
	return n
}

// TestRaisedLastDay: the alerts of the last day are those of this hour and the 23 before.
func TestRaisedLastDay(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon}
	r := w.raised()
	n := byte(0)
	for _, step := range []struct {
		pass time.Duration
		want uint64
	}{{0, 1}, {time.Minute, 2}, {22 * time.Hour, 3}, {2 * time.Hour, 2}, {24 * time.Hour, 1}, {100 * time.Hour, 1}, {-time.Hour, 1}} {
		w.now = w.now.Add(step.pass)
		n++
		if err := r.Raise([]detect.Alert{{ID: uuid.UUID{0: n}, Rule: &rule.Rule{Name: "quiet"}}}); err != nil {
			t.Fatal(err)
		}
		if a := r.Rules()["quiet"]; a.LastDay != step.want || !a.Last.Equal(w.now) {
			t.Errorf("at %s: %+v, want %d", w.now, a, step.want)
		}
	}
	if w.now = w.now.Add(24 * time.Hour); r.Rules()["quiet"].LastDay != 0 {
		t.Errorf("%+v", r.Rules())
	}
}

// TestRaisedAgainAndAgain: attempts to send an alert while the sinks fail are no alerts of their
// own: the rule is not quarantined for them.
func TestRaisedAgainAndAgain(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon, fails: errors.New("no room")}
	r := w.raised()
	alert := []detect.Alert{{ID: uuid.UUID{0: 1}, Rule: &rule.Rule{Name: "quiet"}}}
	for range 3 * MostAlerts {
		if err := r.Raise(alert); !errors.Is(err, w.fails) {
			t.Fatal(err)
		}
	}
	w.fails = nil
	if err := r.Raise(alert); err != nil || len(w.sent) != 1 || quarantined(r) != 0 || r.Stats().Quarantined != 0 {
		t.Errorf("%v, sent %d, %+v", err, len(w.sent), r.Stats())
	}
}

// TestNotTaken: while alerts cannot be sent, further events stay in the journal.
func TestNotTaken(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon, fails: errors.New("no room")}
	h, all := w.hits(), tries(25)
	if err := h.Send(context.Background(), all[:10]); !errors.Is(err, w.fails) || errors.Is(err, ErrNotTaken) {
		t.Fatal(err)
	}
	for range 3 {
		w.now = w.now.Add(time.Minute)
		if err := h.Send(context.Background(), all[10:]); !errors.Is(err, ErrNotTaken) || h.Held() != 10 {
			t.Fatal(err, h.Held())
		}
	}
	w.fails = nil
	if err := h.Send(context.Background(), all[10:]); err != nil || len(w.sent) != 2 || h.Held() != 0 {
		t.Error(err, h.Held(), w.sent)
	}
}

// TestCountersGoOn: other rules do not set the counters back.
func TestCountersGoOn(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon}
	h := w.hits()
	if err := h.Send(context.Background(), tries(10)); err != nil {
		t.Fatal(err)
	}
	h.Use(shipped(t, "contact_pair"))
	if err := h.Send(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if s := h.Stats().Engine; s.Observations != 10 || s.Alerts != 1 || s.Groups != 1 {
		t.Errorf("%+v", s)
	}
}

// TestSlowSinks: while sinks or the disk take their time with alerts, the status does not wait.
func TestSlowSinks(t *testing.T) {
	var r *Raised
	look := func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Stats()
			r.Rules()
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second): // it hangs
			t.Error("the status waits for whoever sends alerts")
		}
	}
	r, err := OpenRaised(disk.OS{}, filepath.Join(t.TempDir(), "raised"), func() time.Time { return noon }, func([]detect.Alert) error {
		look()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	r.Noisy = func(string) { look() }
	for n := range byte(MostAlerts + 1) {
		if err := r.Raise([]detect.Alert{{ID: uuid.UUID{0: n}, Rule: &rule.Rule{Name: "loud"}}}); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
	if s := r.Stats(); s.Sent != MostAlerts || s.Quarantined != 1 {
		t.Errorf("%+v", s)
	}
}
