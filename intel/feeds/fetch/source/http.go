package source

import (
	"context"
	"net/http"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// PullHTTP gets a list that is one document.
func PullHTTP(ctx context.Context, j *Job) (out Outcome, err error) {
	c := j.Client
	a, err := c.Get(ctx, j.question())
	if err != nil {
		return Failed, err
	}
	defer a.Close()
	if a.StatusCode == http.StatusNotModified {
		return j.Copy.Unchanged()
	}
	w, err := j.Copy.Create()
	if err != nil {
		return Failed, err
	}
	defer w.Discard()
	defer func() { w.Rest(out == Updated) }()
	report, err := feeds.Parse(a.Body, document.Options{Format: j.Spec.Format, Path: j.Spec.Path, MaxBytes: j.Spec.MaxBytes, Now: j.Now(), Names: TakeNames(w)}, Take(w, j.MaxIndicators))
	if err != nil {
		return Failed, err
	}
	parsed := store.ParsedOf(report, c.Scrub.Text)
	if c.Foreign {
		for i := range parsed.Samples { // what stands there need not be meant for us
			parsed.Samples[i].Text = "(not shown, as another host sent it)"
		}
	}
	d := store.Description{
		ETag:         a.Header.Get("ETag"),
		LastModified: a.Header.Get("Last-Modified"),
		Parsed:       parsed,
	}
	return j.Copy.Settle(w, d, report.Declared)
}

// question asks for what is newer than the newest copy that is here, held back or
// not.
func (j *Job) question() client.Request {
	q := client.Request{URL: string(j.Spec.URL), Body: j.Spec.Body}
	if newest := j.Copy.Newest(); newest != nil && newest.Names != nil && !j.Copy.Anew() {
		q.ETag, q.Modified = newest.ETag, newest.LastModified
	}
	return q
}
