package report

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// Bounds of what is counted in the history for one report.
const (
	maxCounted = 5
	countTime  = 10 * time.Second // all together
)

// maxBars is how many bars of a histogram are shown; the last has what was seen more often, too.
const maxBars = 16

// A RuleAlert is what a rule has found in one group: of several alerts, as the count has
// doubled, that with the greatest count.
type RuleAlert struct {
	Name     string     `json:"name"`
	Severity string     `json:"severity"`
	Alerts   int        `json:"alerts"`
	First    time.Time  `json:"first_seen"`
	Last     time.Time  `json:"last_seen"`
	Reason   string     `json:"reason"`
	Offender netip.Addr `json:"offender,omitzero"`
	Host     netip.Addr `json:"host,omitzero"`
	// Evidence is nil where it names listings that are more restricted than Report.MaxTLP.
	Evidence *incident.Evidence `json:"evidence,omitempty"`
	// Attempts are all that the history has of it in the period of the report; nil = it was not
	// counted.
	Attempts *Attempts `json:"attempts,omitempty"`
}

// An AttackedService is a service of a host of ours.
type AttackedService struct {
	Host     netip.Addr
	Protocol string // as in tcp
	Port     uint16
}

// Attempts are contacts from outside at one service of one of our hosts, counted in the history.
type Attempts struct {
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"`
	Tries     uint64    `json:"tries"`
	Sources   int       `json:"sources"`                // different addresses
	More      bool      `json:"more_sources,omitempty"` // there are more than Sources, and Histogram has only those
	Days      []TryDay  `json:"days"`                   // those with attempts, by UTC
	Histogram []TryBar  `json:"histogram"`              // the fewest times first
	// Folded are attempts at hosts that the history did not keep apart; they are not in Tries.
	Folded uint64 `json:"folded,omitempty"`
	Lost   uint64 `json:"lost_flows,omitempty"` // of all contacts, in that time
	// Missing are days, by UTC, of which the history has nothing (any more).
	Missing  int    `json:"missing_days,omitempty"`
	BadFiles int    `json:"bad_files,omitempty"` // of the history, which cannot be read
	Error    string `json:"error,omitempty"`     // why not all was counted
}

// A TryDay is how many attempts there were on a day.
type TryDay struct {
	Day   string `json:"day"`
	Tries uint64 `json:"tries"`
}

// A TryBar is how many addresses made so many attempts.
type TryBar struct {
	Times   uint64 `json:"times"`
	Sources uint64 `json:"sources"`
}

// rules takes what rules have found, and counts in the history what that was about.
func (r *Report) rules(ctx context.Context, p *incident.Period, o *Options) {
	r.MoreRules = p.MoreRaised
	most := intel.TLPRank(o.MaxTLP)
	for i := range p.Raised {
		a := &p.Raised[i]
		n := RuleAlert{Name: a.Evidence.Rule, Severity: a.Severity.String(), Alerts: a.Times, First: a.First, Last: a.Last,
			Reason: a.Reason, Offender: a.Offender, Host: a.Host, Evidence: a.Evidence}
		if intel.TLPRank(a.TLP) > most {
			n.Reason, n.Offender, n.Host, n.Evidence = restrictedReason, netip.Addr{}, netip.Addr{}, nil
		}
		r.Rules = append(r.Rules, n)
	}
	if o.Count == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	counted := 0
	for i := range r.Rules[:min(len(r.Rules), MaxRows)] {
		a := &r.Rules[i]
		service, ok := a.service()
		if !ok {
			continue
		}
		if counted++; counted > maxCounted {
			a.Attempts = &Attempts{Error: fmt.Sprintf("only the first %d are counted in the history", maxCounted)}
			continue
		}
		a.Attempts = countOne(ctx, o, service)
	}
}

// countOne counts the attempts at a service. What went wrong is in the answer.
func countOne(ctx context.Context, o *Options, service AttackedService) *Attempts {
	n, err := o.Count(ctx, service, o.From, o.Until)
	if n == nil {
		n = &Attempts{From: o.From, Until: o.Until}
	}
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		n.Error = fmt.Sprintf("the history did not answer within %s", countTime)
	default:
		n.Error = err.Error()
	}
	return n
}

// service is the service of a host of ours that the alert is about, where that is from one
// rule over contacts and many addresses.
func (a *RuleAlert) service() (s AttackedService, ok bool) {
	if a.Evidence == nil || a.Evidence.Of("outside") != "" || a.Evidence.Of("direction") == "outbound" {
		return s, false
	}
	host, err := netip.ParseAddr(a.Evidence.Of("inside"))
	port, bad := strconv.ParseUint(a.Evidence.Of("service_port"), 10, 16)
	s = AttackedService{host, a.Evidence.Of("protocol"), uint16(port)}
	return s, err == nil && bad == nil && s.Protocol != ""
}

// What stands in place of what may not be shown, and of an empty list.
const (
	restrictedReason = "the reason names listings that may not be shown"
	noRule           = "No rule has found anything."
)

// restOfRules is how many alerts of rules are not shown.
func (r *Report) restOfRules() int { return max(len(r.Rules)-MaxRows, 0) + r.MoreRules }

// head is the rule, how often and when.
func (a *RuleAlert) head(r *Report) string {
	s := plain(a.Name, 60) + ", " + times(a.Alerts) + ", first " + r.minute(a.First)
	if !a.Last.Equal(a.First) {
		s += ", last " + r.minute(a.Last)
	}
	return s
}

func (a *RuleAlert) reason() string { return plain(a.Reason, 300) }

// lines are the evidence in a few lines.
func (a *RuleAlert) lines(r *Report) (lines []string) {
	if e := a.Evidence; e != nil {
		lines = append(lines, counted(e)+", "+r.minute(e.From)+" to "+r.minute(e.To))
		lines = appendShares(lines, "most active: ", e.Sources)
		lines = appendShares(lines, "at: ", e.Targets)
		if len(e.Ports) > 1 {
			var ports []string
			for _, p := range e.Ports {
				ports = append(ports, strconv.Itoa(int(p.Port)))
			}
			lines = append(lines, "ports: "+strings.Join(ports, " "))
		}
	}
	if a.Attempts != nil {
		lines = append(lines, a.Attempts.lines(r)...)
	}
	return lines
}

// counted is what was counted, and against what.
func counted(e *incident.Evidence) string {
	s := fmt.Sprintf("count %d", e.Count)
	if e.Error > 0 {
		s = fmt.Sprintf("count about %d (standard error %.1f %%)", e.Count, 100*e.Error)
	}
	s += fmt.Sprintf(", threshold %d", e.Threshold)
	if e.Usual > 0 {
		s += fmt.Sprintf(", usual %d", e.Usual)
	}
	return s
}

func appendShares(lines []string, head string, list []incident.EvidenceShare) []string {
	if len(list) == 0 {
		return lines
	}
	var parts []string
	for _, s := range list {
		parts = append(parts, fmt.Sprintf("%s (%d)", plain(s.Value, 60), s.Count))
	}
	return append(lines, head+strings.Join(parts, ", "))
}

// lines are the totals of what was counted in the history, and what is missing of it.
func (n *Attempts) lines(r *Report) (lines []string) {
	if !n.From.IsZero() {
		lines = append(lines, fmt.Sprintf("in the history, %s to %s: %s by %s", r.minute(n.From), r.minute(n.Until),
			triesText(n.Tries), moreOf(n.More)+addresses(n.Sources)))
	}
	if n.More {
		lines = append(lines, "the histogram has only those addresses; the days have all attempts")
	}
	if n.Missing > 0 {
		lines = append(lines, fmt.Sprintf("the history has nothing of %s of this time: what there was then is not counted", plural(n.Missing, "day")))
	}
	if n.BadFiles > 0 {
		lines = append(lines, fmt.Sprintf("%s of the history cannot be read: what they have is not counted", plural(n.BadFiles, "file")))
	}
	if n.Lost > 0 {
		lines = append(lines, fmt.Sprintf("the history lost %s of all contacts in this time", plural(n.Lost, "flow")))
	}
	if n.Folded > 0 {
		lines = append(lines, fmt.Sprintf("further %s at several hosts that the history did not keep apart are not counted", triesText(n.Folded)))
	}
	if n.Error != "" {
		lines = append(lines, "not all is counted: "+plain(n.Error, 200))
	}
	return lines
}

func triesText(n uint64) string {
	if n == 1 {
		return "1 try"
	}
	return strconv.FormatUint(n, 10) + " tries"
}

func moreOf(more bool) string {
	if more {
		return "more than "
	}
	return ""
}

func addresses(n int) string { return fmt.Sprintf("%d %s", n, verb(uint64(n), "address", "addresses")) }

// charts are days and histogram of what was counted in the history; without one the histogram of the
// window of the rule.
func (a *RuleAlert) charts() (shown []chart) {
	perSource := chart{Head: "Tries of each address"}
	days := chart{Head: "Tries of each day (UTC)"}
	switch n := a.Attempts; {
	case n != nil && len(n.Histogram) > 0:
		for i, b := range n.Histogram {
			perSource.bar(i, b.Times, b.Sources, "address", "addresses")
		}
		shownDays := n.Days[max(len(n.Days)-maxBars, 0):]
		for _, d := range shownDays {
			days.add(d.Day, d.Tries, verb(d.Tries, "try", "tries"))
		}
		if more := len(n.Days) - len(shownDays); more > 0 {
			days.Note = fmt.Sprintf("and %s before; --json and --csv have all", plural(more, "day"))
		}
	case a.Evidence != nil:
		perSource.Head = "How often each was seen in the window"
		for i, b := range a.Evidence.Histogram {
			perSource.bar(i, b.Times, b.Values, "value", "values")
		}
	}
	for _, c := range []chart{days, perSource} {
		if len(c.Bars) > 0 {
			c.scale()
			shown = append(shown, c)
		}
	}
	return shown
}

// bar adds the i-th bar of a histogram. Those beyond maxBars are together in the last one.
func (c *chart) bar(i int, often, n uint64, one, many string) {
	if i >= maxBars {
		last := &c.Bars[maxBars-1]
		last.Value += n
		last.What = verb(last.Value, one, many)
		if i == maxBars {
			last.Name += " or more"
		}
		return
	}
	name := strconv.FormatUint(often, 10) + " times"
	if often == 1 {
		name = "once"
	}
	c.add(name, n, verb(n, one, many))
}

// stop are lines ready for a firewall.
func (a *RuleAlert) stop() []string {
	if a.Evidence == nil {
		return nil
	}
	return a.Evidence.Stop
}

// tables adds the alert to the tables of the report as CSV.
func (a *RuleAlert) tables(rules, attempts, days *table) {
	e := a.Evidence
	if e == nil {
		e = &incident.Evidence{}
	}
	var group, sources, ports []string
	for _, p := range e.Group {
		group = append(group, p.Field+"="+p.Value)
	}
	for _, s := range e.Sources {
		sources = append(sources, s.Value)
	}
	for _, p := range e.Ports {
		ports = append(ports, strconv.Itoa(int(p.Port)))
	}
	key := strings.Join(group, " ")
	rules.add(a.Name, e.Count, e.Threshold, e.Usual, a.Severity, a.Alerts, stamp(a.First), stamp(a.Last), key, a.Reason, strings.Join(sources, " "), strings.Join(ports, " "))
	if n := a.Attempts; n != nil {
		for _, b := range n.Histogram {
			attempts.add(a.Name, key, stamp(n.From), stamp(n.Until), n.Tries, n.Sources, b.Times, b.Sources)
		}
		for _, d := range n.Days {
			days.add(a.Name, key, d.Day, d.Tries)
		}
	}
}

func (t *text) rules(r *Report) {
	t.head("What rules have found")
	if len(r.Rules) == 0 {
		t.Line(2, noRule)
	}
	for n := range r.Rules[:min(len(r.Rules), MaxRows)] {
		a := &r.Rules[n]
		t.Line(2, a.Severity+" "+a.head(r))
		t.Line(6, a.reason())
		for _, l := range a.lines(r) {
			t.Line(6, l)
		}
		for _, c := range a.charts() {
			t.Line(2, c.Head+":")
			t.chart(&c)
		}
		if len(a.stop()) > 0 {
			t.Line(2, "To stop it:")
		}
		for _, l := range a.stop() {
			t.Line(6, l)
		}
	}
	t.Line(2, rest(r.restOfRules(), false))
}
