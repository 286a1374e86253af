package incident

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A Choice is a condition that must hold, must not hold, or does not matter.
type Choice uint8

// The choices.
const (
	Any Choice = iota
	Yes
	No
)

// A ServiceFilter is a service port, of one protocol or of all.
type ServiceFilter struct {
	Protocol    uint8
	AnyProtocol bool
	Port        uint16
	AnyPort     bool // all ports of the protocol
}

// A Filter chooses incidents. What is set must all fit; of a list one is enough. The zero
// Filter chooses everything. Times are compared by the second, and are included.
type Filter struct {
	FirstBefore, FirstAfter time.Time // of the first contact
	LastBefore, LastAfter   time.Time // of the last contact
	MinSeverity             event.Severity
	States                  []State
	Feeds, Categories       []string
	Services                []ServiceFilter
	Offenders               []netip.Prefix
	Hosts                   []netip.Prefix // ours
	Sites                   []string       // of ours; a host must be at one of them
	Countries               []string       // two capital letters
	AS                      []uint32
	Directions              []event.Direction
	Answered, Retro         Choice
	// Text is looked for, without regard to the case of ASCII letters, in the names of
	// feeds, the categories, the name of the network and the notes; and an offender fits
	// whose address begins with it.
	Text string
}

// IsZero reports whether the filter chooses everything.
func (f *Filter) IsZero() bool { return len(f.Values()) == 0 }

// OfHosts reports whether the filter depends on our hosts.
func (f *Filter) OfHosts() bool { return len(f.Hosts)+len(f.Sites) > 0 }

// ParseFilter reads the parameters of a request that are filters; others are an error. A
// list has a parameter for each value, or commas between values. The error has the
// name of the parameter.
func ParseFilter(v url.Values) (Filter, error) { return parseFilter(v, time.Now()) }

func parseFilter(v url.Values, now time.Time) (Filter, error) {
	var f Filter
	for _, name := range slices.Sorted(maps.Keys(v)) { // so that the same error comes each time
		if fieldOf(name) == nil {
			return Filter{}, &Error{Name: name, Reason: "is no filter; use " + strings.Join(Names(), ", ")}
		}
	}
	for i := range fields {
		if err := fields[i].parse(&f, v[fields[i].Name], now); err != nil {
			return Filter{}, err
		}
	}
	return f, nil
}

// An Error is a parameter that cannot be used.
type Error struct{ Name, Reason string }

func (e *Error) Error() string { return short(e.Name) + ": " + e.Reason }

// Values gives the filter as the parameters of a request: what ParseFilter reads.
func (f *Filter) Values() url.Values {
	v := url.Values{}
	for i := range fields {
		if values := fields[i].get(f); len(values) > 0 {
			v[fields[i].Name] = values
		}
	}
	return v
}

// String gives the filter in one line for people, "all" if it chooses everything.
func (f *Filter) String() string {
	var parts []string
	for i := range fields {
		if values := fields[i].get(f); len(values) > 0 {
			parts = append(parts, fields[i].Name+" "+strings.Join(values, ","))
		}
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, "; ")
}

// A Field is one filter, as a parameter of a request and as a flag of a command.
type Field struct {
	Name    string // first-before
	Help    string // what is chosen, in a few words
	Example string
	Many    bool // a list, of which one must fit
	set     func(f *Filter, s string, now time.Time) error
	get     func(f *Filter) []string
}

// Fields are all filters, in the order in which they are shown.
func Fields() []Field { return slices.Clone(fields) }

// Names are the names of all filters.
func Names() []string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	return names
}

func fieldOf(name string) *Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

// Limits of a filter: more than people write, and little enough for one query.
const (
	maxValues = 200
	maxText   = 256
)

// parse reads the values of one parameter.
func (d *Field) parse(f *Filter, values []string, now time.Time) error {
	if d.Many {
		var each []string
		for _, s := range values {
			if strings.Count(s, ",") > maxValues {
				return &Error{d.Name, "more than 200 values"}
			}
			for part := range strings.SplitSeq(s, ",") {
				if part = strings.TrimSpace(part); part != "" {
					each = append(each, part)
				}
			}
		}
		values = each
	}
	switch {
	case len(values) > maxValues:
		return &Error{d.Name, "more than 200 values"}
	case len(values) > 1 && !d.Many:
		return &Error{d.Name, "is given more than once"}
	}
	for _, s := range values {
		if s == "" {
			continue
		}
		err := plain(s)
		if err == nil {
			err = d.set(f, s, now)
		}
		if err != nil {
			return &Error{d.Name, err.Error()}
		}
	}
	return nil
}
