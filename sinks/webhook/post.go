package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
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
func (p *poster) post(ctx context.Context, m *notice.Message) error {
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

func (p *poster) request(ctx context.Context, m *notice.Message) (*http.Request, error) {
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
	body, err := m.JSON()
	if p.cfg.Kind == KindSlack {
		body, err = m.Slack()
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
