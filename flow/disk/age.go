package disk

import "time"

// misdated is the age that no file can have: a clock that was wrong has dated it.
const misdated = 365 * 24 * time.Hour

// Age gives how long ago a file was written that has a date. One in the future, or from
// long ago, means nothing: the file is taken for new, for it is better kept for too long
// than lost.
func Age(now, date time.Time) time.Duration {
	if age := now.Sub(date); age >= 0 && age <= misdated {
		return age
	}
	return 0
}
