package app

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"go.uber.org/zap"
)

// clockName is the file in the state directory that keeps the last trusted time: a
// machine without a hardware clock has nothing better to begin with.
const clockName = "clock"

// saveClock is how often it is written: seldom, for the sake of SD cards.
const saveClock = time.Hour

// A watch is the clock of an app, and its file.
type watch struct {
	*clock.Clock
	path  string
	dirty atomic.Bool // the time that is trusted is another one
	log   *zap.Logger

	file  sync.Mutex // held while the file is written
	saved time.Time
	write trouble
}

// openWatch goes on from the trusted time that the last run has left.
func openWatch(cfg clock.Config, machine clock.Machine, dir string, log *zap.Logger) *watch {
	w := &watch{path: filepath.Join(dir, clockName), log: log}
	w.write = trouble{log: log, begins: "the time is not saved; after a restart without NTP it is an older one", ends: "the time is saved again"}
	var err error
	if w.saved, err = readTime(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the last trusted time is not known; the file is written anew", zap.String("file", w.path), zap.Error(err))
	}
	if machine == nil {
		machine = clock.ThisMachine()
	}
	w.Clock = clock.New(cfg, machine, w.saved)
	s := w.Status()
	if s.Trouble != nil {
		log.Warn("the state of the clock cannot be read; a sandbox must allow adjtimex(2), or set clock.check: off",
			zap.Error(s.Trouble))
	}
	if s.Unsynced {
		w.tell()
	}
	return w
}

// tell logs the judgement.
func (w *watch) tell() {
	s := w.Status()
	if s.Unsynced {
		w.log.Warn("the wall clock cannot be trusted: events carry clock \"unsynced\", and indicators expire by the last trusted time; check NTP",
			zap.String("why", s.Why), zap.Time("trusted", s.Trusted))
		return
	}
	w.log.Info("the wall clock can be trusted", zap.Time("time", s.Trusted))
}

// run looks at the clock until the context ends. changed is called when another time
// is trusted.
func (w *watch) run(ctx context.Context, changed func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w.Look() {
			w.tell()
			w.dirty.Store(true)
			changed()
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

func (w *watch) status() ClockStatus { return clockStatus(w.Status()) }

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
