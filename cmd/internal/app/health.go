package app

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
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
	// Value is the figure that decides, in Unit: "s" or "%".
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Warning and Critical are the limits of Value; 0 = the value alone decides nothing.
	Warning  float64 `json:"warning,omitempty"`
	Critical float64 `json:"critical,omitempty"`
	// Text names the cause and what to do, for people.
	Text string `json:"text"`
}

// The limits, in the units of their checks.
const (
	canaryWarning, canaryCritical = 3, 10 // times its interval
	feedWarning, feedCritical     = 2 * 24 * 3600, 7 * 24 * 3600
	lossWarning, lossCritical     = 0, 1
	sinkWarning, sinkCritical     = 0, 300
	spoolWarning, spoolCritical   = 50, 90
	workerWarning, workerCritical = 5, 10
	leastSilence, silenceCritical = 300, 4 // seconds; times the warning
	silenceFactor                 = 3      // times the longest pause of an exporter so far
	firstExporterWithin           = 600
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

// add appends a cause to the text.
func (f *Finding) add(format string, args ...any) {
	if f.Text != "" {
		f.Text += "; "
	}
	f.Text += fmt.Sprintf(format, args...)
}

// A past is what health must remember of the time before a status.
type past struct {
	status  Status // of lossWindow ago, or of the start
	failing map[string]time.Duration
	pauses  map[string]time.Duration // the longest of each exporter so far
}

// findings judges a status. It has one finding for each check, in alphabetical order.
func findings(s *Status, p *past, now time.Time) []Finding {
	list := []Finding{
		canaryFinding(s, now), clockFinding(s), exporterFinding(s, p, now), feedFinding(s, now), lossFinding(s, &p.status),
		sinkFinding(s, p), spoolFinding(s, &p.status), templateFinding(s, &p.status), workerFinding(s, now),
	}
	slices.SortFunc(list, func(a, b Finding) int { return strings.Compare(a.Check, b.Check) })
	for i := range list {
		list[i].Value = math.Round(list[i].Value*1000) / 1000
	}
	return list
}

func canaryFinding(s *Status, now time.Time) Finding {
	c := &s.Canary
	f := Finding{Check: "canary", Unit: "s", Warning: canaryWarning * c.EverySeconds, Critical: canaryCritical * c.EverySeconds}
	if c.EverySeconds == 0 {
		f.Text = "no self-test is configured (canary.every)"
		return f
	}
	age := func(last time.Time) float64 {
		if last.IsZero() {
			last = s.Since
		}
		return max(now.Sub(last).Seconds(), 0)
	}
	f.Value = age(c.LastSeen)
	if f.Value > f.Warning {
		f.add("the last self-test came to the correlator %s ago: look at the listeners, their allow lists and the workers", ago(f.Value))
	}
	for _, k := range s.Sinks {
		at, expected := c.Sinks[k.Name]
		if !expected {
			continue // filtered, or a sink that gets none
		}
		if a := age(at.Last); a > f.Value {
			f.Value = a
		}
		if a := age(at.Last); a > f.Warning {
			f.add("the last self-test came to %s %s ago", k.Name, ago(a))
		}
	}
	f.judge()
	if f.Text == "" {
		f.Text = fmt.Sprintf("the last self-test came through %s ago", ago(f.Value))
	}
	return f
}

func clockFinding(s *Status) Finding {
	f := Finding{Check: "clock", Unit: "", Text: "the wall clock can be trusted"}
	if s.Clock.State == "unsynced" {
		f.State, f.Value = Warning, 1
		f.Text = "the wall clock cannot be trusted: " + s.Clock.Why + "; see to NTP"
	}
	return f
}

// exporterFinding tells of exporters that are silent for longer than they ever were.
func exporterFinding(s *Status, p *past, now time.Time) Finding {
	f := Finding{Check: "exporters", Unit: "s"}
	var silent []string
	exporters := 0
	for i := range s.Exporters.List {
		e := &s.Exporters.List[i]
		last, ok := lastExport(e)
		if !ok {
			continue
		}
		exporters++
		pause := now.Sub(last).Seconds()
		limit := silenceLimit(p.pauses[e.Address.String()])
		f.Value = max(f.Value, pause)
		if pause > limit {
			f.worse(Warning)
			silent = append(silent, fmt.Sprintf("%s for %s", e.Address, ago(pause)))
		}
		if pause > silenceCritical*limit {
			f.worse(Critical)
		}
	}
	switch {
	case len(silent) > 0:
		f.Text = "silent: " + named(silent) + ": look at the devices and the way from them"
	case exporters > 0:
		f.Text = fmt.Sprintf("%d exporters, the quietest silent for %s", exporters, ago(f.Value))
	case now.Sub(s.Since).Seconds() > firstExporterWithin:
		f.worse(Warning)
		f.Text = "nobody has sent anything since the start: point the flow export of a router here, and look at 'refused' in 'flowsnitch status'"
	default:
		f.Text = "nobody has sent anything yet"
	}
	return f
}

// lastExport gives when an exporter last sent something but canaries; ok is false for one
// that sends nothing else, as the self-test does: it must not hide that nobody exports.
func lastExport(e *decode.ExporterStatus) (last time.Time, ok bool) {
	canaries := 0
	for i := range e.Streams {
		switch s := &e.Streams[i]; {
		case canary.IsDomain(s.Domain):
			canaries++
		case s.LastSeen.After(last):
			last = s.LastSeen
		}
	}
	if canaries == 0 {
		return e.LastSeen, true
	}
	return last, canaries < len(e.Streams)
}

// silenceLimit is how many seconds an exporter may be silent whose longest pause is known.
func silenceLimit(pause time.Duration) float64 {
	return max(leastSilence, silenceFactor*pause.Seconds())
}

// named lists some of many.
func named(list []string) string {
	if len(list) <= maxNamed {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
}

func feedFinding(s *Status, now time.Time) Finding {
	f := Finding{Check: "feeds", Unit: "s", Warning: feedWarning, Critical: feedCritical}
	var missing, old, held []string
	for i := range s.Intel.Feeds {
		d := &s.Intel.Feeds[i]
		age := d.Age(now).Seconds()
		f.Value = max(f.Value, age)
		switch {
		case d.Taken.IsZero() && d.Error != "":
			missing = append(missing, d.Name)
		case age > feedWarning:
			old = append(old, fmt.Sprintf("%s is %s old (%s)", d.Name, ago(age), cmp.Or(d.Error, "no error")))
		}
		if d.Held != "" {
			held = append(held, fmt.Sprintf("%s (%s)", d.Name, d.Held))
		}
	}
	f.judge()
	if len(missing) > 0 {
		f.worse(Warning)
		f.add("never fetched: %s; 'flowsnitch intel status' tells why", named(missing))
	}
	if len(old) > 0 {
		f.add("%s", named(old))
	}
	if len(held) > 0 {
		f.worse(Warning)
		f.add("held back: %s; 'flowsnitch intel accept FEED' takes it", named(held))
	}
	if s.Intel.Indicators == 0 {
		f.worse(Critical)
		f.add("nothing is listed, so nothing can be a hit")
	}
	if f.Text == "" {
		f.Text = fmt.Sprintf("%d indicators of %d feeds, the oldest %s old", s.Intel.Indicators, len(s.Intel.Feeds), ago(f.Value))
	}
	return f
}

// lossFinding tells of flows that did not get to the matcher, or hits that did not get on.
func lossFinding(s, before *Status) Finding {
	f := Finding{Check: "loss", Unit: "%", Warning: lossWarning, Critical: lossCritical}
	part := func(lost, all uint64, format string) {
		if lost == 0 {
			return
		}
		share := 100 * float64(lost) / float64(lost+all)
		f.Value = max(f.Value, share)
		f.add(format, lost, share)
	}
	now, then := lossesOf(s), lossesOf(before)
	part(now.drops-min(now.drops, then.drops), now.datagrams-min(now.datagrams, then.datagrams),
		"%d datagrams dropped by the kernel (%.2f %%): give listen more sockets or receive_buffer, see net.core.rmem_max")
	part(now.gaps-min(now.gaps, then.gaps), now.records-min(now.records, then.records),
		"%d lost on the way from the exporters by their sequence numbers (%.2f %%): look at the network and at the exporters")
	part(now.hits-min(now.hits, then.hits), now.found-min(now.found, then.found),
		"%d hits found a full queue (%.2f %%): raise contact.hit_queue, or look for a feed that lists too much")
	f.judge()
	if f.Text == "" {
		f.Text = "nothing was lost in the last minutes"
	}
	return f
}

// lossCounts are what came and what was lost.
type lossCounts struct{ drops, datagrams, gaps, records, hits, found uint64 }

func lossesOf(s *Status) (c lossCounts) {
	for _, l := range s.Listeners {
		c.drops += l.KernelDrops
		c.datagrams += l.Datagrams
	}
	for _, v := range s.Decoded.Versions {
		c.records += v.Records
	}
	lost := &s.Exporters.Lost
	c.gaps = lost.Flows + lost.Records + lost.Datagrams
	c.hits, c.found = s.Hits.HitQueueFull, s.Hits.Found
	return c
}

func sinkFinding(s *Status, p *past) Finding {
	f := Finding{Check: "sinks", Unit: "s", Warning: sinkWarning, Critical: sinkCritical}
	for _, k := range s.Sinks {
		if k.Failing {
			f.Value = max(f.Value, p.failing[k.Name].Seconds())
			f.worse(Warning)
			f.add("%s cannot deliver (%d events wait): %s", k.Name, k.Pending, k.LastError)
		}
		for _, o := range p.status.Sinks {
			if lost := k.Dropped + k.Failed; o.Name == k.Name && lost > o.Dropped+o.Failed {
				f.worse(Critical)
				f.add("%s has lost %d events", k.Name, lost-o.Dropped-o.Failed)
			}
		}
	}
	f.judge()
	if f.Text == "" {
		f.Text = fmt.Sprintf("%d sinks deliver", len(s.Sinks))
	}
	return f
}

func spoolFinding(s, before *Status) Finding {
	j := &s.Journal
	f := Finding{Check: "spool", Unit: "%", Warning: spoolWarning, Critical: spoolCritical}
	if j.MaxBytes > 0 {
		f.Value = 100 * float64(j.Bytes) / float64(j.MaxBytes)
	}
	f.judge()
	if f.State != OK {
		f.add("the journal is full to %.0f %%: a sink is away for too long, or journal.max_bytes is too small", f.Value)
	}
	if lost := j.DroppedFull + j.DroppedOld - min(before.Journal.DroppedFull+before.Journal.DroppedOld, j.DroppedFull+j.DroppedOld); lost > 0 {
		f.worse(Critical)
		f.add("%d events were dropped for want of room or for their age", lost)
	}
	if j.Trouble != "" {
		f.worse(Critical)
		f.add("the disk does not take events: %s", j.Trouble)
	}
	if f.Text == "" {
		f.Text = fmt.Sprintf("the journal is full to %.0f %%", f.Value)
	}
	return f
}

// templateFinding tells of data that nobody can read for want of its template.
func templateFinding(s, before *Status) Finding {
	f := Finding{Check: "templates", Unit: "", Text: "all data has its template"}
	if n := s.Decoded.UnknownSets - min(before.Decoded.UnknownSets, s.Decoded.UnknownSets); n > 0 {
		f.Value = float64(n)
		f.worse(Warning)
		f.Text = fmt.Sprintf("%d data sets came without their template%s: let the exporter send templates more often (every minute)", n, whoMisses(s))
	}
	return f
}

// whoMisses names the exporters whose templates are missing.
func whoMisses(s *Status) string {
	var who []string
	for i := range s.Exporters.List {
		e := &s.Exporters.List[i]
		for j := range e.Streams {
			if len(e.Streams[j].Missing) > 0 {
				who = append(who, e.Address.String())
				break
			}
		}
	}
	if len(who) == 0 {
		return ""
	}
	return " (" + named(who) + ")"
}

func workerFinding(s *Status, now time.Time) Finding {
	f := Finding{Check: "workers", Unit: "s", Warning: workerWarning, Critical: workerCritical}
	for _, l := range s.Listeners {
		if stall := now.Sub(l.Beat).Seconds(); stall > f.Value {
			f.Value = stall
			if stall > workerWarning {
				f.add("a worker of udp %s has not turned for %s: the process is overloaded, or restart it", l.Address, ago(stall))
			}
		}
	}
	f.judge()
	if f.Text == "" {
		f.Text = "all workers turn"
	}
	return f
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
