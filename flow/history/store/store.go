// Package store is the writing side of a history: it writes what the workers hand over, one
// file for all of them, merges files to hours and days, removes what is too old or too much,
// and erases addresses. Which files there are is known by package folder, what is in them by
// package file.
//
// Rows that were written are in the history once, whatever fails or when the process dies: a
// file gets its name when it is whole on the disk. A merged one names its inputs, which do not
// count from then on, and are removed. Nothing is overwritten, as clocks may jump and files of
// an hour that has been merged may come: they are merged with the others when the day is over.
package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
)

// Config is how a history is kept.
type Config struct {
	Root string // the folder, made when it is first needed
	// Edge is for little memory and slow cards: what is written counts as an hour at once, merges
	// take 6 files and run at night.
	Edge     bool
	Keep     time.Duration // 0 = files do not get too old
	MaxBytes int64         // of all files; 0 = no bound
	Program  string        // name and version, for the files
	Home     string        // the home networks, for the files

	Now    func() time.Time // nil = time.Now
	Synced func() bool      // whether the clock can be trusted; nil = always
	Zone   *time.Location   // in which it is night; nil = that of the machine
	Disk   disk.FS          // nil = that of the machine
	// Space gives the free and all bytes of the file system of a path; nil = disk.Space.
	Space func(path string) (free, total uint64, err error)
	// Yield is called often during a merge, for it to give way; nil = to other goroutines.
	Yield func()
	// Report is given what people must know, once until it has changed: warn, and when it is
	// over again; nil = nobody. It is called from any goroutine.
	Report func(warn bool, text string)
}

// A Store writes one history. Its methods may be called from any goroutine: Write goes on
// during Tidy and Erase, which wait for each other.
type Store struct {
	cfg    Config
	disk   disk.FS
	folder *folder.Folder

	opening disk.Gate // guards lock and clean
	lock    disk.File // keeps other writers out; nil = the folder could not be opened yet
	clean   bool      // after a crash

	writing disk.Gate // guards what Write needs
	cursors []*cursor
	left    string // a file that a failed write could not remove: its rows are still with the caller

	tidying disk.Gate
	// strikes are how often merges have failed by a file that cannot be read.
	strikes map[string]int

	mu       sync.Mutex // never held during a call to the disk
	keep     time.Duration
	maxBytes int64
	stats    Stats
	trouble  [kinds]problem
	// doubtful is the name, but for Seq and CRC, of a file whose write may yet fail, or has
	// failed without being removed: its rows are with the caller, and must not be merged.
	doubtful file.Name
}

// Open makes the store of a folder. That the folder cannot be used now is no error: it is tried
// again with each Write. The error is that another process writes there, [disk.ErrLocked].
func Open(cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Synced == nil {
		cfg.Synced = func() bool { return true }
	}
	if cfg.Zone == nil {
		cfg.Zone = time.Local
	}
	if cfg.Disk == nil {
		cfg.Disk = disk.OS{}
	}
	if cfg.Space == nil {
		cfg.Space = disk.Space
	}
	if cfg.Yield == nil {
		cfg.Yield = runtime.Gosched
	}
	if cfg.Report == nil {
		cfg.Report = func(bool, string) {}
	}
	s := &Store{
		cfg: cfg, disk: cfg.Disk, folder: folder.Open(cfg.Disk, cfg.Root), keep: cfg.Keep, maxBytes: cfg.MaxBytes,
		opening: disk.NewGate(), writing: disk.NewGate(), tidying: disk.NewGate(), strikes: make(map[string]int),
	}
	s.folder.OnBad = s.setAside
	err := s.ready(context.Background())
	if errors.Is(err, disk.ErrLocked) {
		return nil, err
	}
	s.outcome(writing, err)
	if days, err := s.folder.Days(); err == nil {
		s.measure(days)
	}
	return s, nil
}

// Close lets another process write. Nothing may be called after it.
func (s *Store) Close() error {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.lock == nil {
		return nil
	}
	err := s.lock.Close()
	s.lock = nil
	return err
}

// Folder gives the files.
func (s *Store) Folder() *folder.Folder { return s.folder }

// Reconfigure sets how long and how much is kept, from the next Tidy on.
func (s *Store) Reconfigure(keep time.Duration, maxBytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep, s.maxBytes = keep, maxBytes
}

// ready makes the folder, keeps other writers out, and cleans up once.
func (s *Store) ready(ctx context.Context) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.lock != nil && !s.locked() {
		_ = s.lock.Close()
		s.lock = nil
	}
	if s.lock == nil {
		if err := s.disk.MkdirAll(s.cfg.Root, 0o750); err != nil {
			return err
		}
		if err := disk.SyncDir(s.disk, filepath.Dir(s.cfg.Root)); err != nil {
			return err
		}
		lock, err := disk.Lock(s.disk, filepath.Join(s.cfg.Root, "lock"), 0o640)
		if err != nil {
			return err
		}
		s.lock = lock
	}
	if s.clean {
		return nil
	}
	report, err := s.folder.Clean(ctx)
	s.clean = ctx.Err() == nil
	if report.Unfinished+report.Superseded > 0 {
		s.cfg.Report(false, fmt.Sprintf("%d unfinished and %d merged files of the run before were removed from %s", report.Unfinished, report.Superseded, s.cfg.Root))
	}
	if report.Foreign > 0 {
		s.cfg.Report(false, fmt.Sprintf("%d files in %s are not part of the history and are ignored", report.Foreign, s.cfg.Root))
	}
	s.outcome(removing, err) // what could not be removed is not counted twice
	return ctx.Err()
}

// locked reports whether the lock is still that of the folder, which may have been removed.
func (s *Store) locked() bool {
	info, err := s.lock.Stat()
	return err == nil && disk.Links(info) > 0
}

// setAside renames a damaged file, so that it is not read again.
func (s *Store) setAside(path string, reason error) {
	if err := s.disk.Rename(path, path+folder.Damaged); err != nil {
		s.outcome(removing, err)
		return
	}
	s.count(func(t *Stats) { t.BadTotal++ })
	s.cfg.Report(true, fmt.Sprintf("%v; renamed to %s%s. Its contacts are missing in hunts; check the disk", reason, filepath.Base(path), folder.Damaged))
}

// damaged gives the path of the file that an error is about, if it is damaged.
func damaged(err error) (string, bool) {
	d := (*file.DamagedError)(nil)
	if errors.As(err, &d) {
		return d.Path, true
	}
	return "", false
}
