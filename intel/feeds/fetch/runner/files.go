package runner

import (
	"errors"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source/local"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// settleTime is how long a file must be untouched before it is read again: most
// programs write into the file itself.
const settleTime = time.Second

// maxLocalBackoff is the longest pause between two attempts to read local files that the
// machine could not read.
const maxLocalBackoff = 5 * time.Minute

// fetchLocal reads the files of the feed if they have changed. now means that they may have
// been written a moment ago, as before an update by hand.
func (r *Runner) fetchLocal(now bool) (source.Outcome, error) {
	if !now && time.Now().Before(r.rereadAt) {
		return source.Unchanged, nil
	}
	_ = r.ready() // the file itself is worth more than the copy of it
	files, signature, newest, err := local.Find(r.shared.Disk, &r.Spec)
	r.mu.Lock()
	same := err == nil && signature == r.seen
	r.mu.Unlock()
	if same {
		return r.localUnchanged()
	}
	if err == nil && !now && time.Since(newest) < settleTime && time.Since(newest) >= 0 {
		return source.Unchanged, nil // the next look will do
	}
	out := source.Failed
	if err == nil {
		j := &source.Job{Spec: &r.Spec, Copy: inUse{r}, Now: r.shared.Now, MaxIndicators: r.shared.MaxIndicators}
		out, err = local.Read(j, r.shared.Disk, files)
	}
	if err != nil && store.IsSystem(err) {
		signature = "" // the machine's fault, not the file's: the same file is read again
	}
	r.mu.Lock()
	r.seen = signature
	r.rereadAt = time.Time{}
	if store.IsSystem(err) && len(files) > 0 {
		r.rereadAt = time.Now().Add(min(r.Spec.Interval<<min(r.state.Failures, 10), maxLocalBackoff))
	}
	r.state.LastAttempt = time.Now()
	if r.state.Error = ""; err != nil {
		r.state.Error = err.Error()
		r.state.Failures++
	} else {
		r.state.Checked = r.shared.Now()
		r.state.Failures = 0
	}
	r.mu.Unlock()
	r.report(out, err)
	return out, err
}

// localUnchanged repeats what the last reading of the same files has found.
func (r *Runner) localUnchanged() (source.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state.Error != "":
		return source.Failed, errors.New(r.state.Error)
	case r.held != nil:
		return source.HeldBack, nil
	}
	r.state.Checked = r.shared.Now()
	return source.Unchanged, nil
}
