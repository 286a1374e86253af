package pulse

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/incident"
)

var t0 = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// A table keeps totals as the database does.
type table map[int64]map[int64]incident.Pulse

func (t table) beat(_ context.Context, run int64, hours []incident.HourPulse) error {
	for _, h := range hours {
		at := h.Hour.Unix()
		if t[at] == nil {
			t[at] = map[int64]incident.Pulse{}
		}
		t[at][run] = h.Pulse
	}
	return nil
}

// minutes are those of each hour from t0 on.
func (t table) minutes(hours int) (list []int) {
	for n := range hours {
		sum := 0
		for _, p := range t[t0.Add(time.Duration(n)*time.Hour).Unix()] {
			sum += p.Minutes
		}
		list = append(list, sum)
	}
	return list
}

var minute = incident.Pulse{Minutes: 1, Flows: 100}

// TestAway: while the database is away the hours wait; one that fails after it has written
// everything counts nothing twice; a second run adds to the hour of the first.
func TestAway(t *testing.T) {
	db := table{}
	away := errors.New("away")
	b := NewBook()
	for m := range 8 * 60 {
		now := t0.Add(time.Duration(m) * time.Minute)
		b.Add(now, minute)
		beat := db.beat
		switch h := m / 60; {
		case h >= 2 && h < 7:
			beat = func(context.Context, int64, []incident.HourPulse) error { return away }
		case m%3 == 0:
			beat = func(ctx context.Context, run int64, hours []incident.HourPulse) error {
				return errors.Join(db.beat(ctx, run, hours), away) // its answer got lost
			}
		}
		err := b.Send(t.Context(), beat)
		if s := b.Stats(); err != nil && (s.Error == "" || s.Waiting == 0) || err == nil && (s.Error != "" || s.Waiting > 0 || len(b.hours) > 7) {
			t.Fatalf("minute %d: %v, %+v, %d hours in memory", m, err, s, len(b.hours))
		}
	}
	second := NewBook()
	second.Add(t0.Add(8*time.Hour-time.Second), minute)
	_ = b.Send(t.Context(), db.beat)
	if err := second.Send(t.Context(), db.beat); err != nil {
		t.Fatal(err)
	}
	want := []int{60, 60, 60, 60, 60, 60, 60, 61, 0}
	for n, m := range db.minutes(9) {
		if m != want[n] {
			t.Errorf("hour %d has %d minutes, want %d", n, m, want[n])
		}
	}
	if p := db[t0.Unix()][b.run]; p.Flows != 6000 {
		t.Errorf("%+v", p)
	}
	called := false
	if err := b.Send(t.Context(), func(context.Context, int64, []incident.HourPulse) error { called = true; return nil }); err != nil || called {
		t.Error("nothing is to be written", err)
	}
}

// TestBounded: hours in memory are 31 days, and the oldest go, counted.
func TestBounded(t *testing.T) {
	b := NewBook()
	for n := range 40 * 24 {
		b.Add(t0.Add(time.Duration(n)*time.Hour), minute)
	}
	if s := b.Stats(); s.Waiting != maxHours || s.Dropped != 9*24 || b.hours[t0.Unix()] != nil {
		t.Errorf("%+v", s)
	}
}

// TestDuringSend: what is added while the database writes is written next time.
func TestDuringSend(t *testing.T) {
	db := table{}
	b := NewBook()
	b.Add(t0, minute)
	err := b.Send(t.Context(), func(ctx context.Context, run int64, hours []incident.HourPulse) error {
		b.Add(t0.Add(time.Minute), minute)
		return db.beat(ctx, run, hours)
	})
	if err != nil || b.Stats().Waiting != 1 || db.minutes(1)[0] != 1 {
		t.Error(err, b.Stats(), db)
	}
	if err := b.Send(t.Context(), db.beat); err != nil || b.Stats().Waiting != 0 || db.minutes(1)[0] != 2 {
		t.Error(err, b.Stats(), db)
	}
}
