package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/guard"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// An inUse is the copy of a feed, as the reading of its source works with it.
type inUse struct{ r *Runner }

// Open opens the copy in use; nil when there is none.
func (c inUse) Open() (*store.Reader, error) { return c.r.open(store.ExtGood) }

// Create begins a new copy.
func (c inUse) Create() (*store.Writer, error) {
	return store.NewWriter(c.r.shared.Disk, c.r.shared.Dir)
}

// Settle puts a complete new copy where it belongs.
func (c inUse) Settle(w *store.Writer, d store.Description, declared int) (source.Outcome, error) {
	return c.r.settle(w, d, declared)
}

// Anew reports whether the source is asked for all, as if there were no copy.
func (c inUse) Anew() bool { return c.r.anew() }

// InUse describes the copy in use; nil when there is none.
func (c inUse) InUse() *store.Description {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return c.r.good
}

// Newest describes the newest copy, in use or held back; nil when there is none.
func (c inUse) Newest() *store.Description {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return cmp.Or(c.r.held, c.r.good)
}

// Lost reports whether the copy in use was found damaged or missing.
func (c inUse) Lost() bool {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return c.r.read.gone != nil
}

// Unchanged is what a source means with 304. Said of a copy that is held back it
// changes nothing.
func (c inUse) Unchanged() (source.Outcome, error) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	switch {
	case c.r.held != nil:
		return source.HeldBack, nil
	case c.r.good == nil:
		return source.Failed, errors.New("HTTP 304 to a question without condition")
	}
	return source.Unchanged, nil
}

// settle puts a complete new generation where it belongs: in use, or aside with the
// reason why.
func (r *Runner) settle(w *store.Writer, d store.Description, declared int) (source.Outcome, error) {
	d.Feed, d.Origin, d.Taken = r.Spec.Name, r.Spec.Origin(), r.shared.Now()
	before := -1
	r.mu.Lock()
	last := cmp.Or(r.good, r.read.gone)
	if last != nil {
		d.Previous = last.Entries
		fromNothing := d.Partial && (r.good == nil || r.anewLocked())
		if !last.Partial && !fromNothing {
			before = last.Entries // a first reading grows
			if d.Grows {
				before = max(before, w.Entries)
			}
		}
	}
	r.mu.Unlock()
	d.Held = r.judge(w, &d, declared, before, last)
	d.Entries, d.Objects = w.Entries, w.Objects
	var err error
	if d.Content, err = w.ContentSum(); err != nil {
		return source.Failed, err
	}
	if d.Names, err = w.Names(); err != nil {
		return source.Failed, err
	}
	if r.same(&d) {
		return source.Unchanged, nil
	}
	listsSame := r.listsSame(&d)
	if d.Held != "" {
		if err := w.Commit(r.file(store.ExtHeld), d); err != nil {
			return source.Failed, err
		}
		r.adopt(r.good, &d)
		return source.HeldBack, nil
	}
	if err := w.Commit(r.file(store.ExtGood), d); err != nil {
		return source.Failed, err
	}
	r.adopt(&d, nil)
	r.dropHeld()
	if !listsSame {
		r.shared.Changed() // names are in no table
	}
	return source.Updated, nil
}

// judge gives the reason of the first guard that does not let a new generation through; empty = all do.
func (r *Runner) judge(w *store.Writer, d *store.Description, declared, before int, last *store.Description) string {
	r.mu.Lock()
	ok := r.state.Accepted
	r.mu.Unlock()
	c := guard.Case{
		Spec: &r.Spec, Writer: w, New: d, Last: last, Before: before, Declared: declared, Accepted: ok, Now: r.shared.Now(),
		Open: func() (*store.Reader, error) { return r.open(store.ExtGood) },
		Warn: func(err error) { r.Log.Warn("a new copy is not compared with the one in use", zap.Error(err)) },
	}
	if last != nil {
		c.LastDate = r.dated(last)
	}
	return c.Judge()
}

// dropHeld removes the copy that was held back. Should that fail, load knows that the one
// in use is newer.
func (r *Runner) dropHeld() {
	if err := r.shared.Disk.Remove(r.file(store.ExtHeld)); err != nil {
		r.Log.Warn("a copy that is not held back any more remains on the disk", zap.Error(err))
	}
}

// datesApart is by how much the dates of two copies with the same entries may differ
// before the new one is stored for the sake of its date.
const datesApart = 7 * 24 * time.Hour

// same reports whether a new generation has the content of the one in use, and then only
// takes in what came around the records: neither the disk nor the table has work with a
// source that does not know of 304. A source with a cursor must keep that.
func (r *Runner) same(d *store.Description) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.good
	if !r.listsSameLocked(d) || g.Names == nil || *g.Names != *d.Names || d.Cursor != nil || g.Cursor != nil {
		return false
	}
	if newer := d.Parsed.Updated.Sub(g.Parsed.Updated).Abs(); newer > datesApart || newer != 0 && r.Spec.MaxAge > 0 {
		return false // the date counts, and must survive a restart
	}
	kept := *g
	kept.ETag, kept.LastModified, kept.Parsed = d.ETag, d.LastModified, d.Parsed
	r.good = &kept
	return true
}

// listsSame reports whether a new generation lists what the one in use does.
func (r *Runner) listsSame(d *store.Description) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.listsSameLocked(d) && r.good.Parsed.Updated.Equal(d.Parsed.Updated)
}

func (r *Runner) listsSameLocked(d *store.Description) bool {
	g := r.good
	return g != nil && r.read.why == "" && r.held == nil && d.Held == "" && g.Content == d.Content && g.Content != 0 && g.Entries == d.Entries &&
		g.Origin == d.Origin && !g.Partial && !d.Partial
}

func (r *Runner) adopt(good, held *store.Description) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if good != r.good {
		r.read.gone, r.read.unread = nil, false
		r.read.why, r.read.since = "", time.Time{}
	}
	r.good, r.held = good, held
}

// Accept takes the held-back generation into use, by the operator's word.
func (r *Runner) Accept() error {
	if err := r.acquire(context.Background()); err != nil {
		return err
	}
	defer r.release()
	held, err := r.open(store.ExtHeld)
	if err != nil {
		return err
	}
	if held == nil {
		return fmt.Errorf("feed %s: nothing is held back", r.Spec.Name)
	}
	defer held.Close()
	d := held.Description
	d.Held = ""
	d.Peak, d.PeakAt = d.Entries, r.shared.Now()
	r.mu.Lock()
	if r.good != nil {
		d.Previous = r.good.Entries
	}
	r.mu.Unlock()
	w, err := store.NewWriter(r.shared.Disk, r.shared.Dir)
	if err != nil {
		return err
	}
	if err := errors.Join(held.Each(w.Object, w.Entry), held.EachName(w.Entry)); err != nil {
		w.Discard()
		return err
	}
	if err := w.Commit(r.file(store.ExtGood), d); err != nil {
		return err
	}
	r.adopt(&d, nil)
	r.dropHeld()
	r.shared.Changed()
	r.remember(&d)
	return nil
}

// remember notes what the operator has accepted, so that the next copy of the same kind is
// not held back.
func (r *Runner) remember(d *store.Description) {
	r.mu.Lock()
	ok := &r.state.Accepted
	if d.Space4 > 1<<(32-r.Spec.MaxSpace) {
		ok.Space4 = max(ok.Space4, d.Space4)
	}
	if d.Space6 > 1<<(64-r.Spec.MaxSpace6) {
		ok.Space6 = max(ok.Space6, d.Space6)
	}
	ok.Turnover = ok.Turnover || d.Turnover
	s := r.state
	r.mu.Unlock()
	if err := r.save(s); err != nil {
		r.Log.Error("what was accepted of a feed is not remembered after a restart", zap.Error(err))
	}
}
