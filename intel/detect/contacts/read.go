package contacts

import (
	"context"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// A Taker is given observations: a detect.Engine.
type Taker interface {
	Text(s string) uint32
	// Wants reports whether an observation can matter, which saves memory where many wait.
	Wants(o *rule.Observation) bool
	Observe(o *rule.Observation)
	EndInterval(complete bool)
}

// A Query is what to read.
type Query struct {
	// From and To are the first and the last hour of receipt; zero = open.
	From, To time.Time
	// OmitDays leaves out files that merges have made of a day, and counts their rows.
	OmitDays bool
	// Open is the hour that is not over: it is read like the others, and not ended. Zero = none.
	Open time.Time
	// Ended is called after each hour, with its beginning, when all of it was given to the
	// taker; nil = no call. Its error ends the reading.
	Ended func(hour time.Time) error
	// MaxBuffered is how many observations of later hours a file of several hours may have in
	// memory, each of 160 bytes; it is read again for the rest. 0 = 300,000.
	MaxBuffered int
}

// Done is what was read.
type Done struct {
	Files, Rows uint64
	Spread      uint64 // rows of several hours whose flows were spread evenly
	Omitted     uint64 // rows of files of days that were left out
	Lost        uint64 // flows that were lost while the files were filled
	Bad         []folder.BadFile
}

// Read gives a taker all rows of a history, hour by hour, and ends an interval after each
// file. A file that cannot be read is in Done.Bad, and does not end it. Errors are those of
// ctx, of Ended, and of the disk.
func Read(ctx context.Context, f *folder.Folder, to Taker, q Query) (Done, error) {
	r := &reader{to: to, q: q}
	if q.MaxBuffered <= 0 {
		r.q.MaxBuffered = 300_000
	}
	if !q.From.IsZero() {
		r.q.From = q.From.Truncate(time.Hour)
	}
	until := time.Time{}
	if !q.To.IsZero() {
		r.q.To = q.To.Truncate(time.Hour)
		until = r.q.To.Add(time.Hour - time.Second)
	}
	err := f.EachDay(ctx, r.q.From, until, func(files []*folder.Held) error { return r.day(ctx, files) })
	if err == nil {
		err = r.end()
	}
	return r.done, err
}

type reader struct {
	to   Taker
	q    Query
	done Done
	hour uint32 // that is not over yet, as a number since 1970; 0 = none
}

// A source is a file of a day on its way through the hours.
type source struct {
	*folder.Held
	first, last uint32 // hours
	// buffer has the observations of the hours before the hour before, by hour.
	buffer map[uint32][]rule.Observation
	held   int
	before uint32
	again  bool // it has been read
}

func hourOf(t time.Time) uint32 { return uint32(max(t.Unix(), 0) / hour) }

// day reads the files of one day.
func (r *reader) day(ctx context.Context, files []*folder.Held) error {
	var all []*source
	var hours []uint32
	for _, h := range files {
		s := &source{Held: h, first: hourOf(h.Name.From), last: hourOf(h.Name.To)}
		// A file of a day ends when the last worker has turned, a moment after midnight; one during
		// which the clock was set can be longer still. Rows have hours of the day only, see hoursOf.
		s.last = min(s.last, s.first+23)
		if r.q.OmitDays && h.Name.Level == file.Day && s.last > s.first {
			r.omit(ctx, s)
			continue
		}
		s.before = s.first
		all = append(all, s)
		for n := s.first; n <= s.last; n++ {
			if r.within(n) {
				hours = append(hours, n)
			}
		}
	}
	slices.Sort(hours)
	for _, n := range slices.Compact(hours) {
		if err := r.begin(n); err != nil {
			return err
		}
		for _, s := range all {
			if s.first > n || s.last < n {
				continue
			}
			if err := r.give(ctx, s, n); err != nil {
				return err
			}
			r.to.EndInterval(false)
			if s.last == n {
				s.Close()
			}
		}
	}
	return nil
}

func (r *reader) within(n uint32) bool {
	t := time.Unix(int64(n)*hour, 0)
	return !t.Before(r.q.From) && (r.q.To.IsZero() || !t.After(r.q.To))
}

// begin ends the hour before.
func (r *reader) begin(n uint32) error {
	if n == r.hour {
		return nil
	}
	err := r.end()
	r.hour = n
	return err
}

func (r *reader) end() error {
	if r.hour == 0 || !r.q.Open.IsZero() && r.hour >= hourOf(r.q.Open) {
		return nil
	}
	r.to.EndInterval(true)
	if r.q.Ended == nil {
		return nil
	}
	return r.q.Ended(time.Unix(int64(r.hour)*hour, 0).UTC())
}

// omit counts a file that is left out.
func (r *reader) omit(ctx context.Context, s *source) {
	err := s.Read(ctx, func(rows []row.Row) error {
		r.done.Omitted += uint64(len(rows))
		return nil
	})
	if err != nil {
		r.done.Bad = append(r.done.Bad, folder.BadFile{Path: s.Path, Err: err})
	}
	s.Close()
}

// give gives what a file has of an hour.
func (r *reader) give(ctx context.Context, s *source, n uint32) error {
	if s.first == s.last {
		return r.read(ctx, s, func(rows []row.Row) error {
			for i := range rows {
				o := Of(&rows[i], n*hour, r.to.Text)
				r.to.Observe(&o)
			}
			return ctx.Err()
		})
	}
	if n >= s.before {
		if err := r.fill(ctx, s, n); err != nil {
			return err
		}
	}
	for i := range s.buffer[n] {
		r.to.Observe(&s.buffer[n][i])
	}
	s.held -= len(s.buffer[n])
	delete(s.buffer, n)
	return ctx.Err()
}

// fill reads a file of several hours for those from n on, as many as there is room for.
func (r *reader) fill(ctx context.Context, s *source, n uint32) error {
	s.buffer, s.held, s.before = make(map[uint32][]rule.Observation), 0, s.last+1
	first := !s.again
	return r.read(ctx, s, func(rows []row.Row) error {
		for i := range rows {
			o := Of(&rows[i], n*hour, r.to.Text)
			if !r.to.Wants(&o) {
				continue
			}
			mask := hoursOf(rows[i].Hours, s.first, s.last)
			if first && mask.count() > 1 {
				r.done.Spread++
			}
			mask.spread(&o, s.first, func(h uint32, o *rule.Observation) { r.keep(s, n, h, o) })
		}
		return ctx.Err()
	})
}

// keep keeps an observation of an hour, if that is from n on and there is room. Room is made
// by the latest hours, for which the file is read again. When one hour alone has too many, they
// go to the taker at once.
func (r *reader) keep(s *source, n, h uint32, o *rule.Observation) {
	switch {
	case h < n || h >= s.before:
		return
	case s.held >= r.q.MaxBuffered && s.before == n+1:
		r.to.Observe(o)
		return
	}
	s.buffer[h] = append(s.buffer[h], *o)
	s.held++
	for s.held > r.q.MaxBuffered && s.before > n+1 {
		s.before--
		s.held -= len(s.buffer[s.before])
		delete(s.buffer, s.before)
	}
}

// read reads a file. That it cannot be read is noted, once.
func (r *reader) read(ctx context.Context, s *source, emit func([]row.Row) error) error {
	err := s.Read(ctx, func(rows []row.Row) error {
		if !s.again {
			r.done.Rows += uint64(len(rows))
		}
		return emit(rows)
	})
	if !s.again {
		r.done.Files++
		r.done.Lost += s.Lost()
	}
	s.again = true
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if !slices.ContainsFunc(r.done.Bad, func(b folder.BadFile) bool { return b.Path == s.Path }) {
		r.done.Bad = append(r.done.Bad, folder.BadFile{Path: s.Path, Err: err})
	}
	return nil
}
