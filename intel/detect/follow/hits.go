package follow

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/hits"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/state"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// HitsConfig is what hits are judged by, and where the state is.
type HitsConfig struct {
	Engine detect.Config
	Hits   hits.Config // Text is set here
	FS     disk.FS
	Path   string        // of the state
	Every  time.Duration // the least time between two writes of the state
	// Rate is how many bytes a second the state may write on average: a large one is written less
	// often, at the latest every hour.
	Rate int
	// MaxHeld is how many events may wait in the journal for a state that has them. Then it is
	// written sooner, but not before Every. 0 = no limit.
	MaxHeld int
	Now     func() time.Time
}

// longest is the longest time between two writes of a state.
const longest = time.Hour

// maxState is what a state may have at most when it is read: more than the bounds of memory let
// it become.
func maxState(c detect.Config, contacts int) int64 {
	return max(256<<20, 2*int64(c.MaxBytes)+128*int64(contacts))
}

// pause is how long a state of so many bytes is good for.
func pause(bytes, rate int, every time.Duration) time.Duration {
	return min(max(time.Duration(float64(bytes)/float64(rate)*float64(time.Second)), every), longest)
}

// Hits follows the journal. One goroutine calls Send, Held and Close; Stats may be called from any.
type Hits struct {
	cfg    HitsConfig
	raised *Raised
	engine *detect.Engine
	hits   *hits.Hits
	held   int
	next   time.Time                    // of the write
	soon   time.Time                    // of the write, if too many events are held
	rules  atomic.Pointer[[]*rule.Rule] // that are to be taken up; nil = no others
	unsent []detect.Alert

	mu    sync.Mutex
	stats HitsStats
}

// HitsStats are what has been done since the start.
type HitsStats struct {
	Engine  detect.Stats
	Hits    hits.Stats
	Saved   time.Time // zero = not yet
	Bytes   int       // of the state
	Written uint64    // bytes that states have had together
	Errors  uint64    // writes that failed, and were or will be tried again
	Error   string    // of the last write; empty = it succeeded
	Waiting int       // events since the last write
	// Damaged is why the state could not be read at the start; rules began anew.
	Damaged string
}

// NewHits takes up the state that there is. One that cannot be read is left behind: the rules
// begin anew, which Stats show.
func NewHits(cfg HitsConfig, raised *Raised) *Hits {
	h := &Hits{cfg: cfg, raised: raised}
	if err := h.restore(); err != nil {
		h.begin()
		h.stats.Damaged = err.Error()
	}
	h.next = cfg.Now().Add(cfg.Every)
	h.soon = h.next
	return h
}

// begin begins anew.
func (h *Hits) begin() {
	h.engine = detect.New(h.cfg.Engine)
	c := h.cfg.Hits
	c.Text = func(s string) uint32 { return h.engine.Text(s) }
	h.hits = hits.New(c)
}

// restore reads the state.
func (h *Hits) restore() error {
	h.begin()
	b, err := readState(h.cfg.FS, h.cfg.Path, maxState(h.cfg.Engine, h.cfg.Hits.MaxContacts))
	if b == nil || err != nil {
		return err
	}
	if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
		return errors.New("cut")
	}
	n := binary.BigEndian.Uint32(b)
	return errors.Join(h.engine.Restore(b[4:4+n]), h.hits.Restore(b[4+n:]))
}

// readState reads a file; nil without one.
func readState(f disk.FS, path string, most int64) ([]byte, error) {
	file, err := f.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, most+1))
	switch n := len(b) - 4; {
	case err != nil:
		return nil, err
	case int64(len(b)) > most:
		return nil, errors.New("too large")
	case n < 0 || crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]):
		return nil, state.ErrDamaged
	default:
		return b[:n], nil
	}
}

// writeState writes a file with a checksum at its end, for readState. The memory behind b's end may
// be changed.
func writeState(f disk.FS, path string, b []byte) error {
	return disk.Replace(f, path, binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), 0o640)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Name is that of the place in the journal.
func (*Hits) Name() string { return "rules" }

// Held is how many events, the latest of those that Send has taken, no saved state has.
func (h *Hits) Held() int { return h.held }

// Use takes up other rules with the next Send, from any goroutine. Those that count the same as
// before go on.
func (h *Hits) Use(rules []*rule.Rule) { h.rules.Store(&rules) }

// ErrNotTaken means that Send has not taken the events: the sinks do not take alerts, and those
// that are waiting come first.
var ErrNotTaken = errors.New("alerts of rules cannot be sent")

// Send judges events. After an error it has taken all of them, after [ErrNotTaken] none; it is
// to be called again, also without any.
func (h *Hits) Send(_ context.Context, events []event.Event) error {
	if rules := h.rules.Swap(nil); rules != nil {
		if err := h.engine.Adopt(*rules); err != nil {
			return errors.Join(ErrNotTaken, err)
		}
		h.cfg.Engine.Rules = *rules
	}
	if len(h.unsent) > 0 { // without this pause they would become more and more
		if err := h.raised.Raise(h.unsent); err != nil {
			h.show(err)
			return errors.Join(ErrNotTaken, err)
		}
		h.unsent = nil
	}
	if h.engine.Ahead(h.cfg.Now()) {
		h.engine.Rewind()
	}
	for i := range events {
		list := h.hits.Of(&events[i])
		for n := range list {
			h.engine.Observe(&list[n])
		}
		h.held++
	}
	h.unsent = append(h.unsent, h.engine.Alerts()...)
	err := h.raised.Raise(h.unsent)
	if err == nil {
		h.unsent = nil
		if h.due(h.cfg.Now()) {
			err = h.save()
		}
	}
	h.show(err)
	return err
}

// due reports whether it is time to write the state.
func (h *Hits) due(now time.Time) bool {
	return h.held > 0 && !now.Before(h.next) || h.cfg.MaxHeld > 0 && h.held >= h.cfg.MaxHeld && !now.Before(h.soon)
}

// save writes the state; what has been taken so far is then held no more.
func (h *Hits) save() error {
	b := h.engine.Append(make([]byte, 4, h.stats.Bytes+h.stats.Bytes/8+8))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	b = h.hits.Append(b)
	now := h.cfg.Now()
	h.next = now.Add(h.cfg.Every)
	h.soon = h.next
	if err := writeState(h.cfg.FS, h.cfg.Path, b); err != nil {
		return err
	}
	h.held = 0
	h.next = now.Add(pause(len(b), h.cfg.Rate, h.cfg.Every))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Saved, h.stats.Bytes = now, len(b)
	h.stats.Written += uint64(len(b))
	return nil
}

// show brings the counters up to date.
func (h *Hits) show(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Engine, h.stats.Hits, h.stats.Waiting, h.stats.Error = h.engine.Stats(), h.hits.Stats(), h.held, ""
	if err != nil {
		h.stats.Errors++
		h.stats.Error = err.Error()
	}
}

// Close writes the state.
func (h *Hits) Close(context.Context) error {
	if h.held == 0 || len(h.unsent) > 0 {
		return nil
	}
	err := h.save()
	h.show(err)
	return err
}

// Stats gives the counters.
func (h *Hits) Stats() HitsStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}
