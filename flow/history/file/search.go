package file

import (
	"context"
	"errors"
	"sort"

	"github.com/parquet-go/parquet-go"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// emitted is how many rows Search hands over at once.
const emitted = 4096

// Search calls emit with all rows whose outside address is in one of the ranges, which
// must be sorted and must not overlap, see [span.OfAll]. Rows come in the order of the file, and
// belong to emit for the time of the call. An error of emit ends the search and is that of
// Search. Others are those of the disk, of ctx, or of type [*DamagedError]: rows handed
// over before are right, but not all there are.
func (f *File) Search(ctx context.Context, ranges []span.Range, emit func([]row.Row) error) error {
	if !span.AreJoined(ranges) {
		return errors.New("ranges of a search overlap or are not sorted")
	}
	s := search{file: f, ranges: ranges, emit: emit}
	for group := range f.groups {
		if err := s.group(ctx, group); err != nil {
			return err
		}
		if len(s.ranges) == 0 {
			break
		}
	}
	return s.hand()
}

type search struct {
	file   *File
	ranges []span.Range // those that are behind what was read fall away
	emit   func([]row.Row) error
	rows   []row.Row // found, not yet handed over
}

// hand hands over what was found. A panic in emit is not one of the file.
func (s *search) hand() error {
	if len(s.rows) == 0 {
		return nil
	}
	s.file.calls = true
	err := s.emit(s.rows)
	s.file.calls = false
	s.rows = s.rows[:0]
	return err
}

// group searches one row group: the pages of the key column that can hold a match, and of
// the other columns the pages with one, each page once.
func (s *search) group(ctx context.Context, group int) (err error) {
	defer s.file.guard(&err)
	f := s.file
	if err := f.enter(group); err != nil {
		return f.reason(err)
	}
	keys := f.cursors[keyColumn]
	index, err := keys.chunk.ColumnIndex()
	if err != nil {
		return f.reason(err)
	}
	offsets, err := keys.chunk.OffsetIndex()
	if err != nil {
		return f.reason(err)
	}
	for page := range index.NumPages() {
		first, last := address(index.MinValue(page)), address(index.MaxValue(page))
		s.ranges = s.ranges[span.From(s.ranges, first):]
		if len(s.ranges) == 0 {
			return nil
		}
		if s.ranges[0].From.Compare(last) > 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.page(offsets.FirstRowIndex(page)); err != nil {
			return err
		}
	}
	return nil
}

func address(v parquet.Value) flow.Addr6 { return flow.ReadAddr6(v.ByteArray()) }

// page searches the page of the key column that begins with a row.
func (s *search) page(first int64) error {
	f, keys := s.file, s.file.cursors[keyColumn]
	if err := keys.seek(first); err != nil {
		return f.reason(err)
	}
	// The rows that are read meanwhile are all in this page, so that it stays.
	page := keys.keys
	at := 0
	for _, r := range s.ranges {
		at += below(page[at:], r.From, false)
		if at == len(page) {
			return nil
		}
		end := at + below(page[at:], r.To, true)
		for at < end {
			if err := s.take(first+int64(at), end-at, &at); err != nil {
				return err
			}
		}
	}
	return nil
}

// take reads up to n rows from one of the group on, as many as there is room for, and adds
// their number to done.
func (s *search) take(from int64, n int, done *int) error {
	if s.rows == nil {
		s.rows = make([]row.Row, 0, emitted)
	}
	have := len(s.rows)
	n = min(n, emitted-have)
	s.rows = s.rows[:have+n]
	if err := s.file.read(from, s.rows[have:]); err != nil {
		s.rows = s.rows[:have]
		return s.file.reason(err)
	}
	*done += n
	if len(s.rows) == emitted {
		return s.hand()
	}
	return nil
}

// below counts the keys below an address, or up to it, at the beginning of sorted keys. It
// doubles its steps first: with many ranges the next one is near.
func below(keys [][16]byte, a flow.Addr6, included bool) int {
	limit := 0
	if included {
		limit = 1
	}
	is := func(i int) bool { return flow.ReadAddr6(keys[i][:]).Compare(a) < limit }
	step := 1
	for step < len(keys) && is(step) {
		step *= 2
	}
	from := step / 2
	to := min(step+1, len(keys))
	if from >= to {
		return 0
	}
	return from + sort.Search(to-from, func(i int) bool { return !is(from + i) })
}
