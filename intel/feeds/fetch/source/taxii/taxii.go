package taxii

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// taxiiLimit is how many objects a page has; a server may give fewer.
const taxiiLimit = 1000

// maxCollections bounds what a server can make us ask for.
const maxCollections = 200

// A taxiiCursor is how far each collection has been read, by its URL.
type taxiiCursor struct {
	Places map[string]*taxiiPlace `json:"places"`
	// Found is when the collections were looked up, Lost are the API roots that could not
	// be read then.
	Found time.Time `json:"found,omitzero"`
	Lost  []string  `json:"lost,omitempty"`
}

// A taxiiPlace is how far one collection has been read.
type taxiiPlace struct {
	// After is the time of addition of the last object, as the standard writes it.
	After string `json:"after,omitempty"`
	// Next is the token of the next page of a reading that broke off, Last the newest
	// time of addition in it.
	Next string `json:"next,omitempty"`
	Last string `json:"last,omitempty"`
	// Full means that the reading under way is one from the beginning, Round counts
	// those, FullDone is when the last one ended.
	Full     bool      `json:"full,omitempty"`
	Round    uint32    `json:"round"`
	FullDone time.Time `json:"full_done,omitzero"`
	// Failed counts the readings in a row that have failed here, up to giveUpAfter.
	Failed int `json:"failed,omitempty"`
	// Beyond is when a way around what cannot be had was last looked for.
	Beyond time.Time `json:"beyond,omitzero"`
	// Skipped is set when the reading under way went past something, Missed is what
	// readings before it did.
	Skipped bool           `json:"skipped,omitempty"`
	From    string         `json:"from,omitempty"`
	Missed  *source.Missed `json:"missed,omitempty"`
}

// giveUpAfter is how often a page may fail before the way around it is tried.
const giveUpAfter = 2

// Names of bad pieces of a server.
const (
	rootPiece       = "API root "
	collectionPiece = "collection "
	discoveryPiece  = "discovery"
)

// A reading is one attempt to catch up with a server.
type reading struct {
	*source.Reading
	cur      taxiiCursor
	start    time.Time
	finished map[string]uint32
	note     string
}

// Pull reads what was added to the collections since the last time.
func Pull(ctx context.Context, j *source.Job) (source.Outcome, string, error) {
	g, err := source.NewReading(j)
	if err != nil {
		return source.Failed, "", err
	}
	t := &reading{Reading: g, start: j.Now(), finished: make(map[string]uint32)}
	t.LastCursor(&t.cur)
	out, err := g.Done(t.run(ctx))
	return out, t.note, err
}

// run reads the collections that are known, and then those that are found besides: what is
// wrong with the discovery or with an API root delays nothing.
func (t *reading) run(ctx context.Context) error {
	known := maps.Clone(t.cur.Places)
	err := t.read(ctx, known)
	if err == nil {
		err = t.find(ctx)
	}
	if len(t.cur.Places) == 0 {
		return cmp.Or(err, t.Pieces.First, errors.New("no collection that can be read, or none of those that were named"))
	}
	if err == nil {
		fresh := maps.Clone(t.cur.Places)
		maps.DeleteFunc(fresh, func(at string, _ *taxiiPlace) bool { return known[at] != nil })
		err = t.read(ctx, fresh)
	}
	t.Delta.Gone = source.GoneFrom(t.finished)
	if err != nil {
		return t.Keep(t.cur, err)
	}
	t.First = false
	return t.Commit(t.cur)
}

// read reads collections to their ends, those that have failed the last time after the
// others. The error ends the reading.
func (t *reading) read(ctx context.Context, places map[string]*taxiiPlace) error {
	for _, p := range places {
		t.First = t.First || p.FullDone.IsZero()
	}
	t.Grows = t.Grows || t.First
	order := slices.SortedFunc(maps.Keys(places), func(a, b string) int {
		return cmp.Or(places[a].Failed-places[b].Failed, strings.Compare(a, b))
	})
	for _, at := range order {
		err := t.collection(ctx, at, places[at])
		if err == nil {
			delete(t.Faulty, collectionPiece+spec.RedactURL(at))
			continue
		}
		stop := t.Fail(ctx, err)
		if ctx.Err() == nil && !client.NeverReached(err) && !errors.Is(err, source.ErrPages) && !errors.Is(err, source.ErrHeld) {
			t.Name(collectionPiece+spec.RedactURL(at), err)
		}
		if stop != nil {
			return stop
		}
	}
	return nil
}

// find looks up the collections, at first and then once a week; in API roots that could
// not be read, each time. The error ends the reading.
func (t *reading) find(ctx context.Context) error {
	if len(t.cur.Places) > 0 && t.start.Sub(t.cur.Found) < source.FullEvery {
		return t.lookUp(ctx, t.cur.Lost, false)
	}
	roots, single, err := t.discover(ctx)
	switch {
	case err != nil && len(t.cur.Places) == 0:
		return err
	case err != nil:
		stop := t.Fail(ctx, err)
		t.Name(discoveryPiece, err)
		return cmp.Or(stop, t.lookUp(ctx, t.cur.Lost, false))
	}
	delete(t.Faulty, discoveryPiece)
	t.cur.Found = t.start
	if single != "" {
		t.places([]string{single}, nil)
		return nil
	}
	for name := range t.Faulty {
		if root, ok := strings.CutPrefix(name, rootPiece); ok && !slices.ContainsFunc(roots, func(r string) bool { return spec.RedactURL(r) == root }) {
			delete(t.Faulty, name)
		}
	}
	return t.lookUp(ctx, roots, true)
}

// lookUp takes over the collections of API roots. all means that there are no other roots.
// The error ends the reading.
func (t *reading) lookUp(ctx context.Context, roots []string, all bool) error {
	var found, lost []string
	var stop error
	roots = slices.Clone(roots)
	slices.SortStableFunc(roots, func(a, b string) int {
		return t.WasBad(rootPiece+spec.RedactURL(a)) - t.WasBad(rootPiece+spec.RedactURL(b))
	})
	for i, root := range roots {
		in, err := t.root(ctx, root)
		if err == nil {
			t.Row = 0
			delete(t.Faulty, rootPiece+spec.RedactURL(root))
			found = append(found, in...)
			continue
		}
		lost = append(lost, root)
		if errors.Is(err, errNoCollection) { // it may be so, and is asked for again
			t.Row = 0
			if slices.ContainsFunc(slices.Collect(maps.Keys(t.cur.Places)), func(at string) bool { return strings.HasPrefix(at, root+"collections/") }) {
				t.Name(rootPiece+spec.RedactURL(root), err)
			} else {
				delete(t.Faulty, rootPiece+spec.RedactURL(root))
			}
			continue
		}
		stop = t.Fail(ctx, err)
		if ctx.Err() == nil && !client.NeverReached(err) {
			t.Name(rootPiece+spec.RedactURL(root), err)
		}
		if stop != nil {
			lost = append(lost, roots[i+1:]...)
			break
		}
	}
	t.cur.Lost = lost
	if !all {
		found = append(found, slices.Collect(maps.Keys(t.cur.Places))...)
	}
	t.places(found, lost)
	return stop
}

var errNoCollection = errors.New("it lists no collection any more")

// places sets the collections to read: those found, and what is known of the roots that
// could not be read. All else is gone.
func (t *reading) places(found, lost []string) {
	places := make(map[string]*taxiiPlace)
	for _, at := range found {
		if places[at] = t.cur.Places[at]; places[at] == nil {
			places[at] = new(taxiiPlace)
		}
	}
	for at, p := range t.cur.Places {
		switch {
		case places[at] != nil:
		case slices.ContainsFunc(lost, func(root string) bool { return strings.HasPrefix(at, root+"collections/") }):
			places[at] = p
		default:
			t.finished[at] = 1<<32 - 1 // the collection is gone, and all of it
			if t.Delta.Forget(at) {
				// An object of it may be one of another collection, too.
				for _, p := range places {
					if p.Next == "" {
						p.After = "" // the next fetch reads all of it
					}
				}
			}
			delete(t.Faulty, collectionPiece+spec.RedactURL(at))
		}
	}
	t.cur.Places = places
}

// taxiiResource is the discovery, an API root, a list of collections or a single one:
// they are distinguished by what they have.
type taxiiResource struct {
	APIRoots []json.RawMessage `json:"api_roots"`
	Versions []string          `json:"versions"`
	taxiiCollection
}

type taxiiCollection struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	CanRead *bool  `json:"can_read"`
}

// discover gives the API roots of the server, or the one collection that the feed is.
func (t *reading) discover(ctx context.Context) (roots []string, single string, err error) {
	base := strings.TrimSuffix(string(t.Spec.URL), "/") + "/"
	var top taxiiResource
	if err := t.GetJSON(ctx, client.Request{URL: base}, &top); err != nil {
		return nil, "", err
	}
	switch {
	case top.CanRead != nil:
		return nil, base, nil
	case len(top.Versions) > 0:
		return []string{base}, "", nil
	case len(top.APIRoots) == 0:
		return nil, "", errors.New("neither a TAXII 2.1 discovery, nor an API root, nor a collection")
	}
	for _, raw := range top.APIRoots {
		var link string
		if err := json.Unmarshal(raw, &link); err != nil {
			t.note = "API root left out: not a URL"
			continue
		}
		root, err := t.resolve(base, link)
		if err != nil {
			t.note = "API root left out: " + err.Error()
			continue
		}
		roots = append(roots, root)
	}
	return roots, "", nil
}

// resolve makes a link of the server absolute; it must stay there.
func (t *reading) resolve(base, link string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(strings.TrimSuffix(link, "/") + "/")
	if err != nil {
		return "", errors.New("not a URL")
	}
	return u.String(), t.SameBase(u.String())
}

// root gives the collections of one API root that can be read and are configured.
func (t *reading) root(ctx context.Context, root string) ([]string, error) {
	var doc map[string]json.RawMessage
	if err := t.GetJSON(ctx, client.Request{URL: root + "collections/"}, &doc); err != nil {
		return nil, err
	}
	var list []json.RawMessage
	raw, ok := doc["collections"] // is left out where there are none (TAXII 2.1, 5.1.1)
	if doc == nil || len(doc) > 0 && !ok || ok && json.Unmarshal(raw, &list) != nil {
		return nil, errors.New("the answer is no list of collections")
	}
	if len(list) == 0 {
		return nil, errNoCollection
	}
	if len(list) > maxCollections {
		t.note = fmt.Sprintf("%d collections in an API root, at most %d are read", len(list), maxCollections)
		list = list[:maxCollections]
	}
	var out []string
	configured := t.Spec.TAXII.Collections
	for _, raw := range list {
		var c taxiiCollection
		if err := json.Unmarshal(raw, &c); err != nil || c.ID == "" {
			t.note = "an API root lists a collection without a usable id"
			continue
		}
		if c.CanRead != nil && !*c.CanRead {
			continue
		}
		if len(configured) == 0 || slices.Contains(configured, c.ID) || slices.Contains(configured, c.Title) {
			out = append(out, root+"collections/"+url.PathEscape(c.ID)+"/")
		}
	}
	return out, nil
}

// collection reads one collection to its end.
func (t *reading) collection(ctx context.Context, at string, p *taxiiPlace) error {
	p.After, p.Last = taxiiTimestamp(p.After), taxiiTimestamp(p.Last) // kept by an earlier version as they came
	if p.Next == "" {
		p.Skipped, p.From = false, p.After
		full := p.FullDone.IsZero() || t.start.Sub(p.FullDone) >= source.FullEvery || p.After == ""
		if p.Missed.Due(t.start) {
			p.From = ""
			if !p.Missed.From.IsZero() {
				p.From = p.Missed.From.UTC().Format(taxiiStamp)
			}
			p.After = p.From
			full = full || p.From == ""
		}
		if full {
			p.Full = true
			p.Round++
			p.After, p.From = "", ""
		}
	}
	limit := cmp.Or(t.Spec.TAXII.Limit, taxiiLimit) // medallion fails without
	for {
		e, err := t.objectsPage(ctx, at, p, limit)
		if err != nil && t.mayGoBeyond(ctx, p, err) {
			e, err = t.beyond(ctx, at, p, limit, err)
		}
		if err != nil {
			return t.giveUp(p, err)
		}
		t.take(at, p, e)
		if last := taxiiTimestamp(e.Header("X-TAXII-Date-Added-Last")); last != "" {
			p.Last = last
		}
		if !e.More {
			break
		}
		switch {
		case e.Next != "" && e.Next != p.Next:
			p.Next = e.Next
		case e.Next == "" && p.Last != "" && p.Last != p.After:
			p.After = p.Last // a server without tokens
		default:
			return errors.New("the server announces more pages without a link")
		}
		if t.Total >= source.MaxPages {
			return source.ErrPages
		}
		if t.Reading.Full() {
			if err := t.Commit(t.cur); err != nil {
				return err
			}
		}
	}
	t.endOf(at, p)
	return nil
}

// taxiiTimestamp gives a time as the standard requires it (TAXII 2.1, 3.2: RFC 3339, in UTC,
// to the microsecond), whatever way a server has written it; empty where it is none. It
// is cut, never rounded up: what was added after it must come with the next page.
func taxiiTimestamp(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t = dates.Find(s)
	}
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(taxiiStamp)
}

// objectsPage asks for the next page of a collection.
func (t *reading) objectsPage(ctx context.Context, at string, p *taxiiPlace, limit int) (source.Envelope, error) {
	e, err := t.Ask(ctx, client.Request{URL: t.pageURL(at, p, limit)}, document.Options{Format: "stix"})
	if err == nil && p.Next != "" && len(e.Seen) == 0 && !e.More && e.Nothing {
		return e, errors.New("a page that was announced is empty")
	}
	return e, err
}

// mayGoBeyond reports whether a way around a page is to be looked for: it has failed for
// some time, or is known to, and the error is about what it holds, rather than about the
// collection, who asks or the whole source. The request for a pause is taken for one that
// the page makes once pauses were made in vain; whether it is, the rest of the collection
// shows.
func (t *reading) mayGoBeyond(ctx context.Context, p *taxiiPlace, err error) bool {
	if ctx.Err() != nil || client.NeverReached(err) || errors.Is(err, source.ErrTooMany) || p.Skipped {
		return false
	}
	failed := max(p.Failed, t.Failures-1) // nothing is kept of a first reading in vain
	if p.Missed == nil && (failed < giveUpAfter || t.start.Sub(p.Beyond) < beyondEvery) {
		return false
	}
	return !source.IsPause(err) || t.Waited || p.Missed != nil
}

// beyondEvery is how often a way around is looked for in vain.
const beyondEvery = 6 * time.Hour

// beyond goes past what cannot be had: first in small pages from the last known time of
// addition, as far as they can be had, then by a later time. All that could have been in
// between is read again later. The answer is the first page behind it.
func (t *reading) beyond(ctx context.Context, at string, p *taxiiPlace, limit int, why error) (source.Envelope, error) {
	p.Beyond = t.start
	now := taxiiPlace{After: t.start.UTC().Format(taxiiStamp)}
	if _, err := t.objectsPage(ctx, at, &now, 1); err != nil {
		return source.Envelope{}, why // it is the collection
	}
	p.Next, p.After = "", cmp.Or(p.Last, p.After)
	since, _ := time.Parse(time.RFC3339Nano, p.After)
	for small := min(limit, 10); ; {
		e, err := t.objectsPage(ctx, at, p, small)
		switch {
		case err != nil && (ctx.Err() != nil || client.NeverReached(err)):
			return e, err
		case err != nil && small > 1:
			small = 1
			continue
		case err != nil:
			return t.jump(ctx, at, p, limit, since, why)
		case e.Nothing:
			return e, why // more was announced
		case !e.More:
			return e, nil // it can be had now
		}
		t.take(at, p, e)
		p.Skipped = true // others may have been added at the time of the last one
		next, err := time.Parse(time.RFC3339Nano, taxiiTimestamp(e.Header("X-TAXII-Date-Added-Last")))
		if err != nil || !next.After(since) || t.Total >= source.MaxPages {
			return e, why
		}
		since, p.After = next, next.UTC().Format(time.RFC3339Nano)
		p.Last = p.After
	}
}

// jumps is how many times are tried to find the end of what cannot be had.
const jumps = 24

// jump gives the first page that can be had of what was added after a time, by bisection
// of the distance on a logarithmic scale: from that time on, or from now back if there is
// none.
func (t *reading) jump(ctx context.Context, at string, p *taxiiPlace, limit int, since time.Time, why error) (source.Envelope, error) {
	place := func(distance float64) taxiiPlace { // in microseconds
		d := time.Duration(distance) * time.Microsecond
		after := since.Add(d)
		if since.IsZero() {
			after = t.start.Add(-d)
		}
		return taxiiPlace{After: after.UTC().Format(taxiiStamp)}
	}
	bad, good := 1.0, float64(max(t.start.Sub(since), time.Second).Microseconds())
	if since.IsZero() {
		bad, good = float64((10 * 365 * 24 * time.Hour).Microseconds()), 1e6
	}
	for range jumps {
		middle := math.Sqrt(bad * good)
		try := place(middle)
		_, err := t.objectsPage(ctx, at, &try, 1)
		switch {
		case err == nil:
			good = middle
		case ctx.Err() != nil || client.NeverReached(err):
			return source.Envelope{}, err
		default:
			bad = middle
		}
	}
	try := place(good)
	e, err := t.objectsPage(ctx, at, &try, limit)
	if err != nil {
		return e, why
	}
	p.Next, p.After, p.Last, p.Skipped = "", try.After, "", true
	return e, nil
}

// giveUp notes where to go on. A token that the server does not know any more, or
// that has failed twice, is forgotten.
func (t *reading) giveUp(p *taxiiPlace, err error) error {
	if errors.Is(err, source.ErrTooMany) || client.NeverReached(err) {
		return err
	}
	p.Failed = min(p.Failed+1, giveUpAfter)
	e, ok := errors.AsType[*client.StatusError](err)
	if p.Next != "" && (ok && isRefusal(e.Code) || p.Failed >= giveUpAfter) {
		p.Next, p.Last = "", ""
	}
	return err
}

// isRefusal recognises that a question as such is wrong, not its time or who asks.
func isRefusal(code int) bool {
	return code >= 400 && code < 500 && code != http.StatusTooManyRequests &&
		code != http.StatusUnauthorized && code != http.StatusForbidden
}

// taxiiStamp is the form of times in questions (TAXII 2.1, 3.1: timestamp).
const taxiiStamp = "2006-01-02T15:04:05.000000Z"

// pageURL is the question for the next page, always with the same filters.
func (t *reading) pageURL(at string, p *taxiiPlace, limit int) string {
	set := map[string]string{
		"match[type]": "indicator",
		"limit":       strconv.Itoa(limit),
	}
	if p.After != "" {
		set["added_after"] = p.After
	}
	if p.Next != "" {
		set["next"] = p.Next
	}
	return source.WithQuery(at+"objects/", set)
}

// take brings the indicators of a page in. An older version than the one that is
// known changes nothing; a revoked one stays as an object without entries, so that an
// older one cannot bring it back.
func (t *reading) take(at string, p *taxiiPlace, e source.Envelope) {
	old := make(map[string]bool)
	for _, seen := range e.Seen {
		o := source.ObjectOf(seen, at, p.Round)
		known, ok := t.Known[o.ID]
		if ok && known.Modified > o.Modified && known.Round == o.Round && known.Group == at {
			old[o.ID] = true
			continue
		}
		e.Objects = append(e.Objects, o)
	}
	if len(old) > 0 {
		e.Entries = slices.DeleteFunc(e.Entries, func(x document.Entry) bool { return old[x.NativeID] })
	}
	t.Apply(e.Page)
}

// endOf notes that a collection was read to its end. A server that does not say when
// the last object was added is read anew each time.
func (t *reading) endOf(at string, p *taxiiPlace) {
	if p.Full {
		if !p.Skipped {
			t.finished[at] = p.Round
		}
		p.FullDone = t.start
	}
	from, _ := time.Parse(time.RFC3339Nano, p.From)
	p.Missed = t.MissedNow(p.Missed, from, p.Skipped, t.start)
	if p.Missed != nil {
		if p.Skipped && p.Missed.Tries > 4 { // to find the way around takes many requests
			p.Missed.Again = t.start.Add(2 * time.Hour)
		}
		t.Name(partPiece+spec.RedactURL(at), errMissed)
	} else {
		delete(t.Faulty, partPiece+spec.RedactURL(at))
	}
	if p.Last != "" {
		p.After = p.Last
	}
	p.Next, p.Last, p.Full, p.Skipped, p.From, p.Failed = "", "", false, false, "", 0
}

// partPiece is how the names of collections of which a part is missing begin.
const partPiece = "part of collection "

var errMissed = errors.New("some objects cannot be had; those before and after them are used")
