package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
)

// taxiiLimit is how many objects a page has; a server may give fewer.
const taxiiLimit = 1000

// maxCollections bounds what a server can make us ask for.
const maxCollections = 200

// A taxiiCursor is how far each collection has been read, by its URL.
type taxiiCursor struct {
	Places map[string]*taxiiPlace `json:"places"`
	// Found is when the collections were looked up.
	Found time.Time `json:"found,omitzero"`
}

// A taxiiPlace is how far one collection has been read.
type taxiiPlace struct {
	// After is the time of addition of the last object, as the standard writes it.
	After string `json:"after,omitempty"`
	// Next is the token of the next page of a reading that broke off, Last the newest
	// time of addition in it.
	Next string `json:"next,omitempty"`
	Last string `json:"last,omitempty"`
	// Full tells that the reading under way is one from the beginning, Round counts
	// those, FullDone is when the last one ended.
	Full     bool      `json:"full,omitempty"`
	Round    uint32    `json:"round"`
	FullDone time.Time `json:"full_done,omitzero"`
}

// A taxiiReading is one attempt to catch up with a server.
type taxiiReading struct {
	*reading
	cur      taxiiCursor
	start    time.Time
	finished map[string]uint32
	note     string
	lost     []string // API roots that did not answer
}

// pullTAXII reads what was added to the collections since the last time.
func (r *runner) pullTAXII(ctx context.Context, c *client) (Outcome, string, error) {
	g, err := r.newReading(c)
	if err != nil {
		return Failed, "", err
	}
	t := &taxiiReading{reading: g, start: r.m.now(), finished: make(map[string]uint32)}
	r.lastCursor(&t.cur)
	out, err := g.done(t.run(ctx))
	return out, cmp.Or(g.tally.note(), t.note), err
}

func (t *taxiiReading) run(ctx context.Context) error {
	if err := t.find(ctx); err != nil {
		return err
	}
	t.first = slices.ContainsFunc(slices.Collect(maps.Values(t.cur.Places)),
		func(p *taxiiPlace) bool { return p.FullDone.IsZero() })
	for _, at := range slices.Sorted(maps.Keys(t.cur.Places)) {
		err := t.collection(ctx, at, t.cur.Places[at])
		switch {
		case err == nil:
			t.succeeded()
		case !t.failed(ctx, "collection "+redactURL(at), err):
			t.delta.gone = goneFrom(t.finished)
			return t.keep(t.cur, err)
		}
	}
	t.first = t.first && t.bad > 0
	t.delta.gone = goneFrom(t.finished)
	return t.commit(t.cur)
}

// find looks up the collections, at first and then once a week.
func (t *taxiiReading) find(ctx context.Context) error {
	if len(t.cur.Places) > 0 && t.start.Sub(t.cur.Found) < fullEvery {
		return nil
	}
	found, err := t.discover(ctx)
	switch {
	case err == nil:
	case len(t.cur.Places) > 0 && t.failed(ctx, "discovery", err):
		return nil // those that are known are read, and the look-up is made again next time
	default:
		return err
	}
	if len(found) == 0 {
		return errors.New("no collection that can be read, or none of those that were named")
	}
	for at := range t.cur.Places { // of API roots that did not answer
		if slices.ContainsFunc(t.lost, func(root string) bool { return strings.HasPrefix(at, root) }) && !slices.Contains(found, at) {
			found = append(found, at)
		}
	}
	places := make(map[string]*taxiiPlace)
	for _, at := range found {
		if places[at] = t.cur.Places[at]; places[at] == nil {
			places[at] = new(taxiiPlace)
		}
	}
	for at := range t.cur.Places {
		if places[at] == nil {
			t.finished[at] = 1<<32 - 1 // the collection is gone, and all of it
		}
	}
	t.cur.Places, t.cur.Found = places, t.start
	if len(t.lost) > 0 {
		t.cur.Found = time.Time{} // looked up again next time
	}
	return nil
}

// taxiiResource is the discovery, an API root, a list of collections or a single one:
// they are told apart by what they have.
type taxiiResource struct {
	APIRoots    []string          `json:"api_roots"`
	Collections []taxiiCollection `json:"collections"`
	Versions    []string          `json:"versions"`
	taxiiCollection
}

type taxiiCollection struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	CanRead *bool  `json:"can_read"`
}

// discover gives the URLs of the collections, from the discovery, an API root or a
// collection.
func (t *taxiiReading) discover(ctx context.Context) ([]string, error) {
	base := strings.TrimSuffix(string(t.r.spec.URL), "/") + "/"
	var top taxiiResource
	if err := t.getJSON(ctx, request{url: base}, &top); err != nil {
		return nil, err
	}
	switch {
	case top.CanRead != nil:
		return []string{base}, nil
	case len(top.Versions) > 0:
		return t.root(ctx, base)
	case len(top.APIRoots) == 0:
		return nil, errors.New("neither a TAXII 2.1 discovery, nor an API root, nor a collection")
	}
	var out []string
	for _, link := range top.APIRoots {
		root, err := t.resolve(base, link)
		if err != nil {
			t.note = "API root left out: " + err.Error()
			continue
		}
		found, err := t.root(ctx, root)
		switch {
		case err == nil:
		case t.failed(ctx, "API root "+redactURL(root), err):
			t.lost = append(t.lost, root)
		default:
			return nil, err
		}
		out = append(out, found...)
	}
	if len(out) == 0 && len(t.lost) > 0 && len(t.cur.Places) == 0 {
		return nil, t.tally.first
	}
	return out, nil
}

// resolve makes a link of the server absolute; it must stay there.
func (t *taxiiReading) resolve(base, link string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(strings.TrimSuffix(link, "/") + "/")
	if err != nil {
		return "", errors.New("not a URL")
	}
	return u.String(), t.sameBase(u.String())
}

// root gives the collections of one API root that can be read and are wanted.
func (t *taxiiReading) root(ctx context.Context, root string) ([]string, error) {
	var members map[string]json.RawMessage
	if err := t.getJSON(ctx, request{url: root + "collections/"}, &members); err != nil {
		return nil, err
	}
	var list taxiiResource
	if text, ok := members["collections"]; ok {
		if err := json.Unmarshal(text, &list.Collections); err != nil {
			return nil, fmt.Errorf("the answer is not a list of collections: %w", err)
		}
	} else if len(members) > 0 {
		return nil, errors.New("the answer is not a list of collections")
	}
	if len(list.Collections) > maxCollections {
		return nil, fmt.Errorf("%d collections in an API root, at most %d are read", len(list.Collections), maxCollections)
	}
	var out []string
	wanted := t.r.spec.TAXII.Collections
	for _, c := range list.Collections {
		if c.ID == "" || c.CanRead != nil && !*c.CanRead {
			continue
		}
		if len(wanted) == 0 || slices.Contains(wanted, c.ID) || slices.Contains(wanted, c.Title) {
			out = append(out, root+"collections/"+url.PathEscape(c.ID)+"/")
		}
	}
	return out, nil
}

// collection reads one collection to its end.
func (t *taxiiReading) collection(ctx context.Context, at string, p *taxiiPlace) error {
	p.After, p.Last = taxiiTimestamp(p.After), taxiiTimestamp(p.Last) // kept by an earlier version as they came
	if p.Next == "" && (p.FullDone.IsZero() || t.start.Sub(p.FullDone) >= fullEvery || p.After == "") {
		p.Full = true
		p.Round++
		p.After = ""
	}
	for {
		e, err := t.ask(ctx, request{url: t.pageURL(at, p)}, feeds.Options{Format: "stix"})
		if err != nil {
			return t.giveUp(p, err)
		}
		t.take(at, p, e)
		if last := taxiiTimestamp(e.header("X-TAXII-Date-Added-Last")); last != "" {
			p.Last = last
		}
		if !e.more {
			break
		}
		switch {
		case e.next != "" && e.next != p.Next:
			p.Next = e.next
		case e.next == "" && p.Last != "" && p.Last != p.After:
			p.After = p.Last // a server without tokens
		default:
			return errors.New("the server says that there is more, but not where")
		}
		if t.total >= maxPages {
			return fmt.Errorf("more than %d pages; the next fetch goes on", maxPages)
		}
		if t.reading.full() {
			if err := t.commit(t.cur); err != nil {
				return err
			}
		}
	}
	t.endOf(at, p)
	return nil
}

// taxiiTimestamp gives a time as the standard wants it (TAXII 2.1, 3.2: RFC 3339, in UTC,
// to the microsecond), whatever way a server has written it; empty where it is none. It
// is cut, never rounded up: what was added after it must come with the next page.
func taxiiTimestamp(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t = feeds.ParseTime(s)
	}
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// giveUp notes where to go on. A token that the server does not know any more, or
// that has failed twice, is forgotten.
func (t *taxiiReading) giveUp(p *taxiiPlace, err error) error {
	e, ok := errors.AsType[*statusError](err)
	if ok && p.Next != "" && (isRefusal(e.code) || t.r.failures() > 1) {
		p.Next, p.Last = "", ""
	}
	return err
}

// isRefusal tells that a question as such is wrong, not its time or who asks.
func isRefusal(code int) bool {
	return code >= 400 && code < 500 && code != http.StatusTooManyRequests &&
		code != http.StatusUnauthorized && code != http.StatusForbidden
}

// pageURL is the question for the next page, always with the same filters.
func (t *taxiiReading) pageURL(at string, p *taxiiPlace) string {
	set := map[string]string{
		"match[type]": "indicator",
		"limit":       strconv.Itoa(cmp.Or(t.r.spec.TAXII.Limit, taxiiLimit)), // medallion fails without
	}
	if p.After != "" {
		set["added_after"] = p.After
	}
	if p.Next != "" {
		set["next"] = p.Next
	}
	return withQuery(at+"objects/", set)
}

// take brings the indicators of a page in. An older version than the one that is
// known changes nothing; a revoked one stays as an object without entries, so that an
// older one cannot bring it back.
func (t *taxiiReading) take(at string, p *taxiiPlace, e envelope) {
	old := make(map[string]bool)
	for _, seen := range e.seen {
		o := objectOf(seen, at, p.Round)
		known, ok := t.known[o.id]
		if ok && known.modified > o.modified && known.round == o.round && known.group == at {
			old[o.id] = true
			continue
		}
		e.objects = append(e.objects, o)
	}
	if len(old) > 0 {
		e.entries = slices.DeleteFunc(e.entries, func(x feeds.Entry) bool { return old[x.NativeID] })
	}
	t.apply(e.page)
}

// endOf notes that a collection was read to its end. A server that does not say when
// the last object was added is read anew each time.
func (t *taxiiReading) endOf(at string, p *taxiiPlace) {
	if p.Full {
		t.finished[at] = p.Round
		p.FullDone = t.start
	}
	if p.Last != "" {
		p.After = p.Last
	}
	p.Next, p.Last, p.Full = "", "", false
}
