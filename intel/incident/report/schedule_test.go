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
	for _, zone := range []string{"UTC", "Europe/Oslo", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"daily 07:00", "monday 00:00", "Sunday 23:59", "monthly 02:30", "daily 00:00", "daily 02:10"} {
			s, err := ParseSchedule(text)
			if err != nil || s.Never() {
				t.Fatal(text, err)
			}
			for range 300 {
				now := time.Date(2026, 1, 1, 0, 0, random.IntN(2*365*86400), 0, loc)
				due := s.Latest(now)
				if n := due.Add(-30 * time.Hour); text == "daily 00:00" && s.Latest(n.Add(25*time.Hour)).Equal(s.Latest(n.Add(-25*time.Hour))) {
					t.Fatalf("%s in %s: none is due in two days before %v", text, zone, due)
				}
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

// TestLeftOut: a report that is due while the clocks are put forward comes as much later, on its
// day, and the day begins where the clocks begin.
func TestLeftOut(t *testing.T) {
	for _, c := range []struct{ zone, text, now, due, from, until string }{
		{"America/Sao_Paulo", "daily 00:00", "2018-11-04T12:00:00-02:00", "2018-11-04T01:00:00-02:00", "2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00"},
		{"Asia/Amman", "monthly 00:30", "2016-04-02T12:00:00+03:00", "2016-04-01T01:30:00+03:00", "2016-03-01T00:00:00+02:00", "2016-04-01T01:00:00+03:00"},
		{"Europe/Oslo", "sunday 02:30", "2026-03-29T12:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-22T00:00:00+01:00", "2026-03-29T00:00:00+01:00"},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at := func(s string) time.Time {
			when, err := time.Parse(time.RFC3339, s)
			if err != nil {
				t.Fatal(err)
			}
			return when.In(loc)
		}
		s, err := ParseSchedule(c.text)
		if err != nil {
			t.Fatal(err)
		}
		due := s.Latest(at(c.now))
		from, until := s.Period(due)
		if !due.Equal(at(c.due)) || !from.Equal(at(c.from)) || !until.Equal(at(c.until)) {
			t.Errorf("%s in %s: due %v, about %v to %v", c.text, c.zone, due, from, until)
		}
	}
}

// TestDue: what was due since the last report is counted, to an end.
func TestDue(t *testing.T) {
	s, err := ParseSchedule("daily 07:00")
	if err != nil {
		t.Fatal(err)
	}
	due := time.Date(2026, 11, 30, 7, 0, 0, 0, time.UTC)
	for days, want := range map[int]int{0: 0, 1: 1, 5: 5, 9999: maxDue} {
		first, n := s.Due(due.AddDate(0, 0, -days), due)
		if n != want || n > 0 && !first.Equal(due.AddDate(0, 0, 1-want)) {
			t.Errorf("%d days: %d, the first %v", days, n, first)
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
