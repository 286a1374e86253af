package app

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/enrich"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/silence"
)

// routes are what the feeds answer once they are in force.
func (d *feedService) routes() []observe.Route {
	return append(d.exportRoutes(), []observe.Route{
		{Method: http.MethodGet, Path: "/lookup", Role: observe.Local, Handler: observe.JSON(func(r *http.Request) (any, error) {
			return d.lookup(r.URL.Query()["prefix"])
		})},
		{Method: http.MethodGet, Path: ExportPath, Role: observe.Local, Handler: http.HandlerFunc(d.export)},
		{Method: http.MethodPost, Path: "/intel/update", Role: observe.Operator, Handler: observe.JSON(func(r *http.Request) (any, error) {
			return d.update(r.Context(), r.URL.Query()["feed"])
		})},
		{Method: http.MethodPost, Path: "/intel/accept", Role: observe.Operator, Handler: observe.JSON(func(r *http.Request) (any, error) {
			return struct{}{}, d.accept(r.URL.Query().Get("feed"))
		})},
	}...)
}

// A Lookup is what a set has about a prefix.
type Lookup struct {
	Prefix   netip.Prefix         `json:"prefix"`
	Embedded netip.Addr           `json:"embedded,omitzero"` // the IPv4 address in it, which is looked up, too
	Version  string               `json:"version"`           // of the set
	Listings []intel.Indicator    `json:"listings"`
	Stopped  []lookup.Suppression `json:"stopped"`
	// Place is where a single address belongs, as far as the databases of countries and AS have it.
	Place enrich.Place `json:"place,omitzero"`
	// Indicators is the size of the set; of an empty one nothing can be concluded.
	Indicators int `json:"indicators"`
	Quiet
	// Missing are the feeds that have no complete copy yet, so that the set lacks them.
	Missing []string `json:"missing,omitempty"`
}

// LookUp searches a table. feeds are those that it was made of.
func LookUp(t *lookup.Table, feeds []fetch.Status, p netip.Prefix) Lookup {
	l := Lookup{Prefix: p, Version: t.Version(), Listings: t.Listings(p), Stopped: t.Explain(p), Indicators: t.Len(), Missing: missing(feeds)}
	if in, ok := t.Embedded(p.Addr()); ok && p.IsSingleIP() {
		l.Embedded = in
		l.Listings = append(l.Listings, t.Listings(netip.PrefixFrom(in, 32))...)
		l.Stopped = append(l.Stopped, t.Explain(netip.PrefixFrom(in, 32))...)
	}
	return l
}

// Locate adds where a single address belongs: the IPv4 address in it first.
func (l *Lookup) Locate(place func(netip.Addr) enrich.Place) {
	if !l.Prefix.IsSingleIP() {
		return
	}
	if l.Embedded.IsValid() {
		l.Place = place(l.Embedded)
	}
	if !l.Place.Known() {
		l.Place = place(l.Prefix.Addr())
	}
}

// Silenced adds which silences and allowed prefixes there are of it.
func (l *Lookup) Silenced(b *silence.Book) {
	l.Quiet = quietOf(b, l.Prefix)
	if in := l.Embedded; in.IsValid() {
		q := quietOf(b, netip.PrefixFrom(in, 32))
		l.Silences, l.Allowed = append(l.Silences, q.Silences...), append(l.Allowed, q.Allowed...)
	}
}

// maxLookups bounds one question.
const maxLookups = 1000

func (d *feedService) lookup(prefixes []string) ([]Lookup, error) {
	if len(prefixes) > maxLookups {
		return nil, fmt.Errorf("%d prefixes, at most %d at once", len(prefixes), maxLookups)
	}
	t, feeds := d.store.Load(), d.status().Feeds
	var out []Lookup
	for _, text := range prefixes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		l := LookUp(t, feeds, p)
		l.Locate(d.place)
		l.Silenced(d.book)
		out = append(out, l)
	}
	return out, nil
}
