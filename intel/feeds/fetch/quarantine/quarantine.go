package quarantine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// A Quarantined is a listed prefix whose hits are rolled up for a day.
type Quarantined struct {
	Prefix netip.Prefix `json:"prefix" label:"prefix"`
	Since  time.Time    `json:"since" name:"-" show:"some" words:"rolled up for a day since"`
	// Why is how much it matched, in words for people.
	Why string `json:"why" show:"some" words:""`
	// Accepted is when the operator ended it; for a day from then it does not begin anew.
	Accepted time.Time `json:"accepted,omitzero" name:"-"`
}

// The file of the quarantine, how many entries it holds at most, and how long for.
const (
	quarantineFile = "quarantine.json"
	maxQuarantined = 1_000
	quarantineFor  = 24 * time.Hour
)

// over reports whether nothing of it is in force any more. A date far ahead was made by
// a clock that was wrong, and would stay for ever.
func (q *Quarantined) over(now time.Time) bool {
	from := q.Since
	if !q.Accepted.IsZero() {
		from = q.Accepted
	}
	return now.Sub(from).Abs() >= quarantineFor
}

// A List holds the entries in quarantine, in memory and on the disk. What is in memory
// is in force, and whoever asks for it never waits for the disk.
type List struct {
	list atomic.Pointer[[]Quarantined] // never written again

	mu   sync.Mutex // changes list and path
	path string     // empty before Load
	disk sync.Mutex // writes the file
}

// Load reads the file in a folder, which is where changes are saved. One that is broken
// holds nothing: what storms will storm again. It is called once; there are no changes
// before it.
func (w *List) Load(dir string) error {
	path := filepath.Join(dir, quarantineFile)
	list, err := read(path)
	w.mu.Lock()
	w.path = path
	w.list.Store(&list)
	w.mu.Unlock()
	return err
}

// read reads a file; one that does not exist holds nothing.
func read(path string) ([]Quarantined, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []Quarantined
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return slices.DeleteFunc(list, func(q Quarantined) bool { return !q.Prefix.IsValid() }), nil
}

// errNotLoaded refuses changes that Load would overwrite.
var errNotLoaded = errors.New("the quarantine has not been read yet")

// errKnown ends a change that changes nothing.
var errKnown = errors.New("known")

// Add puts a prefix into quarantine, and reports whether that is new: it is not while the
// prefix is there, and for a day after Release. With an error that comes beside true the
// entry is in force and not saved.
func (w *List) Add(p netip.Prefix, why string, now time.Time) (added bool, err error) {
	err = w.change(now, func(list []Quarantined) ([]Quarantined, error) {
		switch {
		case slices.ContainsFunc(list, func(q Quarantined) bool { return q.Prefix == p }):
			return nil, errKnown
		case len(list) >= maxQuarantined:
			return nil, fmt.Errorf("%d entries are quarantined already, which is all that is kept", len(list))
		}
		added = true
		return append(list, Quarantined{Prefix: p, Since: now, Why: why}), nil
	})
	if errors.Is(err, errKnown) {
		err = nil
	}
	return added, err
}

// Release ends the quarantine of a prefix, by the operator's word.
func (w *List) Release(p netip.Prefix, now time.Time) error {
	return w.change(now, func(list []Quarantined) ([]Quarantined, error) {
		i := slices.IndexFunc(list, func(q Quarantined) bool { return q.Prefix == p && q.Accepted.IsZero() })
		if i < 0 {
			return nil, fmt.Errorf("%s is not quarantined", p)
		}
		list[i].Accepted = now
		return list, nil
	})
}

// InForce gives what is in quarantine, the oldest first. It never waits.
func (w *List) InForce(now time.Time) []Quarantined {
	return slices.DeleteFunc(w.all(), func(q Quarantined) bool { return !q.Accepted.IsZero() || q.over(now) })
}

// all gives a copy of the list.
func (w *List) all() []Quarantined {
	if list := w.list.Load(); list != nil {
		return slices.Clone(*list)
	}
	return nil
}

// change replaces the list by what f makes of it, and saves it.
func (w *List) change(now time.Time, f func([]Quarantined) ([]Quarantined, error)) error {
	w.mu.Lock()
	path := w.path
	if path == "" {
		w.mu.Unlock()
		return errNotLoaded
	}
	next, err := f(slices.DeleteFunc(w.all(), func(q Quarantined) bool { return q.over(now) }))
	if err == nil {
		w.list.Store(&next)
	}
	w.mu.Unlock()
	if err != nil {
		return err
	}
	w.disk.Lock()
	defer w.disk.Unlock()
	b, err := json.MarshalIndent(w.all(), "", " ")
	if err != nil {
		return err
	}
	if err := store.WriteFile(path, b); err != nil {
		return fmt.Errorf("in force, but not saved for the next start: %w", err)
	}
	return nil
}
