package otx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/source"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// The OTX API and its sizes.
const (
	otxSubscribed = "/api/v1/pulses/subscribed"
	otxActivity   = "/api/v1/pulses/activity"
	otxEvents     = "/api/v1/pulses/events"
	otxPulses     = "/api/v1/pulses/"

	otxLimit = 20 // pulses a page; the service times out on more
	otxLeast = 5  // after it has timed out
	// otxPatience is how many readings in a row may fail before the activity stream
	// stands in.
	otxPatience = 3
	// otxActivityPages bounds what is read of that stream: it is everybody's.
	otxActivityPages = 10
	otxDetailPages   = 100
	otxTime          = "2006-01-02T15:04:05.000000"
)

// An otxCursor is how far an account has been read.
type otxCursor struct {
	// Since is the newest change of all pulses that were read to the end.
	Since time.Time `json:"since,omitzero"`
	// Next is the page to go on with in a reading that broke off; Pending the newest
	// change in it so far, Full means that it is one from the beginning.
	Next    string    `json:"next,omitempty"`
	Pending time.Time `json:"pending,omitzero"`
	Full    bool      `json:"full,omitempty"`
	// Round counts the full readings, FullDone is when the last one ended.
	Round    uint32    `json:"round"`
	FullDone time.Time `json:"full_done,omitzero"`
	// Stale asks for a full reading: the account follows other people now.
	Stale bool `json:"stale,omitempty"`
	// Events is until when removals were asked for.
	Events time.Time `json:"events,omitzero"`
	// From is the time of change that the reading under way began with, Skipped is set when
	// a part of it could not be read, Missed is what readings before it could not.
	From    time.Time      `json:"reading_from,omitzero"`
	Skipped bool           `json:"skipped,omitempty"`
	Missed  *source.Missed `json:"missed,omitempty"`
	// Cut are pulses, by id, of which a page has a part of the indicators and the rest
	// could not be had.
	Cut map[string]cutPulse `json:"cut,omitempty"`
}

// A cutPulse is what the rest of a cut pulse borrows as evidence.
type cutPulse struct {
	Modified    time.Time `json:"modified,omitzero"`
	TLP         string    `json:"tlp,omitempty"`
	Category    string    `json:"category,omitempty"`
	Description string    `json:"description,omitempty"`
}

// Names of bad pieces of an account.
const (
	pulsePiece = "pulse "
	pagePiece  = "pulse of the account, number"
	// maxCut bounds the cut pulses that are asked for again.
	maxCut = 200
)

// An reading is one attempt to catch up with an account.
type reading struct {
	*source.Reading
	cur      otxCursor
	start    time.Time
	note     string
	stop     error           // ends the reading after the page that was just read
	restless error           // why no further rest of a pulse is asked for
	tried    map[string]bool // pulses whose rest was asked for
}

// Pull reads what has changed in an account since the last time: page by page,
// going on where the last reading broke off, from the beginning once a week.
func Pull(ctx context.Context, j *source.Job) (source.Outcome, string, error) {
	g, err := source.NewReading(j)
	if err != nil {
		return source.Failed, "", err
	}
	o := &reading{Reading: g, start: j.Now()}
	o.LastCursor(&o.cur)
	o.tried = make(map[string]bool)
	if o.cur.Cut == nil {
		o.cur.Cut = make(map[string]cutPulse)
	}
	err = o.run(ctx)
	out, err := g.Done(err)
	return out, o.note, err
}

func (o *reading) run(ctx context.Context) error {
	if o.cur.Next == "" || o.SameBase(o.cur.Next) != nil {
		o.begin()
	}
	o.First = o.cur.FullDone.IsZero()
	o.events(ctx)
	if o.cur.Next == "" {
		o.begin() // an event may have asked for a full reading
	}
	err := o.subscribed(ctx)
	if err == nil {
		o.Slow = 0
		return nil
	}
	if errors.Is(err, source.ErrHeld) || ctx.Err() != nil || !isOverload(err) {
		return err
	}
	return o.insteadOf(ctx, err)
}

// begin decides what kind of reading starts.
func (o *reading) begin() {
	o.cur.Next, o.cur.Pending = "", time.Time{}
	o.cur.From, o.cur.Skipped = o.cur.Since, false
	if o.cur.Missed.Due(o.start) {
		o.cur.From = o.cur.Missed.From
		o.Forget(pagePiece)
	}
	o.cur.Full = o.cur.Stale || o.cur.FullDone.IsZero() || o.start.Sub(o.cur.FullDone) >= source.FullEvery || o.cur.From.IsZero()
	if o.cur.Full {
		o.cur.Round++
		o.cur.From = time.Time{}
		o.Forget(pagePiece)
	}
	o.cur.Next = o.firstPage()
}

func (o *reading) firstPage() string {
	set := map[string]string{"limit": strconv.Itoa(o.limit()), "page": "1"}
	if !o.cur.Full {
		set["modified_since"] = o.cur.From.Add(-source.Overlap).UTC().Format(otxTime)
	}
	return source.WithQuery(o.base()+otxSubscribed, set)
}

func (o *reading) base() string { return strings.TrimSuffix(string(o.Spec.URL), "/") }

// limit is smaller after each reading that failed.
func (o *reading) limit() int {
	limit := o.Spec.OTX.Limit
	if limit == 0 {
		limit = otxLimit
	}
	return max(limit>>min(o.Slow, 4), min(otxLeast, limit))
}

// subscribed reads the pages of all pulses.
func (o *reading) subscribed(ctx context.Context) error {
	if o.Slow > 0 {
		o.cur.Next = shrinkPage(o.cur.Next, o.limit())
	}
	for safe := o.cur; ; {
		if o.Row == 0 {
			safe = o.copyCursor()
		}
		next, err := o.step(ctx, o.cur.Next)
		if err != nil {
			if errors.Is(err, source.ErrRow) {
				o.cur = safe
			}
			return o.Keep(o.cur, err)
		}
		if next == "" {
			if err := o.finish(); err != nil || o.stop != nil {
				return cmp.Or(err, o.stop)
			}
			return o.completeCut(ctx)
		}
		o.cur.Next = next
		if o.stop != nil {
			return o.Keep(o.cur, o.stop)
		}
		if o.Total >= source.MaxPages {
			o.note = fmt.Sprintf("more than %d pages; the next fetch goes on", source.MaxPages)
			return o.Commit(o.cur)
		}
		if o.Full() {
			if err := o.Commit(o.cur); err != nil {
				return err
			}
		}
	}
}

// copyCursor gives the cursor as it is now.
func (o *reading) copyCursor() otxCursor {
	c := o.cur
	c.Cut = maps.Clone(c.Cut)
	return c
}

// step takes the page at a link in, with a way around what cannot be had, and gives the
// link to the next one.
func (o *reading) step(ctx context.Context, at string) (next string, err error) {
	page, limit := pageOf(at)
	if page == 0 {
		next, newest, err := o.page(ctx, at)
		o.cur.Pending = source.Latest(o.cur.Pending, newest)
		if err == nil && next != "" {
			err = o.follows(at, next)
		}
		return next, err
	}
	linked := ""
	read := func(p, n int) (last bool, err error) {
		link := source.WithQuery(at, map[string]string{"page": strconv.Itoa(p), "limit": strconv.Itoa(n)})
		if p == page && n == limit {
			link = at
		}
		var newest time.Time
		linked, newest, err = o.page(ctx, link)
		if err == nil && linked != "" {
			err = o.follows(link, linked)
		}
		o.cur.Pending = source.Latest(o.cur.Pending, newest)
		return linked == "", err
	}
	last, step, skipped, err := o.Numbered(ctx, pagePiece, page, limit, read)
	o.cur.Skipped = o.cur.Skipped || skipped
	switch {
	case err != nil || last:
		return "", err
	case step == 1 && !skipped && linked != "" && o.Row == 0:
		if p, n := pageOf(linked); n == limit || p == 0 {
			return linked, nil
		}
	}
	return source.WithQuery(at, map[string]string{"page": strconv.Itoa(page + step), "limit": strconv.Itoa(limit)}), nil
}

// pageOf gives number and size of the page behind a link; 0 when it has none.
func pageOf(at string) (page, limit int) {
	u, err := url.Parse(at)
	if err != nil {
		return 0, 0
	}
	page, err1 := strconv.Atoi(u.Query().Get("page"))
	limit, err2 := strconv.Atoi(u.Query().Get("limit"))
	if err1 != nil || err2 != nil || page < 1 || limit < 1 || page > 1e6 || limit > 1e6 {
		return 0, 0
	}
	return page, limit
}

// page takes one page of pulses in. It gives the link to the next one and the time of
// the newest change in this. A pulse whose rest cannot be had is taken as far as it is
// there, beside what is known of it.
func (o *reading) page(ctx context.Context, at string) (next string, newest time.Time, err error) {
	e, err := o.Ask(ctx, client.Request{URL: at}, document.Options{Format: "otx"})
	if err != nil {
		return "", newest, err
	}
	for _, seen := range e.Seen {
		newest = source.Latest(newest, seen.Modified)
		object := source.ObjectOf(seen, "", o.cur.Round)
		e.Objects = append(e.Objects, object)
		_, cut := o.cur.Cut[seen.ID]
		if !seen.More {
			if cut {
				delete(o.Known, seen.ID)
			}
			o.whole(seen.ID)
			continue
		}
		if known, ok := o.Known[seen.ID]; ok && !cut && known == object && object.Modified != 0 {
			continue // its rest is here, too
		}
		like := likeOf(seen, e.Entries)
		if cut && o.WasBad(pulsePiece+seen.ID) == 1 {
			o.cur.Cut[seen.ID] = like // its rest is asked for behind those of all others
		} else {
			err := cmp.Or(o.stop, o.restless)
			if err == nil {
				err = o.rest(ctx, seen, like, &e.Page)
			}
			if err == nil {
				if cut {
					delete(o.Known, seen.ID) // what is known of it is not all
				}
				o.whole(seen.ID)
				continue
			}
			o.cutOff(ctx, seen.ID, like, err)
		}
		if e.Partial == nil {
			e.Partial = make(map[string]bool)
		}
		e.Partial[seen.ID] = true
	}
	o.Apply(e.Page)
	return e.Next, newest, nil
}

// whole notes that all of a pulse is here.
func (o *reading) whole(id string) {
	delete(o.cur.Cut, id)
	delete(o.Faulty, pulsePiece+id)
}

// cutOff notes a pulse whose rest could not be had.
func (o *reading) cutOff(ctx context.Context, id string, like cutPulse, why error) {
	if o.stop == nil && o.restless == nil {
		if o.stop = o.Fail(ctx, why); errors.Is(o.stop, source.ErrRow) {
			o.stop, o.restless, o.Row = nil, why, 0
		}
	}
	if _, known := o.cur.Cut[id]; known || len(o.cur.Cut) < maxCut {
		o.cur.Cut[id] = like
	} else {
		o.cur.Skipped = true // the page is read again
	}
	if o.tried[id] && ctx.Err() == nil && !client.NeverReached(why) {
		o.Name(pulsePiece+id, why)
	}
}

// likeOf gives the evidence of the entries of a pulse that are there.
func likeOf(pulse document.Object, entries []document.Entry) cutPulse {
	like := cutPulse{Modified: pulse.Modified}
	for _, e := range entries {
		if e.NativeID == pulse.ID {
			like.TLP, like.Category, like.Description = e.TLP, e.Category, e.Description
		}
	}
	return like
}

// completeCut asks again for the rest of the pulses that earlier readings have cut off.
// What cannot be had spoils nothing: all else has been read.
func (o *reading) completeCut(ctx context.Context) error {
	o.Row = 0
	order := slices.SortedFunc(maps.Keys(o.cur.Cut), func(a, b string) int {
		return cmp.Or(o.WasBad(pulsePiece+a)-o.WasBad(pulsePiece+b), strings.Compare(a, b))
	})
	for _, id := range order {
		pulse, known := o.Known[id]
		if !known {
			o.whole(id) // the account does not have it any more
			continue
		}
		if o.tried[id] {
			continue
		}
		like := o.cur.Cut[id]
		var p store.Page
		err := o.rest(ctx, document.Object{ID: id, Modified: like.Modified}, like, &p)
		if err != nil {
			o.cutOff(ctx, id, like, err)
			if o.stop != nil || o.restless != nil {
				break
			}
			continue
		}
		o.whole(id)
		p.Objects, p.Partial = []store.Object{pulse}, map[string]bool{id: true}
		o.Apply(p)
	}
	err := o.Commit(o.cur)
	if e, ok := errors.AsType[*client.StatusError](o.stop); ok && e.RetryAfter > 0 && err == nil {
		return o.stop // it asks for silence
	}
	return err
}

// follows makes sure that the link to the next page leads on, and stays with the
// service.
func (o *reading) follows(at, next string) error {
	if at == next {
		return errors.New("the link to the next page leads to the same page")
	}
	return o.SameBase(next)
}

// rest gets the indicators that a page has cut off. They know their pulse by id
// only, so they borrow the rest of the evidence from those that are there.
func (o *reading) rest(ctx context.Context, pulse document.Object, like cutPulse, p *store.Page) error {
	o.tried[pulse.ID] = true
	type value struct {
		prefix netip.Prefix
		name   string
	}
	have := make(map[value]bool)
	for _, e := range p.Entries {
		if e.NativeID == pulse.ID {
			have[value{e.Prefix, e.Name}] = true
		}
	}
	at := source.WithQuery(o.base()+otxPulses+url.PathEscape(pulse.ID)+"/indicators",
		map[string]string{"limit": "1000", "page": "1", "include_inactive": "0"})
	for range otxDetailPages {
		e, err := o.Ask(ctx, client.Request{URL: at}, document.Options{Format: "otx-export"})
		if err != nil {
			return err
		}
		for _, entry := range e.Entries {
			v := value{entry.Prefix, entry.Name}
			if have[v] {
				continue
			}
			have[v] = true
			p.Entries = append(p.Entries, o.borrow(entry, like, pulse))
		}
		if e.Next == "" {
			return nil
		}
		if err := o.follows(at, e.Next); err != nil {
			return err
		}
		at = e.Next
	}
	o.note = fmt.Sprintf("pulse %s has more than %d pages of indicators; the rest is not used", pulse.ID, otxDetailPages)
	return nil
}

func (o *reading) borrow(e document.Entry, like cutPulse, pulse document.Object) document.Entry {
	e.NativeID = pulse.ID
	e.Ref = "https://otx.alienvault.com/pulse/" + url.PathEscape(pulse.ID)
	e.LastSeen = pulse.Modified.UTC().Truncate(time.Second)
	e.TLP = like.TLP
	if e.Category == "" {
		e.Category = like.Category
	}
	if e.Description == "" {
		e.Description = like.Description
	}
	return e
}

// finish ends a reading that came to the last page.
func (o *reading) finish() error {
	o.cur.Since = source.Latest(o.cur.Since, o.cur.Pending)
	o.cur.Next, o.cur.Pending = "", time.Time{}
	o.cur.Missed = o.MissedNow(o.cur.Missed, o.cur.From, o.cur.Skipped, o.start)
	if o.cur.Missed == nil {
		o.Forget(pagePiece)
	}
	skipped := o.cur.Skipped
	o.cur.From, o.cur.Skipped = time.Time{}, false
	if o.cur.Full {
		if !skipped {
			o.Delta.Gone = source.GoneFrom(map[string]uint32{"": o.cur.Round})
		}
		o.cur.FullDone, o.cur.Full, o.cur.Stale = o.start, false, false
		o.cur.Events = o.start
		o.First = false
	} else if !o.Delta.Empty() {
		o.cur.Events = o.start // moves with a commit only: events can be seen twice
	}
	return o.Commit(o.cur)
}

// shrinkPage asks for the same pulses in smaller pages: those behind what was read.
func shrinkPage(at string, limit int) string {
	u, err := url.Parse(at)
	if err != nil {
		return at
	}
	q := u.Query()
	old, err1 := strconv.Atoi(q.Get("limit"))
	page, err2 := strconv.Atoi(q.Get("page"))
	if err1 != nil || err2 != nil || page < 1 || old <= limit || limit < 1 {
		return at
	}
	q.Set("limit", strconv.Itoa(limit))
	q.Set("page", strconv.Itoa((page-1)*old/limit+1))
	u.RawQuery = q.Encode()
	return u.String()
}

// isOverload recognises the faults that smaller pages or another stream may avoid: the
// service is there, but does not get done.
func isOverload(err error) bool {
	if e, ok := errors.AsType[*client.StatusError](err); ok {
		return e.Code >= 500
	}
	return client.IsNetError(err) && !client.NeverReached(err)
}

// insteadOf reads the newest public pulses when the account's own do not come. They
// are fewer and other people's, too, so the cursor stays where it is, and the next
// full reading takes out what does not belong there.
func (o *reading) insteadOf(ctx context.Context, why error) error {
	slow := o.Slow + 1
	o.Slow = slow
	if slow < otxPatience {
		return why
	}
	if e, ok := errors.AsType[*client.StatusError](why); ok && e.Code == http.StatusServiceUnavailable && e.RetryAfter > 0 {
		return why // it asks for silence
	}
	at := source.WithQuery(o.base()+otxActivity, map[string]string{"limit": strconv.Itoa(o.limit()), "page": "1"})
	for range otxActivityPages {
		next, newest, err := o.page(ctx, at)
		if err != nil {
			return errors.Join(why, o.Commit(o.cur))
		}
		if next == "" || !newest.After(o.cur.Since) || o.follows(at, next) != nil {
			break
		}
		at = next
	}
	o.note = fmt.Sprintf("the subscribed pulses do not come (%v); the public activity stands in", why)
	return o.Commit(o.cur)
}

// An otxEvent is a change of what the account follows.
type otxEvent struct {
	Action   string `json:"action"`
	Type     string `json:"object_type"`
	ObjectID string `json:"object_id"`
}

// events takes out pulses that are deleted or no longer followed: nothing else shows
// them. It is no fault when the service has no such list; the next full reading does.
func (o *reading) events(ctx context.Context) {
	if o.cur.Events.IsZero() || o.cur.Full {
		return
	}
	at := source.WithQuery(o.base()+otxEvents, map[string]string{
		"since": o.cur.Events.Add(-source.Overlap).UTC().Format(otxTime), "limit": "1000",
	})
	var answer struct {
		Results []otxEvent `json:"results"`
	}
	if err := o.GetJSON(ctx, client.Request{URL: at}, &answer); err != nil {
		o.note = "removals cannot be detected: " + err.Error()
		return
	}
	var p store.Page
	for _, e := range answer.Results {
		if e.Action != "delete" && e.Action != "unsubscribe" {
			continue
		}
		if e.Type != "pulse" {
			o.cur.Stale, o.cur.Next = true, "" // which pulses go, only a full reading shows
			continue
		}
		if _, known := o.Known[e.ObjectID]; known {
			p.Removed = append(p.Removed, e.ObjectID)
		}
	}
	if len(p.Removed) > 0 {
		o.Apply(p)
	}
}
