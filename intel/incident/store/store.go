package store

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/forget"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/reader"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// ErrUnknown means that there is no incident of the offender.
var ErrUnknown = incident.ErrUnknown

// Config sets where incidents are kept and for how long.
type Config struct {
	Path     string // of the SQLite file; used when Database is empty
	Database string // a PostgreSQL URL: postgres://user@host/name
	// Password, if not nil, gives the password of the database; it is called for each
	// connection.
	Password func() (string, error)
	// Keep is how long an incident is kept after its last contact, KeepJudged that of a false
	// alarm or one that is taken. 0 = for ever.
	Keep, KeepJudged time.Duration
	Max              int  // incidents; 0 = any number
	Edge             bool // little memory
	ReadOnly         bool
	Now              func() time.Time // nil = the clock
}

// DefaultConfig keeps a year in the file at path.
func DefaultConfig(path string) Config {
	return Config{Path: path, Keep: 365 * 24 * time.Hour, KeepJudged: 2 * 365 * 24 * time.Hour, Max: 1_000_000}
}

// A Store has the incidents. Its methods may be called from any goroutine; one writes at a
// time, and readers never wait for it.
type Store struct {
	*reader.Reader
	cfg Config
	db  *database.DB

	mu    sync.Mutex // of what follows
	stats Stats

	checked int64 // when the file was checked, seconds since 1970
}

// Stats are what became of the store since it was opened.
type Stats struct {
	Incidents int64         // kept now, as of the last commit or the last look
	Commits   uint64        // transactions
	Events    uint64        // in them, repeats included
	Repeats   uint64        // events that had been counted before
	Changed   uint64        // incidents written
	Reopened  uint64        // incidents that were closed or a false alarm
	Pruned    forget.Pruned // incidents and contacts forgotten
	// Aside is how often a damaged file was moved aside, AsideAs where one still is, of an
	// earlier run as well; empty = nowhere.
	Aside   uint64
	AsideAs string
}

// Open opens the store, makes it where there is none, and brings its tables up to date.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	db, err := database.Open(ctx, cfg.database())
	s := &Store{cfg: cfg, db: db}
	if err != nil && database.Damaged(err) && !cfg.ReadOnly {
		if s.db, err = database.Renew(ctx, cfg.database()); err == nil {
			s.noteAside()
		}
	}
	if err != nil {
		return nil, err
	}
	s.Reader = reader.New(s.db, reader.DefaultLimits())
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close(ctx))
	}
	return s, nil
}

// checkedSize is up to what size a file is checked when it is opened; a larger one would
// keep the start waiting, and is checked by [Store.Check].
const checkedSize = 64 << 20

// check looks at a small file before it is used, and counts its incidents.
func (s *Store) check(ctx context.Context) error {
	if !s.cfg.ReadOnly && s.Size() <= checkedSize {
		if err := s.Check(ctx); err != nil {
			return err
		}
	}
	err := s.recount(ctx)
	if err != nil && s.damage(ctx, err) == nil {
		return nil
	}
	return err
}

// recount counts the incidents anew: of a commit of which the end is not known, it is not known
// either how many were new.
func (s *Store) recount(ctx context.Context) error {
	var n int64
	err := s.db.Read().QueryRowContext(ctx, "SELECT count(*) FROM incident").Scan(&n)
	if err == nil {
		s.mu.Lock()
		s.stats.Incidents = n
		s.mu.Unlock()
	}
	return err
}

// Check reads the whole SQLite file. A damaged one is moved aside, and a new one begun, which
// is no error: [Stats] shows it. It does nothing to PostgreSQL, which looks after itself.
func (s *Store) Check(ctx context.Context) error {
	if err := s.db.CheckFile(ctx); err != nil {
		return s.damage(ctx, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked = s.cfg.Now().Unix()
	return nil
}

// damage moves a damaged file aside and begins a new one. It gives err when that is
// something else.
func (s *Store) damage(ctx context.Context, err error) error {
	if !database.Damaged(err) || s.cfg.ReadOnly {
		return err
	}
	if failed := s.db.Aside(ctx); failed != nil {
		return errors.Join(err, failed)
	}
	s.noteAside()
	return nil
}

func (s *Store) noteAside() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Aside++
	s.stats.Incidents = 0
}

func (c *Config) database() database.Config {
	d := database.Config{Path: c.Path, URL: c.Database, Password: c.Password, ReadOnly: c.ReadOnly,
		Cache: 16 << 20, Checkpoint: 65_536, Schema: schema.Steps}
	if c.Edge {
		d.Cache, d.Checkpoint = 2<<20, 1_000
	}
	return d
}

// SetKeep changes how long and how many incidents are kept, from the next [Store.Prune] on.
func (s *Store) SetKeep(keep, keepJudged time.Duration, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Keep, s.cfg.KeepJudged, s.cfg.Max = keep, keepJudged, most
}

// keeps gives what holds now.
func (s *Store) keeps() (keep, keepJudged time.Duration, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.Keep, s.cfg.KeepJudged, s.cfg.Max
}

// writes runs f in a transaction of its own. If the file turns out to be damaged, it is
// moved aside, and f runs in a new one.
func (s *Store) writes(ctx context.Context, f func(*writing) error) error {
	err := s.transaction(ctx, f)
	if err == nil || !database.Damaged(err) {
		return err
	}
	if err := s.damage(ctx, err); err != nil {
		return err
	}
	return s.transaction(ctx, f)
}

func (s *Store) transaction(ctx context.Context, f func(*writing) error) error {
	t, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	w := &writing{Tx: t, now: s.cfg.Now().Unix(), counter: map[string]int64{}}
	if err = f(w); err == nil {
		err = w.keepCounters()
	}
	if err == nil {
		err = t.Commit()
	}
	if err != nil {
		_ = t.Rollback()
	}
	return err
}

// Close closes the database after the transaction under way, within ctx.
func (s *Store) Close(ctx context.Context) error { return s.db.Close(ctx) }

// Stats gives the counters.
func (s *Store) Stats() Stats {
	bad := ""
	if !s.db.Postgres {
		if _, err := os.Lstat(database.Bad(s.cfg.Path)); err == nil {
			bad = database.Bad(s.cfg.Path)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.AsideAs = bad
	return st
}

// Where names the database, without a password.
func (s *Store) Where() string { return s.db.Where() }

// Size is the bytes of the SQLite file and its log; 0 = PostgreSQL.
func (s *Store) Size() (n int64) {
	if s.db.Postgres {
		return 0
	}
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.cfg.Path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}
