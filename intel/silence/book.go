package silence

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// What is kept at most.
const (
	MaxSilences = 10_000 // in force
	MaxAllowed  = 10_000
	maxEnded    = 1_000 // silences that have ended, for the list
)

// A Config is what a book needs.
type Config struct {
	// Path is that of the file, see [FileName].
	Path string
	// FS is where it is; nil = the machine's.
	FS disk.FS
	// Now is the date that can be trusted: one that goes on from the last time that was right
	// while the wall clock is not. So nothing ends early because the clock jumped ahead; what
	// ends late meanwhile ends once the clock is right. nil = time.Now.
	Now func() time.Time
	// Home are the home networks: a silence of all of them is one of everything.
	Home []netip.Prefix
	// Allowed is called after another set of allowed prefixes has come into force, without
	// any lock. May be nil.
	Allowed func()
	// ReadOnly leaves the file as it is.
	ReadOnly bool
}

// ErrUnknown is within the error about what does not exist, or has ended; ErrThere within that
// about what exists already; ErrDisk within that of a disk which does not take a change. All
// other errors are about what is wrong in the request.
var (
	ErrUnknown = errors.New("there is no such")
	ErrThere   = errors.New("is there already")
	ErrDisk    = errors.New("it cannot be saved")
)

// A Book holds the silences and the allowed prefixes that end. Its methods may be called by any
// goroutine. None of them but those with a context waits for the disk.
type Book struct {
	cfg     Config
	inForce atomic.Pointer[index] // nil = none
	total   [4]atomic.Uint64      // events since the start, by severity
	dirty   atomic.Bool           // counters are newer than the file

	acts   disk.Gate // held by whoever changes the lists and the file
	unread bool      // the file could not be read, and is still there; of who has acts, once Load is over

	mu      sync.Mutex // held for a moment only
	records []*record  // in the order in which they were made, with the last that have ended
	allowed []Allowed
	number  uint64
	active  int       // silences in force
	allows  []Allowed // in force; never written again
	made    time.Time // of what is in force
	next    time.Time // when something ends; zero = nothing will
	unsaved string    // why the last write failed
}

// New makes an empty book. Load reads its file.
func New(cfg Config) *Book {
	if cfg.FS == nil {
		cfg.FS = disk.OS{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Allowed == nil {
		cfg.Allowed = func() {}
	}
	return &Book{cfg: cfg, acts: disk.NewGate()}
}

// Stamp marks an event that a silence fits: of several the one that was made first. Canaries
// are never silenced. It takes a few nanoseconds without silences, and allocates nothing.
func (b *Book) Stamp(e *event.Event) {
	e.Silenced = ""
	x := b.inForce.Load()
	if x == nil || e.Kind == event.KindCanary {
		return
	}
	if r := x.find(e); r != nil {
		e.Silenced = r.ID
		r.count(e)
		b.total[min(e.Severity, event.Critical)].Add(1)
		b.dirty.Store(true)
	}
}

// record makes what is kept of a silence.
func (b *Book) record(s Silence) *record {
	b.number++
	r := &record{s, b.number, new(counters)}
	for i, n := range s.BySeverity {
		r.events[i].Store(n)
	}
	if !s.Last.IsZero() {
		r.last.Store(s.Last.UnixNano())
	}
	return r
}

// view gives a silence with its counters.
func (r *record) view() Silence {
	s := r.Silence
	s.Events = 0
	for i := range r.events {
		s.BySeverity[i] = r.events[i].Load()
		s.Events += s.BySeverity[i]
	}
	if at := r.last.Load(); at != 0 {
		s.Last = time.Unix(0, at).UTC()
	}
	return s
}

// refresh puts into force what holds now, and reports whether other prefixes are allowed. mu
// is held.
func (b *Book) refresh(now time.Time) (allowed bool) {
	b.made, b.next = now, time.Time{}
	until := func(t time.Time) {
		if b.next.IsZero() || t.Before(b.next) {
			b.next = t
		}
	}
	var active []*record
	for _, r := range b.records {
		if r.InForce(now) {
			active = append(active, r)
			until(r.Until)
		}
	}
	var allows []Allowed
	for _, a := range b.allowed {
		if a.InForce(now) {
			allows = append(allows, a)
			until(a.Until)
		}
	}
	allowed = !slices.EqualFunc(b.allows, allows, func(x, y Allowed) bool { return x.Prefix == y.Prefix })
	b.active, b.allows = len(active), allows
	b.inForce.Store(newIndex(active))
	return allowed
}

// Expire ends what has come to its end by now, and brings back what has not after all, where
// the date was wrong. It is to be called once a second.
func (b *Book) Expire() {
	now := b.cfg.Now()
	b.mu.Lock()
	due := !b.next.IsZero() && !now.Before(b.next) || now.Before(b.made)
	allowed := due && b.refresh(now)
	b.mu.Unlock()
	if allowed {
		b.cfg.Allowed()
	}
}

// Now is the date by which silences end.
func (b *Book) Now() time.Time { return b.cfg.Now() }

// enter waits until it is its caller's turn to change something.
func (b *Book) enter(ctx context.Context) error {
	select {
	case b.acts <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: another change has not been saved yet; does the disk of the state directory answer?", ErrDisk)
	}
}

// change saves other lists and puts them into force. The gate is held. After an error nothing
// has changed.
func (b *Book) change(records []*record, allowed []Allowed) error {
	if err := b.write(records, allowed); err != nil {
		return fmt.Errorf("nothing has changed: %w: %w", ErrDisk, err)
	}
	b.replace(records, allowed)
	return nil
}

func (b *Book) replace(records []*record, allowed []Allowed) {
	b.mu.Lock()
	b.records, b.allowed = records, allowed
	changed := b.refresh(b.cfg.Now())
	b.mu.Unlock()
	if changed {
		b.cfg.Allowed()
	}
}

// Add puts a silence into force: conditions, reason, author and end are the caller's. It is
// returned with its id. An error that wraps [ErrThere] is about the same conditions.
func (b *Book) Add(ctx context.Context, s Silence) (Silence, error) {
	if err := b.enter(ctx); err != nil {
		return Silence{}, err
	}
	defer b.acts.Unlock()
	now := b.cfg.Now()
	s = Silence{Conditions: s.Conditions, Reason: s.Reason, Author: s.Author, Made: now.UTC().Truncate(time.Second), Until: s.Until.UTC().Truncate(time.Second)}
	if err := s.Conditions.check(b.cfg.Home); err != nil {
		return Silence{}, err
	}
	if err := checkText(&s.Reason, &s.Author); err != nil {
		return Silence{}, err
	}
	if err := checkEnd(s.Until, now); err != nil {
		return Silence{}, err
	}
	ids, active := make(map[string]bool), 0
	for _, r := range b.records { // only who holds the gate changes it
		ids[r.ID] = true
		if !r.InForce(now) {
			continue
		}
		active++
		if r.Conditions == s.Conditions {
			return Silence{}, fmt.Errorf("silence %s by %s until %s %w, for %s; remove it first to have another end or reason",
				r.ID, r.Author, r.Until.Format(time.RFC3339), ErrThere, &r.Conditions)
		}
	}
	if active >= MaxSilences {
		return Silence{}, fmt.Errorf("%d silences are in force, more cannot be; remove some, or silence a prefix in place of its addresses", active)
	}
	for s.ID == "" || ids[s.ID] {
		s.ID = newID()
	}
	b.mu.Lock()
	r := b.record(s)
	b.mu.Unlock()
	return s, b.change(prune(append(slices.Clone(b.records), r), now), b.allowed)
}

// newID makes an id at random: 40 bits.
func newID() string {
	var b [idLength]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = idLetters[b[i]%byte(len(idLetters))]
	}
	return string(b[:])
}

// Remove ends a silence before its time. When that cannot be saved it has ended all the same,
// and the error has that: what is audible too early does less harm.
func (b *Book) Remove(ctx context.Context, id, author string) (Silence, error) {
	if err := b.enter(ctx); err != nil {
		return Silence{}, err
	}
	defer b.acts.Unlock()
	now := b.cfg.Now()
	i := slices.IndexFunc(b.records, func(r *record) bool { return r.ID == id })
	if i < 0 {
		return Silence{}, fmt.Errorf("%w silence: %.20q", ErrUnknown, id)
	}
	old := b.records[i]
	if !old.Removed.IsZero() {
		return Silence{}, fmt.Errorf("%w silence in force: %s was removed by %s at %s", ErrUnknown, id, old.RemovedBy, old.Removed.Format(time.RFC3339))
	}
	if !old.InForce(now) {
		return Silence{}, fmt.Errorf("%w silence in force: %s ended at %s", ErrUnknown, id, old.Until.Format(time.RFC3339))
	}
	reason := old.Reason
	if err := checkText(&reason, &author); err != nil {
		return Silence{}, err
	}
	r := *old
	r.Removed, r.RemovedBy = now.UTC().Truncate(time.Second), author
	records := slices.Clone(b.records)
	records[i] = &r
	return r.view(), b.end(records, b.allowed)
}

// end is change for what ends something.
func (b *Book) end(records []*record, allowed []Allowed) error {
	b.replace(records, allowed)
	if err := b.write(records, allowed); err != nil {
		b.dirty.Store(true) // Save tries again
		return fmt.Errorf("it has ended, but after a restart it is there again, unless the disk takes it before: %w: %w", ErrDisk, err)
	}
	return nil
}

// Allow puts an entry of the allowlist into force. One of the same prefix that ends earlier is
// replaced; else the error wraps [ErrThere].
func (b *Book) Allow(ctx context.Context, a Allowed) (Allowed, error) {
	if err := b.enter(ctx); err != nil {
		return Allowed{}, err
	}
	defer b.acts.Unlock()
	now := b.cfg.Now()
	a.Made, a.Until = now.UTC().Truncate(time.Second), a.Until.UTC().Truncate(time.Second)
	if err := checkPrefix(&a.Prefix); err != nil {
		return Allowed{}, err
	}
	if err := checkText(&a.Reason, &a.Author); err != nil {
		return Allowed{}, err
	}
	if err := checkEnd(a.Until, now); err != nil {
		return Allowed{}, err
	}
	allowed := slices.DeleteFunc(slices.Clone(b.allowed), func(o Allowed) bool {
		return !o.InForce(now) || o.Prefix == a.Prefix && o.Until.Before(a.Until)
	})
	if i := slices.IndexFunc(allowed, func(o Allowed) bool { return o.Prefix == a.Prefix }); i >= 0 {
		o := &allowed[i]
		return Allowed{}, fmt.Errorf("%s, allowed by %s until %s, %w", prefixText(o.Prefix), o.Author, o.Until.Format(time.RFC3339), ErrThere)
	}
	if len(allowed) >= MaxAllowed {
		return Allowed{}, fmt.Errorf("%d prefixes are allowed for a time, more cannot be; put lasting ones into intel.allow", len(allowed))
	}
	return a, b.change(b.records, append(allowed, a))
}

// Disallow ends an entry of the allowlist before its time; as to errors see [Book.Remove].
func (b *Book) Disallow(ctx context.Context, p netip.Prefix) (Allowed, error) {
	if err := b.enter(ctx); err != nil {
		return Allowed{}, err
	}
	defer b.acts.Unlock()
	now := b.cfg.Now()
	i := slices.IndexFunc(b.allowed, func(o Allowed) bool { return o.Prefix == p && o.InForce(now) })
	if i < 0 {
		return Allowed{}, fmt.Errorf("%w entry: %s is not allowed for a time; what is in intel.allow is changed there", ErrUnknown, prefixText(p))
	}
	old := b.allowed[i]
	return old, b.end(b.records, slices.Delete(slices.Clone(b.allowed), i, i+1))
}

// List gives the silences in force, in the order in which they were made; with all, also the
// last ones that have ended.
func (b *Book) List(all bool) []Silence {
	return b.list(func(r *record, now time.Time) bool { return all || r.InForce(now) })
}

func (b *Book) list(which func(r *record, now time.Time) bool) []Silence {
	now := b.cfg.Now()
	b.mu.Lock()
	records := b.records // never written again
	b.mu.Unlock()
	list := []Silence{}
	for _, r := range records {
		if which(r, now) {
			list = append(list, r.view())
		}
	}
	return list
}

// Match gives the silences in force whose offender or host overlaps a prefix.
func (b *Book) Match(p netip.Prefix) []Silence {
	return b.list(func(r *record, now time.Time) bool {
		return r.InForce(now) && (r.Offender.Overlaps(p) || r.Host.Overlaps(p))
	})
}

// AllowList gives the allowed prefixes in force.
func (b *Book) AllowList() []Allowed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.allows)
}

// MatchAllowed gives the allowed prefixes in force that overlap a prefix.
func (b *Book) MatchAllowed(p netip.Prefix) []Allowed {
	return slices.DeleteFunc(b.AllowList(), func(a Allowed) bool { return !a.Prefix.Overlaps(p) })
}

// Prefixes gives the prefixes of AllowList.
func (b *Book) Prefixes() (list []netip.Prefix) {
	for _, a := range b.AllowList() {
		list = append(list, a.Prefix)
	}
	return list
}

// Save brings the counters to the disk, if there is something new.
func (b *Book) Save(ctx context.Context) error {
	if !b.dirty.Load() {
		return nil
	}
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.acts.Unlock()
	b.dirty.Store(false)
	err := b.write(b.records, b.allowed)
	if err != nil {
		b.dirty.Store(true)
	}
	return err
}

// Stats are the counters of a book.
type Stats struct {
	Silences, Allowed int       // in force
	Events            [4]uint64 // silenced since the start, by severity
	Next              time.Time // when something ends
	Unsaved           string    // why the last write failed, empty = it did not
}

// Stats gives the counters. It never waits.
func (b *Book) Stats() Stats {
	b.mu.Lock()
	s := Stats{Silences: b.active, Allowed: len(b.allows), Next: b.next, Unsaved: b.unsaved}
	b.mu.Unlock()
	for i := range b.total {
		s.Events[i] = b.total[i].Load()
	}
	return s
}
