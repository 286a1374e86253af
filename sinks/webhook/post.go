package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/templates"
)

// maxReply is what is read of a reply, so that the connection ends in order.
const maxReply = 64 << 10

// A poster sends messages by HTTP.
type poster struct {
	cfg      Config
	client   *http.Client
	template *templates.Template // of kind template
	headers  http.Header
}

func newPoster(cfg Config) (*poster, error) {
	p := &poster{cfg: cfg}
	var err error
	switch {
	case cfg.Kind != KindTemplate:
	case cfg.TemplateFile != "":
		p.template, err = templates.Own(cfg.TemplateFile, cfg.ContentType, cfg.Each)
	default:
		p.template, err = templates.Shipped(cfg.Template)
	}
	if err != nil {
		return nil, fmt.Errorf("template_file: %w", err)
	}
	if p.headers, err = cfg.headers(); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // a message a minute at most
	p.client = &http.Client{
		Transport: transport,
		// A redirect would carry hits and the token to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

// post sends a message, in as many requests as its documents are. What a later one fails with
// has all of them sent again.
func (p *poster) post(ctx context.Context, m *notice.Message) error {
	routingKey, err := p.cfg.RoutingKey.Reveal(p.cfg.RoutingKeyFile)
	if err != nil {
		return &sinks.RetryError{Err: fmt.Errorf("routing_key_file: %w", err)} // it may be there later
	}
	docs, err := p.documents(m, routingKey)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		if err := p.send(ctx, doc); err != nil {
			return err
		}
	}
	return nil
}

func (p *poster) documents(m *notice.Message, routingKey string) (docs [][]byte, err error) {
	if p.template != nil {
		return p.template.Documents(m, func(v *notice.View) { v.Topic, v.RoutingKey = p.cfg.Topic, routingKey })
	}
	doc, err := m.JSON()
	if p.cfg.Kind == KindSlack {
		doc, err = m.Slack()
	}
	return [][]byte{doc}, err
}

// again are the replies after which a document is sent again: the service is busy, or the
// address or the secret is wrong, which can be put right. Another one below 500 is about the document.
var again = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusProxyAuthRequired,
	http.StatusRequestTimeout, http.StatusGone, http.StatusTooManyRequests}

// send sends a document. 2xx is delivered; everything below HTTP may be better later.
func (p *poster) send(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	req, err := p.request(ctx, body)
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
	case code >= 500, slices.Contains(again, code):
		return &sinks.RetryError{Err: fmt.Errorf("%s: answers %d %s", req.URL.Host, code, http.StatusText(code))}
	default:
		return fmt.Errorf("%s: refuses with %d %s", req.URL.Host, code, http.StatusText(code))
	}
}

func (p *poster) request(ctx context.Context, body []byte) (*http.Request, error) {
	address, err := p.cfg.URL.Reveal(p.cfg.URLFile)
	if err != nil {
		return nil, fmt.Errorf("url_file: %w", err)
	}
	if address == "" && p.cfg.Template == "pagerduty" {
		address = pagerDuty
	}
	token, err := p.cfg.Token.Reveal(p.cfg.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("token_file: %w", err)
	}
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, hideURL(err)
	}
	req.Header = p.headers.Clone()
	req.Header.Set("Content-Type", templates.ContentJSON)
	if p.template != nil {
		req.Header.Set("Content-Type", p.template.ContentType())
	}
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
