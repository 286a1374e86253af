package clock

import (
	"fmt"
	"sync"
	"time"
)

// The words for Config.Check.
const (
	Auto = "auto" // ask the kernel, look for a hardware clock, watch for jumps
	Off  = "off"  // the wall clock is right
)

// Config is the block `clock` of the configuration.
type Config struct {
	// Check is auto or off.
	Check string `yaml:"check"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{Check: Auto} }

// Validate names the key that cannot be, and what is allowed there.
func (c *Config) Validate() error {
	if c.Check != Auto && c.Check != Off {
		return fmt.Errorf("clock.check: %q, allowed are %s and %s", c.Check, Auto, Off)
	}
	return nil
}

// A Machine is what this package asks the system.
type Machine interface {
	// Wall is the wall clock.
	Wall() time.Time
	// Uptime never goes back, whatever is done to the wall clock. Where the system
	// can determine, it goes on while the machine is suspended.
	Uptime() time.Duration
	// Synced reports whether the kernel reports that somebody keeps the wall clock right.
	// With an error it does not say.
	Synced() (bool, error)
	// Hardware is the clock that runs while the machine is off. there is false when
	// it has none; at is zero when it cannot be read.
	Hardware() (at time.Time, there bool)
}

const (
	// step is how far the wall clock moves against the uptime in one look for it to
	// have been set. A clock that is kept right by slewing moves by far less.
	step = 10 * time.Second
	// settle is how long after a jump the kernel must say that the clock is right for
	// it to be believed: whoever sets a clock may set it twice.
	settle = time.Minute
	// apart is how far the hardware clock may be from the wall clock: it may run in
	// local time.
	apart = 26 * time.Hour
	// long is for how long no machine is switched off, unless its hardware clock shows it.
	long = 365 * 24 * time.Hour
)

// A Status is what is known of the wall clock.
type Status struct {
	// Unsynced means that the wall clock cannot be trusted, Why is the reason.
	Unsynced bool
	Why      string
	// Trusted is the time that is gone by: the wall clock while it can be trusted,
	// else the last one that could and what has passed since.
	Trusted time.Time
	// Jumps counts how often the wall clock was set, LastJump is by how much at last;
	// forward is positive.
	Jumps    uint64
	LastJump time.Duration
	// Trouble is why the kernel does not say whether the clock is right.
	Trouble error
}

// A Clock watches the wall clock. Look must be called about once a second; all
// methods may be called from any goroutine.
type Clock struct {
	cfg     Config
	machine Machine

	mu       sync.Mutex
	hardware bool
	trusted  time.Time     // UTC, without a monotonic reading
	at       time.Duration // the uptime then
	wall     time.Time     // of the latest look
	looked   time.Duration // likewise
	doubt    bool          // the clock was set, and nobody has confirmed the new time
	set      time.Duration // the uptime when that was seen
	home     time.Time     // the wall clock before it was set; zero = it was not
	left     time.Duration // the uptime then
	status   Status
}

// New makes a clock. saved is the trusted time of the run before; zero = unknown.
func New(cfg Config, machine Machine, saved time.Time) *Clock {
	c := &Clock{cfg: cfg, machine: machine}
	c.wall, c.looked = machine.Wall().Round(0).UTC(), machine.Uptime()
	c.trusted, c.at = c.wall, c.looked
	if cfg.Check == Off {
		return c
	}
	at, there := machine.Hardware()
	c.hardware = there
	if synced, err := machine.Synced(); synced && err == nil {
		return c
	}
	best := later(at, saved)
	c.doubt = there && c.odd(at, saved)
	if !best.IsZero() && (c.doubt || !there) {
		c.trusted = best.Round(0).UTC()
	}
	c.set = c.looked
	c.judge()
	return c
}

// odd reports whether the wall clock at the start is none that a machine with a
// hardware clock should have.
func (c *Clock) odd(hardware, saved time.Time) bool {
	switch {
	case saved.Sub(c.wall) > apart: // the battery is empty
		return true
	case !hardware.IsZero():
		return hardware.Sub(c.wall).Abs() > apart // it was set
	}
	return !saved.IsZero() && c.wall.Sub(saved) > long
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Look compares the clocks, and reports whether the judgement has changed.
func (c *Clock) Look() (changed bool) {
	if c.cfg.Check == Off {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, up := c.machine.Wall().Round(0).UTC(), c.machine.Uptime()
	if jump := moved(c.wall, wall, up-c.looked); jump.Abs() > step {
		c.status.Jumps++
		c.status.LastJump = jump
		if !c.doubt {
			c.home, c.left = c.wall, c.looked
		}
		c.doubt, c.set = true, up
	}
	c.wall, c.looked = wall, up
	if c.doubt && !c.home.IsZero() && moved(c.home, wall, up-c.left).Abs() <= step {
		c.doubt = false // it is back where it was, and as good as it was there
	}
	return c.judge()
}

// moved gives by how much the wall clock moved more than the time that has passed.
// Beyond 292 years it gives these.
func moved(from, to time.Time, passed time.Duration) time.Duration {
	return to.Sub(from.Add(passed))
}

// judge decides on the state by the latest look.
func (c *Clock) judge() (changed bool) {
	synced, err := c.machine.Synced()
	c.status.Trouble = err
	// Where the kernel does not say, a clock that nobody sets again is believed.
	synced = synced || err != nil
	if synced && c.looked-c.set >= settle {
		c.doubt = false
	}
	if !c.doubt {
		c.home = time.Time{}
	}
	why := ""
	switch {
	case c.doubt && c.status.Jumps > 0:
		why = fmt.Sprintf("the clock was set by %s, and nothing confirms the new time", Days(c.status.LastJump))
	case c.doubt:
		why = "the clock is far from the hardware clock, or from the run before"
	case !synced && !c.hardware:
		why = "the kernel reports the clock as unsynchronised, and there is no hardware clock"
	default:
		c.trusted, c.at = c.wall, c.looked
	}
	changed = c.status.Unsynced != (why != "")
	c.status.Unsynced, c.status.Why = why != "", why
	return changed
}

// Days writes a duration for people, in days where there are several.
func Days(d time.Duration) string {
	if d.Abs() < 48*time.Hour {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// Now gives the time that can be trusted: the wall clock while that is right, else
// the last time that was, and what has passed since by the monotonic clock. It has no
// monotonic reading, and it goes back when the wall clock turns out to be early.
func (c *Clock) Now() time.Time {
	if c.cfg.Check == Off {
		return c.machine.Wall().Round(0).UTC()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time { return c.trusted.Add(c.machine.Uptime() - c.at) }

// Unsynced reports whether the wall clock cannot be trusted.
func (c *Clock) Unsynced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status.Unsynced
}

// Status gives what is known.
func (c *Clock) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Trusted = c.now()
	return s
}
