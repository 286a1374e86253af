package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
)

const (
	// settle is how long after its end an hour or a day is merged: its last file may be on
	// its way. Later ones are merged, too.
	settle = 15 * time.Minute
	// ahead is how far in the future a file may begin. Beyond that a wrong clock has dated it,
	// and no more files are going to come to it.
	ahead = 25 * time.Hour

	fanIn, fanInEdge = file.MaxInputs, file.MaxInputsEdge
	// manyWaiting is how many files may wait on the edge for the night.
	manyWaiting         = 26
	mostStrikes         = 3    // with so many a file is left out of merges
	nightFrom, nightEnd = 1, 5 // hours of the day
)

// Tidy merges what is due, then removes what is too old or too much. It is to be called after
// each Write, or beside it: it may take minutes. It ends early with ctx; each merge is as a
// whole or not at all. What has failed is tried again by the next call.
func (s *Store) Tidy(ctx context.Context) error {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	err := s.mergeAll(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	days, listed := s.folder.Days()
	removed := s.retain(days)
	s.outcome(removing, removed)
	days, again := s.folder.Days()
	s.measure(days)
	return errors.Join(err, listed, removed, again)
}

// mergeAll does one merge after the other. The day of one that has failed is left alone for
// this time.
func (s *Store) mergeAll(ctx context.Context) error {
	var errs []error
	failed := make(map[string]bool)
	merged, left := false, 0
	for ctx.Err() == nil {
		days, err := s.folder.Days()
		if err != nil {
			errs = append(errs, err)
			break
		}
		m, waiting := s.next(days, failed)
		s.count(func(t *Stats) { t.Waiting = waiting })
		if left = waiting; m == nil {
			break
		}
		err = s.merge(ctx, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		merged = merged || err == nil
		if err != nil {
			errs = append(errs, err)
			failed[m.day.Path] = true
			s.count(func(t *Stats) { t.MergeErrors++ })
		}
	}
	err := errors.Join(errs...)
	if err != nil || merged || left == 0 { // what waits for the night has not been tried
		s.outcome(merging, err)
	}
	return err
}

// A merge is one merge to be made, of files of one day, into one of a level.
type merge struct {
	day   folder.Day
	files []folder.Entry
	level file.Level
}

// next finds the first merge that is due, of the oldest day, and how many files are waiting.
func (s *Store) next(days []folder.Day, failed map[string]bool) (first *merge, waiting int) {
	now := s.cfg.Now()
	rest := s.cfg.Edge && !s.night(now) && unmerged(days) <= manyWaiting
	for _, d := range slices.Backward(days) {
		m, n := s.due(d, now)
		waiting += n
		if m == nil && len(d.Superseded) > 0 {
			m = &merge{day: d}
		}
		if m != nil && first == nil && !failed[d.Path] && (!rest || len(d.Superseded) > 0) {
			first = m
		}
	}
	return first, waiting
}

func (s *Store) night(now time.Time) bool {
	hour := now.In(s.cfg.Zone).Hour()
	return nightFrom <= hour && hour < nightEnd
}

// unmerged counts the files that are not merged to days, where there is something to merge.
func unmerged(days []folder.Day) (n int) {
	for _, d := range days {
		for _, e := range d.Files {
			if len(d.Files) > 1 && e.Name.Level != file.Day {
				n++
			}
		}
	}
	return n
}

// due gives the merge that is due in a day, and how many files it has to merge.
func (s *Store) due(d folder.Day, now time.Time) (*merge, int) {
	files := slices.DeleteFunc(slices.Clone(d.Files), func(e folder.Entry) bool {
		return s.strikes[e.Path] >= mostStrikes || s.isDoubtful(e.Name)
	})
	slices.SortStableFunc(files, func(a, b folder.Entry) int { return a.Name.From.Compare(b.Name.From) })
	if len(files) < 2 {
		return nil, 0
	}
	if over(files[0].Name.From, 24*time.Hour, now) {
		return s.step(d, files, file.Day, file.Hour), len(files)
	}
	if s.cfg.Edge {
		if len(files) > manyWaiting {
			return s.step(d, files, file.Hour, file.Hour), len(files)
		}
		return nil, 0
	}
	// Hour by hour, of what was flushed.
	files = slices.DeleteFunc(files, func(e folder.Entry) bool { return e.Name.Level != file.Flush })
	for from := 0; from < len(files); {
		hour := files[from].Name.From.Truncate(time.Hour)
		end := from + 1
		for end < len(files) && files[end].Name.From.Truncate(time.Hour).Equal(hour) {
			end++
		}
		n := end - from
		if n > fanIn || n > 1 && over(hour, time.Hour, now) {
			return s.step(d, files[from:end], file.Hour, file.Flush), n
		}
		from = end
	}
	return nil, 0
}

// over reports whether no more files are expected of the span of time with a moment.
func over(at time.Time, span time.Duration, now time.Time) bool {
	from := at.UTC().Truncate(span)
	return !now.Before(from.Add(span+settle)) || from.After(now.Add(ahead))
}

// step gives a merge of the files, in the order of time. If they are too many for one, it is
// of so many that the rest can go in merges that are full: of those neighbours that are the
// smallest together.
func (s *Store) step(d folder.Day, files []folder.Entry, whole, part file.Level) *merge {
	most := fanIn
	if s.cfg.Edge {
		most = fanInEdge
	}
	if len(files) <= most {
		return &merge{d, files, whole}
	}
	n := min(most, len(files)-most+1)
	least, from := int64(-1), 0
	for i := range len(files) - n + 1 {
		if size := sizeOf(files[i : i+n]); least < 0 || size < least {
			least, from = size, i
		}
	}
	return &merge{d, files[from : from+n], part}
}

func sizeOf(files []folder.Entry) (n int64) {
	for _, e := range files {
		n += e.Size
	}
	return n
}

// merge makes one merge and removes its inputs.
func (s *Store) merge(ctx context.Context, m *merge) error {
	// Inputs of earlier merges go first: the result names its own alone.
	if n, err := s.folder.RemoveSuperseded(ctx, m.day); err != nil {
		return err
	} else if n < len(m.day.Superseded) {
		return fmt.Errorf("%s: of %d merged files, %d could be removed", m.day.Path, len(m.day.Superseded), n)
	}
	if len(m.files) == 0 {
		return nil
	}
	if err := s.room(sizeOf(m.files)); err != nil {
		return err
	}
	plan := file.Plan{Root: s.cfg.Root, Edge: s.cfg.Edge, Program: s.cfg.Program, Home: s.cfg.Home, Yield: s.cfg.Yield}
	plan.Name = file.Name{From: m.files[0].Name.From, To: m.files[0].Name.To, Level: m.level}
	for _, e := range m.files {
		plan.Inputs = append(plan.Inputs, e.Path)
		plan.Name.From, plan.Name.To = earlier(plan.Name.From, e.Name.From), later(plan.Name.To, e.Name.To)
		// Only a file of a level that is not lower can supersede it.
		plan.Name.Level = higher(plan.Name.Level, e.Name.Level)
	}
	_, err := file.Merge(ctx, s.disk, plan)
	if path, bad := damaged(err); bad {
		s.setAside(path, err)
		return s.stillThere(path)
	}
	if err != nil {
		return s.strike(plan.Inputs, err)
	}
	s.count(func(t *Stats) { t.Merges++ })
	return s.remove(m.day.Path, plan.Inputs)
}

// strike finds the input that cannot be read, for the others to be merged without it if that
// goes on. A file of a newer program is no error.
func (s *Store) strike(inputs []string, err error) error {
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) && slices.Contains(inputs, failed.Path) {
		s.strikes[failed.Path]++
	}
	if !errors.Is(err, file.ErrNewer) {
		return err
	}
	for _, path := range inputs {
		in, err := file.Open(s.disk, path)
		if err == nil {
			_ = in.Close()
		}
		if errors.Is(err, file.ErrNewer) {
			s.strikes[path] = mostStrikes
			s.cfg.Report(false, fmt.Sprintf("%v; it stays as it is", err))
			return nil
		}
	}
	return err
}

// stillThere is an error if a file could not be set aside.
func (s *Store) stillThere(path string) error {
	if _, err := s.disk.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errors.New(path+" is damaged, and could not be renamed"), err)
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func higher(a, b file.Level) file.Level {
	return slices.MaxFunc([]file.Level{a, b}, func(a, b file.Level) int { return cmp.Compare(rank(a), rank(b)) })
}

// remove removes files of one day. Those that are not there are none to remove.
func (s *Store) remove(day string, paths []string) error {
	var errs []error
	for _, path := range paths {
		if err := s.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, disk.SyncDir(s.disk, day))...)
}
