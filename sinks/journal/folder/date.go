package folder

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// A Moment is now by the clock of this process, with its monotonic reading, and the
// date that can be trusted. The age of files goes by the latter.
type Moment struct{ Now, Date time.Time }

// Now gives the moment. date gives the date that can be trusted; nil = the wall clock.
func Now(date func() time.Time) Moment {
	at := Moment{Now: time.Now()}
	at.Date = at.Now.Round(0)
	if date != nil {
		at.Date = date()
	}
	return at
}

// Stamp puts the date of a file on the clock of this process, see [disk.Age].
func (m Moment) Stamp(date time.Time) time.Time { return m.Now.Add(-disk.Age(m.Date, date)) }

// FileDate is the reverse of Stamp: the date for a file that was last written at stamp. It
// is false when the file has about that date, dated, already. A Raspberry Pi has no clock
// of its own: what it wrote before the time was known would look years old after the next
// start, and be dropped.
func (m Moment) FileDate(stamp, dated time.Time) (date time.Time, ok bool) {
	date = m.Date.Add(-m.Now.Sub(stamp))
	return date, date.Sub(dated).Abs() > time.Minute
}

// Distrusts reports whether the dates of files are to be looked at: the wall clock is wrong
// at this moment, or was set since last.
func (m Moment) Distrusts(last time.Time) bool {
	wall := m.Now.Round(0)
	return doubtful(m.Date.Sub(wall), wall.Sub(last.Round(0)), m.Now.Sub(last))
}

// doubtful takes how far the wall clock is from the date, and how far it went while time
// passed.
func doubtful(skew, wall, passed time.Duration) bool {
	return skew.Abs() > time.Minute || (wall-passed).Abs() > time.Minute
}
