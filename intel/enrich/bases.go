package enrich

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

const (
	lookEvery  = time.Minute     // at the files
	againAfter = time.Hour       // a file that could not be used is tried again unchanged
	startTime  = 5 * time.Second // that Start waits for the files
)

// Bases are all databases. Stamp, Lookup and Status may be called from any goroutine.
type Bases struct {
	cfg atomic.Pointer[Config]

	// mu is held for a lookup and for an exchange of the list, never while a file is read.
	mu   sync.Mutex
	list []*database // in the order of the configuration, without those that could not be read
	seen []seen

	known, unknown, failed atomic.Uint64 // lookups
	loads, refused         atomic.Uint64 // of files
	looked                 atomic.Int64  // when the files were looked at, in seconds since 1970

	news   chan struct{}
	stop   chan struct{}
	done   chan struct{}
	ending sync.Once
}

// A seen is what the owner of the files has found at a path.
type seen struct {
	path  string
	last  fs.FileInfo // at the last look; a file is read when it has not changed since
	tried fs.FileInfo // when it was read, with success or not
	at    time.Time   // of that
	err   string      // why it cannot be used; empty = it is in use
}

// New makes the component; no file is read yet.
func New(cfg Config) *Bases {
	b := &Bases{news: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	b.cfg.Store(&cfg)
	return b
}

// Start reads the databases. A file that cannot be used is no error; the check names it. On
// a disk that hangs it goes on without waiting for longer than a few seconds.
func (b *Bases) Start() error {
	first := make(chan struct{})
	go b.run(first)
	patience := time.NewTimer(startTime)
	defer patience.Stop()
	select {
	case <-first:
	case <-patience.C:
	}
	return nil
}

// Stop ends it and gives the memory back. On a disk that hangs it returns when ctx ends.
func (b *Bases) Stop(ctx context.Context) error {
	b.ending.Do(func() { close(b.stop) })
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reconfigure takes other files; they are read at once, in the background. Those that remain
// stay in use.
func (b *Bases) Reconfigure(cfg Config) error {
	b.cfg.Store(&cfg)
	select {
	case b.news <- struct{}{}:
	default:
	}
	return nil
}

// run owns the files.
func (b *Bases) run(first chan<- struct{}) {
	defer close(b.done)
	defer b.exchange(nil)
	b.look(time.Now(), true)
	close(first)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-b.news:
			b.look(time.Now(), true)
		case now := <-tick.C:
			b.look(now, false)
		}
	}
}

// look reads what is new. At once is for a new configuration: else a file has to be the same
// in two looks, for whoever writes it may need a while.
func (b *Bases) look(now time.Time, atOnce bool) {
	cfg := b.cfg.Load()
	b.mu.Lock()
	before, list := slices.Clone(b.seen), slices.Clone(b.list)
	b.mu.Unlock()
	list = slices.DeleteFunc(list, func(db *database) bool { return !slices.Contains(cfg.MMDB, db.path) })
	var found []seen
	for _, path := range cfg.MMDB {
		s := seen{path: path}
		if i := slices.IndexFunc(before, func(s seen) bool { return s.path == path }); i >= 0 {
			s = before[i]
		}
		if db := b.renew(&s, cfg.MaxBytes, list, now, atOnce); db != nil {
			list = append(slices.DeleteFunc(list, func(d *database) bool { return d.path == path }), db)
			b.exchange(list) // one at a time: two copies of a file are in memory for a moment, not of all
		}
		found = append(found, s)
	}
	slices.SortFunc(list, func(x, y *database) int {
		return slices.Index(cfg.MMDB, x.path) - slices.Index(cfg.MMDB, y.path)
	})
	b.exchange(list)
	b.mu.Lock()
	b.seen = found
	b.mu.Unlock()
	b.looked.Store(now.Unix())
}

// renew reads a file that is new, has changed, or could not be used for a while; nil = what
// there is of it remains. list has the databases in memory.
func (b *Bases) renew(s *seen, most int64, list []*database, now time.Time, atOnce bool) *database {
	info, err := os.Stat(s.path)
	if err != nil {
		s.last, s.tried, s.err = nil, nil, cause(err)
		return nil
	}
	settled := atOnce || same(info, s.last)
	s.last = info
	if !settled || same(info, s.tried) && (s.err == "" || now.Sub(s.at) < againAfter && !atOnce) {
		return nil
	}
	for _, db := range list {
		if db.path == s.path {
			if same(db.file, info) { // it was away for a while
				s.tried, s.err = info, ""
				return nil
			}
			continue
		}
		most -= int64(len(db.data))
	}
	db, err := open(s.path, most)
	s.tried, s.at, s.err = info, now, ""
	if err != nil {
		b.refused.Add(1)
		s.err = cause(err)
		return nil
	}
	b.loads.Add(1)
	return db
}

// exchange puts a list into use, and closes the databases that it does not have.
func (b *Bases) exchange(list []*database) {
	b.mu.Lock()
	old := b.list
	b.list = slices.Clone(list)
	b.mu.Unlock()
	for _, db := range old { // nobody uses it any more: lookups hold the lock
		if !slices.Contains(list, db) {
			db.close()
		}
	}
}

// cause strips the path, which is named beside it.
func cause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// Stamp notes on an event where its offender belongs: the IPv4 address within an IPv6 one, where
// that is what is listed. It allocates nothing for a record that was decoded before.
func (b *Bases) Stamp(e *event.Event) {
	if len(b.cfg.Load().MMDB) == 0 || !e.Offender.IsValid() || e.Kind == event.KindCanary {
		return
	}
	var p Place
	if e.Embedded.IsValid() {
		p = b.Lookup(e.Embedded)
	}
	if !p.whole() {
		p.fill(b.Lookup(e.Offender))
	}
	if !p.Known() {
		b.unknown.Add(1)
		return
	}
	b.known.Add(1)
	e.Country, e.ASNumber, e.ASName = p.Country, p.ASNumber, p.ASName
}

// Lookup gives where an address belongs, as far as the databases have it.
func (b *Bases) Lookup(a netip.Addr) (p Place) {
	a = a.Unmap().WithZone("")
	if !public(a) {
		return p
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, db := range b.list {
		q, err := db.lookup(a)
		if err != nil {
			b.failed.Add(1)
			continue
		}
		if p.fill(q); p.whole() {
			break
		}
	}
	return p
}
