package app

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// serveControl says what the control socket answers. The status can be had at any time;
// everything else only while all that it needs is there.
func (a *App) serveControl() {
	a.control.Get("/status", func() any { return a.Status() })
	a.control.Do("GET /lookup", a.whenReady(func(r *http.Request) (any, error) { return a.lookup(r.URL.Query()["prefix"]) }))
	a.control.Do("POST /intel/update", a.whenReady(func(r *http.Request) (any, error) {
		return a.feeds.update(r.Context(), r.URL.Query()["feed"])
	}))
	a.control.Do("POST /intel/accept", a.whenReady(func(r *http.Request) (any, error) {
		return struct{}{}, a.feeds.accept(r.URL.Query().Get("feed"))
	}))
}

// whenReady answers requests during start and stop with the reason instead of f.
func (a *App) whenReady(f func(*http.Request) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		if why := a.unready(); why != "" {
			return nil, web.Unavailable(why)
		}
		return f(r)
	}
}

// A Lookup is what a set says of a prefix.
type Lookup struct {
	Prefix   netip.Prefix        `json:"prefix"`
	Version  string              `json:"version"` // of the set
	Listings []intel.Indicator   `json:"listings"`
	Stopped  []intel.Suppression `json:"stopped"`
}

// LookUp asks a table.
func LookUp(t *intel.Table, p netip.Prefix) Lookup {
	return Lookup{Prefix: p, Version: t.Version(), Listings: t.Listings(p), Stopped: t.Explain(p)}
}

// maxLookups bounds one question.
const maxLookups = 1000

func (a *App) lookup(prefixes []string) ([]Lookup, error) {
	if len(prefixes) > maxLookups {
		return nil, fmt.Errorf("%d prefixes, at most %d at once", len(prefixes), maxLookups)
	}
	t := a.store.Load()
	var out []Lookup
	for _, text := range prefixes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		out = append(out, LookUp(t, p))
	}
	return out, nil
}
