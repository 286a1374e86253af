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
	const s, h = time.Second, time.Hour
	for _, tt := range []struct {
		skew, wall, passed time.Duration
		want               bool
	}{
		{0, s, s, false},
		{0, h, h, false},
		{0, h, s, true},
		{0, -h, s, true},
		{0, 30 * s, s, false},
		{2 * time.Minute, s, s, true},
		{-2 * time.Minute, s, s, true},
		{time.Minute, s, s, false},
	} {
		if got := doubtful(tt.skew, tt.wall, tt.passed); got != tt.want {
			t.Errorf("%+v: got %v", tt, got)
		}
	}
	now := time.Now()
	if at := (Moment{now.Add(h), now.Round(0).Add(h)}); at.Distrusts(now) {
		t.Error("passing time is taken for a jump")
	}
	if at := (Moment{now, now.Round(0).Add(h)}); !at.Distrusts(now) {
		t.Error("a clock that is an hour slow is trusted")
	}
}
