package folder

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
)

// A Report is what was found and done by [Folder.Clean].
type Report struct {
	Unfinished int // files that were removed: they had not been written to their end
	Superseded int // files that were removed: their rows are in others
	Days       int // empty folders that were removed
	Foreign    int // files that are not ours, and stay
	Bad        int // damaged files that were set aside earlier, and stay
}

// Clean removes what a crash has left: unfinished files, files whose rows are in another one,
// which is read as a whole before, and empty folders. It is for the start of the one writer
// of the folder, before it writes. What cannot be removed does no harm, and is in the error.
func (f *Folder) Clean(ctx context.Context) (r Report, err error) {
	days, err := f.days(zero)
	for _, day := range days {
		if e := ctx.Err(); e != nil {
			return r, errors.Join(err, e)
		}
		l, e := f.day(day)
		err = errors.Join(err, e)
		r.Foreign += len(l.foreign)
		r.Bad += len(l.bad)
		for _, path := range l.unfinished {
			if e := f.disk.Remove(path); e != nil {
				err = errors.Join(err, e)
				continue
			}
			r.Unfinished++
		}
		n, e := f.RemoveSuperseded(ctx, Day{Path: day, Files: l.live, Superseded: l.superseded})
		r.Superseded += n
		err = errors.Join(err, e)
		if f.RemoveEmpty(day) {
			r.Days++
		}
	}
	return r, err
}

// RemoveSuperseded removes the superseded files of a day, once the files that have their rows
// were found to be whole, and gives how many it has removed.
func (f *Folder) RemoveSuperseded(ctx context.Context, d Day) (n int, err error) {
	if len(d.Superseded) == 0 {
		return 0, nil
	}
	whole := make(map[string]bool)
	for i := range d.Files {
		e := &d.Files[i]
		inputs, failed := f.inputsOfMerged(e, d)
		if failed == nil && len(inputs) > 0 {
			failed = f.verify(ctx, e.Path)
		}
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		for _, name := range inputs {
			whole[name] = true
		}
	}
	for _, e := range d.Superseded {
		if !whole[filepath.Base(e.Path)] {
			continue
		}
		if failed := f.disk.Remove(e.Path); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		n++
	}
	// A merge of the result would not name these files, so they must not come back.
	return n, errors.Join(err, disk.SyncDir(f.disk, d.Path))
}

// inputsOfMerged gives the inputs of a file, if one of the superseded files may be among them.
func (f *Folder) inputsOfMerged(e *Entry, d Day) ([]string, error) {
	for _, o := range d.Superseded {
		if e.Name.MaySupersede(o.Name) {
			return f.inputsOf(e)
		}
	}
	return nil, nil
}

// verify reads a file to its end. A damaged one is given to OnBad.
func (f *Folder) verify(ctx context.Context, path string) error {
	in, err := file.Open(f.disk, path)
	if err == nil {
		err = in.Verify(ctx)
		_ = in.Close()
	}
	f.bad(path, err)
	return err
}

// bad gives a file to OnBad, if the error is damage.
func (f *Folder) bad(path string, err error) {
	if damaged := (*file.DamagedError)(nil); f.OnBad != nil && errors.As(err, &damaged) {
		f.OnBad(path, err)
	}
}

// RemoveEmpty removes the folder of a day, and those above, if they are empty. Anything in
// them keeps them.
func (f *Folder) RemoveEmpty(day string) (removed bool) {
	for path := day; path != f.root && len(path) > len(f.root); path = filepath.Dir(path) {
		if names, err := f.disk.Names(path); err != nil || len(names) > 0 || f.disk.Remove(path) != nil {
			return removed
		}
		removed = true
	}
	return removed
}
