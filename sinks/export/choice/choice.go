package choice

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

// DefaultMax is how many prefixes a list has at most by default: as many as an ipset by
// default, and the address lists of many devices.
const DefaultMax = 65_536

// maxPrefixes bounds Options.Max.
const maxPrefixes = 5_000_000

// Options are what a list is made of, and how it is written.
type Options struct {
	Feeds      []string // listings of these feeds only; empty = of all
	Categories []string // listings of these categories only; empty = of all
	MinScore   int      // listings of at least this score, 0 to 100
	Family     int      // 4 or 6; 0 = both
	Max        int      // prefixes in the list; those of the best scores stay
	MaxTLP     string   // the most restricted label that leaves; see TLPs
	Without    []string // listings of these feeds never; not a parameter
	URLs       bool     // hosts of URLs too, in lists of names
	Name       string   // of the sets, lists and protocols that a target defines
	// NoTime leaves out all that depends on the time, so that the same listings give the
	// same bytes: the date, the rest of a listing's time, serial numbers.
	NoTime bool
}

// Default gives everything that may be shared.
func Default() Options {
	return Options{Max: DefaultMax, MaxTLP: "green", Name: "flowsnitch"}
}

// TLPs are the labels of the Traffic Light Protocol that Options.MaxTLP may have, the least
// restricted first; see [intel.TLPRank]. Listings without a label always pass.
var TLPs = intel.TLPs

// names are what every target takes for the name of a set without quoting it.
var names = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,19}$`)

// Validate reports what is not allowed.
func (o *Options) Validate() error {
	switch {
	case o.MinScore < 0 || o.MinScore > 100:
		return fmt.Errorf("min-score: %d is not valid; 0 to 100 is allowed", o.MinScore)
	case o.Family != 0 && o.Family != 4 && o.Family != 6:
		return fmt.Errorf("family: %d is not valid; use 4 or 6", o.Family)
	case o.Max < 1 || o.Max > maxPrefixes:
		return fmt.Errorf("max: %d is not valid; 1 to %d is allowed", o.Max, maxPrefixes)
	case !slices.Contains(TLPs, o.MaxTLP):
		return fmt.Errorf("max-tlp: %q is not valid; use %s", o.MaxTLP, strings.Join(TLPs, ", "))
	case !names.MatchString(o.Name):
		return fmt.Errorf("name: %q is not valid; a letter and up to 19 letters, digits and _ are allowed", o.Name)
	}
	return nil
}

// Passes reports whether the filter lets a listing through, TLP, time and port aside.
func (o *Options) Passes(ind *intel.Indicator) bool {
	return (o.Family == 0 || ind.Prefix.Addr().Is4() == (o.Family == 4)) && o.Takes(ind.Score, ind.Feed, ind.Category)
}

// Takes is what Passes checks of a listing of any kind, of an address or of a name.
func (o *Options) Takes(score uint8, feed, category string) bool {
	return int(score) >= o.MinScore &&
		(len(o.Feeds) == 0 || slices.Contains(o.Feeds, feed)) && !slices.Contains(o.Without, feed) &&
		(len(o.Categories) == 0 || slices.Contains(o.Categories, category))
}

// String gives the filter as it stands in the header of a list.
func (o *Options) String() string {
	var parts []string
	for _, f := range o.Feeds {
		parts = append(parts, "feed "+f)
	}
	for _, c := range o.Categories {
		parts = append(parts, "category "+c)
	}
	if o.MinScore > 0 {
		parts = append(parts, fmt.Sprint("min-score ", o.MinScore))
	}
	if o.Family != 0 {
		parts = append(parts, fmt.Sprint("family ", o.Family))
	}
	if o.URLs {
		parts = append(parts, "urls")
	}
	return strings.Join(append(parts, "max-tlp "+o.MaxTLP, fmt.Sprint("max ", o.Max)), ", ")
}

// Query gives the options as the parameters of a request.
func (o *Options) Query() url.Values {
	q := url.Values{
		"feed": o.Feeds, "category": o.Categories, "min-score": {strconv.Itoa(o.MinScore)}, "family": {strconv.Itoa(o.Family)},
		"max": {strconv.Itoa(o.Max)}, "max-tlp": {o.MaxTLP}, "name": {o.Name},
	}
	if o.NoTime {
		q.Set("no-time", "true")
	}
	if o.URLs {
		q.Set("urls", "true")
	}
	return q
}

// Parse reads the parameters of a request; those that it does not have keep their
// defaults. The error has the name of the parameter.
func Parse(q url.Values) (Options, error) {
	o := Default()
	o.Feeds, o.Categories = q["feed"], q["category"]
	for _, name := range []string{"min-score", "family", "max", "max-tlp", "name", "no-time", "urls"} {
		if len(q[name]) > 1 { // the wider one might be the first
			return o, fmt.Errorf("%s: is there twice", name)
		}
	}
	for name, to := range map[string]*int{"min-score": &o.MinScore, "family": &o.Family, "max": &o.Max} {
		if text := q.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return o, fmt.Errorf("%s: %q is not a whole number", name, text)
			}
			*to = n
		}
	}
	for name, to := range map[string]*string{"max-tlp": &o.MaxTLP, "name": &o.Name} {
		if q.Has(name) {
			*to = q.Get(name)
		}
	}
	for name, to := range map[string]*bool{"no-time": &o.NoTime, "urls": &o.URLs} {
		if text := q.Get(name); text != "" {
			b, err := strconv.ParseBool(text)
			if err != nil {
				return o, fmt.Errorf("%s: %q is not valid; use true or false", name, text)
			}
			*to = b
		}
	}
	return o, o.Validate()
}
