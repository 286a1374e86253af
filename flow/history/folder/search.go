package folder

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

var zero time.Time

// A Query is what to search for.
type Query struct {
	// Ranges are those of the outside addresses, see [file.Ranges]. They are not to be
	// changed any more, as a disk that hangs may keep them in use after the search.
	Ranges []span.Range
	// From and To bound the time of contacts, which may begin before and end later. Zero is
	// open. Times in a file are whole seconds.
	From, To time.Time
	// Emit is given the rows, file by file, newest first, in the order of the file. They
	// belong to the call. It is called by the goroutine of Search. Its error ends the search.
	Emit func(e Entry, rows []row.Row) error
	// Progress is called after each file, by the goroutine of Search: files done, files there
	// are, bytes of those done; nil = no calls.
	Progress func(done, total int, bytes int64)
	// Parallel is how many files are searched at once; 0 = 2. Each takes some megabytes.
	Parallel int
	// Background is for a search that nobody waits for: what it reads does not stay in the
	// memory of the system.
	Background bool
}

// A BadFile could not be read to its end.
type BadFile struct {
	Path string
	Err  error
}

// Done is what a search has done.
type Done struct {
	Files, Bytes, Rows int64
	// Lost and Folded are flows that were lost, and that were folded, while the files of the
	// requested time were filled.
	Lost, Folded uint64
	Bad          []BadFile // of their rows some or all are missing
}

// Search calls Emit with all rows of the files whose outside address is in the ranges and
// of the requested time, each once, also while files are written, merged and removed. A file
// that cannot be read does not end the search; it is in Done. The error is that of Emit or of
// ctx, or that a call to the disk has had no answer for half a minute; Done is what was done until
// then.
func (f *Folder) Search(ctx context.Context, q Query) (Done, error) {
	if q.Parallel <= 0 {
		q.Parallel = 2
	}
	s := &search{folder: f, q: &q, jobs: make(chan *job, q.Parallel), work: make(chan *job), free: make(chan []row.Row, 2*q.Parallel)}
	l, err := f.list(ctx, q)
	if err != nil {
		return s.done, err
	}
	s.total = l.files
	if l.err != nil {
		s.done.Bad = append(s.done.Bad, BadFile{f.root, l.err})
	}
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { s.feed(ctx, l.days) })
	for range q.Parallel {
		group.Go(func() {
			for j := range s.work {
				s.run(ctx, j)
			}
		})
	}
	// Emit may panic: nothing goes on then.
	defer settle(&group)
	defer cancel()
	err = s.hand(ctx)
	return s.done, err
}

const (
	// grace is how long a search that ends early waits for its calls to the disk. One that
	// hangs is left alone: its goroutine ends when it returns.
	grace = time.Second
	// A search gives up when a call has been under way for as long as patience, and looks
	// at them every so often. SD cards take seconds for some.
	patience, look = 30 * time.Second, 10 * time.Second
)

func settle(group *sync.WaitGroup) {
	ended := make(chan struct{})
	go func() {
		group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(grace):
	}
}

// An inventory is what there is to search.
type inventory struct {
	files int // for Progress alone: errors come up again with the days
	days  []string
	err   error // that of the days
}

// list lists what there is. Its error is that the disk does not answer, or that of ctx.
func (f *Folder) list(ctx context.Context, q Query) (inventory, error) {
	if err := f.hangs(); err != nil { // there is no end to what would wait for it
		return inventory{}, err
	}
	done := make(chan inventory, 1)
	go func() {
		days, err := f.days(q.To)
		var files []Entry
		if q.Progress != nil {
			files, _ = f.files(days, q.From, q.To)
		}
		done <- inventory{len(files), days, err}
	}()
	tick := time.NewTicker(look)
	defer tick.Stop()
	return await(ctx, f, tick, done)
}

// hangs is an error while the disk does not answer.
func (f *Folder) hangs() error {
	if err := f.disk.Hangs(time.Now(), patience); err != nil {
		return fmt.Errorf("the disk does not answer: %w", err)
	}
	return nil
}

// await gives the next value of c, the zero one at its end. The error is that the disk does
// not answer, or that of ctx.
func await[T any](ctx context.Context, f *Folder, tick *time.Ticker, c <-chan T) (v T, err error) {
	for {
		select {
		case v = <-c:
			return v, nil
		case <-ctx.Done():
			return v, ctx.Err()
		case <-tick.C:
			if err := f.hangs(); err != nil {
				return v, err
			}
		}
	}
}

// A search is one that is under way. The feeder opens the files of day after day, the workers
// search them, and the goroutine of Search hands over what they found, file by file.
type search struct {
	folder *Folder
	q      *Query
	jobs   chan *job // in the order of files
	work   chan *job // likewise
	free   chan []row.Row
	total  int
	done   Done
}

// A job is one file. Its worker writes err and info before it closes rows.
type job struct {
	held *held
	rows chan []row.Row
	info file.Info
	err  error
}

// waiting is how many batches of rows of one file may wait.
const waiting = 2

// feed gives out the files of all days, and closes those that no worker has taken.
func (s *search) feed(ctx context.Context, days []string) {
	defer close(s.work)
	defer close(s.jobs)
	for _, day := range days {
		files, err := s.folder.hold(ctx, day, s.q)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			files = append(files, &held{Entry: Entry{Path: day}, err: err})
		}
		for i, h := range files {
			j := &job{held: h, rows: make(chan []row.Row, waiting), err: h.err}
			if !s.give(ctx, j) {
				for _, h := range files[i:] {
					h.close()
				}
				return
			}
		}
	}
}

// give passes on one job; false = the search has ended.
func (s *search) give(ctx context.Context, j *job) bool {
	if j.err != nil {
		close(j.rows)
	}
	select {
	case s.jobs <- j:
	case <-ctx.Done():
		return false
	}
	if j.err != nil {
		return true
	}
	select {
	case s.work <- j:
		return true
	case <-ctx.Done():
		j.err = ctx.Err()
		close(j.rows)
		return false
	}
}

// run searches one file.
func (s *search) run(ctx context.Context, j *job) {
	defer close(j.rows)
	raw := j.held.file
	j.held.file = nil // its closing is up to in
	in, err := file.Open(holder{s.folder.disk, raw}, j.held.Path)
	if err != nil {
		j.err = err
		return
	}
	defer in.Close()
	j.info = in.Info
	j.err = in.Search(ctx, s.q.Ranges, func(rows []row.Row) error {
		kept := s.keep(rows)
		if len(kept) == 0 {
			return nil
		}
		select {
		case j.rows <- kept:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if s.q.Background {
		raw.Forget()
	}
}

// keep copies the rows of the requested time.
func (s *search) keep(rows []row.Row) []row.Row {
	var kept []row.Row
	select {
	case kept = <-s.free:
	default:
	}
	from, to := s.q.From, s.q.To
	for i := range rows {
		r := &rows[i]
		if (from.IsZero() || int64(r.Last) >= from.Unix()) && (to.IsZero() || int64(r.First) <= to.Unix()) {
			kept = append(kept, *r)
		}
	}
	if len(kept) == 0 {
		s.reuse(kept)
	}
	return kept
}

func (s *search) reuse(rows []row.Row) {
	if cap(rows) == 0 {
		return
	}
	select {
	case s.free <- rows[:0]:
	default:
	}
}

// hand hands over the rows of file after file.
func (s *search) hand(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		j, err := await(ctx, s.folder, tick, s.jobs)
		if err != nil {
			return err
		}
		if j == nil {
			return ctx.Err()
		}
		for {
			rows, err := await(ctx, s.folder, tick, j.rows)
			if err = cmp.Or(err, ctx.Err()); err != nil {
				return err
			}
			if rows == nil {
				break
			}
			s.done.Rows += int64(len(rows))
			if err := s.q.Emit(j.held.Entry, rows); err != nil {
				return err
			}
			s.reuse(rows)
		}
		s.finish(j)
	}
}

// finish counts a file.
func (s *search) finish(j *job) {
	if j.err != nil {
		s.done.Bad = append(s.done.Bad, BadFile{j.held.Path, j.err})
		s.folder.bad(j.held.Path, j.err)
	}
	if j.held.Name.Level != 0 { // not the folder of a day
		s.done.Files++
		s.done.Bytes += j.held.Size
	}
	if n := &j.held.Name; (s.q.From.IsZero() || !n.To.Before(s.q.From)) && (s.q.To.IsZero() || !n.From.After(s.q.To)) {
		s.done.Lost += j.info.Lost
		s.done.Folded += j.info.Folded
	}
	if s.q.Progress != nil {
		s.total = max(s.total, int(s.done.Files))
		s.q.Progress(int(s.done.Files), s.total, s.done.Bytes)
	}
}
