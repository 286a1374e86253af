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
	y, m, d := now.Date()
	for back := 0; ; back++ {
		day := time.Date(y, m, d-back, 0, 0, 0, 0, time.UTC)
		if t := moment(day, s.hour, s.minute, now.Location()); s.fits(day) && !t.After(now) {
			return t
		}
	}
}

// maxDue bounds how many reports Due counts.
const maxDue = 1000

// Due gives the first time after last at which a report was due, where due is the latest one,
// and how many there were, due included: 0 for none.
func (s Schedule) Due(last, due time.Time) (first time.Time, n int) {
	for ; due.After(last) && n < maxDue; n++ {
		first = due
		due = s.Latest(due.Add(-time.Nanosecond))
	}
	return first, n
}

// fits reports whether a report is due on a day.
func (s Schedule) fits(day time.Time) bool {
	switch s.unit {
	case weekly:
		return day.Weekday() == s.weekday
	case monthly:
		return day.Day() == 1
	}
	return true
}

// moment gives a minute of a day in a zone. Where the clocks are put forward over it, it is as
// much later; where they are put back over it, one of both.
func moment(day time.Time, hour, minute int, zone *time.Location) time.Time {
	y, m, d := day.Date()
	t := time.Date(y, m, d, hour, minute, 0, 0, zone)
	_, offset := t.Zone()
	shown := t.Add(time.Duration(offset) * time.Second).UTC()
	if early := time.Date(y, m, d, hour, minute, 0, 0, time.UTC).Sub(shown); early > 0 {
		return t.Add(early)
	}
	return t
}

// Period gives what the report that is due at a time is about: it ends with the day before.
func (s Schedule) Period(due time.Time) (from, until time.Time) {
	y, m, d := due.Date()
	begin := func(m time.Month, d int) time.Time {
		return moment(time.Date(y, m, d, 0, 0, 0, 0, time.UTC), 0, 0, due.Location())
	}
	switch s.unit {
	case weekly:
		return begin(m, d-7), begin(m, d)
	case monthly:
		return begin(m-1, 1), begin(m, d)
	}
	return begin(m, d-1), begin(m, d)
}
