package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// maxReply is what is read of a reply, so that the connection ends in order.
const maxReply = 64 << 10

// A poster sends messages by HTTP.
type poster struct {
	cfg    Config
	client *http.Client
}

func newPoster(cfg Config) *poster {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // a message a minute at most
	return &poster{cfg, &http.Client{
		Transport: transport,
		// A redirect would carry hits and the token to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post sends a message. 2xx is delivered; 408, 429, 5xx and everything below HTTP may
// be better later; the rest is given up.
func (p *poster) post(ctx context.Context, m *message) error {
	req, err := p.request(ctx, m)
	if err != nil {
		return &sinks.RetryError{Err: err} // a file that may be there later
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return &sinks.RetryError{Err: fmt.Errorf("%s: %w", req.URL.Host, hideURL(err))}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxReply)
	_ = resp.Body.Close()
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return &sinks.RetryError{Err: fmt.Errorf("%s: answers %d %s", req.URL.Host, code, http.StatusText(code))}
	default:
		return fmt.Errorf("%s: refuses with %d %s", req.URL.Host, code, http.StatusText(code))
	}
}

func (p *poster) request(ctx context.Context, m *message) (*http.Request, error) {
	address, err := p.cfg.URL.Reveal(p.cfg.URLFile)
	if err != nil {
		return nil, fmt.Errorf("url_file: %w", err)
	}
	token, err := p.cfg.Token.Reveal(p.cfg.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("token_file: %w", err)
	}
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	body, err := m.json()
	if p.cfg.Kind == KindSlack {
		body, err = m.slack()
	}
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, hideURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "flowsnitch")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// hideURL takes the URL out of an error: it may be a secret.
func hideURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// slack makes the document of Slack's and Mattermost's incoming webhooks. In code
// neither takes anything for a mention or a link; Slack wants &, < and > escaped
// everywhere.
func (m *message) slack() ([]byte, error) {
	text := "*" + m.title() + "*\n" + m.text(func(s string) string {
		return "`" + strings.ReplaceAll(s, "`", "'") + "`"
	})
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	return json.Marshal(map[string]string{"text": escape.Replace(text)})
}

// json makes the generic document.
func (m *message) json() ([]byte, error) {
	type offender struct {
		Event  json.RawMessage `json:"event"` // as in the hit log
		Events int             `json:"events"`
		Locals []string        `json:"locals,omitempty"`
		Do     string          `json:"what_to_do"`
	}
	list, more := m.shown()
	doc := struct {
		Title   string     `json:"title"`
		Notices []offender `json:"notices"`
		More    int        `json:"more,omitempty"`
	}{Title: m.title(), More: more}
	for _, n := range list {
		o := offender{Event: event.AppendJSON(nil, &n.event), Events: n.events, Do: advice(&n.event)}
		for _, a := range n.locals {
			o.Locals = append(o.Locals, a.String())
		}
		doc.Notices = append(doc.Notices, o)
	}
	return json.Marshal(doc)
}
