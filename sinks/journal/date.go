package journal

import "time"

// A moment is now by the clock of this process, with its monotonic reading, and the
// date that can be trusted. What files say of their age goes by the latter.
type moment struct{ now, date time.Time }

func (l *lane) moment() moment {
	at := moment{now: time.Now()}
	at.date = at.now.Round(0)
	if l.cfg.Date != nil {
		at.date = l.cfg.Date()
	}
	return at
}

// skew is how far the date is from the wall clock.
func (m moment) skew() time.Duration { return m.date.Sub(m.now.Round(0)) }

// misdated is the age that no file can have: a clock that was wrong has dated it.
const misdated = 365 * 24 * time.Hour

// stamp puts the date of a file on the clock of this process. One in the future, or
// from long ago, says nothing: the file is taken for new, for it is better kept for
// too long than lost.
func (m moment) stamp(date time.Time) time.Time {
	age := m.date.Sub(date)
	if age < 0 || age > misdated {
		age = 0
	}
	return m.now.Add(-age)
}

// jumped reports whether the wall clock was set between two times.
func jumped(last, now time.Time) bool {
	wall := now.Round(0).Sub(last.Round(0))
	return (wall - now.Sub(last)).Abs() > time.Minute
}

// redate gives the files the dates that can be trusted. A Raspberry Pi has no clock
// of its own: what it wrote before the time was known would look years old after the
// next start, and be dropped.
func (l *lane) redate(at moment) {
	type dating struct {
		s    *segment
		date time.Time
	}
	var list []dating
	l.mu.Lock()
	for _, s := range l.segments {
		if date := at.date.Add(-at.now.Sub(s.stamp)); date.Sub(s.dated).Abs() > time.Minute {
			list = append(list, dating{s, date})
		}
	}
	l.mu.Unlock()
	for _, d := range list {
		if l.disk.Chtimes(d.s.path, d.date) == nil {
			l.mu.Lock()
			d.s.dated = d.date
			l.mu.Unlock()
		}
	}
}
