package local

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
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/guard"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source/misp"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// maxDirFiles bounds a drop directory.
const maxDirFiles = 10_000

// Find lists the files of a feed, with a signature of their state and the time of the last
// change.
func Find(d *store.Disk, s *spec.Spec) (files []string, signature string, newest time.Time, err error) {
	files = []string{s.File}
	if s.Kind == spec.KindDir {
		if files, err = dropped(d, s.Dir); err != nil {
			return nil, "", newest, err
		}
	}
	var b strings.Builder
	for _, name := range files {
		info, err := d.Stat(name)
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

// short puts the name of a file in front of an error, in place of what package os writes there.
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

// Read makes one copy of all files. To the operator's own lists no guard applies: one that
// is not whole is a mistake of the hand, and an error at once.
func Read(j *source.Job, d *store.Disk, files []string) (out source.Outcome, err error) {
	w, err := j.Copy.Create()
	if err != nil {
		return source.Failed, err
	}
	defer w.Discard()
	defer func() { w.Rest(out == source.Updated) }()
	total := store.Parsed{Verdict: document.Empty}
	declared := -1
	for _, name := range files {
		report, err := readFile(j, d, w, name)
		if err != nil {
			return source.Failed, fmt.Errorf("%s: %w", name, err)
		}
		p := store.ParsedOf(report, nil)
		if len(files) > 1 {
			verdict := guard.JudgeDocument(j.Spec, p, report.Declared)
			if verdict != "" && p.Verdict != document.Empty && !j.Spec.Operator {
				return source.Failed, fmt.Errorf("%s: %s", name, verdict)
			}
		} else {
			declared = report.Declared
		}
		total.Add(p)
	}
	if j.Spec.Operator && total.Verdict != document.Empty {
		if verdict := guard.JudgeDocument(j.Spec, total, declared); verdict != "" {
			return source.Failed, fmt.Errorf("%s: %s", j.Spec.Place(), verdict)
		}
	}
	return j.Copy.Settle(w, store.Description{Parsed: total}, declared)
}

func readFile(j *source.Job, d *store.Disk, w *store.Writer, name string) (document.Report, error) {
	f, err := d.Open(name)
	if err != nil {
		return document.Report{}, cause(err)
	}
	defer f.Close()
	report, err := feeds.Parse(f, document.Options{Format: j.Spec.Format, Path: j.Spec.Path, MaxBytes: j.Spec.MaxBytes, Now: j.Now(), Names: source.TakeNames(w)}, source.Take(w, j.MaxIndicators))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return report, errors.New("the compressed file ends in the middle")
	}
	return report, err
}
