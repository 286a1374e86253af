package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/sinks/export/names"
)

// Limits of the lists that are made for clients.
const (
	// maxExports is how many clients are served at a time: half of what the web server serves,
	// so that health and metrics stay reachable.
	maxExports = 8
	// exportWait is how long a client waits for its turn.
	exportWait = 20 * time.Second
	// A list of at most maxShared bytes is in memory before the first byte is sent, and is what
	// everybody gets who asks the same within sharedFor. A longer one is written while it is
	// read; only one at a time, for each takes memory by the size of the set.
	maxShared   = 8 << 20
	sharedFor   = 5 * time.Second
	sharedBytes = 16 << 20 // in all
	// A client may take stallTime for a piece of a list, and exportTime for all of it.
	stallTime  = 30 * time.Second
	exportTime = 5 * time.Minute
)

// Answers to those that must wait.
const (
	errExportsBusy = observe.Unavailable("too many lists are being exported; try again in a moment")
	errExportLarge = observe.Unavailable("another large list is being exported; try again in a moment")
)

// An exportDesk gives block lists to clients: it makes one at a time, so that a slow or stalled
// client keeps nobody else from a list, and one for all who ask the same in the same seconds.
type exportDesk struct {
	places chan struct{} // of clients
	turn   chan struct{} // held while a list is made
	large  chan struct{} // held while one that is not shared is read
	most   int           // bytes of a list that is shared

	mu     sync.Mutex
	shared []*exported // the newest last

	sent, unchanged, busy, refused, aborted atomic.Uint64
	last                                    atomic.Int64 // Unix seconds; 0 = never
	names                                   atomic.Pointer[names.Report]
}

func newExportDesk() *exportDesk {
	return &exportDesk{places: make(chan struct{}, maxExports), turn: make(chan struct{}, 1), large: make(chan struct{}, 1), most: maxShared}
}

// An exported list is the answer to a question: as text, or as a list that is written while it
// is read. Without either, only its tag is known. Without a question it is not shared, and has
// no tag.
type exported struct {
	question, tag string
	about         Exported
	text          []byte
	list          *Listing
	until         time.Time
	done          func() // must be called when the client has been served
}

// enter gives a client its place; leave must be called.
func (e *exportDesk) enter() (leave func(), err error) {
	select {
	case e.places <- struct{}{}:
		return func() { <-e.places }, nil
	default:
		return nil, errExportsBusy
	}
}

// get gives the list of a question, made by makeList unless somebody has just asked the same.
// Of one that the client has already, or of which it needs the tag only, there is no text.
// Without a question, has is not called.
func (e *exportDesk) get(ctx context.Context, question string, has func(tag string) bool, makeList func() (*Listing, error)) (*exported, error) {
	if x := e.recent(question, has); x != nil {
		return x, nil
	}
	ctx, cancel := context.WithTimeout(ctx, exportWait)
	defer cancel()
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, errExportsBusy
	}
	defer func() { <-e.turn }()
	if x := e.recent(question, has); x != nil { // made while this one waited
		return x, nil
	}
	list, err := makeList()
	if err != nil {
		return nil, err
	}
	x := &exported{question: question, about: list.Exported, until: time.Now().Add(sharedFor), done: func() {}}
	if question != "" {
		if x.tag = list.sum(); has(x.tag) {
			e.share(x)
			return x, nil
		}
	}
	b := &boundedText{most: e.most}
	if err := list.Write(b); err == nil {
		x.text = b.text.Bytes()
		e.share(x)
		return x, nil
	}
	select {
	case e.large <- struct{}{}:
	default:
		return nil, errExportLarge
	}
	x.list = list
	x.done = func() {
		<-e.large
		debug.FreeOSMemory() // a list of a million is as large as the set, see publish
	}
	return x, nil
}

// errLong ends the writing of a list that is too long to be shared.
var errLong = errors.New("too long")

// A boundedText takes so many bytes.
type boundedText struct {
	text bytes.Buffer
	most int
}

func (b *boundedText) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > b.most {
		return 0, errLong
	}
	return b.text.Write(p)
}

// recent gives a list that was made a moment ago, or nil.
func (e *exportDesk) recent(question string, has func(tag string) bool) *exported {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgetOld(time.Now())
	for _, x := range e.shared {
		if question != "" && x.question == question && (x.text != nil || has(x.tag)) {
			return x
		}
	}
	return nil
}

// share keeps a list for others, and drops those before it beyond the bound.
func (e *exportDesk) share(x *exported) {
	if x.question == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shared = append(slices.DeleteFunc(e.shared, func(o *exported) bool { return o.question == x.question }), x)
	bytes := 0
	for i, o := range slices.Backward(e.shared) {
		if bytes += len(o.text); bytes > sharedBytes || len(e.shared)-i > maxExports {
			e.shared = slices.Delete(e.shared, 0, i+1)
			break
		}
	}
}

// forget drops the lists that are not given away any more.
func (e *exportDesk) forget(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgetOld(now)
}

func (e *exportDesk) forgetOld(now time.Time) {
	e.shared = slices.DeleteFunc(e.shared, func(x *exported) bool { return !now.Before(x.until) })
}

// send writes a list, as long as the client takes it.
func (e *exportDesk) send(w http.ResponseWriter, x *exported) {
	p := &patientWriter{w: w, rc: http.NewResponseController(w), end: time.Now().Add(exportTime)}
	var err error
	if x.list != nil {
		err = x.list.Write(p)
	} else {
		_, err = p.Write(x.text)
	}
	if err != nil {
		e.aborted.Add(1)
		return
	}
	e.sent.Add(1)
	e.last.Store(time.Now().Unix())
}

// A patientWriter writes piece by piece, each with a deadline of its own.
type patientWriter struct {
	w   io.Writer
	rc  *http.ResponseController
	end time.Time
}

// piece is how much of a list a client must take within stallTime, in bytes.
const piece = 64 << 10

// Write writes all of b.
func (p *patientWriter) Write(b []byte) (n int, err error) {
	for some := range slices.Chunk(b, piece) {
		end := time.Now().Add(stallTime)
		if end.After(p.end) {
			end = p.end
		}
		_ = p.rc.SetWriteDeadline(end) // where there is none, the stop ends it
		k, err := p.w.Write(some)
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// failed counts a request that got no list.
func (e *exportDesk) failed(err error) {
	if _, ok := errors.AsType[observe.Unavailable](err); ok {
		e.busy.Add(1)
		return
	}
	e.refused.Add(1)
}

// An ExportStatus is what has become of requests for block lists.
type ExportStatus struct {
	Sent      uint64    `json:"sent" name:"exports_sent_total" help:"Block lists sent to clients over HTTP and to the export command." show:"some" words:"lists sent"`
	Unchanged uint64    `json:"unchanged" name:"exports_unchanged_total" help:"Requests for a block list that the client had already, answered with 304." show:"some" words:"unchanged"`
	Busy      uint64    `json:"busy" name:"exports_busy_total" help:"Requests for a block list that could not be met at that moment, answered with 503." show:"some" words:"put off"`
	Refused   uint64    `json:"refused" name:"exports_refused_total" help:"Requests for a block list with a wrong target or parameter, or beyond what the token is for." show:"some" words:"refused"`
	Aborted   uint64    `json:"aborted" name:"exports_aborted_total" help:"Block lists that a client did not read to the end." show:"some" words:"not read to the end"`
	Last      time.Time `json:"last,omitzero" name:"exports_last_timestamp_seconds" help:"Time at which a block list was last sent as a whole."`
	// Names and NamesLeftOut are of the last list of names that was made.
	Names        int            `json:"names" name:"exports_names" help:"Names in the last list of domain and host names." show:"some" words:"names"`
	NamesLeftOut map[string]int `json:"names_left_out,omitempty" name:"exports_names_left_out" help:"Names left out of the last list of domain and host names, by reason." label:"reason"`
}

// leftOut gives what is not in a list of names, by reason.
func leftOut(r *names.Report) map[string]int {
	return map[string]int{
		"filtered": r.Filtered, "expired": r.Expired, "tlp": r.TLP, "url": r.URLs, "allowed": r.Allowed, "refused": r.Refused, "below": r.Below, "cut": r.Cut,
	}
}

func (e *exportDesk) status() ExportStatus {
	s := ExportStatus{Sent: e.sent.Load(), Unchanged: e.unchanged.Load(), Busy: e.busy.Load(), Refused: e.refused.Load(), Aborted: e.aborted.Load()}
	if last := e.last.Load(); last != 0 {
		s.Last = time.Unix(last, 0).UTC()
	}
	if r := e.names.Load(); r != nil {
		s.Names, s.NamesLeftOut = r.Rows, leftOut(r)
	}
	return s
}

// printExports prints a line once somebody has asked for a list.
func printExports(w io.Writer, s ExportStatus, _ bool) {
	more := show.Some(show.Count(s.Unchanged, "unchanged"), show.Count(s.Busy, "put off"), show.Count(s.Refused, "refused"), show.Count(s.Aborted, "not read to the end"))
	if !s.Last.IsZero() {
		more = ", the last at " + show.Day(s.Last) + more
	}
	if s.Sent > 0 || more != "" {
		fmt.Fprintf(w, "exports    %d lists sent%s\n", s.Sent, more)
	}
	var left []show.Tally
	for _, reason := range slices.Sorted(maps.Keys(s.NamesLeftOut)) {
		left = append(left, show.Count(uint64(s.NamesLeftOut[reason]), reason))
	}
	if text := show.Some(left...); text != "" || s.Names > 0 {
		fmt.Fprintf(w, "           %d names in the last list of names", s.Names)
		if text != "" {
			fmt.Fprintf(w, "; left out: %s", strings.TrimPrefix(text, ", "))
		}
		fmt.Fprintln(w)
	}
}

// key identifies a question together with the state of the set.
func (d *feedService) key(name string, ask *exportQuestion) string {
	t := d.store.Load()
	q := ask.Query()
	q.Set("set", fmt.Sprint(ask.set))
	return strings.Join([]string{name, q.Encode(), ask.rest.Encode(), fmt.Sprintf("%p", t), t.Version()}, "\x00")
}
