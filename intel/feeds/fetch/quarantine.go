package fetch

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

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// A Quarantine says when a single entry of a feed matches so many flows that its hits are
// rolled up. It never takes the entry out: whoever is listed could unlist himself by a
// flood.
type Quarantine struct {
	// Share is the percentage of all flows within a minute that one entry may match; 0 =
	// no limit.
	Share int `yaml:"share"`
	// MinFlows is how many flows a minute must have before it is judged.
	MinFlows int `yaml:"min_flows"`
}

func (q *Quarantine) validate() error {
	switch {
	case !spec.Within(q.Share, 0, 100):
		return fmt.Errorf("share: %d is outside 0 to 100 percent", q.Share)
	case q.MinFlows < 1:
		return fmt.Errorf("min_flows: %d is below 1", q.MinFlows)
	}
	return nil
}

// A Quarantined is a listed prefix whose hits are rolled up for a day.
type Quarantined struct {
	Prefix netip.Prefix `json:"prefix"`
	Since  time.Time    `json:"since"`
	// Why says in words for people how much it matched.
	Why string `json:"why"`
	// Accepted is when the operator ended it; for a day from then it does not begin anew.
	Accepted time.Time `json:"accepted,omitzero"`
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

// A ward holds the entries in quarantine, in memory and on the disk. What is in memory
// is in force, and whoever asks for it never waits for the disk.
type ward struct {
	list atomic.Pointer[[]Quarantined] // never written again

	mu   sync.Mutex // changes list
	disk sync.Mutex // writes the file
}

// load reads the file. One that is broken holds nothing: what storms will storm again.
func (w *ward) load(dir string) error {
	path := filepath.Join(dir, quarantineFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var list []Quarantined
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	list = slices.DeleteFunc(list, func(q Quarantined) bool { return !q.Prefix.IsValid() })
	w.list.Store(&list)
	return nil
}

// change replaces the list by what f makes of it, and saves it.
func (w *ward) change(dir string, now time.Time, f func([]Quarantined) ([]Quarantined, error)) error {
	w.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(w.all()), func(q Quarantined) bool { return q.over(now) })
	next, err := f(list)
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
	if err := store.WriteFile(filepath.Join(dir, quarantineFile), b); err != nil {
		return fmt.Errorf("in force, but not saved for the next start: %w", err)
	}
	return nil
}

func (w *ward) all() []Quarantined {
	if list := w.list.Load(); list != nil {
		return *list
	}
	return nil
}

// Quarantine marks a listed prefix as one whose hits are to be rolled up: for a day, also
// after a restart, or until Accept is called with it. It reports whether that is new:
// it is not while the prefix is there, and for a day after Accept. With an error that
// comes beside true the mark is not saved.
func (m *Manager) Quarantine(p netip.Prefix, why string) (added bool, err error) {
	now := m.now()
	err = m.quarantine.change(m.dir, now, func(list []Quarantined) ([]Quarantined, error) {
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

var errKnown = errors.New("known")

// Quarantined gives what is in quarantine, the oldest first. It never waits.
func (m *Manager) Quarantined() []Quarantined {
	now := m.now()
	return slices.DeleteFunc(slices.Clone(m.quarantine.all()), func(q Quarantined) bool {
		return !q.Accepted.IsZero() || q.over(now)
	})
}

// release ends the quarantine of a prefix.
func (m *Manager) release(p netip.Prefix) error {
	now := m.now()
	return m.quarantine.change(m.dir, now, func(list []Quarantined) ([]Quarantined, error) {
		i := slices.IndexFunc(list, func(q Quarantined) bool { return q.Prefix == p && q.Accepted.IsZero() })
		if i < 0 {
			return nil, fmt.Errorf("%s is not quarantined", p)
		}
		list[i].Accepted = now
		return list, nil
	})
}
