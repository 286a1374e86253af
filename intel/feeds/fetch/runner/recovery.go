package runner

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// A copy on the disk can be out of reach for a while: no file descriptor is left, a bus
// has a fault, a network file system is away. Then the entries of the copy that are in
// force stay, and it is read again with back-off. Only a copy that was read and is damaged
// is given up; it is kept aside and fetched anew. One that stays out of reach is fetched
// anew as well, but remains where it is until a new one takes its place.

// unreadablePatience is how long a copy may be out of reach before the source is asked for
// all of it again.
const unreadablePatience = 15 * time.Minute

// A readState is what is known of the files of a feed beside their content.
type readState struct {
	unread      bool      // the copy in use has not been read since the start
	stateUnread bool      // nor the state
	why         string    // the copy in use cannot be read; empty = it can
	since       time.Time // since when
	errors      uint64    // failed attempts to read a copy or the state
	// gone is the copy that was in use until it was found damaged or missing. Guards
	// compare the next one with it, and its entries stay in force until then.
	gone *store.Description
}

// unreadable notes that the copy in use or the state cannot be read, and logs a new reason.
func (r *Runner) unreadable(err error) {
	r.mu.Lock()
	news := r.read.why != err.Error()
	if r.read.since.IsZero() {
		r.read.since = time.Now()
	}
	r.read.why = err.Error()
	r.read.errors++
	r.mu.Unlock()
	if news {
		r.Log.Error("the copy of a feed cannot be read now; its entries in force stay, and it is read again", zap.Error(err))
	}
}

// Readable notes that the copy in use has been read.
func (r *Runner) Readable() {
	r.mu.Lock()
	was := r.read.why != "" && r.read.gone == nil
	if was {
		r.read.why, r.read.since = "", time.Time{}
	}
	r.mu.Unlock()
	if was {
		r.Log.Info("the copy of a feed can be read again")
	}
}

// anew reports whether the copy in use has been out of reach for so long that the source
// is asked for all of it, as if there were none.
func (r *Runner) anew() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.anewLocked()
}

func (r *Runner) anewLocked() bool {
	return !r.read.since.IsZero() && r.read.gone == nil && time.Since(r.read.since) >= unreadablePatience
}

// lost gives up a copy that was read and is damaged, or that is missing: the source is
// asked for all of it again. A damaged one is kept aside.
func (r *Runner) lost(err error) {
	text := "the copy of a feed is missing"
	if store.IsBroken(err) {
		text = "the copy of a feed is damaged and kept aside"
		if e := r.shared.Disk.Rename(r.file(store.ExtGood), r.file(store.ExtBroken)); e != nil {
			r.Log.Warn("the damaged copy of a feed stays where it is", zap.Error(e))
		}
	}
	r.Log.Error(text+"; it is fetched anew, and its entries in force stay until then", zap.Error(err))
	r.mu.Lock()
	if r.good != nil {
		r.read.gone = r.good
	}
	r.read.why, r.read.since, r.read.unread = err.Error(), time.Now(), false
	r.read.errors++
	r.good = nil
	r.seen = ""
	r.state.Due = r.state.NotBefore
	r.mu.Unlock()
	r.poke()
}

// recall reads again what could not be read at the start, and a copy that was missing.
func (r *Runner) recall() error {
	r.mu.Lock()
	needed := r.read.unread || r.read.gone != nil
	r.mu.Unlock()
	if !needed {
		return nil
	}
	good, err := r.describe(store.ExtGood)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read.unread = false
	if good != nil && r.good == nil {
		r.good = good
		r.read.gone, r.read.why, r.read.since = nil, "", time.Time{}
	}
	return nil
}

// ready makes sure, before a fetch, that the schedule and the copy to compare with have
// been read. A disk that does not give them for too long is not waited for any more.
func (r *Runner) ready() error {
	r.mu.Lock()
	state, copied := r.read.stateUnread, r.read.unread
	r.mu.Unlock()
	if !state && !copied {
		return nil
	}
	err := r.recall()
	if state {
		s, stateErr := r.loadState(time.Now())
		if stateErr == nil || !store.IsSystem(stateErr) {
			r.mu.Lock()
			r.state, r.read.stateUnread = s, false
			r.mu.Unlock()
		}
		err = errors.Join(err, stateErr)
	}
	if err == nil {
		r.Readable()
		return nil
	}
	r.unreadable(err)
	if !r.anew() {
		return err
	}
	r.mu.Lock()
	r.read.stateUnread = false
	r.mu.Unlock()
	return nil
}
