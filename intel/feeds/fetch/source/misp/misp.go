package misp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// ManifestName is the list of events of a MISP feed directory.
const ManifestName = "manifest.json"

// mispLimit is how many events one page of a search has.
const mispLimit = 50

// An unixText is a time in seconds, as number or as text.
type unixText struct{ time.Time }

func (u *unixText) UnmarshalJSON(b []byte) error {
	var n json.Number
	if err := json.Unmarshal([]byte(strings.Trim(string(b), `"`)), &n); err != nil {
		return nil // a time that is none: the event is read once
	}
	if seconds, err := n.Int64(); err == nil {
		u.Time = time.Unix(seconds, 0)
	}
	return nil
}

// manifestEntry is what a manifest has of one event.
type manifestEntry struct {
	Timestamp unixText `json:"timestamp"`
}

// UnmarshalJSON never fails on valid JSON: an entry that is none spoils no other one, and
// its event is read once.
func (m *manifestEntry) UnmarshalJSON(b []byte) error {
	type plain manifestEntry
	var p plain
	if json.Unmarshal(b, &p) == nil {
		*m = manifestEntry(p)
	}
	return nil
}

// A reading is one attempt to catch up with a feed or an instance.
type reading struct{ *source.Reading }

// isUUID recognises the names of events: nothing else of a manifest gets into a URL.
var isUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`).MatchString

// PullFeed reads the events of a feed directory that are new or have changed by
// the manifest, and drops those that have gone from it.
func PullFeed(ctx context.Context, j *source.Job) (source.Outcome, string, error) {
	r, err := source.NewReading(j)
	if err != nil {
		return source.Failed, "", err
	}
	g := &reading{r}
	manifest, d, err := g.manifest(ctx)
	if err != nil || manifest == nil {
		if err == nil {
			out, err := j.Copy.Unchanged()
			return out, "", err
		}
		return source.Failed, "", err
	}
	var gone store.Page
	for id := range g.Known {
		if _, ok := manifest[id]; !ok {
			gone.Removed = append(gone.Removed, id)
		}
	}
	if len(gone.Removed) > 0 {
		g.Apply(gone)
	}
	out, err := g.Done(g.events(ctx, manifest, d))
	return out, "", err
}

// A mispFeedCursor has the validators of the manifest, once all of its events have
// been read.
type mispFeedCursor struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Complete     bool   `json:"complete"`
}

// manifest gets the list of events; nil when it has not changed.
func (g *reading) manifest(ctx context.Context) (map[string]manifestEntry, mispFeedCursor, error) {
	var last, now mispFeedCursor
	g.LastCursor(&last)
	g.First = !last.Complete
	if d := g.Copy.InUse(); d != nil && d.Names == nil {
		last.ETag, last.LastModified = "", "" // the names of its events have never been read
	}
	a, err := g.Client.Get(ctx, client.Request{URL: g.dirURL() + ManifestName, ETag: last.ETag, Modified: last.LastModified})
	if err != nil {
		return nil, now, err
	}
	defer a.Close()
	if a.StatusCode == http.StatusNotModified {
		return nil, now, nil
	}
	m := make(map[string]manifestEntry)
	if len(g.Known) > 0 {
		g.Fine() // it stands by what is in force
	}
	if err := decodeManifest(json.NewDecoder(http.MaxBytesReader(nil, a.Body, g.Spec.MaxBytes)), m); err != nil {
		return nil, now, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if limit := g.MaxObjects; len(m) > limit {
		return nil, now, fmt.Errorf("%s: %d events, more than the %d of fetch.max_objects", ManifestName, len(m), limit)
	}
	now = mispFeedCursor{a.Header.Get("ETag"), a.Header.Get("Last-Modified"), true}
	return m, now, nil
}

func decodeManifest(dec *json.Decoder, m map[string]manifestEntry) error {
	if err := dec.Decode(&m); err != nil {
		return fmt.Errorf("not an object of events: %w", err)
	}
	maps.DeleteFunc(m, func(id string, _ manifestEntry) bool { return !isUUID(id) })
	return nil
}

func (g *reading) dirURL() string {
	return strings.TrimSuffix(strings.TrimSuffix(string(g.Spec.URL), "/"+ManifestName), "/") + "/"
}

// events gets the events that are newer than what is known of them, the oldest
// first.
func (g *reading) events(ctx context.Context, manifest map[string]manifestEntry, done mispFeedCursor) error {
	var chosen []string
	for id, m := range manifest {
		if maxAge := g.Spec.MaxAge; maxAge > 0 && m.Timestamp.Unix() > 0 && g.Now().Sub(m.Timestamp.Time) > maxAge {
			continue // nothing of it could be in force
		}
		if known, ok := g.Known[id]; !ok || known.Modified < m.Timestamp.UnixNano() {
			chosen = append(chosen, id)
		}
	}
	for name := range g.Faulty {
		id, _ := strings.CutPrefix(name, eventPiece)
		if _, ok := manifest[id]; !ok || !slices.Contains(chosen, id) {
			delete(g.Faulty, name)
		}
	}
	slices.SortFunc(chosen, func(a, b string) int {
		return cmp.Or(g.WasBad(eventPiece+a)-g.WasBad(eventPiece+b), manifest[a].Timestamp.Compare(manifest[b].Timestamp.Time), strings.Compare(a, b))
	})
	var last mispFeedCursor
	g.LastCursor(&last)
	last.ETag, last.LastModified = "", "" // not before all events are here
	for _, id := range chosen {
		if err := g.event(ctx, id, manifest[id].Timestamp.Time); err != nil {
			stop := g.Fail(ctx, err)
			if ctx.Err() == nil && !client.NeverReached(err) {
				g.Name(eventPiece+id, err)
			}
			if stop != nil {
				return g.Keep(last, fmt.Errorf("event %s: %w", id, stop))
			}
			continue
		}
		delete(g.Faulty, eventPiece+id)
		if g.Full() {
			if err := g.Commit(last); err != nil {
				return err
			}
		}
	}
	g.First = false
	if len(g.Faulty) > 0 {
		done.ETag, done.LastModified = "", "" // the manifest is asked for again with them
	}
	return g.Commit(done)
}

// eventPiece is how the names of bad events begin.
const eventPiece = "event "

// event gets one event. Its time is that of the manifest, which it is compared with.
func (g *reading) event(ctx context.Context, id string, modified time.Time) error {
	at := g.dirURL() + id + ".json"
	e, err := g.Ask(ctx, client.Request{URL: at}, document.Options{Format: "misp"})
	if err != nil {
		return err
	}
	if len(e.Seen) == 0 {
		return errors.New("there is no event in it")
	}
	for i := range e.Entries {
		e.Entries[i].NativeID, e.Entries[i].Ref = id, spec.RedactURL(at)
	}
	e.Objects = []store.Object{{ID: id, Modified: modified.UnixNano()}}
	g.Apply(e.Page)
	return nil
}

// A mispCursor is how far an instance has been searched.
type mispCursor struct {
	Since    time.Time `json:"since,omitzero"`
	Page     int       `json:"page,omitempty"` // to go on with; 0 = from the start
	Pending  time.Time `json:"pending,omitzero"`
	Full     bool      `json:"full,omitempty"`
	Round    uint32    `json:"round"`
	FullDone time.Time `json:"full_done,omitzero"`
	// From is the time of change that the reading under way began with, Skipped is set when
	// a part of it could not be read, Missed is what readings before it could not.
	From    time.Time      `json:"reading_from,omitzero"`
	Skipped bool           `json:"skipped,omitempty"`
	Missed  *source.Missed `json:"missed,omitempty"`
}

// mispQuery is the body of a search for events.
type mispQuery struct {
	ReturnFormat string              `json:"returnFormat"`
	Type         map[string][]string `json:"type"`
	ToIDs        int                 `json:"to_ids"`
	Published    int                 `json:"published"`
	Timestamp    int64               `json:"timestamp,omitempty"`
	Limit        int                 `json:"limit"`
	Page         int                 `json:"page"`
}

// PullSearch asks an instance for the events that have changed since the last
// time, page by page, from the beginning once a week: deletions are not announced.
func PullSearch(ctx context.Context, j *source.Job) (source.Outcome, string, error) {
	r, err := source.NewReading(j)
	if err != nil {
		return source.Failed, "", err
	}
	g := &reading{r}
	var cur mispCursor
	g.LastCursor(&cur)
	start := j.Now()
	if cur.Page == 0 {
		cur.Page, cur.Pending = 1, time.Time{}
		cur.Full = cur.FullDone.IsZero() || start.Sub(cur.FullDone) >= source.FullEvery
		cur.From, cur.Skipped = cur.Since, false
		if cur.Missed.Due(start) {
			cur.From = cur.Missed.From
		}
		cur.Full = cur.Full || cur.From.IsZero()
		if cur.Full {
			cur.Round++
			cur.From = time.Time{}
		}
		if cur.Full || cur.Missed.Due(start) {
			g.Forget(searchPiece)
		}
	}
	if cur.From.IsZero() && !cur.Full {
		cur.From = cur.Since // a reading that an earlier version has broken off
	}
	g.First = cur.FullDone.IsZero()
	out, err := g.Done(g.search(ctx, cur, start))
	return out, "", err
}

func (g *reading) search(ctx context.Context, cur mispCursor, start time.Time) error {
	base := strings.TrimSuffix(string(g.Spec.URL), "/")
	read := func(page, limit int) (last bool, err error) {
		body, err := json.Marshal(g.query(cur, page, limit))
		if err != nil {
			return false, err
		}
		e, err := g.Ask(ctx, client.Request{URL: base + "/events/restSearch", Body: string(body)},
			document.Options{Format: "misp", BaseURL: spec.RedactURL(base)})
		if err != nil {
			return false, err
		}
		for _, seen := range e.Seen {
			cur.Pending = source.Latest(cur.Pending, seen.Modified)
			e.Objects = append(e.Objects, source.ObjectOf(seen, "", cur.Round))
		}
		g.Apply(e.Page)
		return len(e.Seen) == 0, nil
	}
	limit := cmp.Or(g.Spec.MISP.Limit, mispLimit)
	for safe := cur; ; {
		if g.Row == 0 {
			safe = cur
		}
		last, step, skipped, err := g.Numbered(ctx, searchPiece, cur.Page, limit, read)
		if err != nil {
			if errors.Is(err, source.ErrRow) {
				cur = safe
			}
			return g.Keep(cur, err)
		}
		cur.Skipped = cur.Skipped || skipped
		if last {
			break
		}
		cur.Page += step
		if g.Total >= source.MaxPages {
			return g.Keep(cur, source.ErrPages)
		}
		if g.Full() {
			if err := g.Commit(cur); err != nil {
				return err
			}
		}
	}
	cur.Since = source.Latest(cur.Since, cur.Pending)
	if cur.Full {
		if !cur.Skipped {
			g.Delta.Gone = source.GoneFrom(map[string]uint32{"": cur.Round})
		}
		cur.FullDone = start
	}
	cur.Missed = g.MissedNow(cur.Missed, cur.From, cur.Skipped, start)
	if cur.Missed == nil {
		g.Forget(searchPiece)
	}
	cur.Page, cur.Pending, cur.Full, cur.From, cur.Skipped = 0, time.Time{}, false, time.Time{}, false
	g.First = false
	return g.Commit(cur)
}

// searchPiece is how the names of bad events of a search begin.
const searchPiece = "event of the search, number"

func (g *reading) query(cur mispCursor, page, limit int) mispQuery {
	q := mispQuery{
		ReturnFormat: "json",
		Type:         map[string][]string{"OR": {"ip-src", "ip-dst", "ip-src|port", "ip-dst|port", "domain|ip", "domain", "hostname", "hostname|port"}},
		ToIDs:        1,
		Published:    1,
		Limit:        limit,
		Page:         page,
	}
	if !cur.Full && !cur.From.IsZero() {
		q.Timestamp = cur.From.Add(-source.Overlap).Unix()
	}
	return q
}
