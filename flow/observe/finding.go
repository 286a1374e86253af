package observe

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A State is the result of a check, in the order of the exit codes of monitoring plugins.
type State int

// The states.
const (
	OK State = iota
	Warning
	Critical
)

var stateNames = [...]string{"ok", "warning", "critical"}

// String gives ok, warning or critical.
func (s State) String() string { return stateNames[min(max(s, OK), Critical)] }

// MarshalText writes the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *State) UnmarshalText(b []byte) error {
	i := slices.Index(stateNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("%q is not a state", b)
	}
	*s = State(i)
	return nil
}

// A Finding is the result of one check: the worst of everything that it covers.
type Finding struct {
	Check string `json:"check" label:"check"`
	State State  `json:"state" name:"check_state" help:"Result of a check: 0 ok, 1 warning, 2 critical." show:"some" words:""`
	// Least is the part of State that has other reasons than Value: other limits do not
	// change it.
	Least State `json:"least" name:"-"`
	// Value is the figure that decides, in Unit: "s", "%" or "" for a number of things.
	Value float64 `json:"value" name:"-"`
	Unit  string  `json:"unit"`
	// Warning and Critical are the limits that Value must not exceed; both 0 = there is
	// no single limit for everything that the check covers.
	Warning  float64 `json:"warning,omitempty" name:"-"`
	Critical float64 `json:"critical,omitempty" name:"-"`
	// Text names the cause and the remedy, for people.
	Text string `json:"text" if:"State" show:"some" words:""`

	causes []string // keys of the causes, so that another one is news
}

// Judge compares the value with its limits.
func (f *Finding) Judge() {
	switch {
	case f.Value > f.Critical:
		f.Raise(Critical)
	case f.Value > f.Warning:
		f.Raise(Warning)
	}
}

// Raise makes the state at least s because of the value.
func (f *Finding) Raise(s State) { f.State = max(f.State, s) }

// AtLeast makes the state at least s for a reason other than the value.
func (f *Finding) AtLeast(s State) {
	f.Least = max(f.Least, s)
	f.Raise(s)
}

// Add appends a cause and its remedy to the text. key identifies the cause: one that was
// not there at the last look is news.
func (f *Finding) Add(key, format string, args ...any) {
	if f.Text != "" {
		f.Text += "; "
	}
	f.Text += fmt.Sprintf(format, args...)
	f.causes = append(f.causes, key)
}

// Warn is Add for a cause that is at least a warning.
func (f *Finding) Warn(key, format string, args ...any) {
	f.AtLeast(Warning)
	f.Add(key, format, args...)
}

// AddKeys adds keys of causes that the text has already.
func (f *Finding) AddKeys(keys ...string) { f.causes = append(f.causes, keys...) }

// Otherwise sets the text of a check that has found nothing.
func (f *Finding) Otherwise(format string, args ...any) {
	if f.Text == "" {
		f.Text = fmt.Sprintf(format, args...)
	}
}

// HasNews reports whether f has a cause that before did not have.
func (f *Finding) HasNews(before *Finding) bool {
	return slices.ContainsFunc(f.causes, func(key string) bool { return !slices.Contains(before.causes, key) })
}

// merge takes in another finding of the same check. The value and the limits are those of
// whichever has limits, or else the larger value.
func (f *Finding) merge(o *Finding) {
	switch {
	case f.State == OK && o.State != OK:
		f.Text = o.Text
	case o.State != OK || f.Text == "":
		if f.Text != "" && o.Text != "" {
			f.Text += "; "
		}
		f.Text += o.Text
	}
	f.causes = append(f.causes, o.causes...)
	f.Raise(o.State)
	f.Least = max(f.Least, o.Least)
	if f.Unit == "" {
		f.Unit = o.Unit
	}
	if f.Warning == 0 && f.Critical == 0 {
		f.Warning, f.Critical = o.Warning, o.Critical
	}
	f.Value = max(f.Value, o.Value)
}

// A Check looks at a part of a component. Several may have the same name: people see one
// finding for all of them. State is called by one goroutine at a time, every ten seconds,
// so that it may keep what it compares with; it must not wait for a network or a disk. It
// may be nil for a name that only losses refer to.
type Check struct {
	Name  string
	State func(now time.Time) Finding
	// OK is the text of a check without State that has found nothing.
	OK string
}

// Checks are several that look at the same things together. States gives their findings.
type Checks struct {
	Names  []string
	States func(now time.Time) []Finding
}

// Findings runs all checks of components that are ready, those of the losses included, and
// gives one finding for each name, in alphabetical order. It is for one goroutine.
func (r *Registry) Findings(now time.Time) []Finding {
	byName := make(map[string]*Finding)
	add := func(f Finding) {
		if known := byName[f.Check]; known != nil {
			known.merge(&f)
			return
		}
		byName[f.Check] = &f
	}
	for _, c := range r.live() {
		for _, checks := range c.many {
			for _, f := range checks.States(now) {
				add(f)
			}
		}
		for _, check := range c.checks {
			if check.State == nil {
				add(Finding{Check: check.Name, Text: check.OK})
				continue
			}
			f := check.State(now)
			f.Check = check.Name
			add(f)
		}
	}
	for _, f := range r.losses.look(now, r.Samples()) {
		add(f)
	}
	var list []Finding
	for _, f := range byName {
		f.Value = math.Round(f.Value*1000) / 1000
		list = append(list, *f)
	}
	slices.SortFunc(list, func(a, b Finding) int { return strings.Compare(a.Check, b.Check) })
	return list
}

// Window is how long the checks of losses look back.
const Window = 2 * time.Minute

// A lossWatch compares losses with those of Window ago.
type lossWatch struct{ past History[map[string]float64] }

// look gives a finding for each loss that has grown. A counter that is new, or that has
// gone back, has begun at zero.
func (w *lossWatch) look(now time.Time, samples []Sample) (list []Finding) {
	counts := make(map[string]float64)
	for i := range samples {
		if samples[i].field.check != "" {
			counts[samples[i].key()] += samples[i].Value
		}
	}
	first := w.past.Empty()
	before := w.past.Note(now, counts)
	if first {
		return nil // counters of earlier runs, as those of sinks
	}
	for i := range samples {
		s := &samples[i]
		n := s.Value - min(before[s.key()], s.Value)
		if s.field.check == "" || n < max(s.field.least, 1) {
			continue
		}
		f := Finding{Check: s.field.check}
		f.AtLeast(s.field.state)
		f.Add(s.key(), "%.0f %s%s: %s", n, s.field.words, s.where(), s.field.remedy)
		list = append(list, f)
	}
	return list
}

// A History keeps what a check compares with: what it has seen within [Window], and the
// last before that. The zero value is ready. It is for one goroutine.
type History[T any] struct {
	at   []time.Time
	seen []T
}

// Empty reports whether nothing has been noted yet.
func (h *History[T]) Empty() bool { return len(h.at) == 0 }

// Note takes in what is now, and gives what was Window ago, or at the first look.
func (h *History[T]) Note(now time.Time, v T) (before T) {
	h.at, h.seen = append(h.at, now), append(h.seen, v)
	for len(h.at) > 1 && now.Sub(h.at[1]) >= Window {
		h.at, h.seen = slices.Delete(h.at, 0, 1), slices.Delete(h.seen, 0, 1)
	}
	return h.seen[0]
}

// Grown is how much a counter has grown; one that has gone back has not.
func Grown(now, before uint64) uint64 { return now - min(now, before) }
