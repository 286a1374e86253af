package position

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/google/uuid"
)

// known are the sinks that have, or had, a cursor in the journal. Their list is a
// file of its own, so that a cursor's file which is missing is noticed: without it the
// sink would be taken for a new one, and what waited for it would be lost uncounted. The
// file is one line as in a cursor's file, of its own length: a CRC-32C in hex, a blank and
// one JSON object. Without the sum a flipped bit in a name would make a sink that never
// existed, and one that did a new one.
type known struct {
	Journal string   `json:"journal"` // identity, in every cursor as well
	Sinks   []string `json:"sinks"`   // sorted

	names  map[string]bool // the same; false = its cursor is missing
	lost   bool            // a cursor is missing, and it is not known whose
	listed bool            // the file was there
	saved  bool
}

func knownPath(dir string) string { return filepath.Join(dir, "sinks") }

// loadKnown reads the list. There is none in a journal that is new, or of the first
// version. An error with errDamaged means that it is of no use; then all sinks without a
// cursor are taken for known.
func loadKnown(d disk.FS, dir string) (k known, err error) {
	k.names = make(map[string]bool)
	file, err := d.Open(knownPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, err
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, 1<<20))
	if err != nil {
		return k, err
	}
	if !unmarshal(b, &k) || k.Journal == "" {
		return known{names: k.names, lost: true}, fmt.Errorf("%w: it is not a list of sinks", errDamaged)
	}
	for _, name := range k.Sinks {
		k.names[name] = false
	}
	k.listed, k.saved = true, true
	return k, nil
}

// owns reports whether a cursor is of this journal. Those of the first version have no
// identity. Without the list the first cursor with an identity is believed, and that the list
// is missing means that cursors may be missing too.
func (k *known) owns(journal string) bool {
	if journal == "" {
		return true
	}
	if k.Journal == "" {
		k.Journal, k.lost = journal, true
	}
	return k.Journal == journal
}

// missing gives the listed sinks without a cursor, sorted.
func (k *known) missing(cursors map[string]*Place) (list []string) {
	for _, name := range k.Sinks {
		if cursors[name] == nil {
			list = append(list, name)
		}
	}
	return list
}

// complete adds the cursors that were found, and gives a journal without a list its
// identity.
func (k *known) complete(cursors map[string]*Place) {
	for name := range cursors {
		k.add(name)
	}
	if k.Journal == "" {
		k.Journal = uuid.NewString()
	}
}

// had reports whether a sink without a cursor may have had one.
func (k *known) had(name string) bool {
	_, listed := k.names[name]
	return listed || k.lost && !k.listed
}

func (k *known) add(name string) {
	k.saved = k.saved && slices.Contains(k.Sinks, name)
	k.names[name] = true
}

func (k *known) remove(name string) {
	delete(k.names, name)
	k.saved = false
}

// removeMissing removes the sinks whose cursor is missing.
func (k *known) removeMissing() {
	for name, there := range k.names {
		if !there {
			k.remove(name)
		}
	}
}

// list gives what the file is to have.
func (k *known) list() known {
	return known{Journal: k.Journal, Sinks: slices.Sorted(maps.Keys(k.names))}
}
