package store

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// A Delta is what has changed in a source that is read piece by piece.
type Delta struct {
	// Objects are new or changed; each replaces all that its id had before.
	Objects map[string]Object
	Entries []document.Entry
	// partial are those of objects whose entries are not all there: what the old
	// generation has of them stays, too.
	partial map[string]bool
	// removed are gone.
	removed map[string]bool
	// Gone reports whether an object that is in no answer has vanished; nil = it
	// has not.
	Gone func(Object) bool
}

func NewDelta() *Delta {
	return &Delta{Objects: make(map[string]Object), partial: make(map[string]bool), removed: make(map[string]bool)}
}

// Empty reports whether nothing has changed.
func (d *Delta) Empty() bool {
	return len(d.Objects) == 0 && len(d.removed) == 0 && d.Gone == nil
}

// A Page is what one answer of such a source holds.
type Page struct {
	Objects []Object
	Entries []document.Entry
	Removed []string
	// Partial are the objects whose entries could not be had in full.
	Partial map[string]bool
}

// Apply adds a page; what an earlier one has of the same objects is void.
func (d *Delta) Apply(p Page) {
	d.drop(p)
	for _, o := range p.Objects {
		delete(d.removed, o.ID)
		d.Objects[o.ID] = o
		if p.Partial[o.ID] {
			d.partial[o.ID] = true
		} else {
			delete(d.partial, o.ID)
		}
	}
	for _, id := range p.Removed {
		delete(d.Objects, id)
		delete(d.partial, id)
		d.removed[id] = true
	}
	for _, e := range p.Entries {
		if _, ok := d.Objects[e.NativeID]; ok {
			d.Entries = append(d.Entries, e)
		}
	}
}

// drop takes out the entries of objects that the page has anew.
func (d *Delta) drop(p Page) {
	void := make(map[string]bool)
	for _, o := range p.Objects {
		if _, known := d.Objects[o.ID]; known && !p.Partial[o.ID] {
			void[o.ID] = true
		}
	}
	for _, id := range p.Removed {
		void[id] = true
	}
	if len(void) > 0 {
		d.Entries = slices.DeleteFunc(d.Entries, func(e document.Entry) bool { return void[e.NativeID] })
	}
}

// Forget takes back what a group of objects has brought, and reports whether it was any.
func (d *Delta) Forget(group string) bool {
	void := make(map[string]bool)
	for id, o := range d.Objects {
		if o.Group == group {
			void[id] = true
			delete(d.Objects, id)
			delete(d.partial, id)
		}
	}
	d.Entries = slices.DeleteFunc(d.Entries, func(e document.Entry) bool { return void[e.NativeID] })
	return len(void) > 0
}

// A listing is a prefix, or a name, that an object lists.
type listing struct {
	id     string
	prefix netip.Prefix
	name   string
}

func listingOf(e *document.Entry) listing { return listing{e.NativeID, e.Prefix, e.Name} }

// Merge writes the old generation, which may be nil, with the delta applied.
func (d *Delta) Merge(old *Reader, w *Writer) error {
	if old == nil {
		return d.flush(w)
	}
	drop := maps.Clone(d.removed)
	fresh := make(map[listing]bool) // of partial objects
	for i := range d.Entries {
		if e := &d.Entries[i]; d.partial[e.NativeID] {
			fresh[listingOf(e)] = true
		}
	}
	flushed := false
	flush := func() error {
		if flushed {
			return nil
		}
		flushed = true
		return d.flushObjects(w)
	}
	onObject := func(o Object) error {
		if _, changed := d.Objects[o.ID]; changed || drop[o.ID] {
			return nil
		}
		if d.Gone != nil && d.Gone(o) {
			drop[o.ID] = true
			return nil
		}
		return w.Object(o)
	}
	keep := func(e *document.Entry) error {
		_, changed := d.Objects[e.NativeID]
		if changed && d.partial[e.NativeID] && !fresh[listingOf(e)] {
			changed = false
		}
		if changed || drop[e.NativeID] {
			return nil
		}
		return w.Entry(e)
	}
	onEntry := func(e *document.Entry) error {
		if err := flush(); err != nil {
			return err
		}
		return keep(e)
	}
	if err := old.Each(onObject, onEntry); err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	if err := old.EachName(keep); err != nil {
		return err
	}
	return d.flushEntries(w)
}

func (d *Delta) flush(w *Writer) error {
	if err := d.flushObjects(w); err != nil {
		return err
	}
	return d.flushEntries(w)
}

// flushObjects writes the objects in the order of their ids, so that equal states
// make equal files.
func (d *Delta) flushObjects(w *Writer) error {
	for _, id := range slices.Sorted(maps.Keys(d.Objects)) {
		if err := w.Object(d.Objects[id]); err != nil {
			return err
		}
	}
	return nil
}

func (d *Delta) flushEntries(w *Writer) error {
	for i := range d.Entries {
		if err := w.Entry(&d.Entries[i]); err != nil {
			return err
		}
	}
	return nil
}
