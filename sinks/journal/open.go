package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// An OpenReport says what Open found, and what it had to discard.
type OpenReport struct {
	Segments int
	Bytes    int64  // of the segments, after repair
	Events   uint64 // numbers that they span; sinks may have had them
	Cursors  int

	// The last segment alone is looked into. Damage in others shows when a sink
	// gets there, and is counted with it.

	TornBytes     int64    // cut off behind the last good record
	DamagedBytes  int64    // passed over between good records
	MissingEvents uint64   // known to have been in the damage
	LostEvents    uint64   // not there any more behind the last record
	BadCursors    []string // files of no use; their sinks get all that is there
	LostCursors   []string // sinks whose file is not there; they get all that is there

	// Unreadable are files that could not be read, though nothing says that they are
	// damaged. What is in a segment comes as soon as it can be read; the place of a sink
	// is set aside, and the sink gets all that is there.
	Unreadable []string
}

// Damaged reports whether anything was discarded or could not be read.
func (r OpenReport) Damaged() bool {
	return r.TornBytes > 0 || r.DamagedBytes > 0 || r.MissingEvents > 0 || r.LostEvents > 0 || len(r.BadCursors) > 0 || len(r.LostCursors) > 0 || len(r.Unreadable) > 0
}

// String says it in one line.
func (r OpenReport) String() string {
	s := fmt.Sprintf("%d segments, %d bytes, %d events, %d cursors", r.Segments, r.Bytes, r.Events, r.Cursors)
	if r.TornBytes > 0 {
		s += fmt.Sprintf("; cut off %d bytes of an unfinished record", r.TornBytes)
	}
	if r.DamagedBytes > 0 || r.MissingEvents > 0 {
		s += fmt.Sprintf("; passed over %d damaged bytes, %d events", r.DamagedBytes, r.MissingEvents)
	}
	if r.LostEvents > 0 {
		s += fmt.Sprintf("; %d events are gone from its end, which not all sinks may have had", r.LostEvents)
	}
	if len(r.BadCursors) > 0 {
		s += "; cannot read " + strings.Join(r.BadCursors, ", ") + ", these sinks get all that is there"
	}
	if len(r.LostCursors) > 0 {
		s += "; the positions of " + strings.Join(r.LostCursors, ", ") + " are missing, these sinks get all that is there"
	}
	if len(r.Unreadable) > 0 {
		s += "; not readable for now: " + strings.Join(r.Unreadable, ", ")
	}
	return s
}

func newLane(cfg Config, what string, d *disk.Watch, mu *sync.Mutex) *lane {
	return &lane{
		cfg: cfg, what: what, disk: d, mu: mu, safeTo: math.MaxUint64,
		spill:  spill{durability: cfg.Durability, after: cfg.SpillAfter},
		saving: newGate(), place: newGate(),
		known: knownSinks{names: make(map[string]bool)},
		due:   make(chan struct{}, 1), moved: make(chan struct{}, 1),
		quit: make(chan struct{}), wrote: make(chan struct{}),
		places: make(map[string]*place), saved: time.Now(),
	}
}

// load reads what the run before has left in the directory, and adds to the report.
func (l *lane) load(report *OpenReport) (err error) {
	if l.cfg.Dir == "" {
		return nil
	}
	at := l.moment()
	if err := l.disk.MkdirAll(l.cfg.Dir, 0o750); err != nil {
		return err
	}
	if l.lock, err = lockDir(l.disk, l.cfg.Dir); err != nil {
		return err
	}
	err = l.tryToRead(func() (err error) {
		l.segments, err = listSegments(l.disk, l.cfg.Dir, at)
		return err
	})
	if err != nil {
		return err
	}
	unread, err := l.repair(report)
	if err != nil {
		return err
	}
	if err := l.loadPlaces(report, unread, at); err != nil {
		return err
	}
	report.Segments += len(l.segments)
	report.Bytes += l.bytes()
	report.Events += l.next - l.first()
	return nil
}

// A file that cannot be read at the start is tried so often before the journal goes on
// without it.
const (
	readTries = 5
	readPause = 200 * time.Millisecond
)

// tryToRead calls read until it gives no error that may pass, or has been called often
// enough.
func (l *lane) tryToRead(read func() error) (err error) {
	for i := range readTries {
		if i > 0 {
			time.Sleep(readPause)
		}
		if err = read(); !mayPass(err) {
			return err
		}
		l.stats.ReadErrors++
		l.stats.failed(err)
	}
	return err
}

// mayPass reports whether an error is one of a device or a server that may be readable
// again later. What is wrong with the process, its limits or its permissions, is not.
func mayPass(err error) bool {
	for _, one := range []error{syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.ENXIO, syscall.ENODEV, syscall.EAGAIN, syscall.ENOMEM, syscall.EHOSTDOWN, syscall.ENOTCONN} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// lockDir keeps other processes out of dir for as long as the file is open.
func lockDir(d disk.FS, dir string) (disk.File, error) {
	file, err := disk.Lock(d, lockPath(dir), 0o640)
	if errors.Is(err, disk.ErrLocked) {
		err = fmt.Errorf("%s: is used by another process: give each its own directory", dir)
	}
	return file, err
}

// repair cuts off what follows the last good record, and goes on behind it. Last
// segments without one are removed. One that cannot be read now is left as it is, for the
// sinks to try: where it ends is not known.
func (l *lane) repair(report *OpenReport) (unread *segment, err error) {
	for len(l.segments) > 0 {
		last := l.segments[len(l.segments)-1]
		var found record.Found
		err := l.tryToRead(func() (err error) {
			found, err = record.Scan(l.disk, last.path, last.first)
			return err
		})
		if mayPass(err) {
			report.Unreadable = append(report.Unreadable, fmt.Sprintf("%s (%v)", last.path, err))
			return last, nil
		}
		if err != nil {
			return nil, err
		}
		report.TornBytes += found.Torn
		l.next = max(l.next, found.End)
		if found.Records == 0 {
			if err := l.disk.Remove(last.path); err != nil {
				return nil, err
			}
			l.segments = l.segments[:len(l.segments)-1]
			continue
		}
		report.DamagedBytes += found.Damaged
		report.MissingEvents += found.Missing
		return nil, l.resume(last, found)
	}
	return nil, nil
}

// bound sets where a segment ends that could not be read: where the journal ended by the
// cursors when all of them are of a regular stop, else so far behind that no number in it
// is used again. What of that was never used counts as dropped once it can be read.
func (l *lane) bound(s *segment, told uint64, clean bool) {
	s.end = max(s.first, told)
	if !clean || told <= s.first {
		s.end = max(s.end, s.first+uint64(s.size/record.Least)+1)
	}
	s.synced, s.syncedSize = s.end, s.size
	l.next = max(l.next, s.end)
}

// resume opens the last segment for appending.
func (l *lane) resume(last *segment, found record.Found) (err error) {
	last.file, err = l.disk.OpenFile(last.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if found.Torn > 0 {
		if err := last.file.Truncate(found.Good); err != nil {
			return err
		}
	}
	last.size, last.end = found.Good, found.End
	// What a crash left unsynced is not in memory to be written again, but synced it is.
	last.synced, last.syncedSize, last.dirty = last.end, last.size, true
	l.active = last
	return nil
}

// loadPlaces reads all cursors. Numbers are not used again: what a crash took is
// missing between the last record and the first new one, and counted as dropped.
func (l *lane) loadPlaces(report *OpenReport, unread *segment, at moment) error {
	names, err := l.disk.Names(l.cfg.Dir)
	if err != nil {
		return err
	}
	bad := func(path string, err error) {
		list, suffix := &report.BadCursors, damagedSuffix
		if mayPass(err) {
			list, suffix = &report.Unreadable, unreadableSuffix
		}
		*list = append(*list, fmt.Sprintf("%s (%v)", path, err))
		_ = l.disk.Rename(path, path+suffix) // else it would be news again
	}
	err = l.tryToRead(func() (err error) {
		l.known, err = loadKnown(l.disk, l.cfg.Dir)
		return err
	})
	if ofNoUse(err) {
		l.known.lost = true
		bad(knownPath(l.cfg.Dir), err)
	} else if err != nil {
		return err
	}
	var told claim
	clean, n := true, 0
	end := l.next
	for _, name := range names {
		path := filepath.Join(l.cfg.Dir, name)
		if strings.HasSuffix(name, newSuffix) {
			_ = l.disk.Remove(path) // of an attempt that was cut off
		}
		if !strings.HasSuffix(name, placeSuffix) {
			continue
		}
		var c *place
		var next uint64
		err := l.tryToRead(func() (err error) {
			c, next, err = loadPlace(l.disk, path, at)
			return err
		})
		if err == nil && !l.known.owns(c.journal) {
			_ = c.file.Close()
			err = fmt.Errorf("it belongs to another journal: %w", errContent)
		}
		switch {
		case ofNoUse(err):
			l.known.lost, clean = true, false
			bad(path, err)
			continue
		case err != nil:
			return err
		}
		l.places[c.name] = c
		clean = clean && !c.mayRepeat
		l.next = max(l.next, c.done.Position, next)
		told.add(c.done.Position, next)
		n++
	}
	if unread != nil {
		l.bound(unread, told.next, clean && n > 0)
		end = l.next
	}
	report.Cursors = max(report.Cursors, n)
	report.LostEvents += told.beyond(end)
	for _, name := range l.known.missing(l.places) {
		if !slices.Contains(report.LostCursors, name) {
			report.LostCursors = append(report.LostCursors, name)
		}
	}
	l.known.complete(l.places)
	for _, c := range l.places {
		c.skip(l.first())
	}
	return nil
}

// ofNoUse reports whether an error says that a file cannot be used: it is damaged, a link,
// or not readable for now.
func ofNoUse(err error) bool {
	return errors.Is(err, errContent) || errors.Is(err, syscall.ELOOP) || mayPass(err)
}

// A claim is what the cursors that were saved last say of the journal's end: there
// were events up to next, and one of them had still to have those from position on.
// What cursors of sinks that are long gone say does not count.
type claim struct{ position, next uint64 }

func (c *claim) add(position, next uint64) {
	switch {
	case next > c.next:
		c.position, c.next = position, next
	case next == c.next:
		c.position = min(c.position, position)
	}
}

// beyond gives how many of the events are not there when the journal ends at end.
func (c claim) beyond(end uint64) uint64 {
	from := max(end, c.position)
	return max(c.next, from) - from
}

func (l *lane) closeFiles() {
	for _, s := range l.segments {
		if s.file != nil {
			_ = s.file.Close()
		}
	}
	for _, c := range l.places {
		if c.file != nil {
			_ = c.file.Close()
		}
	}
	if l.lock != nil {
		_ = l.lock.Close()
	}
}
