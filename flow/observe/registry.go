package observe

import (
	"io"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// A Section is what one component shows: a struct with tags, a pointer to one (nil = there
// is nothing now), or a slice of structs. Names are unique; "" is for the fields that stand
// at the top of the JSON.
type Section struct {
	Name string
	// Private sections are shown on the control socket only.
	Private bool
	// Plain sections have no numbers that are metrics.
	Plain bool

	values func() any
	typ    reflect.Type
	// print writes the text; nil = by the tags.
	print func(w io.Writer, v any, final bool)
}

// Of makes a section. values is called by any goroutine once the component is ready, and
// must not wait for a network or a disk.
func Of[T any](name string, values func() T) Section {
	return Section{Name: name, values: func() any { return values() }, typ: reflect.TypeFor[T]()}
}

// Printed is Of with a text of its own, where the tags would give a clumsy one. final is
// set after the stop, when what is still going on need not be shown.
func Printed[T any](name string, values func() T, print func(w io.Writer, v T, final bool)) Section {
	s := Of(name, values)
	s.print = func(w io.Writer, v any, final bool) { print(w, v.(T), final) }
	return s
}

// Silent is Of without any text.
func Silent[T any](name string, values func() T) Section {
	return Printed(name, values, func(io.Writer, T, bool) {})
}

// A Role is who may use a route.
type Role int

// The roles.
const (
	// Public routes are open to everybody who can connect.
	Public Role = iota
	// Reader routes need the token of the web server, and are open on the control socket.
	Reader
	// Local routes are on the control socket only, for whoever may connect to it.
	Local
	// Exporter routes need an export token of the web server, where it has any, else what
	// Reader routes need, and are open on the control socket.
	Exporter
	// Operator routes are on the control socket only, for root and the user of the process.
	Operator
)

// A Route is a request that a component answers. While the component is not ready, and
// during the stop, the answer is 503 with the reason.
type Route struct {
	Method, Path string
	Role         Role
	Handler      http.Handler
	// Always routes answer also while the component is not ready.
	Always bool
}

// A Component is what has been registered under one name.
type Component struct {
	name     string
	ready    atomic.Bool
	sections []Section
	checks   []Check
	many     []Checks
	routes   []Route
}

// Add registers sections, checks and routes. It must come before the registry is read.
func (c *Component) Add(what ...any) {
	for _, w := range what {
		switch w := w.(type) {
		case Section:
			c.sections = append(c.sections, w)
		case Check:
			c.checks = append(c.checks, w)
		case Checks:
			c.many = append(c.many, w)
		case Route:
			c.routes = append(c.routes, w)
		default:
			panic("observe: neither a Section nor a Check nor a Route, nor Checks")
		}
	}
}

// Ready opens a component to everybody who looks. Before, none of its functions is called.
func (c *Component) Ready() { c.ready.Store(true) }

// A Registry is what all components show, in the order in which they start: against the
// stream of the data, so that what is counted at the end of the path while somebody looks
// has been counted at its beginning when the look gets there.
type Registry struct {
	components []*Component
	losses     lossWatch
	why        atomic.Pointer[string] // why nothing is served now; nil = it is

	mu   sync.Mutex
	high map[string]float64 // of counters that settle, the highest so far
}

// Component gives the place of a component, which it makes at first.
func (r *Registry) Component(name string) *Component {
	for _, c := range r.components {
		if c.name == name {
			return c
		}
	}
	c := &Component{name: name}
	r.components = append(r.components, c)
	return c
}

// live are the components that are ready.
func (r *Registry) live() []*Component {
	return slices.DeleteFunc(slices.Clone(r.components), func(c *Component) bool { return !c.ready.Load() })
}

// Close answers all routes with a reason, but for those that answer always. An empty
// reason opens them again.
func (r *Registry) Close(why string) {
	if why == "" {
		r.why.Store(nil)
		return
	}
	r.why.Store(&why)
}

// closed is why routes are closed; empty = they are open.
func (r *Registry) closed() string {
	if why := r.why.Load(); why != nil {
		return *why
	}
	return ""
}

// Routes gives all routes, each with a handler that answers 503 while the component is not
// ready or the registry is closed.
func (r *Registry) Routes() (list []Route) {
	for _, c := range r.components {
		for _, route := range c.routes {
			if !route.Always {
				route.Handler = r.whenOpen(c, route.Handler)
			}
			list = append(list, route)
		}
	}
	return list
}

func (r *Registry) whenOpen(c *Component, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		why := r.closed()
		if why == "" && !c.ready.Load() {
			why = c.name + " is not ready yet; try again in a moment"
		}
		if why != "" {
			Fail(w, Unavailable(why))
			return
		}
		h.ServeHTTP(w, req)
	})
}
