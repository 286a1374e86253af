package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Schedule is when reports are sent, in local time: each day, week or month at a minute. A
// report is of the whole days, seven days or month before the midnight of its day.
// The zero Schedule is never.
type Schedule struct {
	unit    unit
	weekday time.Weekday // of weekly
	hour    int
	minute  int
}

type unit int

const (
	never unit = iota
	daily
	weekly
	monthly
)

// ParseSchedule reads "daily 07:00", "monday 07:00" (or another day) or "monthly 07:00", which is
// on the first of the month. An empty text is never.
func ParseSchedule(s string) (Schedule, error) {
	if s == "" {
		return Schedule{}, nil
	}
	day, clock, ok := strings.Cut(strings.ToLower(s), " ")
	at, err := time.Parse("15:04", clock)
	if !ok || err != nil {
		return Schedule{}, fmt.Errorf("%q is not valid; use daily 07:00, monday 07:00 or monthly 07:00", s)
	}
	made := Schedule{hour: at.Hour(), minute: at.Minute()}
	weekdays := []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
	switch i := slices.Index(weekdays, day); {
	case day == "daily":
		made.unit = daily
	case day == "monthly":
		made.unit = monthly
	case i >= 0:
		made.unit, made.weekday = weekly, time.Weekday(i)
	default:
		return Schedule{}, fmt.Errorf("%q is not valid; use daily, a day such as monday, or monthly, and a time such as 07:00", s)
	}
	return made, nil
}

// Never reports whether nothing is sent.
func (s Schedule) Never() bool { return s.unit == never }

// Latest gives the last time at or before now, in the zone of now, at which a report was due.
func (s Schedule) Latest(now time.Time) time.Time {
	for day := 0; ; day-- {
		y, m, d := now.Date()
		t := time.Date(y, m, d+day, s.hour, s.minute, 0, 0, now.Location())
		if s.fits(t) && !t.After(now) {
			return t
		}
	}
}

// fits reports whether a report is due on the day of t.
func (s Schedule) fits(t time.Time) bool {
	switch s.unit {
	case weekly:
		return t.Weekday() == s.weekday
	case monthly:
		return t.Day() == 1
	}
	return true
}

// Period gives what the report that is due at a time is about: it ends at the midnight before.
func (s Schedule) Period(due time.Time) (from, until time.Time) {
	y, m, d := due.Date()
	until = time.Date(y, m, d, 0, 0, 0, 0, due.Location())
	switch s.unit {
	case weekly:
		return time.Date(y, m, d-7, 0, 0, 0, 0, due.Location()), until
	case monthly:
		return time.Date(y, m-1, 1, 0, 0, 0, 0, due.Location()), until
	}
	return time.Date(y, m, d-1, 0, 0, 0, 0, due.Location()), until
}
