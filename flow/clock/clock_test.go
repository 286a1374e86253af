package clock

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A fake is a machine whose clocks the test sets.
type fake struct {
	wall     time.Time
	up       time.Duration
	synced   bool
	trouble  error
	hardware time.Time
	there    bool
}

func (f *fake) Wall() time.Time             { return f.wall }
func (f *fake) Uptime() time.Duration       { return f.up }
func (f *fake) Synced() (bool, error)       { return f.synced, f.trouble }
func (f *fake) Hardware() (time.Time, bool) { return f.hardware, f.there }

// run lets time pass, looking once a second.
func (f *fake) run(c *Clock, d time.Duration) {
	for ; d > 0; d -= time.Second {
		f.wall, f.up = f.wall.Add(time.Second), f.up+time.Second
		c.Look()
	}
}

var today = time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)

const year = 365 * 24 * time.Hour

// TestStart: what is believed at boot.
func TestStart(t *testing.T) {
	old := today.Add(-3 * year)
	for name, tc := range map[string]struct {
		fake  fake
		saved time.Time
		want  time.Time
		why   string
	}{
		"synchronised":                           {fake{wall: today, synced: true}, old, today, ""},
		"synchronised, saved in the future":      {fake{wall: today, synced: true}, today.Add(year), today, ""},
		"no hardware clock, nothing saved":       {fake{wall: old}, time.Time{}, old, "unsynchronised"},
		"no hardware clock, wall behind":         {fake{wall: old}, today, today, "unsynchronised"},
		"no hardware clock, wall far ahead":      {fake{wall: today.Add(50 * year)}, today, today, "unsynchronised"},
		"hardware clock, no NTP":                 {fake{wall: today, hardware: today, there: true}, old, today, ""},
		"hardware clock in local time":           {fake{wall: today, hardware: today.Add(13 * time.Hour), there: true}, old, today, ""},
		"hardware clock that cannot be read":     {fake{wall: today, there: true}, today.Add(-year / 2), today, ""},
		"the same, years ahead of the last run":  {fake{wall: today.Add(9 * year), there: true}, today, today, "from the run before"},
		"the same, first run":                    {fake{wall: today, there: true}, time.Time{}, today, ""},
		"battery of the hardware clock is dead":  {fake{wall: old, hardware: old, there: true}, today, today, "from the run before"},
		"set before the start, hardware differs": {fake{wall: today.Add(9 * year), hardware: today, there: true}, old, today, "far from"},
		"kernel does not say":                    {fake{wall: today, trouble: errors.New("not permitted")}, old, today, ""},
	} {
		f := tc.fake
		c := New(DefaultConfig(), &f, tc.saved)
		s := c.Status()
		if !s.Trusted.Equal(tc.want) || s.Unsynced != (tc.why != "") || !strings.Contains(s.Why, tc.why) {
			t.Errorf("%s: got %+v, want %s, %q", name, s, tc.want, tc.why)
		}
	}
}

// TestJump: a jump of years to either side is not believed until the kernel has said
// for a while that the clock is right; until then time goes on as before.
func TestJump(t *testing.T) {
	for _, by := range []time.Duration{10 * year, -10 * year, time.Hour} {
		f := &fake{wall: today, synced: true, hardware: today, there: true}
		c := New(DefaultConfig(), f, time.Time{})
		f.run(c, time.Hour)
		f.wall = f.wall.Add(by)
		f.synced = false // as settimeofday(2) does
		f.run(c, 24*time.Hour)
		s := c.Status()
		if want := today.Add(25 * time.Hour); !s.Unsynced || s.Jumps != 1 || s.LastJump != by || s.Trusted.Sub(want).Abs() > time.Second {
			t.Errorf("jump by %s: %+v, want the time %s", by, s, want)
		}
		f.synced = true
		f.run(c, time.Second)
		if s := c.Status(); s.Unsynced {
			t.Errorf("jump by %s, NTP says that it is right, and still %+v", by, s)
		}
		if got, want := c.Now(), f.wall; !got.Equal(want) {
			t.Errorf("the time is %s, want %s", got, want)
		}
	}
}

// TestJumpWhileSynchronised: the kernel may not have noticed yet.
func TestJumpWhileSynchronised(t *testing.T) {
	f := &fake{wall: today, synced: true}
	c := New(DefaultConfig(), f, time.Time{})
	f.run(c, time.Minute)
	f.wall = f.wall.Add(-30 * year)
	f.run(c, settle-time.Second)
	if s := c.Status(); !s.Unsynced {
		t.Errorf("believed at once: %+v", s)
	}
	f.wall = f.wall.Add(29 * year)
	f.run(c, settle)
	if s := c.Status(); !s.Unsynced || s.Jumps != 2 {
		t.Errorf("the second jump begins a time of doubt of its own: %+v", s)
	}
	f.run(c, 2*time.Second)
	if s := c.Status(); s.Unsynced || !s.Trusted.Equal(f.wall) {
		t.Errorf("not believed at all: %+v", s)
	}
}

// TestJumpBack: a clock that is set back to where it was is as good as it was, whether
// the kernel calls it synchronised or not.
func TestJumpBack(t *testing.T) {
	for _, f := range []*fake{
		{wall: today, synced: true}, {wall: today, there: true, hardware: today}, {wall: today},
	} {
		c := New(DefaultConfig(), f, today.Add(-time.Hour))
		f.run(c, time.Minute)
		f.synced = false
		f.run(c, time.Second)
		before := c.Status()
		for _, by := range []time.Duration{10 * year, -20 * year} {
			f.wall = f.wall.Add(by)
			f.run(c, time.Minute)
			if s := c.Status(); !s.Unsynced || !strings.Contains(s.Why, "was set by") {
				t.Errorf("%+v: after %s %+v", f, by, s)
			}
		}
		f.wall = f.wall.Add(10 * year)
		f.run(c, time.Second)
		s := c.Status()
		if s.Unsynced != before.Unsynced || s.Why != before.Why || s.Jumps != 3 {
			t.Errorf("%+v: back, and %+v; before %+v", f, s, before)
		}
		if want := before.Trusted.Add(121 * time.Second); s.Trusted.Sub(want).Abs() > time.Second {
			t.Errorf("%+v: the time is %s, want %s", f, s.Trusted, want)
		}
	}
}

// TestSteady: slewing, suspends and a busy machine are no jumps.
func TestSteady(t *testing.T) {
	f := &fake{wall: today, synced: true}
	c := New(DefaultConfig(), f, time.Time{})
	for range 10_000 {
		f.wall, f.up = f.wall.Add(1_000_500*time.Microsecond), f.up+time.Second // 500 ppm
		c.Look()
	}
	f.wall, f.up = f.wall.Add(9*time.Hour), f.up+9*time.Hour // suspended
	c.Look()
	if s := c.Status(); s.Unsynced || s.Jumps != 0 {
		t.Errorf("%+v", s)
	}
}

// TestOff: whoever switches the check off gets the wall clock.
func TestOff(t *testing.T) {
	f := &fake{wall: today}
	c := New(Config{Check: Off}, f, today.Add(year))
	f.wall = today.Add(5 * year)
	if c.Look() || c.Unsynced() || !c.Now().Equal(f.wall) {
		t.Errorf("%+v", c.Status())
	}
}

func TestValidate(t *testing.T) {
	for word, ok := range map[string]bool{Auto: true, Off: true, "": false, "on": false} {
		if err := (&Config{Check: word}).Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", word, err)
		}
	}
}

// TestThisMachine: the machine answers, and its uptime goes on.
func TestThisMachine(t *testing.T) {
	m := ThisMachine()
	up := m.Uptime()
	if m.Uptime() < up || time.Since(m.Wall()).Abs() > time.Minute {
		t.Errorf("uptime %s, then %s; wall %s", up, m.Uptime(), m.Wall())
	}
	if _, err := m.Synced(); err != nil {
		t.Log(err) // a sandbox
	}
	m.Hardware()
}
