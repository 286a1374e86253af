package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/schedule"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// Shared is what the runners of one process have in common. It does not change once the
// first of them has been loaded.
type Shared struct {
	Bounds        spec.Bounds
	MaxIndicators int    // of one feed
	Dir           string // of the copies and the states
	Disk          *store.Disk
	Agent         string // the User-Agent
	Gate          *schedule.Gate
	Dial          client.Dialer    // nil = the usual one
	Now           func() time.Time // the date
	// Changed is called when another copy is in use, Alert when one is held back.
	Changed func()
	Alert   func(feed, why string)
	// Unreached takes over the warning that a provider cannot be reached, where it
	// returns true: fallback is what is used meanwhile.
	Unreached func(r *Runner, fallback, why string) bool
}

// A Runner looks after one feed.
type Runner struct {
	Spec spec.Spec
	Log  *zap.Logger // with the name of the feed

	shared *Shared
	prefix string        // of its files
	wake   chan struct{} // the schedule has changed

	fetching chan struct{} // holds a token while a fetch is under way

	mu       sync.Mutex
	state    schedule.State
	good     *store.Description // of the copy in use; nil = none
	held     *store.Description // of one that is held back; nil = none
	requests int
	// slowSource counts requests that were given up as too slow, refused the redirects
	// that were not followed.
	slowSource, refused uint64
	read                readState
	seen                string    // signature of the files that were read last
	rereadAt            time.Time // local files that the machine could not read
	complain            string    // what was logged last
}

// New makes the runner of a valid feed. The names of its files begin with prefix.
func New(shared *Shared, f spec.Feed, prefix string, log *zap.Logger) *Runner {
	s := f.Resolve()
	return &Runner{
		Spec: s, Log: log.With(zap.String("feed", s.Name)), shared: shared, prefix: prefix,
		wake: make(chan struct{}, 1), fetching: make(chan struct{}, 1),
	}
}

func (r *Runner) file(ext string) string {
	return store.FileOf(r.shared.Dir, r.prefix, r.Spec.Name, ext)
}

// Load finds what an earlier process has left. The error reports what of it is lost;
// the runner goes on without.
func (r *Runner) Load(now time.Time) error {
	s, err := r.loadState(now)
	good, errGood := r.describe(store.ExtGood)
	held, errHeld := r.describe(store.ExtHeld)
	if good != nil && held != nil && !held.Taken.After(good.Taken) {
		held = nil // the one in use is newer: it was accepted, or has come since
	}
	r.mu.Lock()
	r.state, r.good, r.held = s, good, held
	r.read.stateUnread = store.IsSystem(err)
	r.read.unread = errGood != nil && !store.IsBroken(errGood)
	if good == nil && !r.read.unread && r.state.Due.After(r.state.NotBefore) {
		r.state.Due = r.state.NotBefore // there is nothing to wait with
	}
	r.mu.Unlock()
	switch {
	case store.IsBroken(errGood):
		r.lost(errGood)
		errGood = nil
	case errGood != nil || store.IsSystem(err):
		r.unreadable(errors.Join(errGood, err))
	}
	return errors.Join(err, errGood, errHeld)
}

// loadState reads the state of the feed with its times by the monotonic clock. One that
// cannot be read now may say that the source was asked a moment ago: until it is read,
// none is.
func (r *Runner) loadState(now time.Time) (schedule.State, error) {
	s, err := schedule.Load(r.shared.Disk, r.file(store.ExtState), r.Spec.Origin())
	if store.IsSystem(err) {
		date := r.shared.Now()
		s.LastAttempt, s.NotBefore = date, date.Add(r.Spec.Floor)
		s.Due = s.NotBefore
	}
	s.Repair(r.shared.Now(), &r.Spec)
	return s.On(r.shared.Now(), now), err
}

// save puts a state on the disk.
func (r *Runner) save(s schedule.State) error {
	s = s.On(time.Now(), r.shared.Now())
	return s.Save(r.shared.Disk, r.file(store.ExtState))
}

// describe reads the description of a generation of this feed, or nil.
func (r *Runner) describe(ext string) (*store.Description, error) {
	g, err := r.open(ext)
	if g == nil {
		return nil, err
	}
	defer g.Close()
	return &g.Description, nil
}

// open opens a generation; nil when there is none or that of another source.
func (r *Runner) open(ext string) (*store.Reader, error) {
	g, err := store.Open(r.shared.Disk, r.file(ext))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if g.Origin != r.Spec.Origin() {
		return nil, g.Close()
	}
	return g, nil
}

// ByHand fetches when the gate allows it, unless the provider may not be asked yet. Files
// are read at once if they have changed.
func (r *Runner) ByHand(ctx context.Context) (source.Outcome, error) {
	if r.Spec.Kind.Local() {
		return r.fetch(ctx)
	}
	if err := r.mayAsk(time.Now()); err != nil {
		return source.NotYet, err // without waiting
	}
	leave, err := r.shared.Gate.Enter(ctx, r.Spec.Host())
	if err != nil {
		return source.Failed, fmt.Errorf("other fetches are under way: %w", err)
	}
	defer leave()
	return r.fetch(ctx)
}

// fetch brings the feed up to date, unless the provider may not be asked yet.
func (r *Runner) fetch(ctx context.Context) (source.Outcome, error) {
	if err := r.acquire(ctx); err != nil {
		return source.Failed, err
	}
	defer r.release()
	if r.Spec.Kind.Local() {
		return r.fetchLocal(true)
	}
	now := time.Now()
	if err := r.begin(now); err != nil {
		if _, ok := errors.AsType[*tooSoon](err); ok {
			return source.NotYet, err
		}
		r.report(source.Failed, err)
		return source.Failed, err
	}
	longest := r.shared.Bounds.MaxTime
	bounded, cancel := context.WithTimeoutCause(ctx, longest,
		&client.SlowError{Text: fmt.Sprintf("the fetch took longer than %v; the next one goes on", longest)})
	defer cancel()
	out, note, err := r.pull(bounded)
	r.end(ctx, out, note, err)
	return out, err
}

// acquire waits until no other fetch of the feed is under way.
func (r *Runner) acquire(ctx context.Context) error {
	select {
	case r.fetching <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errors.New("another fetch is under way")
	}
}

func (r *Runner) release() { <-r.fetching }

// A tooSoon is the answer to a request by hand that would be one too many.
type tooSoon struct {
	until time.Time
	floor time.Duration
	last  time.Time
}

func (e *tooSoon) Error() string {
	text := fmt.Sprintf("not before %s: last request at %s", e.until.UTC().Format(time.RFC3339), e.last.UTC().Format(time.RFC3339))
	if e.until.Sub(e.last) < e.floor {
		return text + ", without reaching the provider"
	}
	return text + fmt.Sprintf(", and its provider requires %v or more between two requests", e.floor)
}

// begin puts the attempt on the disk. Without that there is none: a provider must not
// suffer from our full disk.
func (r *Runner) begin(now time.Time) error {
	if err := r.mayAsk(now); err != nil {
		return err
	}
	if err := r.ready(); err != nil {
		return r.notSent(now, fmt.Errorf("no request was sent, as what is kept of the feed cannot be read: %w", err))
	}
	if err := r.mayAsk(now); err != nil {
		return err // by the state that has been read now
	}
	r.mu.Lock()
	next := r.state
	r.mu.Unlock()
	next.Begin(now, &r.Spec)
	if err := r.save(next); err != nil {
		return r.notSent(now, fmt.Errorf("no request was sent, as it could not be noted: %w", err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next.Code, next.Error = r.state.Code, r.state.Error // those of the last attempt that ended
	r.state = next
	return nil
}

// mayAsk is a *tooSoon while the provider may not be asked.
func (r *Runner) mayAsk(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Repair(now, &r.Spec)
	if now.Before(r.state.NotBefore) {
		return &tooSoon{until: r.state.NotBefore, floor: r.Spec.Floor, last: r.state.LastAttempt}
	}
	return nil
}

// notSent notes why an attempt has ended before a request.
func (r *Runner) notSent(now time.Time, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Error = err.Error()
	r.state.Due = now.Add(spec.FirstBackoff)
	return err
}

// end notes what became of the attempt.
func (r *Runner) end(ctx context.Context, out source.Outcome, note string, err error) {
	r.mu.Lock()
	now := time.Now()
	r.state.Note = note
	switch {
	case err == nil:
		r.state.Succeed(now, &r.Spec)
		r.state.SucceedInPart(now, &r.Spec)
		r.state.Checked = r.shared.Now()
	case ctx.Err() != nil:
		r.state.Error = "interrupted: the process was stopped during the attempt"
	default:
		r.state.Fail(now, &r.Spec, err, err.Error())
	}
	s := r.state
	r.mu.Unlock() // a disk that hangs must not hang the status
	if saveErr := r.save(s); saveErr != nil {
		r.Log.Error("the state of a feed cannot be saved", zap.Error(saveErr))
	}
	r.report(out, err)
	r.poke()
}

// report logs what an operator should know, the same thing only once.
func (r *Runner) report(out source.Outcome, err error) {
	r.mu.Lock()
	text := ""
	switch {
	case err != nil:
		text = err.Error()
	case r.held != nil:
		text = "held back: " + r.held.Held
	}
	same := text == r.complain
	r.complain = text
	held := err == nil && text != "" && !same
	entries, fallback := 0, "there is no copy of it yet"
	rejected := 0
	if r.good != nil {
		rejected = r.good.Parsed.NotUnderstood()
	}
	switch {
	case r.good != nil && r.good.Partial:
		entries, fallback = r.good.Entries, "its first reading is not complete, what has come so far is used"
	case r.good != nil:
		entries, fallback = r.good.Entries, "the last good copy stays in use"
	}
	r.mu.Unlock()
	if held {
		r.shared.Alert(r.Spec.Name, text)
	}
	switch {
	case text != "" && !same && client.NeverReached(err) && r.shared.Unreached(r, fallback, text):
	case text != "" && !same:
		r.Log.Warn("feed is not up to date; "+fallback, zap.String("why", text))
	case out == source.Updated:
		fields := []zap.Field{zap.Int("entries", entries)}
		if rejected > 0 {
			fields = append(fields, zap.Int("rows_not_understood", rejected))
		}
		r.Log.Info("feed updated", fields...)
	}
}

// poke wakes the schedule, as the times have changed.
func (r *Runner) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// TryAgain brings the next fetch forward if the last one has failed.
func (r *Runner) TryAgain() {
	r.mu.Lock()
	if r.state.Failures > 0 {
		r.state.Due = r.state.NotBefore
	}
	r.mu.Unlock()
	r.poke()
}

// due gives the time of the next fetch.
func (r *Runner) due() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Due
}

// Run fetches by schedule until the context ends.
func (r *Runner) Run(ctx context.Context) {
	for r.waitDue(ctx) {
		r.turn(ctx)
	}
}

// turn makes one scheduled attempt.
func (r *Runner) turn(ctx context.Context) {
	switch {
	case r.Spec.Kind.Local():
		if r.acquire(ctx) == nil {
			_, _ = r.fetchLocal(false) // the status has the error
			r.release()
		}
	case time.Now().Before(r.due()): // somebody was here in the meantime
	default:
		leave, err := r.shared.Gate.Enter(ctx, r.Spec.Host())
		if err != nil {
			return
		}
		defer leave()
		if time.Now().Before(r.due()) {
			return // an update by hand was first
		}
		_, _ = r.fetch(ctx)
	}
}

// waitDue sleeps until the feed is due. It is false when the context has ended.
func (r *Runner) waitDue(ctx context.Context) bool {
	for {
		pause := time.Until(r.due())
		if r.Spec.Kind.Local() {
			pause = r.Spec.Interval
		}
		t := time.NewTimer(max(pause, 0))
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
			return true
		case <-r.wake:
			t.Stop()
		}
	}
}
