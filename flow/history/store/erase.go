package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// imports is the folder of imported histories, each a folder of its own, in that of the history.
const imports = "import"

// Erase removes all rows with an address of the prefixes on either side, from the imported
// histories, too, and gives how many rows and from how many files. It goes on after an error,
// and the error is not nil unless all was searched: damaged files cannot be, and stay. Rows
// that are in memory yet are for the caller to write before.
func (s *Store) Erase(ctx context.Context, prefixes []netip.Prefix) (files, rows int64, err error) {
	return s.erase(ctx, &eraser{ranges: span.OfAll(prefixes)})
}

// Count gives what Erase would remove, and removes nothing.
func (s *Store) Count(ctx context.Context, prefixes []netip.Prefix) (files, rows int64, err error) {
	return s.erase(ctx, &eraser{ranges: span.OfAll(prefixes), dry: true})
}

func (s *Store) erase(ctx context.Context, e *eraser) (files, rows int64, err error) {
	if err := s.ready(ctx); err != nil {
		return 0, 0, err
	}
	errs := []error{e.folder(ctx, s)}
	names, err := s.disk.Names(filepath.Join(s.cfg.Root, imports))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue // a lock, and what an import has not completed
		}
		cfg := s.cfg
		cfg.Root, cfg.Keep, cfg.MaxBytes = filepath.Join(s.cfg.Root, imports, name), 0, 0
		other, err := Open(cfg)
		if err != nil {
			errs = append(errs, fmt.Errorf("import %s: %w", name, err))
			continue
		}
		errs = append(errs, e.folder(ctx, other), other.Close())
	}
	if e.dry {
		return e.files, e.rows, errors.Join(errs...)
	}
	s.count(func(t *Stats) { t.ErasedRows += uint64(e.rows) })
	if days, err := s.folder.Days(); err == nil {
		s.measure(days)
	}
	return e.files, e.rows, errors.Join(errs...)
}

type eraser struct {
	ranges      []span.Range
	dry         bool // only count
	files, rows int64
}

// has reports whether a row has one of the addresses.
func (e *eraser) has(r *row.Row) bool {
	return e.contains(r.Outside) || (r.Folded == 0 || r.Inside != flow.Addr6{}) && e.contains(r.Inside)
}

func (e *eraser) contains(a flow.Addr6) bool { return span.Within(e.ranges, span.One(a)) }

// folder erases in one history, file by file: between two of them others may work. What a
// merge has made meanwhile is searched as well.
func (e *eraser) folder(ctx context.Context, s *Store) error {
	var errs []error
	if !e.dry {
		errs = append(errs, s.removeSuperseded(ctx))
	}
	done := make(map[string]bool)
	for {
		list, err := s.folder.Files(time.Time{}, time.Time{})
		found := false
		for _, entry := range list {
			if done[entry.Path] {
				continue
			}
			found, done[entry.Path] = true, true
			if ctx.Err() != nil {
				return errors.Join(append(errs, ctx.Err())...)
			}
			if err := e.file(ctx, s, entry); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		if !found {
			return errors.Join(append(errs, err, e.damaged(s))...)
		}
	}
}

// removeSuperseded removes what merges have left: it has the rows, too.
func (s *Store) removeSuperseded(ctx context.Context) error {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	days, err := s.folder.Days()
	errs := []error{err}
	for _, d := range days {
		_, err := s.folder.RemoveSuperseded(ctx, d)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// damaged names the files that were set aside.
func (e *eraser) damaged(s *Store) error {
	days, err := s.folder.Days()
	errs := []error{err}
	for _, d := range days {
		for _, b := range d.Bad {
			errs = append(errs, fmt.Errorf("%s is damaged and cannot be searched; remove it if it may have the addresses", b.Path))
		}
	}
	return errors.Join(errs...)
}

// file erases in one file: another one takes its place, with the other rows.
func (e *eraser) file(ctx context.Context, s *Store, entry folder.Entry) error {
	if s.isDoubtful(entry.Name) { // what is written again would be there beside what is left here
		s.writing.Lock()
		err := s.removeLeft()
		s.writing.Unlock()
		if err != nil {
			return err
		}
	}
	s.tidying.Lock()
	defer s.tidying.Unlock()
	n, err := e.search(ctx, s, entry)
	if n == 0 || err != nil {
		return err
	}
	if e.dry {
		e.files++
		e.rows += n
		return nil
	}
	plan := file.Plan{
		Inputs: []string{entry.Path}, Root: s.cfg.Root, Name: entry.Name, Edge: s.cfg.Edge, Program: s.cfg.Program, Home: s.cfg.Home,
		Keep: func(r *row.Row) bool { return !e.has(r) }, Yield: s.cfg.Yield,
	}
	if _, err := file.Merge(ctx, s.disk, plan); err != nil && !errors.Is(err, file.ErrEmpty) {
		return err
	}
	e.files++
	e.rows += n
	return s.remove(filepath.Dir(entry.Path), plan.Inputs)
}

// search counts the rows to be erased.
func (e *eraser) search(ctx context.Context, s *Store, entry folder.Entry) (n int64, err error) {
	in, err := file.Open(s.disk, entry.Path)
	if err == nil {
		defer in.Close()
		err = in.Search(ctx, span.All(), func(rows []row.Row) error {
			for i := range rows {
				if e.has(&rows[i]) {
					n++
				}
			}
			s.cfg.Yield()
			return nil
		})
	}
	if path, bad := damaged(err); bad {
		s.setAside(path, err)
		return 0, s.stillThere(path) // it is named at the end
	}
	return n, err
}
