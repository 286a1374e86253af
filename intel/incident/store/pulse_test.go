package store

import (
	"reflect"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// beat writes the total of a run for the hour n hours after t0.
func beat(t *testing.T, s *Store, run int64, n int, p incident.Pulse) {
	t.Helper()
	if err := s.Beat(t.Context(), run, []incident.HourPulse{{Hour: t0.Add(time.Duration(n) * time.Hour), Pulse: p}}); err != nil {
		t.Fatal(err)
	}
}

// TestBeat: totals of a run may come again, in any order; those of several runs within an hour
// are put together; and there is one row of an hour, with the same sums, once no run writes to
// it any more.
func TestBeat(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		now := t0
		cfg.Now = func() time.Time { return now }
		s := open(t, cfg)
		part := func(minutes int) incident.Pulse {
			return incident.Pulse{Minutes: minutes, Flows: uint64(10 * minutes), Lost: uint64(minutes / 10), Hits: 1}
		}
		for _, minutes := range []int{20, 30, 30, 20} {
			beat(t, s, 7, 0, part(minutes))
		}
		second := part(25)
		second.Worst, second.Findings = "critical", []string{"disk: full\x1b[2J", "b", "c", "d"}
		beat(t, s, 8, 0, second)
		beat(t, s, 8, 1, part(60))
		want := []incident.HourPulse{
			{Hour: t0, Pulse: incident.Pulse{Minutes: 55, Flows: 550, Lost: 5, Hits: 2, Worst: "critical", Findings: []string{"disk: full", "b", "c"}}},
			{Hour: t0.Add(time.Hour), Pulse: incident.Pulse{Minutes: 60, Flows: 600, Lost: 6, Hits: 1, Worst: "ok"}},
		}
		look := func(rows int) {
			t.Helper()
			p, err := s.Period(t.Context(), t0, t0.Add(3*time.Hour))
			if err != nil || !reflect.DeepEqual(p.Pulses, want) {
				t.Errorf("%v, got  %+v\nwant %+v", err, p.Pulses, want)
			}
			var n int
			if err := s.db.Read().QueryRow("SELECT count(*) FROM pulse").Scan(&n); err != nil || n != rows {
				t.Errorf("%v, %d rows, want %d", err, n, rows)
			}
		}
		look(3)
		for _, days := range []int{39, 42} {
			now = t0.AddDate(0, 0, days)
			if _, err := s.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			look(map[int]int{39: 3, 42: 2}[days])
		}
	})
}
