package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/schedule"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// A View is what is known of a feed at one moment.
type View struct {
	State schedule.State
	// Good and Held describe the copy in use and the one that is held back; nil = none.
	// They are read only.
	Good, Held *store.Description
	// Unreadable is why the copy in use cannot be read now; ReadErrors counts failed reads.
	Unreadable string
	ReadErrors uint64
	// Requests were sent, SlowRequests of them given up as too slow, and RefusedRedirects
	// not followed, since the start.
	Requests                       int
	SlowRequests, RefusedRedirects uint64
}

// View gives what is known now. It never waits for the disk or the network.
func (r *Runner) View() View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return View{
		State: r.state, Good: r.good, Held: r.held, Unreadable: r.read.why, ReadErrors: r.read.errors,
		Requests: r.requests, SlowRequests: r.slowSource, RefusedRedirects: r.refused,
	}
}

// A Copy identifies the copy of a feed that is in use.
type Copy struct {
	Good    *store.Description // nil = there is none
	Lost    bool               // it was in use until it was found damaged or missing
	checked time.Time          // when the source last stood by it
	dated   time.Time          // the time of its data as the copy has it
	file    fs.FileInfo        // nil = there is none, or it cannot be opened
}

// Copy gives the copy in use now.
func (r *Runner) Copy() Copy {
	if err := r.recall(); err != nil && !store.IsBroken(err) {
		r.unreadable(err)
	}
	r.mu.Lock()
	c := Copy{Good: r.good, Lost: r.good == nil && r.read.gone != nil}
	if r.good != nil {
		c.checked, c.dated = source.Latest(r.good.Taken, r.state.Checked), r.good.Parsed.Updated
	}
	r.mu.Unlock()
	if c.Good != nil {
		c.file, _ = r.shared.Disk.Stat(r.file(store.ExtGood))
	}
	return c
}

// Same reports whether two copies are one and unchanged on the disk.
func (c *Copy) Same(o *Copy) bool {
	if c.file == nil || o.file == nil {
		return c.Good == nil && o.Good == nil
	}
	return c.Good == o.Good && os.SameFile(c.file, o.file) &&
		c.file.Size() == o.file.Size() && c.file.ModTime().Equal(o.file.ModTime())
}

// SameAge reports whether the entries of two copies that bear no date have the same.
func (c *Copy) SameAge(o *Copy) bool { return c.checked.Equal(o.checked) && c.dated.Equal(o.dated) }

// Each hands on every entry of the copy in use, with the date of those that bear none; an
// entry is only good until the function returns. there is false when no copy is in use. An
// error that is not of the function itself is for Failed.
func (r *Runner) Each(use func(e *document.Entry, dated time.Time) error) (there bool, err error) {
	g, there, err := r.openGood()
	if g == nil {
		return there, err
	}
	defer g.Close()
	dated := r.dated(&g.Description)
	if err := g.Each(nil, func(e *document.Entry) error { return use(e, dated) }); err != nil {
		return true, err
	}
	r.Readable()
	return true, nil
}

// openGood opens the copy in use. there is false when none is in use; the reader is nil then, and
// with an error.
func (r *Runner) openGood() (g *store.Reader, there bool, err error) {
	r.mu.Lock()
	there = r.good != nil
	r.mu.Unlock()
	if !there {
		return nil, false, nil
	}
	g, err = r.open(store.ExtGood)
	if g == nil && err == nil {
		err = fmt.Errorf("%s: %w", r.file(store.ExtGood), fs.ErrNotExist)
	}
	if err != nil {
		return nil, true, err
	}
	return g, true, nil
}

// EachName passes every name of the copy in use to use, as Each does entries. Unlike there, an
// error does not affect the copy: names are in no table.
func (r *Runner) EachName(use func(e *document.Entry, dated time.Time) error) error {
	g, _, err := r.openGood()
	if g == nil {
		return err
	}
	defer g.Close()
	dated := r.dated(&g.Description)
	return g.EachName(func(e *document.Entry) error { return use(e, dated) })
}

// Failed notes an error of Each: a copy that is damaged or missing is given up.
func (r *Runner) Failed(err error) {
	if store.IsBroken(err) || errors.Is(err, fs.ErrNotExist) {
		r.lost(err)
		return
	}
	r.unreadable(err)
}

// dated is the age of what bears no date in the copy: by the words of the copy itself,
// else when the source last stood by it. A mirror can confirm data that are not renewed any more.
func (r *Runner) dated(d *store.Description) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	checked := source.Latest(d.Taken, r.state.Checked)
	if dated := d.Parsed.Updated; !dated.IsZero() && dated.Before(checked) {
		return dated
	}
	return checked
}
