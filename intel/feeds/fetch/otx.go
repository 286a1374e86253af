package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds"
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
	// otxCut is how many pulses are remembered of which a part is missing.
	otxCut  = 100
	otxTime = "2006-01-02T15:04:05.000000"
)

// An otxCursor is how far an account has been read.
type otxCursor struct {
	// Since is the newest change of all pulses that were read to the end.
	Since time.Time `json:"since,omitzero"`
	// Next is the page to go on with in a reading that broke off; Pending the newest
	// change in it so far, Full tells whether it is one from the beginning.
	Next    string    `json:"next,omitempty"`
	Pending time.Time `json:"pending,omitzero"`
	Full    bool      `json:"full,omitempty"`
	// Round counts the full readings, FullDone is when the last one ended.
	Round    uint32    `json:"round"`
	FullDone time.Time `json:"full_done,omitzero"`
	// Stale asks for a full reading: the account follows other people now.
	Stale bool `json:"stale,omitempty"`
	// Cut are pulses of which a part could not be read.
	Cut []cutPulse `json:"cut,omitempty"`
	// Events is until when removals were asked for.
	Events time.Time `json:"events,omitzero"`
}

// A cutPulse is a pulse of which only the indicators on its page are known, with the
// evidence that they have in common.
type cutPulse struct {
	ID          string    `json:"id"`
	Modified    time.Time `json:"modified"`
	TLP         string    `json:"tlp,omitempty"`
	Category    string    `json:"category,omitempty"`
	Description string    `json:"description,omitempty"`
}

// An otxReading is one attempt to catch up with an account.
type otxReading struct {
	*reading
	cur   otxCursor
	start time.Time
	note  string
}

// pullOTX reads what has changed in an account since the last time: page by page,
// going on where the last reading broke off, from the beginning once a week.
func (r *runner) pullOTX(ctx context.Context, c *client) (Outcome, string, error) {
	g, err := r.newReading(c)
	if err != nil {
		return Failed, "", err
	}
	o := &otxReading{reading: g, start: r.m.now()}
	r.lastCursor(&o.cur)
	err = o.run(ctx)
	out, err := g.done(err)
	return out, o.note, err
}

func (o *otxReading) run(ctx context.Context) error {
	if o.cur.Next == "" || o.sameBase(o.cur.Next) != nil {
		o.begin()
	}
	o.first = o.cur.FullDone.IsZero()
	o.events(ctx)
	if o.cur.Next == "" {
		o.begin() // an event may have asked for a full reading
	}
	o.mend(ctx)
	err := o.subscribed(ctx)
	if note := o.tally.note(); note != "" {
		o.note = note
	}
	if err == nil {
		o.r.setSlow(0)
		return nil
	}
	if errors.Is(err, errHeld) || ctx.Err() != nil || !isOverload(err) {
		return err
	}
	return o.insteadOf(ctx, err)
}

// begin decides what kind of reading starts.
func (o *otxReading) begin() {
	o.cur.Next, o.cur.Pending = "", time.Time{}
	o.cur.Full = o.cur.Stale || o.cur.FullDone.IsZero() || o.start.Sub(o.cur.FullDone) >= fullEvery
	if o.cur.Full {
		o.cur.Round++
	}
	o.cur.Next = o.firstPage()
}

func (o *otxReading) firstPage() string {
	set := map[string]string{"limit": strconv.Itoa(o.limit()), "page": "1"}
	if !o.cur.Full && !o.cur.Since.IsZero() {
		set["modified_since"] = o.cur.Since.Add(-overlap).UTC().Format(otxTime)
	}
	return withQuery(o.base()+otxSubscribed, set)
}

func (o *otxReading) base() string { return strings.TrimSuffix(string(o.r.spec.URL), "/") }

// limit is smaller after each reading that failed.
func (o *otxReading) limit() int {
	limit := o.r.spec.OTX.Limit
	if limit == 0 {
		limit = otxLimit
	}
	return max(limit>>min(o.r.slow(), 4), min(otxLeast, limit))
}

// subscribed reads the pages of all pulses.
func (o *otxReading) subscribed(ctx context.Context) error {
	if o.r.slow() > 0 {
		o.cur.Next = shrinkPage(o.cur.Next, o.limit())
	}
	for {
		at := o.cur.Next
		next, newest, err := o.page(ctx, at)
		if err == nil && next != "" {
			err = o.follows(at, next)
		}
		o.cur.Pending = latest(o.cur.Pending, newest)
		if err != nil {
			return o.keep(o.cur, err)
		}
		if next == "" {
			return o.finish()
		}
		o.cur.Next = next
		if o.total >= maxPages {
			o.note = fmt.Sprintf("more than %d pages; the next fetch goes on", maxPages)
			return o.commit(o.cur)
		}
		if o.full() {
			if err := o.commit(o.cur); err != nil {
				return err
			}
		}
	}
}

// page takes one page of pulses in. It gives the link to the next one and the time of
// the newest change in this.
func (o *otxReading) page(ctx context.Context, at string) (next string, newest time.Time, err error) {
	e, err := o.ask(ctx, request{url: at}, feeds.Options{Format: "otx"})
	if err != nil {
		return "", newest, err
	}
	for _, seen := range e.seen {
		newest = latest(newest, seen.Modified)
		e.objects = append(e.objects, objectOf(seen, "", o.cur.Round))
		if !seen.More {
			continue
		}
		if err := o.rest(ctx, seen, &e.page, feeds.Entry{}); err != nil {
			if !o.failed(ctx, "pulse "+seen.ID, err) {
				return "", time.Time{}, err
			}
			o.cut(seen, e.entries)
		}
	}
	o.succeeded()
	o.apply(e.page)
	return e.next, newest, nil
}

// cut remembers a pulse of which only the indicators on its page are known.
func (o *otxReading) cut(pulse feeds.Object, entries []feeds.Entry) {
	i := slices.IndexFunc(o.cur.Cut, func(c cutPulse) bool { return c.ID == pulse.ID })
	if i < 0 && len(o.cur.Cut) >= otxCut {
		return
	}
	c := cutPulse{ID: pulse.ID, Modified: pulse.Modified}
	for _, e := range entries {
		if e.NativeID == pulse.ID {
			c.TLP, c.Category, c.Description = e.TLP, e.Category, e.Description
		}
	}
	if i < 0 {
		o.cur.Cut = append(o.cur.Cut, c)
	} else {
		o.cur.Cut[i] = c
	}
}

// mend asks again for all indicators of the pulses of which a part was missing.
func (o *otxReading) mend(ctx context.Context) {
	wanted := o.cur.Cut
	o.cur.Cut = nil
	for i, c := range wanted {
		known, ok := o.known[c.ID]
		if !ok {
			continue // it is gone
		}
		like := feeds.Entry{Indicator: intel.Indicator{NativeID: c.ID, TLP: c.TLP, Category: c.Category, Description: c.Description}}
		pulse := feeds.Object{ID: c.ID, Modified: c.Modified}
		var p page
		if err := o.rest(ctx, pulse, &p, like); err != nil {
			o.cur.Cut = append(o.cur.Cut, c)
			if !o.failed(ctx, "pulse "+c.ID, err) {
				o.cur.Cut = append(o.cur.Cut, wanted[i+1:]...)
				return
			}
			continue
		}
		delete(o.known, c.ID) // what is known of it is not all
		p.objects = []object{objectOf(pulse, "", known.round)}
		o.succeeded()
		o.apply(p)
	}
}

// follows makes sure that the link to the next page leads on, and stays with the
// service.
func (o *otxReading) follows(at, next string) error {
	if at == next {
		return errors.New("the link to the next page leads to the same page")
	}
	return o.sameBase(next)
}

// rest gets the indicators that a page has cut off. They know their pulse by id
// only, so they borrow the rest of the evidence from those that are there.
func (o *otxReading) rest(ctx context.Context, pulse feeds.Object, p *page, like feeds.Entry) error {
	have := make(map[netip.Prefix]bool)
	for _, e := range p.entries {
		if e.NativeID == pulse.ID {
			have[e.Prefix] = true
			like = e
		}
	}
	at := withQuery(o.base()+otxPulses+url.PathEscape(pulse.ID)+"/indicators",
		map[string]string{"limit": "1000", "page": "1", "include_inactive": "0"})
	for range otxDetailPages {
		e, err := o.ask(ctx, request{url: at}, feeds.Options{Format: "otx-export"})
		if err != nil {
			return err
		}
		for _, entry := range e.entries {
			if have[entry.Prefix] {
				continue
			}
			have[entry.Prefix] = true
			p.entries = append(p.entries, o.borrow(entry, like, pulse))
		}
		if e.next == "" {
			return nil
		}
		if err := o.follows(at, e.next); err != nil {
			return err
		}
		at = e.next
	}
	o.note = fmt.Sprintf("pulse %s has more than %d pages of indicators; the rest is not used", pulse.ID, otxDetailPages)
	return nil
}

func (o *otxReading) borrow(e, like feeds.Entry, pulse feeds.Object) feeds.Entry {
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
func (o *otxReading) finish() error {
	o.cur.Since = latest(o.cur.Since, o.cur.Pending)
	o.cur.Next, o.cur.Pending = "", time.Time{}
	if o.cur.Full {
		o.delta.gone = goneFrom(map[string]uint32{"": o.cur.Round})
		o.cur.FullDone, o.cur.Full, o.cur.Stale = o.start, false, false
		o.cur.Events = o.start
		o.first = false
	} else if !o.delta.empty() {
		o.cur.Events = o.start // moves with a commit only: events can be seen twice
	}
	return o.commit(o.cur)
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

// isOverload tells the faults that smaller pages or another stream may avoid: the
// service is there, but does not get done.
func isOverload(err error) bool {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.code >= 500
	}
	return isNetError(err) && !neverReached(err)
}

// insteadOf reads the newest public pulses when the account's own do not come. They
// are fewer and other people's, too, so the cursor stays where it is, and the next
// full reading takes out what does not belong there.
func (o *otxReading) insteadOf(ctx context.Context, why error) error {
	slow := o.r.slow() + 1
	o.r.setSlow(slow)
	if slow < otxPatience {
		return why
	}
	if e, ok := errors.AsType[*statusError](why); ok && e.code == http.StatusServiceUnavailable && e.retryAfter > 0 {
		return why // it asks for silence
	}
	at := withQuery(o.base()+otxActivity, map[string]string{"limit": strconv.Itoa(o.limit()), "page": "1"})
	for range otxActivityPages {
		next, newest, err := o.page(ctx, at)
		if err != nil {
			return errors.Join(why, o.commit(o.cur))
		}
		if next == "" || !newest.After(o.cur.Since) || o.follows(at, next) != nil {
			break
		}
		at = next
	}
	o.note = fmt.Sprintf("the subscribed pulses do not come (%v); the public activity stands in", why)
	return o.commit(o.cur)
}

// An otxEvent is a change of what the account follows.
type otxEvent struct {
	Action   string `json:"action"`
	Type     string `json:"object_type"`
	ObjectID string `json:"object_id"`
}

// events takes out pulses that are deleted or no longer followed: nothing else tells
// of them. It is no fault when the service does not say; the next full reading does.
func (o *otxReading) events(ctx context.Context) {
	if o.cur.Events.IsZero() || o.cur.Full {
		return
	}
	at := withQuery(o.base()+otxEvents, map[string]string{
		"since": o.cur.Events.Add(-overlap).UTC().Format(otxTime), "limit": "1000",
	})
	var answer struct {
		Results []otxEvent `json:"results"`
	}
	if err := o.getJSON(ctx, request{url: at}, &answer); err != nil {
		o.note = "removals are not told: " + err.Error()
		return
	}
	var p page
	for _, e := range answer.Results {
		if e.Action != "delete" && e.Action != "unsubscribe" {
			continue
		}
		if e.Type != "pulse" {
			o.cur.Stale, o.cur.Next = true, "" // which pulses go, only a full reading tells
			continue
		}
		if _, known := o.known[e.ObjectID]; known {
			p.removed = append(p.removed, e.ObjectID)
		}
	}
	if len(p.removed) > 0 {
		o.apply(p)
	}
}
