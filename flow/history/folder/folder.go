// Package folder knows the files of one history: which there are, which of them count, and
// what is in them. It lists files newest first, searches all of them while others are written
// and merged, and cleans up after a crash. It writes no rows; that is package store.
//
// A history is a folder with a folder for each day, 2026/11/29, which has the files that begin
// on that day. Merges stay within a day: their result is in the folder of the inputs. What does
// not have the name of a history file is ignored and stays.
package folder

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
)

// Damaged is how the name of a file ends that cannot be read.
const Damaged = ".bad"

// slack is how far the times of a contact may be from those of its file, which are times of
// receipt: the recorder clamps the others.
const slack = 24 * time.Hour

// A Folder is the folder of a history. Its methods may be called from any goroutine.
type Folder struct {
	disk *disk.Watch // so that a search notices that it hangs
	root string

	// OnBad is called when a search finds a damaged file, from the goroutine of the search.
	// It is set before the first search, by who may rename files; nil = nobody.
	OnBad func(path string, err error)

	mu sync.Mutex
	// inputs are those of files that may supersede others, by name. Names stand for content.
	inputs map[string][]string
}

// An Entry is one file.
type Entry struct {
	Path    string
	Name    file.Name
	Size    int64     // bytes
	Written time.Time // by the clock of the file system
}

// Open gives the history below root, which need not exist: it is empty then. Nothing is read.
func Open(f disk.FS, root string) *Folder {
	return &Folder{disk: disk.NewWatch(f), root: root, inputs: make(map[string][]string)}
}

// Root is the path of the folder.
func (f *Folder) Root() string { return f.root }

// Files lists the files that may have contacts of a time, newest first: the latest day, and
// within a day by the latest end. A zero time is open. Files whose rows are in another one as
// well are left out, as are damaged ones. Beside an error are the files that were found.
func (f *Folder) Files(from, to time.Time) ([]Entry, error) {
	days, err := f.days(to)
	all, listed := f.files(days, from, to)
	return all, errors.Join(err, listed)
}

// files is Files for the folders of some days.
func (f *Folder) files(days []string, from, to time.Time) (all []Entry, err error) {
	var errs []error
	for _, day := range days {
		list, err := f.day(day)
		errs = append(errs, err)
		for _, e := range list.live {
			if e.touches(from, to) {
				all = append(all, e)
			}
		}
	}
	return all, errors.Join(errs...)
}

// touches reports whether the file may have contacts of a time.
func (e *Entry) touches(from, to time.Time) bool {
	return (from.IsZero() || !e.Name.To.Add(slack).Before(from)) && (to.IsZero() || !e.Name.From.Add(-slack).After(to))
}

// days gives the paths of the day folders that may have files of a time, latest first. There
// is no lower bound: a clock that is set in the middle of an interval makes a file that
// begins long before it ends.
func (f *Folder) days(to time.Time) (days []string, err error) {
	last := ""
	if end := to.Add(slack).UTC(); !to.IsZero() && end.Year() <= 9999 { // later ones do not sort as text
		last = end.Format("2006/01/02")
	}
	level := []string{""}
	for _, digits := range []int{4, 2, 2} {
		var below []string
		for _, above := range level {
			names, e := f.names(filepath.Join(f.root, above))
			err = errors.Join(err, e)
			for _, name := range names {
				path := strings.TrimPrefix(above+"/"+name, "/")
				if len(name) == digits && strings.Trim(name, "0123456789") == "" && (last == "" || path <= last) {
					below = append(below, path)
				}
			}
		}
		level = below
	}
	slices.Sort(level)
	slices.Reverse(level)
	for i, day := range level {
		level[i] = filepath.Join(f.root, day)
	}
	return level, err
}

// names reads a directory; one that does not exist is empty.
func (f *Folder) names(path string) ([]string, error) {
	names, err := f.disk.Names(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return names, err
}

// A listing is what is in the folder of a day.
type listing struct {
	live       []Entry // newest first
	superseded []Entry // their rows are in a live one
	bad        []Entry // renamed, as they are damaged
	unfinished []string
	foreign    []string
	vanished   bool // a file went away meanwhile: the listing may be incomplete
}

// day reads the folder of a day.
func (f *Folder) day(path string) (l listing, err error) {
	names, err := f.names(path)
	if err != nil {
		return l, err
	}
	for _, name := range names {
		full := filepath.Join(path, name)
		whole, damaged := strings.CutSuffix(name, Damaged)
		n, wrong := file.ParseName(whole)
		if wrong != nil {
			if strings.HasPrefix(name, "c-") && strings.HasSuffix(name, file.Unfinished) {
				l.unfinished = append(l.unfinished, full)
			} else {
				l.foreign = append(l.foreign, full)
			}
			continue
		}
		info, e := f.disk.Lstat(full)
		if errors.Is(e, fs.ErrNotExist) {
			l.vanished = true
			continue
		}
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		entry := Entry{full, n, info.Size(), info.ModTime()}
		if damaged {
			l.bad = append(l.bad, entry)
		} else {
			l.live = append(l.live, entry)
		}
	}
	slices.SortFunc(l.live, newestFirst)
	f.supersede(&l)
	return l, err
}

func newestFirst(a, b Entry) int {
	return cmp.Or(b.Name.To.Compare(a.Name.To), b.Name.From.Compare(a.Name.From), strings.Compare(b.Path, a.Path))
}

// supersede takes files out of the live ones whose rows are in another live one: they are
// named there as its inputs. So a file that only has the time of another one stays, and so do
// the inputs of a damaged file.
func (f *Folder) supersede(l *listing) {
	gone := make(map[string]bool)
	for i := range l.live {
		e := &l.live[i]
		if !slices.ContainsFunc(l.live, func(o Entry) bool { return e.Name.MaySupersede(o.Name) }) {
			continue
		}
		inputs, err := f.inputsOf(e)
		if errors.Is(err, fs.ErrNotExist) {
			l.vanished = true
		}
		for _, name := range inputs {
			gone[name] = true
		}
	}
	l.live = slices.DeleteFunc(l.live, func(e Entry) bool {
		if !gone[filepath.Base(e.Path)] {
			return false
		}
		l.superseded = append(l.superseded, e)
		return true
	})
}

// inputsOf reads the names of the inputs of a file.
func (f *Folder) inputsOf(e *Entry) ([]string, error) {
	name := filepath.Base(e.Path)
	f.mu.Lock()
	inputs, known := f.inputs[name]
	f.mu.Unlock()
	if known {
		return inputs, nil
	}
	in, err := file.Open(f.disk, e.Path)
	if err != nil {
		return nil, err
	}
	inputs = in.Info.Inputs
	_ = in.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.inputs) >= 1000 {
		clear(f.inputs)
	}
	f.inputs[name] = inputs
	return inputs, nil
}

// A Day is what is in the folder of a day, for who writes there.
type Day struct {
	Path       string
	Files      []Entry // that count, newest first
	Superseded []Entry // their rows are in one of Files
	Bad        []Entry // renamed, as they are damaged; their names are without [Damaged]
}

// Days lists all days, latest first. Beside an error are the days that were found.
func (f *Folder) Days() (list []Day, err error) {
	days, err := f.days(time.Time{})
	for _, day := range days {
		l, e := f.day(day)
		err = errors.Join(err, e)
		if l.vanished && e == nil {
			err = errors.Join(err, fmt.Errorf("%s: a file went away while it was listed", day))
		}
		list = append(list, Day{day, l.live, l.superseded, l.bad})
	}
	return list, err
}
