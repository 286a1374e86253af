// Package jobs is the folder of what has been hunted and what is still to be: what was listed up
// to some set, the changes of the sets after it, and which of those are jobs that wait. A crash
// at any time loses no job. Package retro owns it, and calls it from one goroutine.
package jobs

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/listed"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// The files of the folder: what was listed, up to some change; the changes after it, those that
// wait to be hunted and those that have been, each with its number.
const (
	knownFile  = "known"
	jobPrefix  = "job-"
	donePrefix = "done-"
	badSuffix  = ".bad"     // damaged
	oldPrefix  = "damaged-" // and replaced by what was listed next
)

// maxDone is how many changes are files of their own before they become part of the file of
// what is known, which is large.
const maxDone = 24

// maxGone bounds the entries that are no longer listed and still known.
const maxGone = 500_000

// A Change is a file with what one set has changed.
type Change struct {
	number uint64
	done   bool // else it is to be hunted
}

func (c Change) name() string {
	prefix := jobPrefix
	if c.done {
		prefix = donePrefix
	}
	return fmt.Sprintf("%s%016x", prefix, c.number)
}

// A Folder is what is on the disk. It is for one goroutine.
type Folder struct {
	fs  disk.FS
	dir string

	changes []Change // by number
	next    uint64   // number of the next one
	Exists  bool     // something has been known before
	Lost    bool     // what was known was damaged, and has not been written again

	// damaged is called for each file that is not as it was written, and was renamed.
	damaged func(error)
}

// New makes a Folder; nothing is read yet.
func New(f disk.FS, dir string, damaged func(error)) *Folder {
	return &Folder{fs: f, dir: dir, damaged: damaged}
}

func (f *Folder) path(name string) string { return filepath.Join(f.dir, name) }

// Open makes the folder and lists the changes. Those that are part of what is known are
// removed.
func (f *Folder) Open() error {
	if err := f.fs.MkdirAll(f.dir, 0o750); err != nil {
		return err
	}
	names, err := f.fs.Names(f.dir)
	if err != nil {
		return err
	}
	f.changes, f.next, f.Exists = nil, 1, slices.Contains(names, knownFile)
	for _, name := range names {
		f.Lost = f.Lost || strings.HasSuffix(name, badSuffix)
	}
	number, _, err := f.known()
	if err != nil {
		return err
	}
	for _, name := range names {
		c, ok := parseName(name)
		if !ok {
			continue
		}
		f.next = max(f.next, c.number+1)
		if c.number > number {
			f.changes = append(f.changes, c)
		} else if err := f.fs.Remove(f.path(name)); err != nil {
			return err
		}
	}
	f.next = max(f.next, number+1)
	f.Exists = f.Exists || len(f.changes) > 0
	slices.SortFunc(f.changes, func(a, b Change) int { return int(int64(a.number - b.number)) })
	return nil
}

func parseName(name string) (c Change, ok bool) {
	hex, job := strings.CutPrefix(name, jobPrefix)
	if !job {
		if hex, c.done = strings.CutPrefix(name, donePrefix); !c.done {
			return Change{}, false
		}
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	c.number = n
	return c, err == nil && c.name() == name
}

// known reads the file of what is known. A damaged one is moved away: then nothing is.
func (f *Folder) known() (number uint64, list []listed.Entry, err error) {
	number, list, err = listed.Read(f.fs, f.path(knownFile))
	if err = f.sound(err, knownFile); err != nil {
		return 0, nil, err
	}
	return number, list, nil
}

// sound moves a damaged file away. A missing one is none.
func (f *Folder) sound(err error, name string) error {
	damaged, ok := errors.AsType[*listed.DamagedError](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !ok:
		return err
	}
	// A job that is damaged is made again by the next set, and only the latest is kept to be
	// looked at. Anything else was hunted before.
	job := strings.HasPrefix(name, jobPrefix)
	to := name + badSuffix
	if job {
		to = oldPrefix + strings.TrimSuffix(jobPrefix, "-")
	}
	if err := f.fs.Rename(f.path(name), f.path(to)); err != nil {
		return err
	}
	f.Lost = f.Lost || !job
	f.damaged(damaged)
	return nil
}

// Read reads a change. One that is damaged is lost: the next set has its entries as new.
func (f *Folder) Read(c Change) ([]listed.Entry, error) {
	_, list, err := listed.Read(f.fs, f.path(c.name()))
	if err = f.sound(err, c.name()); err != nil {
		return nil, err
	}
	return list, nil
}

// Current gives all that is known, with all changes.
func (f *Folder) Current() ([]listed.Entry, error) {
	_, list, err := f.known()
	if err != nil {
		return nil, err
	}
	for _, c := range f.changes {
		more, err := f.Read(c)
		if err != nil {
			return nil, err
		}
		list = listed.Apply(list, more)
	}
	return list, nil
}

// Add writes what has changed; unless it is done, it is a job from then on.
func (f *Folder) Add(list []listed.Entry, done bool) error {
	c := Change{number: f.next, done: done}
	if err := listed.Write(f.fs, f.path(c.name()), c.number, list); err != nil {
		return err
	}
	f.next++
	f.changes, f.Exists = append(f.changes, c), true
	if !f.Lost {
		return nil
	}
	f.Lost = false
	return f.replaced()
}

// replaced notes that damaged files have been replaced by a change: a new one after a restart
// is new again.
func (f *Folder) replaced() error {
	names, err := f.fs.Names(f.dir)
	for _, name := range names {
		if whole, ok := strings.CutSuffix(name, badSuffix); ok {
			kind, _, _ := strings.Cut(whole, "-") // one of each is kept
			err = errors.Join(err, f.fs.Rename(f.path(name), f.path(oldPrefix+kind)))
		}
	}
	return err
}

// Waiting gives the changes that are to be hunted.
func (f *Folder) Waiting() []Change {
	return slices.DeleteFunc(slices.Clone(f.changes), func(c Change) bool { return c.done })
}

// Finish notes that changes have been hunted.
func (f *Folder) Finish(jobs []Change) error {
	for i := range f.changes {
		c := &f.changes[i]
		if !slices.Contains(jobs, *c) {
			continue
		}
		to := Change{number: c.number, done: true}
		if err := f.fs.Rename(f.path(c.name()), f.path(to.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		*c = to
	}
	return disk.SyncDir(f.fs, f.dir)
}

// Fold makes the changes that are done part of what is known when there are many, and drops
// what left before a time. forgot is how many others made room.
func (f *Folder) Fold(before uint32) (forgot int, err error) {
	n := 0
	for n < len(f.changes) && f.changes[n].done {
		n++
	}
	if n < maxDone {
		return 0, nil
	}
	_, list, err := f.known()
	if err != nil {
		return 0, err
	}
	for _, c := range f.changes[:n] {
		more, err := f.Read(c)
		if err != nil {
			return 0, err
		}
		list = listed.Apply(list, more)
	}
	list, forgot = listed.Trim(list, before, maxGone)
	if err := listed.Write(f.fs, f.path(knownFile), f.changes[n-1].number, list); err != nil {
		return 0, err
	}
	for _, c := range f.changes[:n] {
		if err := f.fs.Remove(f.path(c.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err // open removes them
		}
	}
	f.changes = slices.Delete(f.changes, 0, n)
	return forgot, nil
}

// Entries gives what a table has, in its order.
func Entries(t *lookup.Table) iter.Seq[listed.Entry] {
	return func(yield func(listed.Entry) bool) {
		for p, e := range t.All {
			if !yield(listed.Of(p, e.Port(), e.Operator())) {
				return
			}
		}
	}
}

// Second gives the first second that begins after t.
func Second(t time.Time) uint32 { return uint32(min(max(t.Unix()+1, 1), math.MaxUint32)) }
