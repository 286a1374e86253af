package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// Write writes the contacts of all tables into one file, which is on the disk then. Lost and
// folded are for the file. From and to are the interval in which the flows were received; the
// clock may have been set back in between. After an error nothing was written: the tables are
// as they were, and may be written again. Without contacts there is no file.
func (s *Store) Write(ctx context.Context, from, to time.Time, tables []*table.Table, names table.Names, lost, folded uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	name := s.name(from, to)
	rows, err := s.write(ctx, name, tables, names, file.Info{Program: s.cfg.Program, Home: s.cfg.Home, Lost: lost, Folded: folded})
	if errors.Is(err, file.ErrEmpty) {
		return nil
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // not an error of the disk
	}
	s.outcome(writing, err)
	s.count(func(t *Stats) {
		switch {
		case errors.Is(err, ErrSpace):
			t.Refused++
		case err != nil:
			t.WriteErrors++
		default:
			t.Rows += rows
			t.Written = name.To
			t.Files[rank(name.Level)]++
		}
	})
	return err
}

// name is that of the file of an interval.
func (s *Store) name(from, to time.Time) file.Name {
	from, to = clamp(from), clamp(to)
	if to.Before(from) {
		from, to = to, from
	}
	n := file.Name{From: from.Truncate(time.Second), To: to.Add(time.Second - 1).Truncate(time.Second), Level: file.Flush}
	if s.cfg.Edge {
		n.Level = file.Hour
	}
	return n
}

// clamp brings a time that no row can have to the nearest one.
func clamp(t time.Time) time.Time {
	t = t.UTC().Round(0)
	if least := time.Unix(0, 0).UTC(); t.Before(least) {
		return least
	}
	if most := time.Unix(1<<32-1, 0).UTC(); t.After(most) {
		return most
	}
	return t
}

func (s *Store) write(ctx context.Context, name file.Name, tables []*table.Table, names table.Names, info file.Info) (uint64, error) {
	total := 0
	for _, t := range tables {
		total += t.Len()
	}
	if total == 0 {
		return 0, file.ErrEmpty
	}
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if err := s.removeLeft(); err != nil {
		return 0, err
	}
	if err := s.room(0); err != nil {
		return 0, err
	}
	w, err := file.Create(s.disk, s.cfg.Root, name, file.Form{Edge: s.cfg.Edge, Rows: int64(total)}, info)
	if err != nil {
		return 0, err
	}
	defer w.Abort()
	rows, err := s.join(ctx, w, tables, names)
	if err != nil {
		return 0, err
	}
	s.doubt(name)
	done, err := w.Commit()
	if err != nil && done.Seq > 0 {
		s.left = filepath.Join(s.cfg.Root, done.Folder(), done.String())
		return rows, err
	}
	s.doubt(file.Name{})
	return rows, err
}

// doubt sets which file is doubtful; none by a zero name.
func (s *Store) doubt(name file.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubtful = name
}

// isDoubtful reports whether a file is, or another one of the same time and level.
func (s *Store) isDoubtful(n file.Name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return n.Level == s.doubtful.Level && n.From.Equal(s.doubtful.From) && n.To.Equal(s.doubtful.To)
}

// removeLeft removes the file of a failed write, so that its rows are not there twice. Should
// the process die before, they are there once, as the caller's are gone.
func (s *Store) removeLeft() error {
	if s.left == "" {
		return nil
	}
	if err := s.disk.Remove(s.left); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.left = ""
	s.doubt(file.Name{})
	return nil
}

// A cursor is at a row of one table.
type cursor struct {
	rows table.Rows
	next row.Row
}

// Head is that row.
func (c *cursor) Head() *row.Row { return &c.next }

// batch is how many rows are given to the file at once.
const batch = 512

// join writes the rows of all tables in order. Those of the same contact become one.
func (s *Store) join(ctx context.Context, w *file.Writer, tables []*table.Table, names table.Names) (n uint64, err error) {
	for len(s.cursors) < len(tables) {
		s.cursors = append(s.cursors, new(cursor))
	}
	var heap []*cursor
	for i, t := range tables {
		c := s.cursors[i]
		c.rows.Open(t, names)
		if c.rows.Next(&c.next) {
			heap = append(heap, c)
		}
	}
	row.Heapify(heap)
	out := make([]row.Row, 0, batch)
	for len(heap) > 1 {
		least := heap[0]
		switch last := len(out) - 1; {
		case last >= 0 && row.Compare(&out[last], &least.next) == 0:
			out[last].Add(&least.next)
		case len(out) < batch:
			out = append(out, least.next)
		default: // the last row is complete now
			if err := errors.Join(w.Write(out), ctx.Err()); err != nil {
				return 0, err
			}
			n += uint64(len(out))
			out = append(out[:0], least.next)
		}
		if !least.rows.Next(&least.next) {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		row.Down(heap, 0)
	}
	if len(heap) == 0 {
		return n + uint64(len(out)), w.Write(out)
	}
	rest, err := finish(ctx, w, heap[0], out)
	return n + rest, err
}

// finish writes out, whose last row may get one more, and the rest of one table, in which all
// contacts are different.
func finish(ctx context.Context, w *file.Writer, c *cursor, out []row.Row) (n uint64, err error) {
	if last := len(out) - 1; last >= 0 && row.Compare(&out[last], &c.next) == 0 {
		out[last].Add(&c.next)
	} else {
		if len(out) == batch {
			if err := w.Write(out); err != nil {
				return 0, err
			}
			n, out = batch, out[:0]
		}
		out = append(out, c.next)
	}
	for {
		at := len(out)
		out = out[:batch]
		for at < batch && c.rows.Next(&out[at]) {
			at++
		}
		n += uint64(at)
		if err := errors.Join(w.Write(out[:at]), ctx.Err()); err != nil {
			return 0, err
		}
		if at < batch {
			return n, nil
		}
		out = out[:0]
	}
}

// ErrSpace is within the error of a write that was not tried, as the disk is nearly full.
var ErrSpace = errors.New("the file system is nearly full")

// room refuses to write when less would be free than others need.
func (s *Store) room(bytes int64) error {
	free, total, err := s.cfg.Space(s.cfg.Root)
	if err != nil {
		return nil // the write itself shows it
	}
	if spare := disk.Spare(total); free < spare+uint64(bytes) {
		return fmt.Errorf("%w: %d MB are free, and %d MB are left to others", ErrSpace, free/1e6, spare/1e6)
	}
	return nil
}
