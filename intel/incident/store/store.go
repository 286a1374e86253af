package store

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
)

// ErrUnknown means that there is no incident of the offender.
var ErrUnknown = errors.New("there is no incident of this address")

// Config says where incidents are kept and for how long.
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
	cfg Config
	db  *database.DB

	mu    sync.Mutex // of what follows
	stats Stats
}

// Stats are what became of the store since it was opened.
type Stats struct {
	Incidents int64  // kept now, as of the last commit or the last look
	Commits   uint64 // transactions
	Events    uint64 // in them, repeats included
	Repeats   uint64 // events that had been counted before
	Changed   uint64 // incidents written
	Reopened  uint64 // incidents that were closed or a false alarm
	Pruned    Pruned // incidents and contacts forgotten
	// Aside is how often a damaged file was moved aside, AsideAs where the last one is.
	Aside   uint64
	AsideAs string
}

// Open opens the store, makes it where there is none, and brings its tables up to date.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	db, err := database.Open(ctx, cfg.database())
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, db: db}
	if err := db.Read().QueryRowContext(ctx, "SELECT count(*) FROM incident").Scan(&s.stats.Incidents); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (c *Config) database() database.Config {
	d := database.Config{Path: c.Path, URL: c.Database, Password: c.Password, ReadOnly: c.ReadOnly,
		Cache: 16 << 20, Checkpoint: 16_000, Schema: schema}
	if c.Edge {
		d.Cache, d.Checkpoint = 2<<20, 1_000
	}
	return d
}

// SetKeep changes how long and how many incidents are kept. It must not be called while Prune
// is at work.
func (s *Store) SetKeep(keep, keepJudged time.Duration, most int) {
	s.cfg.Keep, s.cfg.KeepJudged, s.cfg.Max = keep, keepJudged, most
}

// Close closes the database after the transaction under way, within ctx.
func (s *Store) Close(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.db.Close() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats gives the counters.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
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

// addr reads an address of the database.
func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

// key is an address as the database has it.
func key(a netip.Addr) []byte {
	b := a.As16()
	return b[:]
}

// at reads a time of the database.
func at(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
