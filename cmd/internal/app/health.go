package app

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
)

// A State is how well something is, in the order of the exit codes of monitoring plugins.
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
		return fmt.Errorf("%q is no state", b)
	}
	*s = State(i)
	return nil
}

// A Finding is what one check has found: the worst of all that it looks at.
type Finding struct {
	// Check is canary, clock, exporters, feeds, loss, sinks, spool, templates or workers.
	Check string `json:"check"`
	State State  `json:"state"`
	// Least is the part of State that has other reasons than Value: other limits do not
	// change it.
	Least State `json:"least"`
	// Value is the figure that decides, in Unit: "s", "%" or "" for a number of things.
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Warning and Critical are the limits that Value must not exceed; both 0 = there is
	// none for all that the check looks at.
	Warning  float64 `json:"warning,omitempty"`
	Critical float64 `json:"critical,omitempty"`
	// Text names the cause and what to do, for people.
	Text string `json:"text"`

	bad []string // what is not well, so that one more is news
}

// The limits that the configuration does not set, in the units of their checks.
const (
	canaryGrace                   = 45 // seconds that one may be under way
	canaryCritical                = 5  // of them missing
	lossWarning, lossCritical     = 0.1, 1
	sinkCritical                  = 300
	spoolWarning, spoolCritical   = 50, 90
	workerWarning, workerCritical = 5, 10
	muchWorse                     = 4 // times the warning is critical, of silence and age
	silenceFactor                 = 3 // times the usual long pause of an exporter
	ageFactor                     = 2 // times its interval is too old for a feed
	firstExporterWithin           = 10 * time.Minute
	firstFeedWithin               = 5 * time.Minute
	leastAge                      = time.Minute // for a feed of seconds
	lossWindow                    = 2 * time.Minute
	maxNamed                      = 3
)

// judge compares a value with its limits.
func (f *Finding) judge() {
	switch {
	case f.Value > f.Critical:
		f.worse(Critical)
	case f.Value > f.Warning:
		f.worse(Warning)
	}
}

func (f *Finding) worse(s State) { f.State = max(f.State, s) }

// atLeast is worse for a reason that is not in the value.
func (f *Finding) atLeast(s State) {
	f.Least = max(f.Least, s)
	f.worse(s)
}

// add appends a cause to the text; what is not well.
func (f *Finding) add(what, format string, args ...any) {
	if f.Text != "" {
		f.Text += "; "
	}
	f.Text += fmt.Sprintf(format, args...)
	f.bad = append(f.bad, what)
}

// well is the text of a check that has found nothing.
func (f *Finding) well(format string, args ...any) {
	if f.Text == "" {
		f.Text = fmt.Sprintf(format, args...)
	}
}

// A past is what health must know beside a status.
type past struct {
	limits configs.Health
	named  []correlate.Exporter // by the configuration
	caps   decode.Limits

	status  Status                   // the counters of lossWindow ago, or of the start
	failing map[string]time.Duration // how long each sink has been failing
	habits  map[netip.Addr]habit
	transit float64 // percent of the flows of the last hour
	// date is the time now by a clock that can be trusted.
	date time.Time
}

// findings judges a status at the time now. It has one finding for each check, in
// alphabetical order.
func findings(s *Status, p *past, now time.Time) []Finding {
	list := []Finding{
		canaryFinding(s, now), clockFinding(s), exporterFinding(s, p, now), feedFinding(s, p, now), lossFinding(s, &p.status),
		sinkFinding(s, p), spoolFinding(s, &p.status, now), templateFinding(s, p, now), workerFinding(s, now),
	}
	slices.SortFunc(list, func(a, b Finding) int { return strings.Compare(a.Check, b.Check) })
	for i := range list {
		list[i].Value = math.Round(list[i].Value*1000) / 1000
	}
	return list
}

// named lists some of many.
func named(list []string) string {
	if len(list) <= maxNamed {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
}

// ago gives seconds as people say them.
func ago(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 2*time.Minute:
		return d.Round(time.Second).String()
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// percent prints a share: two digits below 1, none after the point from 10 on.
func percent(share float64) string {
	digits := 0
	switch {
	case share < 0.0005:
		return "less than 0.001"
	case share < 0.095:
		digits = 3
	case share < 0.95:
		digits = 2
	case share < 9.5:
		digits = 1
	}
	text := strconv.FormatFloat(share, 'f', digits, 64)
	if digits > 0 {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// grown is how much a counter has gone up; one that has gone down has not.
func grown(now, before uint64) uint64 { return now - min(now, before) }
