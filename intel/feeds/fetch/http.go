package fetch

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
)

// pullHTTP gets a list that is one document.
func (r *runner) pullHTTP(ctx context.Context, c *client) (out Outcome, err error) {
	a, err := c.get(ctx, r.question())
	if err != nil {
		return Failed, err
	}
	defer a.Close()
	if a.StatusCode == http.StatusNotModified {
		return r.unchanged()
	}
	w, err := newWriter(r.m.disk, r.m.dir)
	if err != nil {
		return Failed, err
	}
	defer w.discard()
	defer func() { w.rest(out) }()
	report, err := feeds.Parse(a.Body, feeds.Options{Format: r.spec.Format, Path: r.spec.Path, MaxBytes: r.spec.MaxBytes, Now: r.m.now()}, r.take(w))
	if err != nil {
		return Failed, err
	}
	parsed := parsedOf(report, c.scrub)
	if c.foreign {
		for i := range parsed.Samples { // what stands there need not be meant for us
			parsed.Samples[i].Text = "(not shown, as another host sent it)"
		}
	}
	d := Description{
		ETag:         a.Header.Get("ETag"),
		LastModified: a.Header.Get("Last-Modified"),
		Parsed:       parsed,
	}
	return r.settle(w, d, report.Declared)
}

// question asks for what is newer than the newest copy that is here, held back or
// not.
func (r *runner) question() request {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := request{url: string(r.spec.URL), body: r.spec.body}
	if newest := cmp.Or(r.held, r.good); newest != nil && !r.anewLocked() {
		q.etag, q.modified = newest.ETag, newest.LastModified
	}
	return q
}

// unchanged is what a source means with 304. Said of a copy that is held back it
// changes nothing.
func (r *runner) unchanged() (Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.held != nil:
		return HeldBack, nil
	case r.good == nil:
		return Failed, errors.New("HTTP 304 to a question without condition")
	}
	return Unchanged, nil
}
