package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// How much of a source that is read piece by piece may be lost when the process
// dies, and how much is held in memory until then.
const (
	maxPendingEntries = 50_000
	maxPendingPages   = 25
	// MaxPages ends a reading that does not end by itself; the next one goes on.
	MaxPages = 2_000
	// maxPageNames bounds the names of one answer, which is in memory as a whole.
	maxPageNames = 200_000
	// FullEvery is how often such a source is read from the beginning: some removals
	// are announced nowhere.
	FullEvery = 7 * 24 * time.Hour
	// Overlap covers what was changed while the last reading went on.
	Overlap = 10 * time.Minute
)

// A Reading is one attempt to catch up with a source that is read piece by piece. It
// collects what has changed and makes generations of it.
type Reading struct {
	*Job
	Known map[string]store.Object // objects of the copy in use and of this reading
	Delta *store.Delta
	Pieces
	parsed store.Parsed
	pages  int // since the last commit
	Total  int
	// First is set while the source has never been read to its end.
	First   bool
	anew    bool // the copy in use is out of reach and not built upon
	Grows   bool // pieces may come that were missing
	outcome Outcome
}

func NewReading(j *Job) (*Reading, error) {
	g := &Reading{Job: j, Known: make(map[string]store.Object), Delta: store.NewDelta(), anew: j.Copy.Anew(), outcome: Unchanged}
	if err := g.objects(); err != nil {
		return nil, err
	}
	g.Faulty = maps.Clone(j.Bad)
	g.Grows = len(g.Faulty) > 0
	g.Waited = j.Failures > pausesBefore // the one that has begun counts
	return g, nil
}

// objects reads the objects of the copy in use.
func (g *Reading) objects() error {
	if g.anew {
		return nil
	}
	in, err := g.Copy.Open()
	if in == nil {
		return err
	}
	defer in.Close()
	return in.Each(func(o store.Object) error {
		if in.Names == nil {
			o.Modified = 0 // its names have never been read
		}
		g.Known[o.ID] = o
		return nil
	}, nil)
}

// LastCursor reads the cursor of the copy in use.
func (g *Reading) LastCursor(v any) {
	if !g.anew {
		g.Copy.InUse().DecodeCursor(v)
	}
}

// An Envelope is what an answer of such a source has beside its objects.
type Envelope struct {
	store.Page
	Seen   []document.Object
	More   bool
	Next   string
	Header func(string) string
	// Nothing is set for a document that is an empty object.
	Nothing bool
}

// Ask gets one page and parses it.
func (g *Reading) Ask(ctx context.Context, q client.Request, opts document.Options) (Envelope, error) {
	a, err := g.Client.Get(ctx, q)
	if err != nil {
		return Envelope{}, err
	}
	defer a.Close()
	e := Envelope{Header: a.Header.Get}
	body := bufio.NewReader(a.Body)
	e.Nothing = isEmptyObject(body)
	if opts.Format != "stix" && e.Nothing { // which is an answer in TAXII alone
		return e, errors.New("an empty object is no answer")
	}
	opts.MaxBytes = g.Spec.MaxBytes
	opts.Seen = func(o document.Object) { e.Seen = append(e.Seen, o) }
	opts.Now = g.Now()
	names := 0
	opts.Names = func(entry document.Entry) error {
		if names++; names > maxPageNames {
			g.parsed.DroppedNames++
			return nil
		}
		e.Entries = append(e.Entries, entry)
		return nil
	}
	report, err := feeds.Parse(body, opts, func(entry document.Entry) error {
		if len(e.Entries)-min(names, maxPageNames) >= g.MaxIndicators {
			return fmt.Errorf("%w: more than the %d of max_indicators", ErrTooMany, g.MaxIndicators)
		}
		e.Entries = append(e.Entries, entry)
		return nil
	})
	if err != nil {
		return e, err
	}
	n := len(g.Known)
	for _, o := range e.Seen {
		if _, known := g.Known[o.ID]; !known {
			n++
		}
	}
	if limit := g.MaxObjects; n > limit {
		return e, fmt.Errorf("%w: more than the %d of fetch.max_objects; the rest is not read", ErrTooMany, limit)
	}
	g.Fine()
	g.parsed.Add(store.ParsedOf(report, g.Client.Scrub.Text))
	e.More, e.Next = report.More, report.Next
	return e, nil
}

// isEmptyObject looks ahead whether a body is {}.
func isEmptyObject(body *bufio.Reader) bool {
	head, err := body.Peek(64)
	return err != nil && string(bytes.Join(bytes.Fields(head), nil)) == "{}"
}

// Apply takes a page in. Objects that are known already are left out, so that
// readings that overlap change nothing.
func (g *Reading) Apply(p store.Page) {
	same := make(map[string]bool)
	p.Objects = slices.DeleteFunc(p.Objects, func(o store.Object) bool {
		known, ok := g.Known[o.ID]
		same[o.ID] = ok && o.Modified != 0 && known == o && !p.Partial[o.ID]
		return same[o.ID]
	})
	p.Entries = slices.DeleteFunc(p.Entries, func(e document.Entry) bool { return same[e.NativeID] })
	for _, o := range p.Objects {
		g.Known[o.ID] = o
	}
	for _, id := range p.Removed {
		delete(g.Known, id)
	}
	g.Delta.Apply(p)
	g.pages++
	g.Total++
}

// Full reports whether it is time to commit.
func (g *Reading) Full() bool {
	return g.pages >= maxPendingPages || len(g.Delta.Entries) >= maxPendingEntries || len(g.Delta.Objects) >= maxPendingEntries
}

// ErrHeld ends a reading of which a part was held back.
var ErrHeld = errors.New("held back")

// Commit makes a generation of the copy in use and what has changed since, with the
// place to go on from. It is ErrHeld when a guard minds.
func (g *Reading) Commit(cursor any) error {
	text, err := json.Marshal(cursor)
	if err != nil {
		return err
	}
	good := g.Copy.InUse()
	same := good != nil && string(good.Cursor) == string(text)
	if good == nil && !g.Copy.Lost() && (g.First || g.good == 0 && g.Pieces.First != nil) {
		same = true // a first reading of which nothing has come is no copy
	}
	if g.Delta.Empty() && same {
		return nil
	}
	var old *store.Reader
	if !g.anew {
		if old, err = g.Copy.Open(); err != nil {
			return err
		}
	}
	if old != nil {
		defer old.Close()
	}
	g.anew = false
	w, err := g.Copy.Create()
	if err != nil {
		return err
	}
	defer w.Discard()
	if err := g.Delta.Merge(old, w); err != nil {
		return err
	}
	if w.Entries > g.MaxIndicators {
		return fmt.Errorf("%w: more than the %d of max_indicators", ErrTooMany, g.MaxIndicators)
	}
	return g.settle(w, store.Description{Cursor: text, Parsed: g.parsed, Partial: g.First, Grows: g.Grows || g.First})
}

func (g *Reading) settle(w *store.Writer, d store.Description) error {
	d.Parsed.Verdict = document.OK // pages may be empty, what counts is the whole
	out, err := g.Copy.Settle(w, d, -1)
	if err != nil {
		return err
	}
	g.Delta, g.pages = store.NewDelta(), 0
	g.outcome = out
	if out == HeldBack {
		return ErrHeld
	}
	return nil
}

// Done gives the outcome of a reading that ended with err, after a last commit. Nothing
// but failures are one of the source.
func (g *Reading) Done(err error) (Outcome, error) {
	g.Bad = g.Faulty
	if err == nil && g.good == 0 {
		err = g.Pieces.First
	}
	if err == nil {
		err = g.paused // what comes by then is in use, and the pause is made
	}
	switch {
	case errors.Is(err, ErrHeld):
		return HeldBack, nil
	case err != nil:
		return Failed, err
	}
	return g.outcome, nil
}

// Keep commits what was read before an error, so that the next attempt goes on
// there.
func (g *Reading) Keep(cursor any, err error) error {
	if e := g.Commit(cursor); e != nil {
		return e
	}
	return err
}

// GetJSON decodes a small document of a service.
func (g *Reading) GetJSON(ctx context.Context, q client.Request, v any) error {
	a, err := g.Client.Get(ctx, q)
	if err != nil {
		return err
	}
	defer a.Close()
	err = json.NewDecoder(io.LimitReader(a.Body, g.Spec.MaxBytes)).Decode(v)
	if _, strange := errors.AsType[*client.NetError](err); err != nil && strange {
		return err
	}
	if err != nil {
		return fmt.Errorf("the response is not the expected JSON: %w", err)
	}
	return nil
}

// SameBase makes sure that a link of the service leads to the service: its key goes
// with it.
func (g *Reading) SameBase(link string) error {
	u, err := url.Parse(link)
	base, baseErr := url.Parse(string(g.Spec.URL))
	if err != nil || baseErr != nil || u.Scheme != base.Scheme || !client.SameHost(u, base) {
		return errors.New("the service links to another host; that is not followed")
	}
	return nil
}

// WithQuery gives a URL with further parameters.
func WithQuery(base string, set map[string]string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	q := u.Query()
	for name, value := range set {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// ObjectOf makes an object of what the parser has seen.
func ObjectOf(o document.Object, group string, round uint32) store.Object {
	out := store.Object{ID: o.ID, Group: group, Round: round}
	if !o.Modified.IsZero() {
		out.Modified = o.Modified.UnixNano()
	}
	return out
}

// Latest gives the later of two times.
func Latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// GoneFrom makes the test for objects that a complete reading has not met: finished
// has the round of each group that was read to its end.
func GoneFrom(finished map[string]uint32) func(store.Object) bool {
	if len(finished) == 0 {
		return nil
	}
	finished = maps.Clone(finished)
	return func(o store.Object) bool {
		round, ok := finished[o.Group]
		return ok && o.Round < round
	}
}
