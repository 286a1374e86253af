package report

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestSchedule: in every zone a report is due at its time of day, on its day, and is of what
// has passed since the report before; none is missed and none comes twice.
func TestSchedule(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, zone := range []string{"UTC", "Europe/Oslo", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"daily 07:00", "monday 00:00", "Sunday 23:59", "monthly 02:30"} {
			s, err := ParseSchedule(text)
			if err != nil || s.Never() {
				t.Fatal(text, err)
			}
			for range 300 {
				now := time.Date(2026, 1, 1, 0, 0, random.IntN(2*365*86400), 0, loc)
				due := s.Latest(now)
				if due.After(now) || s.Latest(due) != due {
					t.Fatalf("%s in %s: due %v at %v", text, zone, due, now)
				}
				before := s.Latest(due.Add(-time.Second))
				from, until := s.Period(due)
				_, last := s.Period(before)
				if !from.Equal(last) || !from.Before(until) || until.After(due) {
					t.Fatalf("%s in %s: due %v about %v to %v, the one before until %v", text, zone, due, from, until, last)
				}
			}
		}
	}
}

func TestParseSchedule(t *testing.T) {
	if s, err := ParseSchedule(""); err != nil || !s.Never() {
		t.Errorf("%v, %v", s, err)
	}
	for _, bad := range []string{"monday", "07:00", "monday 25:00", "someday 07:00", "daily  07:00", "daily 7", "monday 07:00 "} {
		if s, err := ParseSchedule(bad); err == nil {
			t.Errorf("%q gives %v", bad, s)
		}
	}
}
