package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/secret"
)

// An ExportToken lets a firewall or another program fetch block lists, and nothing else.
type ExportToken struct {
	// Token is the token, or TokenFile the file that holds it, which is read for each request.
	Token     secret.Text `yaml:"token"`
	TokenFile string      `yaml:"token_file"`
	// Targets are what may be fetched; empty = all.
	Targets []string `yaml:"targets"`
	// MaxTLP is the most restricted label of the Traffic Light Protocol that may be asked for;
	// empty = green.
	MaxTLP string `yaml:"max_tlp"`
	// Query binds the token to one list: these are the parameters of each request, which may
	// have no others. Empty = requests have their own.
	Query string `yaml:"query"`
}

// maxTokens bounds Config.ExportTokens: all are compared for each request.
const maxTokens = 64

// leastToken is how long a token in the configuration must be: it may be tried from outside.
const leastToken = 16

// tlps are what ExportToken.MaxTLP may be.
var tlps = []string{"", "clear", "green", "amber", "amber+strict", "red"}

// validateTokens reports the first error, beginning with its key.
func validateTokens(tokens []ExportToken) error {
	if len(tokens) > maxTokens {
		return fmt.Errorf("export_tokens: %d tokens; at most %d are allowed", len(tokens), maxTokens)
	}
	for i := range tokens {
		t, key := &tokens[i], fmt.Sprintf("export_tokens[%d]", i)
		switch {
		case (t.Token == "") == (t.TokenFile == ""):
			return fmt.Errorf("%s.token_file: either token or token_file is required", key)
		case t.Token != "" && (len(t.Token) < leastToken || strings.Trim(string(t.Token), tokenSigns) != ""):
			return fmt.Errorf("%s.token: must have at least %d letters, digits, - and _", key, leastToken)
		case slices.ContainsFunc(tokens[:i], func(o ExportToken) bool { return o.Token == t.Token && o.TokenFile == t.TokenFile }):
			return fmt.Errorf("%s: the token is there twice", key)
		case !isQuery(t.Query):
			return fmt.Errorf("%s.query: is not valid; use parameters as in a URL, such as set=1&min-score=80", key)
		case !slices.Contains(tlps, t.MaxTLP):
			return fmt.Errorf("%s.max_tlp: %q is not valid; use %s", key, t.MaxTLP, strings.Join(tlps[1:], ", "))
		}
	}
	return nil
}

func isQuery(s string) bool {
	_, err := url.ParseQuery(s)
	return err == nil && !strings.HasPrefix(s, "?")
}

// tokenSigns are what a token may have: it can be a part of a path.
const tokenSigns = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// A Grant is what a client over TCP may fetch.
type Grant struct {
	Targets []string // empty = all
	MaxTLP  string   // empty = green
	Query   string   // see ExportToken
}

// Allows reports whether a target may be fetched.
func (g *Grant) Allows(target string) bool {
	return len(g.Targets) == 0 || slices.Contains(g.Targets, target)
}

type grantKey struct{}

// GrantOf gives what the client of a request for an export may fetch; nil on the control
// socket, where it may fetch all.
func GrantOf(ctx context.Context) *Grant {
	g, _ := ctx.Value(grantKey{}).(*Grant)
	return g
}

func granted(r *http.Request, g *Grant) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), grantKey{}, g))
}

// errNoToken is answered to requests without a token, or with a wrong one.
const errNoToken = "missing or wrong token"

// guardExport rejects requests without an export token. Where none is configured, the rules
// of all other pages hold.
func (s *Server) guardExport(h http.Handler) http.Handler {
	open := s.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, granted(r, new(Grant)))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens := *s.tokens.Load()
		if len(tokens) == 0 {
			open.ServeHTTP(w, r)
			return
		}
		from := sourceOf(r)
		wait, alone := s.failures.wait(from, time.Now())
		var g *Grant
		if wait == 0 || !alone { // a source that shares its count with others that guess may have the right one
			g = grant(tokens, tokensOf(r))
		}
		if g == nil && wait > 0 {
			s.counts.unauthorized.Add(1)
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			w.Header().Set("Connection", "close")
			http.Error(w, "too many requests with a wrong token", http.StatusTooManyRequests)
			return
		}
		if g == nil {
			s.failures.add(from, time.Now())
			s.counts.unauthorized.Add(1)
			w.Header().Set("WWW-Authenticate", `Basic realm="flowsnitch", charset="UTF-8"`)
			w.Header().Add("WWW-Authenticate", "Bearer")
			w.Header().Set("Connection", "close")
			http.Error(w, errNoToken, http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, granted(r, g))
	})
}

// tokensOf gives what a request has in the places of a token: the header, as Bearer or as
// the password of Basic, and the last part of the path.
func tokensOf(r *http.Request) (tokens []string) {
	if t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		tokens = append(tokens, strings.TrimSpace(t))
	}
	if _, password, ok := r.BasicAuth(); ok {
		tokens = append(tokens, password)
	}
	if t := r.PathValue("token"); t != "" {
		tokens = append(tokens, t)
	}
	return tokens
}

// grant gives what a token is good for; nil = nothing. All are compared, so that the time it takes
// does not reveal which one begins alike.
func grant(tokens []ExportToken, sent []string) (g *Grant) {
	for i := range tokens {
		t := &tokens[i]
		want, err := t.Token.Reveal(t.TokenFile)
		if err != nil || want == "" {
			continue // a file that is being replaced; the next request will do
		}
		for _, got := range sent {
			if same(got, want) && g == nil {
				g = &Grant{t.Targets, t.MaxTLP, t.Query}
			}
		}
	}
	return g
}

// sourceOf gives the network that a request comes from: of IPv6 addresses the /64.
func sourceOf(r *http.Request) netip.Prefix {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	p, _ := a.Prefix(min(a.BitLen(), 64))
	return p
}

// How many wrong tokens one source may send within a time before its requests are refused.
const (
	maxFailures = 10
	failureTime = time.Minute
	maxSources  = 1024 // that are counted apart; all others count as one
)

// failures counts wrong tokens by source. The zero value is ready.
type failures struct {
	mu   sync.Mutex
	from map[netip.Prefix]*failed
}

type failed struct {
	since time.Time
	n     int
}

// countedAs gives the source under which one is counted: itself, or the zero prefix of all for
// which there is no room. Counts that are over make room.
func (f *failures) countedAs(from netip.Prefix, now time.Time) netip.Prefix {
	if _, ok := f.from[from]; ok || len(f.from) < maxSources {
		return from
	}
	for p, c := range f.from {
		if c.isOver(now) {
			delete(f.from, p)
		}
	}
	if len(f.from) < maxSources {
		return from
	}
	return netip.Prefix{}
}

func (c *failed) isOver(now time.Time) bool { return now.Sub(c.since) >= failureTime }

// wait is how long requests of a source are refused, and whether that is for its own tokens and not
// for those of the many that are counted as one.
func (f *failures) wait(from netip.Prefix, now time.Time) (wait time.Duration, alone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	as := f.countedAs(from, now)
	if c := f.from[as]; c != nil && !c.isOver(now) && c.n >= maxFailures {
		wait = failureTime - now.Sub(c.since)
	}
	return wait, as == from
}

// add counts a wrong token.
func (f *failures) add(from netip.Prefix, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	as := f.countedAs(from, now)
	if c := f.from[as]; c != nil && !c.isOver(now) {
		c.n++
		return
	}
	if f.from == nil {
		f.from = make(map[netip.Prefix]*failed)
	}
	f.from[as] = &failed{now, 1}
}

// SetExportTokens puts other tokens into force, for the next request, if their files can be
// read. Those that are no longer among them are void.
func (s *Server) SetExportTokens(tokens []ExportToken) error {
	if err := checkTokens(tokens); err != nil {
		return err
	}
	tokens = slices.Clone(tokens)
	s.tokens.Store(&tokens)
	return nil
}

// checkTokens makes sure at the start that the files of tokens can be read.
func checkTokens(tokens []ExportToken) error {
	for i := range tokens {
		token, err := tokens[i].Token.Reveal(tokens[i].TokenFile)
		if err == nil && len(token) < leastToken {
			err = errors.New(tokens[i].TokenFile + ": must have at least " + strconv.Itoa(leastToken) + " characters")
		}
		if err != nil {
			return fmt.Errorf("web.export_tokens[%d].token_file: %w", i, err)
		}
	}
	return nil
}
