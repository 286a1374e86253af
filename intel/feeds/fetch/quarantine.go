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
	"time"
)

// A Quarantine says when a single entry of a feed matches so many flows that it cannot
// mean what it says.
type Quarantine struct {
	// Share is the percentage of all flows within a minute that one entry may match; 0 =
	// no limit.
	Share int `yaml:"share"`
	// MinFlows is how many flows a minute must have before it is judged.
	MinFlows int `yaml:"min_flows"`
}

func (q *Quarantine) validate() error {
	switch {
	case !within(q.Share, 0, 100):
		return fmt.Errorf("share: %d is outside 0 to 100 percent", q.Share)
	case q.MinFlows < 1:
		return fmt.Errorf("min_flows: %d is below 1", q.MinFlows)
	}
	return nil
}

// A Quarantined is a prefix that no feed may list until the operator says so.
type Quarantined struct {
	Prefix netip.Prefix `json:"prefix"`
	Since  time.Time    `json:"since"`
	// Why says in words for people how much it matched.
	Why string `json:"why"`
}

// The file of the quarantine, and how many entries it holds at most.
const (
	quarantineFile  = "quarantine.json"
	maxQuarantined  = 1_000
	quarantinedText = "%s is quarantined already"
)

// A ward holds the entries in quarantine, in memory and on the disk.
type ward struct {
	mu   sync.Mutex
	list []Quarantined
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
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = slices.DeleteFunc(list, func(q Quarantined) bool { return !q.Prefix.IsValid() })
	return nil
}

// change replaces the list by what f makes of it, on the disk first.
func (w *ward) change(dir string, f func([]Quarantined) ([]Quarantined, error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	next, err := f(slices.Clone(w.list))
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(next, "", " ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, quarantineFile), b); err != nil {
		return err
	}
	w.list = next
	return nil
}

func (w *ward) all() []Quarantined {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

func (w *ward) prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, q := range w.all() {
		out = append(out, q.Prefix)
	}
	return out
}

// Quarantine keeps the feeds from listing exactly this prefix, also after a restart,
// until Accept is called with it, and publishes a table without it. What the operator
// lists stays listed. It is an error if the prefix is there already.
func (m *Manager) Quarantine(p netip.Prefix, why string) error {
	err := m.quarantine.change(m.dir, func(list []Quarantined) ([]Quarantined, error) {
		switch {
		case slices.ContainsFunc(list, func(q Quarantined) bool { return q.Prefix == p }):
			return nil, fmt.Errorf(quarantinedText, p)
		case len(list) >= maxQuarantined:
			return nil, fmt.Errorf("%d entries are quarantined already, which is all that is kept", len(list))
		}
		return append(list, Quarantined{Prefix: p, Since: time.Now().UTC(), Why: why}), nil
	})
	if err == nil {
		m.rebuild()
	}
	return err
}

// Quarantined gives what is in quarantine, the oldest first.
func (m *Manager) Quarantined() []Quarantined { return m.quarantine.all() }

// release ends the quarantine of a prefix.
func (m *Manager) release(p netip.Prefix) error {
	return m.quarantine.change(m.dir, func(list []Quarantined) ([]Quarantined, error) {
		i := slices.IndexFunc(list, func(q Quarantined) bool { return q.Prefix == p })
		if i < 0 {
			return nil, fmt.Errorf("%s is not quarantined", p)
		}
		return slices.Delete(list, i, i+1), nil
	})
}
