package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// Limits of one request.
const (
	connectTimeout = 10 * time.Second
	totalTimeout   = 10 * time.Minute
	maxRedirects   = 5
	maxHeaderBytes = 256 << 10
	// BetweenRequests is the pause where one fetch needs several.
	BetweenRequests = 250 * time.Millisecond
)

// A Client sends the requests of one feed.
type Client struct {
	http    *http.Client
	agent   string
	Total   time.Duration
	Pause   time.Duration
	spec    *spec.Spec
	Scrub   scrubber
	headers http.Header    // secret; for the feed's own host alone
	cookies http.CookieJar // of this fetch, from and for the feed's own host alone
	Sent    int            // requests
	Code    int            // last status
	bounds  spec.Bounds
	// Slow counts requests given up as too slow, by the cause that ended the last one;
	// refused counts redirects that were not followed.
	Slow, Refused uint64
	slowest       error
	tls           *tls.Config
	dial          Dialer // to the feed's own host
	// dialElsewhere looks at a resolved address before it connects.
	dialElsewhere Dialer
	space         string // that the feed's own host is in, see spaceOf
	proxied       bool   // it is reached through a proxy
	Foreign       bool   // the last answer is of another host
}

// A Dialer opens connections; nil means the usual one.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// New reads keys and certificates of a feed anew: they are renewed.
func New(s *spec.Spec, bounds spec.Bounds, agent string, dial Dialer) (*Client, error) {
	c := &Client{bounds: bounds, agent: agent, Total: totalTimeout, Pause: BetweenRequests, spec: s}
	if u, err := url.Parse(string(s.URL)); err == nil {
		if a, err := netip.ParseAddr(u.Hostname()); err == nil {
			c.space = spaceOf(a)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	c.cookies = jar
	if err := c.authenticate(); err != nil {
		return nil, err
	}
	config, err := tlsfiles.Client("*_file", s.CAFile, s.CertFile, s.KeyFile)
	if err != nil {
		return nil, err
	}
	c.tls, c.dial, c.dialElsewhere = config, dial, dial
	if dial == nil {
		c.dial = (&net.Dialer{Timeout: connectTimeout}).DialContext
		c.dialElsewhere = (&net.Dialer{Timeout: connectTimeout, Control: func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return c.allows(at.Addr())
		}}).DialContext
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := c.dial(ctx, network, address)
				if err == nil && !c.proxied {
					if a := addrOf(conn); a.IsValid() {
						c.space = spaceOf(a)
					}
				}
				return conn, err
			},
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    connectTimeout,
			ResponseHeaderTimeout:  s.Patience,
			MaxResponseHeaderBytes: maxHeaderBytes,
			ForceAttemptHTTP2:      true,
		},
		// Redirects are followed by get, which knows what may go where.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close lets the connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// authenticate gathers the secret headers.
func (c *Client) authenticate() error {
	s := c.spec
	c.headers = make(http.Header)
	c.Scrub.addURL(string(s.URL))
	for _, h := range s.Headers {
		c.headers.Set(h.Name, string(h.Value))
		c.Scrub.add(string(h.Value))
	}
	key, err := s.APIKey.Reveal(s.APIKeyFile)
	if err != nil {
		return fmt.Errorf("api_key_file: %w", err)
	}
	c.Scrub.add(key)
	switch {
	case key == "":
	case s.KeyHeader != "":
		c.headers.Set(s.KeyHeader, key)
	default:
		c.headers.Set("Authorization", "Bearer "+key)
	}
	password, err := s.Password.Reveal(s.PasswordFile)
	if err != nil {
		return fmt.Errorf("password_file: %w", err)
	}
	if s.User != "" {
		c.Scrub.add(password)
		c.Scrub.add(s.User + ":" + password)
		r := http.Request{Header: c.headers}
		r.SetBasicAuth(s.User, password)
	}
	return nil
}

// A Request is one question to a provider.
type Request struct {
	URL  string
	Body string // makes it a POST
	// ETag and modified make it conditional.
	ETag, Modified string
}

// An answer is a good response: 200, 304 or 204.
type answer struct {
	*http.Response
	cancel context.CancelFunc
}

// Close ends the request.
func (a *answer) Close() {
	_ = a.Body.Close()
	a.cancel()
}

// Get sends a request. Its error is without secrets; that of a bad status is a *StatusError.
// The answer must be closed, and its body ends with an error when the request takes
// longer than it may in total.
func (c *Client) Get(ctx context.Context, q Request) (*answer, error) {
	if c.Sent > 0 {
		if err := Sleep(ctx, c.Pause); err != nil {
			return nil, err
		}
	}
	ctx, expire := context.WithTimeoutCause(ctx, c.Total, &SlowError{fmt.Sprintf("took longer than %v", c.Total)})
	ctx, stop := context.WithCancelCause(ctx)
	cancel := func() { stop(nil); expire() }
	resp, err := c.follow(ctx, q)
	if err != nil {
		err = c.explain(ctx, err)
		cancel()
		return nil, err
	}
	resp.Body = &patientBody{ReadCloser: resp.Body, ctx: ctx, stop: stop, c: c}
	a := &answer{resp, cancel}
	if err := checkStatus(resp); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// A SlowError is why a source that took too long was given up.
type SlowError struct{ Text string }

func (e *SlowError) Error() string { return e.Text }

// patientBody gives up a source that is too slow, and turns what ends the reading of a
// body into words.
type patientBody struct {
	io.ReadCloser
	ctx    context.Context
	stop   context.CancelCauseFunc
	c      *Client
	waited time.Duration // for the next LeastBytes
	got    int           // of them
}

func (b *patientBody) Read(p []byte) (int, error) {
	start := time.Now()
	least := &b.c.bounds
	slow := time.AfterFunc(least.LeastTime-b.waited, func() {
		b.stop(&SlowError{fmt.Sprintf("slower than %d bytes in %v", least.LeastBytes, least.LeastTime)})
	})
	n, err := b.ReadCloser.Read(p)
	slow.Stop()
	b.waited += time.Since(start)
	if b.got += n; b.got >= least.LeastBytes {
		b.waited, b.got = 0, 0
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = b.c.explain(b.ctx, err)
	}
	return n, err
}

// follow sends the request and goes where it is sent, at most maxRedirects times.
func (c *Client) follow(ctx context.Context, q Request) (*http.Response, error) {
	first, err := url.Parse(q.URL)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	home, err := url.Parse(string(c.spec.URL))
	if err != nil {
		return nil, errors.New("not a URL")
	}
	at := first
	for hop := 0; ; hop++ {
		resp, err := c.send(ctx, q, at, home)
		if err != nil {
			return nil, err
		}
		if !isRedirect(resp.StatusCode) {
			return resp, nil
		}
		_ = resp.Body.Close()
		if hop == maxRedirects {
			c.Refused++
			return nil, fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if at, err = nextHop(at, resp.Header.Get("Location"), q.Body != ""); err != nil {
			c.Refused++
			return nil, err
		}
	}
}

func isRedirect(code int) bool {
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// nextHop resolves a redirect and refuses those that would weaken the connection or
// carry a question elsewhere.
func nextHop(at *url.URL, location string, post bool) (*url.URL, error) {
	to, err := at.Parse(location)
	switch {
	case location == "" || err != nil || to.Host == "":
		return nil, errors.New("a redirect without a target")
	case to.Scheme != at.Scheme && to.Scheme != "https":
		return nil, fmt.Errorf("a redirect from %s to %s is not followed", at.Scheme, to.Scheme)
	case to.User != nil:
		return nil, errors.New("a redirect with a password in it is not followed")
	case post && !SameHost(to, at):
		return nil, fmt.Errorf("not following the redirect of a POST to another host (%s)", to.Host)
	}
	return to, nil
}

// SameHost reports whether a key of home may go to u: the same host and port, or the
// same host by https on its usual port.
func SameHost(u, home *url.URL) bool {
	if u.Scheme == home.Scheme {
		return strings.EqualFold(u.Hostname(), home.Hostname()) && portOf(u) == portOf(home)
	}
	return u.Scheme == "https" && strings.EqualFold(u.Hostname(), home.Hostname()) &&
		portOf(u) == "443" && portOf(home) == "80"
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// send makes one hop. Secrets go to the host of the feed alone.
func (c *Client) send(ctx context.Context, q Request, at, home *url.URL) (*http.Response, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if q.Body != "" {
		method, body = http.MethodPost, strings.NewReader(q.Body)
	}
	r, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if SameHost(at, home) {
		r.Header = c.headers.Clone()
		for _, cookie := range c.cookies.Cookies(at) {
			r.AddCookie(cookie)
		}
	}
	setIf(r.Header, "User-Agent", c.agent)
	setIf(r.Header, "Accept", c.spec.Accept)
	setIf(r.Header, "If-None-Match", q.ETag)
	setIf(r.Header, "If-Modified-Since", q.Modified)
	if q.Body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	c.Sent++
	c.proxied = proxied(r)
	resp, err := c.roundTrip(r, home)
	if err == nil {
		c.Code = resp.StatusCode
		if SameHost(at, home) {
			c.cookies.SetCookies(at, resp.Cookies())
		}
	}
	return resp, err
}

func setIf(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

// A StatusError is an answer that is none.
type StatusError struct {
	Code       int
	RetryAfter time.Duration
	hint       string
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("HTTP %d %s", e.Code, http.StatusText(e.Code))
	if e.hint != "" {
		s += ": " + e.hint
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(", next request in %v at the earliest", e.RetryAfter.Round(time.Second))
	}
	return s
}

// checkStatus makes an error of every status without data.
func checkStatus(r *http.Response) error {
	e := &StatusError{Code: r.StatusCode, RetryAfter: retryAfter(r)}
	switch r.StatusCode {
	case http.StatusOK, http.StatusNotModified, http.StatusNoContent:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		e.hint = "the API key is missing, wrong or lacks permission"
	case http.StatusNotFound, http.StatusGone:
		e.hint = "the feed is not there any more; look at its provider's page"
	case http.StatusTooManyRequests:
		e.hint = "rate limit of the provider exceeded"
	}
	return e
}

// retryAfter reads the header of that name, in seconds or as a date (RFC 9110,
// 10.2.3). The date is compared with that of the answer, not with our own clock.
func retryAfter(r *http.Response) time.Duration {
	value := r.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(at.Sub(now), 0)
}

// A NetError is an error of the network, in words without secrets.
type NetError struct {
	text    string
	reached bool // something may have got to the provider
}

func (e *NetError) Error() string { return e.text }

// IsNetError reports whether an error is of the network, and thus without secrets.
func IsNetError(err error) bool {
	_, ok := errors.AsType[*NetError](err)
	return ok
}

// explain gives an error of the network without the URL, which may hold a key.
func (c *Client) explain(ctx context.Context, err error) error {
	if done, ok := errors.AsType[*NetError](err); ok {
		return done
	}
	if cause := context.Cause(ctx); cause != nil {
		if s, ok := errors.AsType[*SlowError](cause); ok && c.slowest != error(s) {
			c.Slow++
			c.slowest = s
		}
		return &NetError{cause.Error(), true}
	}
	if refused, ok := errors.AsType[*spaceError](err); ok {
		c.Refused++
		return &NetError{refused.Error(), true}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && !isDialError(err) {
		c.Slow++
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if _, dialled := errors.AsType[*net.OpError](err); c.Foreign && !dialled {
		return &NetError{"the host of a redirect gave no answer that can be used", true}
	}
	return &NetError{c.Scrub.Text(tlsfiles.ExplainDate(err, time.Now()).Error()), !isDialError(err) && !tlsfiles.IsByDate(err)}
}

// isDialError reports that no connection came about.
func isDialError(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "dial" || op.Op == "proxyconnect")
}

// NeverReached reports whether the provider got nothing of a request.
func NeverReached(err error) bool {
	e, ok := errors.AsType[*NetError](err)
	return ok && !e.reached
}

// Sleep waits, or gives the error of the context.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
