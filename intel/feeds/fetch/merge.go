package fetch

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
)

// A delta is what has changed in a source that is read piece by piece.
type delta struct {
	// objects are new or changed; each replaces all that its id had before.
	objects map[string]object
	entries []feeds.Entry
	// partial are those of objects whose entries are not all there: what the old
	// generation has of them stays, too.
	partial map[string]bool
	// removed are gone.
	removed map[string]bool
	// gone tells of an object that is in no answer whether it has vanished; nil = it
	// has not.
	gone func(object) bool
}

func newDelta() *delta {
	return &delta{objects: make(map[string]object), partial: make(map[string]bool), removed: make(map[string]bool)}
}

// empty reports whether nothing has changed.
func (d *delta) empty() bool {
	return len(d.objects) == 0 && len(d.removed) == 0 && d.gone == nil
}

// A page is what one answer of such a source holds.
type page struct {
	objects []object
	entries []feeds.Entry
	removed []string
	// partial are the objects whose entries could not be had in full.
	partial map[string]bool
}

// apply adds a page; what an earlier one said of the same objects is void.
func (d *delta) apply(p page) {
	d.drop(p)
	for _, o := range p.objects {
		delete(d.removed, o.id)
		d.objects[o.id] = o
		if p.partial[o.id] {
			d.partial[o.id] = true
		} else {
			delete(d.partial, o.id)
		}
	}
	for _, id := range p.removed {
		delete(d.objects, id)
		delete(d.partial, id)
		d.removed[id] = true
	}
	for _, e := range p.entries {
		if _, ok := d.objects[e.NativeID]; ok {
			d.entries = append(d.entries, e)
		}
	}
}

// drop takes out the entries of objects that the page has anew.
func (d *delta) drop(p page) {
	void := make(map[string]bool)
	for _, o := range p.objects {
		if _, known := d.objects[o.id]; known && !p.partial[o.id] {
			void[o.id] = true
		}
	}
	for _, id := range p.removed {
		void[id] = true
	}
	if len(void) > 0 {
		d.entries = slices.DeleteFunc(d.entries, func(e feeds.Entry) bool { return void[e.NativeID] })
	}
}

// forget takes back what a group of objects has brought, and reports whether it was any.
func (d *delta) forget(group string) bool {
	void := make(map[string]bool)
	for id, o := range d.objects {
		if o.group == group {
			void[id] = true
			delete(d.objects, id)
			delete(d.partial, id)
		}
	}
	d.entries = slices.DeleteFunc(d.entries, func(e feeds.Entry) bool { return void[e.NativeID] })
	return len(void) > 0
}

// A listing is a prefix that an object lists.
type listing struct {
	id     string
	prefix netip.Prefix
}

// merge writes the old generation, which may be nil, with the delta applied.
func (d *delta) merge(old *reader, w *writer) error {
	if old == nil {
		return d.flush(w)
	}
	drop := maps.Clone(d.removed)
	fresh := make(map[listing]bool) // of partial objects
	for i := range d.entries {
		if e := &d.entries[i]; d.partial[e.NativeID] {
			fresh[listing{e.NativeID, e.Prefix}] = true
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
	onObject := func(o object) error {
		if _, changed := d.objects[o.id]; changed || drop[o.id] {
			return nil
		}
		if d.gone != nil && d.gone(o) {
			drop[o.id] = true
			return nil
		}
		return w.object(o)
	}
	onEntry := func(e *feeds.Entry) error {
		if err := flush(); err != nil {
			return err
		}
		_, changed := d.objects[e.NativeID]
		if changed && d.partial[e.NativeID] && !fresh[listing{e.NativeID, e.Prefix}] {
			changed = false
		}
		if changed || drop[e.NativeID] {
			return nil
		}
		return w.entry(e)
	}
	if err := old.each(onObject, onEntry); err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	return d.flushEntries(w)
}

func (d *delta) flush(w *writer) error {
	if err := d.flushObjects(w); err != nil {
		return err
	}
	return d.flushEntries(w)
}

// flushObjects writes the objects in the order of their ids, so that equal states
// make equal files.
func (d *delta) flushObjects(w *writer) error {
	for _, id := range slices.Sorted(maps.Keys(d.objects)) {
		if err := w.object(d.objects[id]); err != nil {
			return err
		}
	}
	return nil
}

func (d *delta) flushEntries(w *writer) error {
	for i := range d.entries {
		if err := w.entry(&d.entries[i]); err != nil {
			return err
		}
	}
	return nil
}
