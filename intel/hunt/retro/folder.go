package retro

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
// wait to be hunted and those that have been, each with its number; what was sent.
const (
	knownFile  = "known"
	sentFile   = "sent"
	jobPrefix  = "job-"
	donePrefix = "done-"
	badSuffix  = ".bad"
)

// maxDone is how many changes are files of their own before they become part of the file of
// what is known, which is large.
const maxDone = 24

// maxGone bounds the entries that are no longer listed and still known.
const maxGone = 500_000

// A change is a file with what one set has changed.
type change struct {
	number uint64
	done   bool // else it is to be hunted
}

func (c change) name() string {
	prefix := jobPrefix
	if c.done {
		prefix = donePrefix
	}
	return fmt.Sprintf("%s%016x", prefix, c.number)
}

// A folder is what is on the disk. It is for one goroutine.
type folder struct {
	fs  disk.FS
	dir string

	changes []change // by number
	next    uint64   // number of the next one
	exists  bool     // something has been known before
	lost    bool     // what was known was damaged, and has not been written again

	// damaged is called for each file that is not as it was written, and was renamed.
	damaged func(error)
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// open makes the folder and lists the changes. Those that are part of what is known are
// removed.
func (f *folder) open() error {
	if err := f.fs.MkdirAll(f.dir, 0o750); err != nil {
		return err
	}
	names, err := f.fs.Names(f.dir)
	if err != nil {
		return err
	}
	f.changes, f.next, f.exists = nil, 1, slices.Contains(names, knownFile)
	f.lost = !f.exists && slices.Contains(names, knownFile+badSuffix)
	number, _, err := f.known()
	if err != nil {
		return err
	}
	for _, name := range names {
		c, ok := parseChange(name)
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
	f.exists = f.exists || len(f.changes) > 0
	slices.SortFunc(f.changes, func(a, b change) int { return int(int64(a.number - b.number)) })
	return nil
}

func parseChange(name string) (c change, ok bool) {
	hex, job := strings.CutPrefix(name, jobPrefix)
	if !job {
		if hex, c.done = strings.CutPrefix(name, donePrefix); !c.done {
			return change{}, false
		}
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	c.number = n
	return c, err == nil && c.name() == name
}

// known reads the file of what is known. A damaged one is moved away: then nothing is.
func (f *folder) known() (number uint64, list []listed.Entry, err error) {
	number, list, err = listed.Read(f.fs, f.path(knownFile))
	if err = f.sound(err, knownFile); err != nil {
		return 0, nil, err
	}
	return number, list, nil
}

// sound moves a damaged file away. A missing one is none.
func (f *folder) sound(err error, name string) error {
	damaged, ok := errors.AsType[*listed.DamagedError](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !ok:
		return err
	}
	if err := f.fs.Rename(f.path(name), f.path(name+badSuffix)); err != nil {
		return err
	}
	f.lost = f.lost || name == knownFile
	f.damaged(damaged)
	return nil
}

// read reads a change. One that is damaged is lost: the next set has its entries as new.
func (f *folder) read(c change) ([]listed.Entry, error) {
	_, list, err := listed.Read(f.fs, f.path(c.name()))
	if err = f.sound(err, c.name()); err != nil {
		return nil, err
	}
	return list, nil
}

// current gives all that is known, with all changes.
func (f *folder) current() ([]listed.Entry, error) {
	_, list, err := f.known()
	if err != nil {
		return nil, err
	}
	for _, c := range f.changes {
		more, err := f.read(c)
		if err != nil {
			return nil, err
		}
		list = listed.Apply(list, more)
	}
	return list, nil
}

// add writes what has changed; unless it is done, it is a job from then on.
func (f *folder) add(list []listed.Entry, done bool) error {
	c := change{number: f.next, done: done}
	if err := listed.Write(f.fs, f.path(c.name()), c.number, list); err != nil {
		return err
	}
	f.next++
	f.changes, f.exists = append(f.changes, c), true
	return nil
}

// waiting gives the changes that are to be hunted.
func (f *folder) waiting() []change {
	return slices.DeleteFunc(slices.Clone(f.changes), func(c change) bool { return c.done })
}

// finish notes that changes have been hunted.
func (f *folder) finish(jobs []change) error {
	for i := range f.changes {
		c := &f.changes[i]
		if !slices.Contains(jobs, *c) {
			continue
		}
		to := change{number: c.number, done: true}
		if err := f.fs.Rename(f.path(c.name()), f.path(to.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		*c = to
	}
	return disk.SyncDir(f.fs, f.dir)
}

// fold makes the changes that are done part of what is known when there are many, and drops
// what left before a time. forgot is how many others made room.
func (f *folder) fold(before uint32) (forgot int, err error) {
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
		more, err := f.read(c)
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

// entries gives what a table has, in its order.
func entries(t *lookup.Table) iter.Seq[listed.Entry] {
	return func(yield func(listed.Entry) bool) {
		for p, e := range t.All {
			if !yield(listed.Of(p, e.Port(), e.Operator())) {
				return
			}
		}
	}
}

// second gives the first second that begins after t.
func second(t time.Time) uint32 { return uint32(min(max(t.Unix()+1, 1), math.MaxUint32)) }
