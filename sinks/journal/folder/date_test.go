package folder

import (
	"testing"
	"time"
)

// TestStamp: the age of a file by its date, at a date that can be trusted.
func TestStamp(t *testing.T) {
	now := time.Now()
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	for _, tt := range []struct{ date, file, age time.Duration }{
		{0, -time.Hour, time.Hour},
		{0, -6 * day, 6 * day},
		{0, time.Hour, 0},
		{0, -56 * year, 0}, // written in 1970
		{0, 50 * year, 0},
		{30 * year, 30*year - day, day}, // the wall clock says another year
		{-30 * year, -30*year - day, day},
	} {
		at := Moment{now, now.Round(0).Add(tt.date)}
		file := now.Round(0).Add(tt.file)
		stamp := at.Stamp(file)
		if age := now.Sub(stamp); age.Round(time.Second) != tt.age {
			t.Errorf("%+v: got an age of %v", tt, age)
		}
		date, wrong := at.FileDate(stamp, file)
		if misdated := tt.file > tt.date || tt.file < tt.date-year; wrong != misdated || date.Sub(at.Date.Add(-tt.age)).Abs() > time.Second {
			t.Errorf("%+v: to be dated %v, %v", tt, date, wrong)
		}
	}
}

// TestDistrusts: dates are looked at when the wall clock was set or is wrong, not because
// time passes.
func TestDistrusts(t *testing.T) {
	now := time.Now()
	right := func(now time.Time) Moment { return Moment{now, now.Round(0)} }
	for name, tt := range map[string]struct {
		at   Moment
		last time.Time
		want bool
	}{
		"time passes":      {right(now.Add(time.Hour)), now, false},
		"set forward":      {right(now.Round(0).Add(time.Hour)), now, true},
		"set back":         {right(now.Round(0).Add(-time.Hour)), now, true},
		"wrong all along":  {Moment{now, now.Round(0).Add(2 * time.Minute)}, now, true},
		"a minute is fine": {Moment{now, now.Round(0).Add(time.Minute)}, now, false},
	} {
		if got := tt.at.Distrusts(tt.last); got != tt.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
