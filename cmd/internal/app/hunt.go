package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/past/imports"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/hunt"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// Bounds of the hunts that are answered.
const (
	huntsRunning = 2
	huntsWaiting = 8
	huntsPaused  = 6        // whose clients do not read
	huntBody     = 64 << 20 // bytes of a question
	huntRead     = 10 * time.Second
	huntFlush    = 20 * time.Second
	huntSend     = 64 << 10 // bytes that are sent at once
	huntEvery    = 250 * time.Millisecond
)

// MaxHuntRanges is how many ranges one question to a running instance may have: 32 bytes each.
func MaxHuntRanges(cfg *configs.Config) int {
	if cfg.Profile == "edge" {
		return 100_000
	}
	return 2_000_000
}

// A recordedPast is the history of contacts, as hunts need it.
type recordedPast interface {
	// Flush writes what is not on disk yet, once a minute at most, and gives up to when
	// everything is there.
	Flush(ctx context.Context) (until time.Time, err error)
	Written() time.Time
	// Rests is how long Flush will write nothing.
	Rests() time.Duration
	// Folder is nil while the history is off.
	Folder() *folder.Folder
}

// hunts answer questions to the history of contacts.
type hunts struct {
	cfg   *configs.Config
	kept  recordedPast
	store *lookup.Store
	gate  gate
	stall time.Duration // how long a client may take for huntSend bytes

	reading chan struct{} // of length 1: a question is being read
	held    atomic.Int64  // ranges of all questions

	mu     sync.Mutex
	ended  bool
	active sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc

	done, cancelled, refused, failed atomic.Uint64
	rows, badFiles, micros           atomic.Uint64
}

func newHunts(cfg *configs.Config, kept recordedPast, store *lookup.Store) *hunts {
	h := &hunts{cfg: cfg, kept: kept, store: store, stall: 2 * time.Minute, reading: make(chan struct{}, 1)}
	h.gate = gate{seats: make(chan struct{}, huntsRunning), patience: time.Second}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Register shows the hunts and answers them.
func (h *hunts) Register(c *observe.Component) {
	c.Add(observe.Printed("hunt", h.status, printHunts),
		observe.Route{Method: http.MethodPost, Path: "/hunt", Role: observe.Local, Handler: http.HandlerFunc(h.serve)})
}

// Start has nothing to open.
func (h *hunts) Start() error { return nil }

// Stop ends all hunts.
func (h *hunts) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.cancel()
	all := make(chan struct{})
	go func() {
		h.active.Wait()
		close(all)
	}()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return errors.New("a hunt is still running")
	}
}

// begin notes a hunt, unless they have been ended.
func (h *hunts) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.active.Add(1)
	}
	return !h.ended
}

// A HuntStatus is what has been asked of the history.
type HuntStatus struct {
	Running   int     `json:"running" name:"hunts_running" help:"Hunts whose answers are being made." show:"some"`
	Waiting   int     `json:"waiting" name:"hunts_waiting" help:"Hunts that wait for others." show:"some"`
	Paused    int     `json:"paused" name:"hunts_paused" help:"Hunts whose clients do not read the answer." show:"some"`
	Done      uint64  `json:"done" name:"hunts_total" help:"Hunts that were requested, by their end: done, cancelled by the client, refused before the search, failed." with:"result=done"`
	Cancelled uint64  `json:"cancelled" name:"hunts_total" help:"Hunts that were requested, by their end: done, cancelled by the client, refused before the search, failed." with:"result=cancelled"`
	Refused   uint64  `json:"refused" name:"hunts_total" help:"Hunts that were requested, by their end: done, cancelled by the client, refused before the search, failed." with:"result=refused"`
	Failed    uint64  `json:"failed" name:"hunts_total" help:"Hunts that were requested, by their end: done, cancelled by the client, refused before the search, failed." with:"result=failed"`
	Rows      uint64  `json:"rows" name:"hunt_rows_total" help:"Contacts found by hunts."`
	BadFiles  uint64  `json:"bad_files" name:"hunt_bad_files_total" help:"Times that a hunt met a damaged file of the history."`
	Seconds   float64 `json:"seconds" name:"hunt_seconds_total" help:"Time from the request of a hunt to its end, waiting for others and for the client included, in seconds."`
}

func (h *hunts) status() HuntStatus {
	s := HuntStatus{
		Done: h.done.Load(), Cancelled: h.cancelled.Load(), Refused: h.refused.Load(), Failed: h.failed.Load(),
		Rows: h.rows.Load(), BadFiles: h.badFiles.Load(), Seconds: float64(h.micros.Load()) / 1e6,
	}
	s.Running, s.Waiting, s.Paused = h.gate.counts()
	return s
}

// printHunts prints one line, once there was a hunt.
func printHunts(w io.Writer, s HuntStatus, _ bool) {
	rest := show.Some(show.Count(uint64(s.Running), "running"), show.Count(uint64(s.Waiting), "waiting"), show.Count(uint64(s.Paused), "whose clients do not read"),
		show.Count(s.Cancelled, "cancelled"), show.Count(s.Refused, "refused"), show.Count(s.Failed, "failed"), show.Count(s.BadFiles, "times a damaged file"))
	if s.Done > 0 || rest != "" {
		fmt.Fprintf(w, "hunts      %d done, contacts found: %d%s\n", s.Done, s.Rows, rest)
	}
}

// serve answers one question: the request as [question.Question.WriteTo] writes it, the
// answer as [hunt.ReadAnswer] reads it.
func (h *hunts) serve(w http.ResponseWriter, r *http.Request) {
	if !h.begin() {
		observe.Fail(w, observe.Unavailable("flowsnitch is stopping"))
		return
	}
	defer h.active.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	began := time.Now()
	defer func() { h.micros.Add(uint64(time.Since(began).Microseconds())) }()
	q, ours, s, err := h.admit(ctx, w, r.Body)
	if err != nil {
		if ctx.Err() != nil {
			h.cancelled.Add(1)
		} else {
			h.refused.Add(1)
		}
		observe.Fail(w, err)
		return
	}
	defer h.held.Add(-int64(len(q.Ranges)))
	defer s.leave()
	in, until, again, remark, err := h.folder(ctx, &q)
	if err != nil {
		h.failed.Add(1)
		observe.Fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Cache-Control", "no-store")
	a := &answer{w: w, control: http.NewResponseController(w), seat: s, ctx: ctx, stall: h.stall}
	sum, err := hunt.Search(ctx, in, &q, a.rows, a.progress)
	sum.Ours, sum.Note, sum.Again = ours, remark, again
	if !until.IsZero() { // the end of the newest file may be later, also by a clock that was wrong
		sum.Until = until
	}
	h.count(&sum, err, ctx.Err() != nil || a.err != nil)
	if h.ctx.Err() != nil {
		err = errors.New("flowsnitch is stopping; this is not all")
	}
	a.end(&sum, err)
}

// admit reads a question and waits for a seat. The question is read first, as it is not
// known before that a client has gone; one at a time, and all together only so many ranges,
// as those that wait take memory.
func (h *hunts) admit(ctx context.Context, w http.ResponseWriter, body io.ReadCloser) (q question.Question, ours int, s *seat, err error) {
	if !h.gate.step(&h.gate.waiting, huntsWaiting+cap(h.gate.seats)-len(h.gate.seats)) { // who comes first need not wait
		return q, 0, nil, errHunts
	}
	defer h.gate.back(&h.gate.waiting)
	select {
	case h.reading <- struct{}{}:
	case <-ctx.Done():
		return q, 0, nil, ctx.Err()
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(huntRead))
	q, ours, err = h.question(http.MaxBytesReader(w, body, huntBody))
	_ = control.SetReadDeadline(time.Time{})
	<-h.reading
	if err != nil {
		return q, 0, nil, err
	}
	n := int64(len(q.Ranges))
	if h.held.Add(n) > 2*int64(MaxHuntRanges(h.cfg)) {
		h.held.Add(-n)
		return q, 0, nil, observe.Unavailable("hunts for too many addresses are running and waiting; try again in a moment")
	}
	if s, err = h.gate.take(ctx); err != nil {
		h.held.Add(-n)
	}
	return q, ours, s, err
}

// count counts a hunt by what became of it.
func (h *hunts) count(s *hunt.Summary, err error, cancelled bool) {
	h.rows.Add(s.Rows)
	h.badFiles.Add(uint64(len(s.Bad) + s.BadMore))
	switch {
	case cancelled:
		h.cancelled.Add(1)
	case err != nil:
		h.failed.Add(1)
	default:
		h.done.Add(1)
	}
}

// question reads and checks a question. ours are the ranges that are in home.
func (h *hunts) question(body io.Reader) (q question.Question, ours int, err error) {
	q, err = question.Read(body, MaxHuntRanges(h.cfg))
	if err == nil && q.Feed != "" {
		q.Ranges, err = FeedRanges(h.store.Load(), q.Feed)
	}
	q.Embedding = intel.NewEmbedding(h.cfg.NAT64)
	if err == nil {
		ours, err = q.Check(span.OfAll(h.cfg.AllHome()))
	}
	return q, ours, err
}

// folder gives where a question is searched, up to when that is complete, from when on another
// hunt will have what is in memory, unless this one has it, and what else is to be known.
func (h *hunts) folder(ctx context.Context, q *question.Question) (in *folder.Folder, until, again time.Time, remark string, err error) {
	if q.Import != "" {
		in, err = OpenHistory(h.cfg.StateDir, q.Import)
		return in, until, again, "", err
	}
	if in = h.kept.Folder(); in == nil {
		in, err = OpenHistory(h.cfg.StateDir, "")
		return in, until, again, "the history is off (history.enabled): nothing is added to it", err
	}
	before := h.kept.Written()
	if q.Kept {
		return in, before, again, "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, huntFlush)
	defer cancel()
	until, err = h.kept.Flush(ctx)
	if err != nil {
		return in, h.kept.Written(), again, "what is not on disk yet could not be written: " + err.Error(), nil
	}
	if rest := h.kept.Rests(); rest > 0 && until.Equal(before) {
		again = time.Now().Add(rest).Truncate(time.Second).Add(time.Second)
	}
	return in, until, again, "", nil
}

// OpenHistory gives the folder of the live history in a state directory, or of an imported
// one by its name.
func OpenHistory(stateDir, imported string) (*folder.Folder, error) {
	path := filepath.Join(stateDir, HistoryDir)
	if imported == "" {
		return folder.Open(disk.OS{}, path), nil
	}
	if err := imports.CheckName(imported); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	path = filepath.Join(imports.Folder(path), imported)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no import %s: %w; 'flowsnitch history list' shows those that there are", imported, pathCause(err))
	}
	return folder.Open(disk.OS{}, path), nil
}

// FeedRanges gives the entries of a feed in a table.
func FeedRanges(t *lookup.Table, feed string) ([]span.Range, error) {
	var names []string
	for _, f := range t.Feeds() {
		if f.Feed != feed {
			names = append(names, f.Feed)
			continue
		}
		var prefixes []netip.Prefix
		for p := range t.Prefixes(feed) {
			prefixes = append(prefixes, p)
		}
		if len(prefixes) == 0 {
			return nil, fmt.Errorf("feed %s has no entry in force", feed)
		}
		return span.OfAll(prefixes), nil
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no feed %s: no list has an entry yet", feed)
	}
	return nil, fmt.Errorf("no feed %s; there are %s", feed, strings.Join(names, ", "))
}

// An answer is written as it is found. A client that does not read it holds up nobody else.
type answer struct {
	w       io.Writer
	control *http.ResponseController
	seat    *seat
	ctx     context.Context
	stall   time.Duration

	buf  []byte
	sent time.Time
	err  error // the client is gone
}

// rows appends rows.
func (a *answer) rows(rows []hunt.Row) error {
	for i := range rows {
		a.buf = rows[i].AppendJSON(a.buf)
		if len(a.buf) >= huntSend {
			if err := a.send(); err != nil {
				return err
			}
		}
	}
	if time.Since(a.sent) > huntEvery {
		return a.send()
	}
	return nil
}

// progress appends how far the search has come, now and then.
func (a *answer) progress(done, total int, bytes int64) {
	if a.err == nil && time.Since(a.sent) > huntEvery {
		a.buf = hunt.AppendProgress(a.buf, hunt.Progress{Files: done, Of: total, Bytes: bytes})
		_ = a.send() // it stays, and comes with the next rows
	}
}

func (a *answer) end(s *hunt.Summary, err error) {
	a.buf = hunt.AppendEnd(a.buf, s, err)
	_ = a.send() // the client is gone: there is nobody to report to
}

// send sends what has been appended. While the client does not read, the seat is somebody
// else's.
func (a *answer) send() error {
	if a.err != nil {
		return a.err
	}
	a.err = a.seat.lend(a.ctx, func() error {
		_ = a.control.SetWriteDeadline(time.Now().Add(a.stall))
		if _, err := a.w.Write(a.buf); err != nil {
			return err
		}
		return a.control.Flush()
	}, func() { _ = a.control.SetWriteDeadline(time.Now()) })
	a.buf, a.sent = a.buf[:0], time.Now()
	return a.err
}
