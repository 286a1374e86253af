package fetch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/guard"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source/misp"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// settleTime is how long a file must be untouched before it is read again: most
// programs write into the file itself.
const settleTime = time.Second

// maxLocalBackoff is the longest pause between two attempts to read local files that the
// machine could not read.
const maxLocalBackoff = 5 * time.Minute

// maxDirFiles bounds a drop directory.
const maxDirFiles = 10_000

// fetchLocal reads the files if they have changed. now says that they may have been
// written a moment ago, as when the operator asks.
func (r *runner) fetchLocal(now bool) (source.Outcome, error) {
	if !now && time.Now().Before(r.rereadAt) {
		return source.Unchanged, nil
	}
	_ = r.ready() // the file itself is worth more than the copy of it
	files, signature, newest, err := r.files()
	if err == nil && signature == r.signature() {
		return r.localUnchanged()
	}
	if err == nil && !now && time.Since(newest) < settleTime && time.Since(newest) >= 0 {
		return source.Unchanged, nil // the next look will do
	}
	out := source.Failed
	if err == nil {
		out, err = r.readFiles(files)
	}
	if err != nil && store.IsSystem(err) {
		signature = "" // the machine's fault, not the file's: the same file is read again
	}
	r.mu.Lock()
	r.seen = signature
	r.rereadAt = time.Time{}
	if store.IsSystem(err) && len(files) > 0 {
		r.rereadAt = time.Now().Add(min(r.spec.Interval<<min(r.state.Failures, 10), maxLocalBackoff))
	}
	r.state.LastAttempt = time.Now()
	if r.state.Error = ""; err != nil {
		r.state.Error = err.Error()
		r.state.Failures++
	} else {
		r.state.Checked = r.m.now()
		r.state.Failures = 0
	}
	r.mu.Unlock()
	r.report(out, err)
	return out, err
}

// localUnchanged repeats what the last reading of the same files has found.
func (r *runner) localUnchanged() (source.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state.Error != "":
		return source.Failed, errors.New(r.state.Error)
	case r.held != nil:
		return source.HeldBack, nil
	}
	r.state.Checked = r.m.now()
	return source.Unchanged, nil
}

// signature tells which state of the files is in the newest generation, or could not
// be read.
func (r *runner) signature() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// files lists what the feed consists of, with a signature of its state and the time
// of the last change.
func (r *runner) files() (files []string, signature string, newest time.Time, err error) {
	files = []string{r.spec.File}
	if r.spec.Kind == spec.KindDir {
		if files, err = dropped(r.m.disk, r.spec.Dir); err != nil {
			return nil, "", newest, err
		}
	}
	var b strings.Builder
	for _, name := range files {
		info, err := r.m.disk.Stat(name)
		if err != nil {
			return nil, "", newest, short(name, err)
		}
		if info.IsDir() {
			return nil, "", newest, fmt.Errorf("%s: is a directory, not a list", name)
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	return files, b.String(), newest, nil
}

// short strips the name that package os puts into its errors, and puts it in front.
func short(name string, err error) error { return fmt.Errorf("%s: %w", name, cause(err)) }

func cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// dropped lists the files of a drop directory by name. What is hidden or still
// being written by its name is left alone, and so is what a MISP feed directory has
// beside its events.
func dropped(d *store.Disk, dir string) ([]string, error) {
	entries, err := d.ReadDir(dir)
	if err != nil {
		return nil, short(dir, err)
	}
	isMISP := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == misp.ManifestName })
	var out []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case e.IsDir(), name[0] == '.', strings.HasSuffix(name, "~"):
			continue
		case slices.Contains([]string{".tmp", ".part", ".swp", ".filepart"}, filepath.Ext(name)):
			continue
		case isMISP && (name == misp.ManifestName || filepath.Ext(name) != ".json"):
			continue
		}
		out = append(out, filepath.Join(dir, name))
	}
	if len(out) > maxDirFiles {
		return nil, fmt.Errorf("%s: %d files, at most %d are allowed", dir, len(out), maxDirFiles)
	}
	return out, nil
}

// readFiles makes one generation of all files.
func (r *runner) readFiles(files []string) (out source.Outcome, err error) {
	w, err := store.NewWriter(r.m.disk, r.m.dir)
	if err != nil {
		return source.Failed, err
	}
	defer w.Discard()
	defer func() { w.Rest(out == source.Updated) }()
	var total store.Parsed
	total.Verdict = feeds.Empty
	declared, verdict := -1, ""
	for _, name := range files {
		report, err := r.readFile(w, name)
		if err != nil {
			return source.Failed, fmt.Errorf("%s: %w", name, err)
		}
		p := store.ParsedOf(report, nil)
		if len(files) > 1 {
			verdict = guard.JudgeDocument(&r.spec, p, report.Declared)
		}
		if verdict != "" && p.Verdict != feeds.Empty && !r.spec.Operator {
			return source.Failed, fmt.Errorf("%s: %s", name, verdict)
		}
		declared = report.Declared
		total.Add(p)
	}
	if len(files) > 1 {
		declared = -1
	}
	if err := r.refuseBroken(total, declared); err != nil {
		return source.Failed, err
	}
	return r.settle(w, store.Description{Parsed: total}, declared)
}

// refuseBroken is for the operator's own lists, to which no guard applies: a list
// that is not whole is a mistake of the hand, to be said at once.
func (r *runner) refuseBroken(p store.Parsed, declared int) error {
	if !r.spec.Operator || p.Verdict == feeds.Empty {
		return nil
	}
	if reason := guard.JudgeDocument(&r.spec, p, declared); reason != "" {
		return fmt.Errorf("%s: %s", r.place(), reason)
	}
	return nil
}

func (r *runner) readFile(w *store.Writer, name string) (feeds.Report, error) {
	f, err := r.m.disk.Open(name)
	if err != nil {
		return feeds.Report{}, cause(err)
	}
	defer f.Close()
	report, err := feeds.Parse(f, feeds.Options{Format: r.spec.Format, Path: r.spec.Path, MaxBytes: r.spec.MaxBytes, Now: r.m.now()}, source.Take(w, r.m.cfg.MaxIndicators))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return report, errors.New("the compressed file ends in the middle")
	}
	return report, err
}
