package follow

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/contacts"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// A History is where contacts come from.
type History interface {
	// Folder is where its files are; nil = it is off.
	Folder() *folder.Folder
	// Written is until when all files are there; zero = not known.
	Written() time.Time
}

// ContactsConfig is what contacts are judged by, and where the state is.
type ContactsConfig struct {
	Engine  detect.Config
	History History
	FS      disk.FS
	Path    string // of the state
	// Rate is how many bytes a second the state may write on average: a large one is written less
	// often than every hour, and more of the history is read again after a restart. 0 = no limit.
	Rate int
	// Learn is how much of the past a first start looks at, so that it is known what is
	// usual. Nothing of it is alerted.
	Learn time.Duration
	// Quiet reports whether an address outside is silenced, or its incident a false alarm: what
	// it does is counted and not judged. nil = of none.
	Quiet func(netip.Addr) bool
	Now   func() time.Time
}

// look is how often it is looked whether the history has new files.
const look = 5 * time.Second

// Contacts follows the history, in a goroutine of its own.
type Contacts struct {
	cfg    ContactsConfig
	raised *Raised
	rules  atomic.Pointer[[]*rule.Rule] // that are to be taken up; nil = no others
	cancel context.CancelFunc
	done   chan struct{}

	// Of the goroutine: the state at the beginning of an hour, and until when the history
	// was written when it was looked at.
	state []byte
	place time.Time
	// unsaved is the state in the form of the file, until it is written.
	unsaved []byte
	past    detect.Stats // of the hours before place
	next    time.Time    // of the write of the state
	kept    time.Time    // the place of the state that was written last
	seen    time.Time
	since   time.Time // alerts of before are not sent

	mu    sync.Mutex
	stats ContactsStats
}

// ContactsStats are what has been done since the start.
type ContactsStats struct {
	Engine  detect.Stats
	Read    contacts.Done // of the last look
	Place   time.Time     // the hour from which on a restart reads again
	Until   time.Time     // judged up to here
	Quiet   uint64        // contacts of the last look that were not judged, see ContactsConfig.Quiet
	Omitted uint64        // contacts since the start that were not judged, as only a file of their day was left
	Unread  uint64        // files since the start that could not be read
	Took    time.Duration // the last look
	Bytes   int           // of the state
	Written uint64        // bytes that states have had together
	Errors  uint64
	Error   string // of the last look; empty = it succeeded
	Damaged string // why the state could not be read at the start
}

// NewContacts takes up the state that there is. One that cannot be read is left behind.
func NewContacts(cfg ContactsConfig, raised *Raised) *Contacts {
	c := &Contacts{cfg: cfg, raised: raised, done: make(chan struct{})}
	if err := c.restore(); err != nil {
		c.stats.Damaged = err.Error()
		c.state = nil
	}
	if c.state == nil {
		c.begin()
	}
	return c
}

// begin begins anew, with what the history has of the past.
func (c *Contacts) begin() {
	c.state, c.unsaved, c.since, c.next = nil, nil, c.cfg.Now(), time.Time{}
	c.place = c.since.Add(-c.cfg.Learn).Truncate(time.Hour)
	c.kept = c.place
}

// restore reads the state.
func (c *Contacts) restore() error {
	b, err := readState(c.cfg.FS, c.cfg.Path, maxState(c.cfg.Engine, 0))
	if b == nil || err != nil {
		return err
	}
	if len(b) < 16 {
		return errors.New("cut")
	}
	if err := detect.New(c.cfg.Engine).Restore(b[16:]); err != nil {
		return err
	}
	c.place = time.Unix(int64(binary.BigEndian.Uint64(b)), 0).UTC()
	c.kept = c.place
	c.since = time.Unix(int64(binary.BigEndian.Uint64(b[8:])), 0).UTC()
	c.state = b[16:]
	return nil
}

// Start begins to follow the history.
func (c *Contacts) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		defer close(c.done)
		tick := time.NewTicker(look)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.follow(ctx)
			}
		}
	}()
}

// Stop ends it, within ctx. What was not judged is judged after the next start.
func (c *Contacts) Stop(ctx context.Context) error {
	c.cancel()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Use takes up other rules with the next look, from any goroutine. Those that count the same
// as before go on.
func (c *Contacts) Use(rules []*rule.Rule) { c.rules.Store(&rules) }

// follow looks for new files, and judges what is in them.
func (c *Contacts) follow(ctx context.Context) {
	f, until := c.cfg.History.Folder(), c.cfg.History.Written()
	if rules := c.rules.Swap(nil); rules != nil {
		c.cfg.Engine.Rules, c.seen = *rules, time.Time{}
	}
	if f == nil || until.IsZero() || until.Equal(c.seen) {
		c.note(c.save())
		return
	}
	if until.Before(c.place.Add(-time.Minute)) { // the clock was set back: what is known is of a time to come
		c.begin()
		c.past.Rewound++
	}
	began, past, place := time.Now(), c.past, c.place
	engine, done, quiet, err := c.judge(ctx, f, until)
	if err == nil {
		c.seen = until
	}
	c.mu.Lock()
	c.stats.Quiet = quiet
	c.stats.Read, c.stats.Place, c.stats.Took = done, c.kept, time.Since(began)
	if c.place.After(place) { // these hours are not read again
		c.stats.Omitted += done.Omitted
		c.stats.Unread += uint64(len(done.Bad))
	}
	if err == nil {
		c.stats.Engine, c.stats.Until = engine.Stats().After(past), until
	}
	c.mu.Unlock()
	if ctx.Err() != nil {
		err = nil // what was not judged is judged after the next start
	}
	c.note(errors.Join(err, c.save()))
}

// note notes what has failed in a look; nil = nothing.
func (c *Contacts) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Error = ""
	if err != nil {
		c.stats.Errors++
		c.stats.Error = err.Error()
	}
}

// judge reads the history from the last complete hour on, as far as it is written. The state
// is saved with each hour that is over; the hour that is not is read again every time.
func (c *Contacts) judge(ctx context.Context, f *folder.Folder, until time.Time) (*detect.Engine, contacts.Done, uint64, error) {
	engine := detect.New(c.cfg.Engine)
	if c.state != nil {
		if err := engine.Restore(c.state); err != nil {
			return engine, contacts.Done{}, 0, err
		}
	}
	open := until.UTC().Truncate(time.Hour)
	past := c.past
	to := &contacts.Audible{Taker: engine, Quiet: c.cfg.Quiet}
	done, err := contacts.Read(ctx, f, to, contacts.Query{From: c.place, To: open, Open: open, OmitDays: false,
		MaxBuffered: buffered(c.cfg.Engine.MaxBytes), Ended: func(hour time.Time) error { return c.ended(engine, past, hour, open) }})
	if err == nil {
		err = c.raise(engine.Alerts())
	}
	return engine, done, to.Left, err
}

// buffered is how many observations wait while files of days are read, each with 160 bytes: as
// much memory as a quarter of what the groups have.
func buffered(maxBytes int) int { return max(1000, maxBytes/4/160) }

// ended raises the alerts of an hour that is over, and keeps the state. While much of the past
// is read it is written once a day.
func (c *Contacts) ended(engine *detect.Engine, past detect.Stats, hour, open time.Time) error {
	if err := c.raise(engine.Alerts()); err != nil {
		return err
	}
	next := hour.Add(time.Hour)
	if next.Before(open.Add(-time.Hour)) && next.Hour() != 0 {
		return nil
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, len(c.state)+len(c.state)/8+20), uint64(next.Unix()))
	b = engine.Append(binary.BigEndian.AppendUint64(b, uint64(c.since.Unix())))
	c.state, c.place, c.past = b[16:], next, engine.Stats().After(past)
	c.unsaved = b
	_ = c.save() // follow tries it again, and notes what fails
	return nil
}

// save writes the state, if there is a new one and its turn has come. A disk that takes nothing
// keeps nobody from judging: it is tried again with the next look, and after a restart more is
// read again.
func (c *Contacts) save() error {
	now, b := c.cfg.Now(), c.unsaved
	if b == nil || now.Before(c.next) {
		return nil
	}
	if err := writeState(c.cfg.FS, c.cfg.Path, b); err != nil {
		return err
	}
	c.unsaved, c.kept = nil, c.place
	if c.cfg.Rate > 0 {
		c.next = now.Add(pause(len(b), c.cfg.Rate, 0))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Place, c.stats.Bytes = c.kept, len(b)
	c.stats.Written += uint64(len(b))
	return nil
}

// raise sends alerts, but for those of a time before the rules ran.
func (c *Contacts) raise(alerts []detect.Alert) error {
	var fresh, old []detect.Alert
	for _, a := range alerts {
		if a.To.Before(c.since) {
			old = append(old, a)
		} else {
			fresh = append(fresh, a)
		}
	}
	c.raised.Forget(old)
	return c.raised.Raise(fresh)
}

// Stats gives the counters.
func (c *Contacts) Stats() ContactsStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}
