package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/target"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// exportPath is where block lists are fetched over HTTP, by programs that only want the list.
const exportPath = "/api/v1/export/"

// exportRoutes serve block lists: for clients that send their token in a header, and for
// those that can only be given an address.
func (d *feedService) exportRoutes() []observe.Route {
	h := http.HandlerFunc(d.fetchExport)
	return []observe.Route{
		{Method: http.MethodGet, Path: exportPath + "{target}", Role: observe.Exporter, Handler: h},
		{Method: http.MethodGet, Path: exportPath + "{target}/{token}", Role: observe.Exporter, Handler: h},
	}
}

// exportParameters are what a request may have beside the filters of incidents.
var exportParameters = []string{"set", "feed", "category", "min-score", "family", "max", "max-tlp", "name", "no-time", "urls"}

// errNotGranted is answered with 403.
type errNotGranted string

func (e errNotGranted) Error() string { return string(e) }

// fetchExport answers with a list, or with 304 where the client has the same but for the time.
func (d *feedService) fetchExport(w http.ResponseWriter, r *http.Request) {
	to := target.Find(r.PathValue("target"))
	if to == nil {
		d.exports.refused.Add(1)
		observe.Answer(w, http.StatusNotFound, observe.Failure{Error: "there is no such target; use " + strings.Join(target.Names(), ", ")})
		return
	}
	if err := d.answerExport(w, r, to); err != nil {
		d.failExport(w, err)
	}
}

// An exportQuestion is what a request asks for.
type exportQuestion struct {
	set bool // all that is listed, else offenders seen here
	choice.Options
	rest url.Values // filters of incidents
}

// readExport reads the parameters of a request, within what the client may have.
func readExport(q url.Values, to *target.Target, g *web.Grant) (*exportQuestion, error) {
	if g != nil && !g.Allows(to.Name) {
		return nil, errNotGranted("this token is not for " + to.Name)
	}
	ask := &exportQuestion{rest: make(url.Values)}
	q, err := bound(q, g)
	if err != nil {
		return nil, err
	}
	if len(q["set"]) > 1 {
		return nil, errors.New("set: is there twice")
	}
	if text := q.Get("set"); text != "" {
		if ask.set, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("set: %q is not valid; use 1 or 0", text)
		}
	}
	for name, values := range q {
		if !slices.Contains(exportParameters, name) {
			ask.rest[name] = values
		}
	}
	if ask.Options, err = choice.Parse(q); err != nil {
		return nil, err
	}
	if g == nil {
		return ask, nil
	}
	limit := cmp.Or(g.MaxTLP, choice.Default().MaxTLP)
	switch {
	case !q.Has("max-tlp"):
		ask.MaxTLP = limit
	case intel.TLPRank(ask.MaxTLP) > intel.TLPRank(limit):
		return nil, errNotGranted(fmt.Sprintf("max-tlp: this token is for TLP %s at most", limit))
	}
	return ask, nil
}

// bound gives the parameters of a token that is bound to some; a request may have these or none.
func bound(q url.Values, g *web.Grant) (url.Values, error) {
	if g == nil || g.Query == "" {
		return q, nil
	}
	own, err := url.ParseQuery(g.Query)
	if err != nil {
		return nil, err
	}
	for name, values := range q {
		if !slices.Equal(values, own[name]) {
			return nil, errNotGranted(name + ": this token is for one list, so leave out all parameters")
		}
	}
	return own, nil
}

// CheckExportTokens reports the first export token that cannot be used: of a target that does not
// exist, or bound to parameters that are not valid.
func CheckExportTokens(tokens []web.ExportToken) error {
	for i := range tokens {
		t, key := &tokens[i], fmt.Sprintf("web.export_tokens[%d]", i)
		targets := target.All
		if len(t.Targets) > 0 {
			targets = nil
		}
		for _, name := range t.Targets {
			to := target.Find(name)
			if to == nil {
				return fmt.Errorf("%s.targets: %q is not valid; use %s", key, name, strings.Join(target.Names(), ", "))
			}
			targets = append(targets, to)
		}
		if t.Query == "" {
			continue
		}
		if err := checkQuery(t, targets[0]); err != nil {
			return fmt.Errorf("%s.query: %w", key, err)
		}
	}
	return nil
}

// checkQuery reports what is wrong with the parameters that a token is bound to.
func checkQuery(t *web.ExportToken, to *target.Target) error {
	ask, err := readExport(nil, to, &web.Grant{MaxTLP: t.MaxTLP, Query: t.Query})
	if err != nil {
		return err
	}
	if ask.set {
		return ask.restless()
	}
	_, err = incident.ParseFilter(ask.rest)
	return err
}

// restless reports a filter of incidents, which the set does not have.
func (ask *exportQuestion) restless() error {
	for name := range ask.rest {
		return fmt.Errorf("%s: is no parameter of the set; use %s", name, strings.Join(exportParameters, ", "))
	}
	return nil
}

// failExport answers with an error. A list of nothing would open what should stay blocked, so
// that there is none for the moment.
func (d *feedService) failExport(w http.ResponseWriter, err error) {
	if _, ok := errors.AsType[errNothing](err); ok {
		err = observe.Unavailable(err.Error())
	}
	d.exports.failed(err)
	if _, ok := errors.AsType[errNotGranted](err); ok {
		observe.Answer(w, http.StatusForbidden, observe.Failure{Error: err.Error()})
		return
	}
	observe.Fail(w, err)
}

func (d *feedService) answerExport(w http.ResponseWriter, r *http.Request, to *target.Target) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // else a filter with a semicolon would be left out silently
		return fmt.Errorf("the parameters are not valid: %w", err)
	}
	ask, err := readExport(q, to, web.GrantOf(r.Context()))
	if err != nil {
		return err
	}
	leave, err := d.exports.enter()
	if err != nil {
		return err
	}
	defer leave()
	has := func(tag string) bool {
		return r.Method == http.MethodHead || matches(r.Header.Values("If-None-Match"), tag)
	}
	x, err := d.exports.get(r.Context(), d.key(to.Name, ask), has, func() (*Listing, error) { return d.asked(r.Context(), to, ask) })
	if err != nil {
		return err
	}
	defer x.done()
	h := w.Header()
	h.Set("ETag", `"`+x.tag+`"`)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Content-Type", contentType(to))
	switch {
	case matches(r.Header.Values("If-None-Match"), x.tag):
		d.exports.unchanged.Add(1)
		w.WriteHeader(http.StatusNotModified)
	case r.Method == http.MethodHead:
	default:
		if x.text != nil { // so that whoever gets a part of it can know that
			h.Set("Content-Length", strconv.Itoa(len(x.text)))
		}
		d.exports.send(w, x)
	}
	return nil
}

// contentType gives the type of a target's list.
func contentType(to *target.Target) string {
	if to.Name == "stix" {
		return "application/stix+json;version=2.1"
	}
	return "text/plain; charset=utf-8"
}

// matches reports whether a client has a list already (RFC 9110, 13.1.2).
func matches(values []string, sum string) bool {
	for _, v := range values {
		for tag := range strings.SplitSeq(v, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == `"`+sum+`"` {
				return true
			}
		}
	}
	return false
}

// sum identifies the content of a list, whenever it was made: what it has without the time,
// and when its rows end.
func (l *Listing) sum() string {
	h := sha256.New()
	if l.names != nil {
		_ = l.to.WriteNames(h, l.names.Timeless())
	} else {
		_ = l.to.Write(h, l.list.Timeless())
		l.sumEnds(h)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (l *Listing) sumEnds(h hash.Hash) {
	if !l.to.Can.Timeouts {
		return
	}
	var b [8]byte
	for r := range l.list.Rows {
		binary.BigEndian.PutUint64(b[:], uint64(r.Expires.Unix()))
		h.Write(b[:])
	}
}

// asked makes the list that a request asks for.
func (d *feedService) asked(ctx context.Context, to *target.Target, ask *exportQuestion) (*Listing, error) {
	if ask.set {
		if err := ask.restless(); err != nil {
			return nil, err
		}
		return d.listing(ctx, to, ask.Options)
	}
	return d.seen(ctx, ask.rest, to, ask.Options)
}
