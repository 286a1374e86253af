package store

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/folder"
)

// misdated is how much older than is kept a file may be. Beyond that, as in the future, a wrong
// clock has dated it.
const misdated = 365 * 24 * time.Hour

// An aged file has the time from which on it is kept.
type aged struct {
	folder.Entry
	at time.Time
}

// retain removes files that are too old, and the oldest ones while all are too large. A clock
// that jumped must not empty the history: by age nothing goes while the clock is not
// synchronised, and at most one day goes in one pass.
func (s *Store) retain(days []folder.Day) error {
	s.mu.Lock()
	keep, most := s.keep, s.maxBytes
	s.mu.Unlock()
	synced := s.cfg.Synced()
	now := s.cfg.Now()
	var all []aged
	var size int64
	for _, d := range days {
		for _, e := range everything(d) {
			all = append(all, aged{e, s.date(&e, now, keep, synced)})
			size += e.Size
		}
	}
	slices.SortStableFunc(all, func(a, b aged) int {
		return cmp.Or(a.at.Compare(b.at), a.Name.From.Compare(b.Name.From))
	})
	var errs []error
	day := ""
	for _, e := range all {
		old := synced && keep > 0 && now.Sub(e.at) > keep
		much := most > 0 && size > most
		at := filepath.Dir(e.Path)
		if !old && !much || day != "" && at != day {
			break
		}
		if err := s.disk.Remove(e.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			continue // another day may have what can be removed
		}
		day = at
		size -= e.Size
		s.count(func(t *Stats) {
			if old {
				t.AgedFiles++
			} else {
				t.PushedFiles++
			}
		})
	}
	for _, d := range days {
		if d.Path == day || len(everything(d)) == 0 {
			s.writing.Lock() // a file may be about to be made in there
			s.folder.RemoveEmpty(d.Path)
			s.writing.Unlock()
		}
	}
	return errors.Join(errs...)
}

// date gives the time from which on a file is kept: its end, or when that cannot be, the time
// when it was written, or when that cannot be either, now, which is noted at the file.
func (s *Store) date(e *folder.Entry, now time.Time, keep time.Duration, synced bool) time.Time {
	possible := func(at time.Time) bool {
		age := now.Sub(at)
		return age >= -ahead && age <= keep+misdated
	}
	switch {
	case !synced || keep == 0 || possible(e.Name.To):
		return e.Name.To
	case possible(e.Written):
		return e.Written
	}
	_ = s.disk.Chtimes(e.Path, now) // if not, it is new the next time as well
	return now
}
