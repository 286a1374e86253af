package folder

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// A Held is a file of a day that is kept open: it can be read even when it has been merged
// meanwhile.
type Held struct {
	Entry
	raw *held
	in  *file.File // nil = not read yet
	f   *Folder
}

// Read calls emit with all rows in the order of the file. They belong to the call. It may be
// called again. Errors are those of [file.File.Search] and [file.Open].
func (h *Held) Read(ctx context.Context, emit func([]row.Row) error) error {
	err := h.raw.err
	if err == nil && h.in == nil {
		raw := h.raw.file
		h.raw.file = nil // its closing is up to in
		h.in, err = file.Open(holder{h.f.disk, raw}, h.Path)
		h.raw.err = err
	}
	if err == nil {
		err = h.in.Search(ctx, span.All(), emit)
	}
	if _, damaged := errors.AsType[*file.DamagedError](err); damaged {
		h.f.bad(h.Path, err)
	}
	return err
}

// Lost is how many flows were lost while the file was filled; it is known after Read.
func (h *Held) Lost() uint64 {
	if h.in == nil {
		return 0
	}
	return h.in.Info.Lost
}

// Close closes the file.
func (h *Held) Close() {
	h.raw.close()
	if h.in != nil {
		_ = h.in.Close()
		h.in = nil
	}
}

// EachDay calls do for each day that has files filled between two times, the earliest first,
// with these files in order of their beginning, each row in one of them only, also while they
// are merged. A zero time is open. The files are closed after the call. An error of do ends
// it; beside errors of the disk are the days that were found.
func (f *Folder) EachDay(ctx context.Context, from, to time.Time, do func([]*Held) error) error {
	if err := f.hangs(); err != nil {
		return err
	}
	days, failed := f.days(to)
	slices.Reverse(days)
	for _, day := range days {
		files, err := f.hold(ctx, day, &Query{From: from, To: to})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed = errors.Join(failed, err)
		if err := f.eachHeld(files, from, to, do); err != nil {
			return err
		}
	}
	return failed
}

func (f *Folder) eachHeld(files []*held, from, to time.Time, do func([]*Held) error) error {
	var all []*Held
	for _, h := range files {
		if !from.IsZero() && h.Name.To.Before(from) || !to.IsZero() && h.Name.From.After(to) {
			h.close()
			continue
		}
		all = append(all, &Held{Entry: h.Entry, raw: h, f: f})
	}
	defer func() {
		for _, h := range all {
			h.Close()
		}
	}()
	slices.SortFunc(all, func(a, b *Held) int {
		return cmp.Or(a.Name.From.Compare(b.Name.From), a.Name.To.Compare(b.Name.To), strings.Compare(a.Path, b.Path))
	})
	if len(all) == 0 {
		return nil
	}
	return do(all)
}
