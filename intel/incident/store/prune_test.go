package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/forget"
)

// left gives how many rows the tables have.
func left(t *testing.T, s *Store, table string) (n int) {
	t.Helper()
	if err := s.db.Read().QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPrune: incidents go by age, judged ones later; with them goes all that belongs to them.
func TestPrune(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		now := t0
		cfg.Now = func() time.Time { return now }
		s := open(t, cfg)
		commit(t, s, hit(1, "203.0.113.1", "10.0.0.1", 0), hit(2, "203.0.113.2", "10.0.0.2", 0), hit(3, "203.0.113.3", "10.0.0.3", 300*24*time.Hour))
		act(t, s, "203.0.113.2", incident.ActFalseAlarm, "a mirror")
		now = t0.Add(9 * 24 * time.Hour)
		if p, err := s.Prune(t.Context()); err != nil || p != (forget.Pruned{Contacts: 2}) {
			t.Errorf("got %+v, %v", p, err)
		}
		now = t0.Add(366 * 24 * time.Hour)
		if p, err := s.Prune(t.Context()); err != nil || p.Old != 1 {
			t.Errorf("got %+v, %v", p, err)
		}
		for table, want := range map[string]int{"incident": 2, "incident_text": 2, "incident_host": 2, "incident_day": 2, "incident_feed": 2, "incident_service": 2, "audit": 1, "host_sum": 3} {
			if n := left(t, s, table); n != want {
				t.Errorf("%s has %d rows, want %d", table, n, want)
			}
		}
		now = t0.Add(3 * 366 * 24 * time.Hour)
		if p, err := s.Prune(t.Context()); err != nil || p.Old != 2 {
			t.Errorf("got %+v, %v", p, err)
		}
		for _, table := range []string{"incident", "incident_text", "incident_host", "incident_day", "incident_feed", "incident_service", "audit", "host", "host_sum", "host_day", "contact"} {
			if n := left(t, s, table); n != 0 {
				t.Errorf("%s has %d rows", table, n)
			}
		}
		if st := s.Stats(); st.Pruned.Old != 3 || st.Incidents != 0 {
			t.Errorf("got %+v", st)
		}
	})
}

// TestPruneOver: of too many, the least severe go first, and of these the longest silent;
// those that somebody judged are the last.
func TestPruneOver(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.Max = 4
		cfg.Now = func() time.Time { return t0.Add(time.Hour) }
		s := open(t, cfg)
		var events []event.Event
		for i := range 8 {
			e := hit(i, fmt.Sprintf("203.0.113.%d", i), "10.0.0.1", time.Duration(i)*time.Minute)
			e.Severity = event.Severity(i % 2) // low: 0 2 4 6, medium: 1 3 5 7
			events = append(events, e)
		}
		commit(t, s, events...)
		act(t, s, "203.0.113.0", incident.ActTake, "")
		if p, err := s.Prune(t.Context()); err != nil || p.Over != 4 {
			t.Fatalf("got %+v, %v", p, err)
		}
		for i, want := range []bool{true, false, false, true, false, true, false, true} {
			_, err := s.Get(t.Context(), events[i].Offender)
			if (err == nil) != want {
				t.Errorf("%s: %v", events[i].Offender, err)
			}
		}
	})
}

// TestForgottenContact: an update of a contact that was forgotten counts from its totals.
func TestForgottenContact(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		now := t0
		cfg.Now = func() time.Time { return now }
		s := open(t, cfg)
		h := hit(1, "203.0.113.1", "10.0.0.1", 0)
		commit(t, s, h)
		now = t0.Add(9 * 24 * time.Hour)
		if _, err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		commit(t, s, update(h, 7, 70, 9*24*time.Hour))
		if x := get(t, s, "203.0.113.1"); x.Flows != 71 {
			t.Errorf("got %+v", x)
		}
	})
}

// TestPruneDays: one that is seen year after year keeps the days of the last.
func TestPruneDays(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		now := t0
		cfg.Now = func() time.Time { return now }
		s := open(t, cfg)
		for i := range 3 {
			commit(t, s, hit(i, "203.0.113.1", "10.0.0.1", time.Duration(i)*200*24*time.Hour))
		}
		now = t0.Add(401 * 24 * time.Hour)
		if _, err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if x := get(t, s, "203.0.113.1"); x.Flows != 3 || x.Days != 3 || left(t, s, "incident_day") != 2 {
			t.Errorf("got %+v, %d days", x, left(t, s, "incident_day"))
		}
	})
}
