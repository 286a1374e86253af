package app

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"go.uber.org/zap"
)

// clockName is the file in the state directory that keeps the last trusted time: a
// machine without a hardware clock has nothing better to begin with.
const clockName = "clock"

// saveClock is how often it is written: seldom, for the sake of SD cards.
const saveClock = time.Hour

// A watch is the clock of an app, and its file.
type watch struct {
	cfg     clock.Config
	options *Options
	path    string
	log     *zap.Logger

	clock *clock.Clock // since Start
	dirty atomic.Bool  // the time that is trusted is another one

	changed func() // is called when another time is trusted

	file  sync.Mutex // held while the file is written
	saved time.Time
	write trouble
}

func newWatch(cfg *configs.Config, o *Options, b *background, log *zap.Logger) *watch {
	w := &watch{cfg: cfg.Clock, options: o, path: filepath.Join(cfg.StateDir, clockName), log: log, changed: func() {}}
	w.write = trouble{log: log, begins: "the time is not saved; after a restart without NTP it is an older one", ends: "the time is saved again"}
	b.add(w.run)
	b.every("saving the time", 10*time.Second, func(time.Time) { w.keep(saveClock) })
	return w
}

// Now is the date that can be trusted.
func (w *watch) Now() time.Time { return w.clock.Now() }

// Unsynced reports whether the wall clock cannot be trusted.
func (w *watch) Unsynced() bool { return w.clock.Unsynced() }

// Start goes on from the trusted time that the last run has left.
func (w *watch) Start() error {
	var err error
	if w.saved, err = readTime(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.log.Warn("the last trusted time is not known; the file is written anew", zap.String("file", w.path), zap.Error(err))
	}
	machine := w.options.Machine
	if machine == nil {
		machine = clock.ThisMachine()
	}
	w.clock = clock.New(w.cfg, machine, w.saved)
	s := w.clock.Status()
	if s.Trouble != nil {
		w.log.Warn("the state of the clock cannot be read; a sandbox must allow adjtimex(2), or set clock.check: off",
			zap.Error(s.Trouble))
	}
	if s.Unsynced {
		w.tell()
	}
	return nil
}

// Stop saves the time.
func (w *watch) Stop(context.Context) error {
	w.keep(0)
	return nil
}

// Register shows and judges the clock.
func (w *watch) Register(c *observe.Component) {
	c.Add(observe.Printed("clock", w.status, printClock), clockCheck(w.status))
}

func clockCheck(status func() ClockStatus) observe.Check {
	return observe.Check{Name: "clock", State: func(time.Time) observe.Finding {
		var f finding
		if s := status(); s.State == "unsynced" {
			f.Value = 1
			f.Raise(observe.Warning)
			f.Add(s.Why, "the wall clock cannot be trusted: %s; check NTP", s.Why)
		}
		f.Otherwise("the wall clock can be trusted")
		return f.Finding
	}}
}

// tell logs the judgement.
func (w *watch) tell() {
	s := w.clock.Status()
	if s.Unsynced {
		w.log.Warn("the wall clock cannot be trusted: events carry clock \"unsynced\", and indicators expire by the last trusted time; check NTP",
			zap.String("why", s.Why), zap.Time("trusted", s.Trusted))
		return
	}
	w.log.Info("the wall clock can be trusted", zap.Time("time", s.Trusted))
}

// run looks at the clock until the context ends.
func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w.clock.Look() {
			w.tell()
			w.dirty.Store(true)
			w.changed()
		}
	}
}

// keep writes the file when the time in it is old, unless it is being written.
func (w *watch) keep(old time.Duration) {
	if !w.file.TryLock() {
		return
	}
	defer w.file.Unlock()
	now, dirty := w.Now(), w.dirty.Swap(false)
	if !dirty && now.Sub(w.saved).Abs() < old {
		return
	}
	err := disk.Replace(disk.OS{}, w.path, formatTime(now), 0o600)
	if w.write.tell(err); err != nil {
		w.dirty.Store(true) // tried again
		return
	}
	w.saved = now
}

// formatTime writes a time with a sum, for a file that a power cut may garble.
func formatTime(t time.Time) []byte {
	text := t.UTC().Format(time.RFC3339)
	return fmt.Appendf(nil, "%s %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

func readTime(path string) (time.Time, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, err
	}
	text, _, _ := strings.Cut(string(b), " ")
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || string(formatTime(t)) != string(b) {
		return time.Time{}, errors.New("damaged")
	}
	return t, nil
}

// A ClockStatus is what is known of the machine's clock.
type ClockStatus struct {
	State    string    `json:"state"` // ok | unsynced
	Unsynced bool      `json:"unsynced" name:"clock_unsynced" help:"1 while the wall clock cannot be trusted."`
	Why      string    `json:"why,omitempty" show:"some" words:"not trusted"`
	Trusted  time.Time `json:"trusted,omitzero" name:"-"` // the time that is gone by
	Jumps    uint64    `json:"jumps" name:"clock_jumps_total" help:"Steps of the wall clock." show:"some"`
	LastJump float64   `json:"last_jump_seconds,omitempty" name:"clock_last_jump_seconds" help:"Size of the last step of the wall clock; forward is positive."` // forward > 0
}

func (w *watch) status() ClockStatus { return clockStatus(w.clock.Status()) }

func clockStatus(s clock.Status) ClockStatus {
	out := ClockStatus{State: "ok", Why: s.Why, Trusted: s.Trusted, Jumps: s.Jumps, LastJump: s.LastJump.Seconds()}
	if s.Unsynced {
		out.State, out.Unsynced = "unsynced", true
	}
	return out
}

// byWall gives a time that was taken by time.Now as the wall clock, as it is set now,
// would have shown it. Who reads it elsewhere has no other clock to compare it with.
func byWall(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Now().Round(0).Add(-time.Since(t))
}

// printClock prints what is wrong with the wall clock, if anything ever was.
func printClock(w io.Writer, c ClockStatus, _ bool) {
	if c.State == "ok" && c.Jumps == 0 {
		return
	}
	fmt.Fprintf(w, "clock      %s", c.State)
	if c.Why != "" {
		fmt.Fprintf(w, ": %s; dates are computed from %s", c.Why, c.Trusted.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(w, "; it was set %d times\n", c.Jumps)
}
