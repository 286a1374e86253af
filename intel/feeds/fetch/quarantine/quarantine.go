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

func (q *Quarantine) Validate() error {
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
	Prefix netip.Prefix `json:"prefix" label:"prefix"`
	Since  time.Time    `json:"since" name:"-" show:"some" words:"rolled up for a day since"`
	// Why says in words for people how much it matched.
	Why string `json:"why" show:"some" words:""`
	// Accepted is when the operator ended it; for a day from then it does not begin anew.
	Accepted time.Time `json:"accepted,omitzero" name:"-"`
}

// The file of the quarantine, how many entries it holds at most, and how long for.
const (
	quarantineFile = "quarantine.json"
	MaxQuarantined = 1_000
	quarantineFor  = 24 * time.Hour
)

// Over reports whether nothing of it is in force any more. A date far ahead was made by
// a clock that was wrong, and would stay for ever.
func (q *Quarantined) Over(now time.Time) bool {
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

	mu   sync.Mutex // changes list
	disk sync.Mutex // writes the file
}

// Load reads the file. One that is broken holds nothing: what storms will storm again.
func (w *List) Load(dir string) error {
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

// Change replaces the list by what f makes of it, and saves it.
func (w *List) Change(dir string, now time.Time, f func([]Quarantined) ([]Quarantined, error)) error {
	w.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(w.All()), func(q Quarantined) bool { return q.Over(now) })
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
	b, err := json.MarshalIndent(w.All(), "", " ")
	if err != nil {
		return err
	}
	if err := store.WriteFile(filepath.Join(dir, quarantineFile), b); err != nil {
		return fmt.Errorf("in force, but not saved for the next start: %w", err)
	}
	return nil
}

func (w *List) All() []Quarantined {
	if list := w.list.Load(); list != nil {
		return *list
	}
	return nil
}
