package detect

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// Sentence is the alert in one line for people:
//
//	swarm: 89 sources tried 192.0.2.25 tcp/25 within 6h, usual 28, none more than 8 times
func (a *Alert) Sentence() string {
	w := a.words()
	return a.Rule.Name + ": " + w.core() + w.tail()
}

// words are what the sentence about an alert is made of.
type words struct {
	*Alert
	direction                string // of all observations; empty = any
	outside, inside, service string // empty = several
	site, rest               string
}

// words collects what the rule and the group have of each.
func (a *Alert) words() words {
	w := words{Alert: a, direction: a.only("direction")}
	var protocol, port string
	var rest []string
	for _, p := range a.Group {
		switch p.Field {
		case "outside", "offender":
			w.outside = p.Value
		case "inside", "local":
			w.inside = p.Value
		case "site":
			w.site = p.Value
		case "protocol":
			protocol = p.Value
		case "service_port":
			port = p.Value
		case "direction":
			w.direction = p.Value
		default:
			if p.Value != "" {
				rest = append(rest, p.Field+" "+p.Value)
			}
		}
	}
	switch {
	case protocol != "" && port != "":
		w.service = protocol + "/" + port
	case port != "":
		w.service = "port " + port
	default:
		w.service = protocol
	}
	w.rest = strings.Join(rest, ", ")
	return w
}

// only gives the one word that where allows for a field; empty = several, or any.
func (a *Alert) only(field string) string {
	for i := range a.Rule.Where {
		if t := &a.Rule.Where[i]; t.Field.Name == field && !t.Not && len(t.Numbers) == 1 && t.Numbers[0] < uint64(len(t.Field.Words)) {
			return t.Field.Words[t.Numbers[0]]
		}
	}
	return ""
}

// core is what happened.
func (w *words) core() string {
	c := &w.Rule.Correlation
	s := ""
	switch c.Type {
	case rule.EventCount:
		s = w.number("flow") + " from " + w.actor() + " to " + w.target()
	case rule.ValueSum:
		s = w.sum(c.Condition.Field.Name)
	case rule.ValueCount, rule.Rise:
		s = w.values(c.Condition.Field.Name)
	case rule.Lockstep:
		s = w.inStep() + " tried the same " + w.number("port") + " of " + cmp.Or(w.inside, "our hosts")
	case rule.Regular:
		s = w.actor() + " " + w.verb(true) + " " + w.target() + " " + w.number("time")
	default:
		s = w.Rule.Title + ": " + strings.Join(slices.DeleteFunc([]string{w.outside, with(w.inside, w.service)}, func(s string) bool { return s == "" }), " and ")
	}
	if w.site != "" {
		s += " at " + w.site
	}
	if w.rest != "" {
		s += " (" + w.rest + ")"
	}
	return s + " within " + rule.Short(c.Timespan)
}

// tail is how that compares with what the rule looks for.
func (w *words) tail() (s string) {
	c := &w.Rule.Correlation
	switch c.Type {
	case rule.Lockstep:
		s = ", at most " + rule.Short(c.Within) + " apart"
	case rule.Regular:
		s = fmt.Sprintf(", every %s, spread %.1f %%", interval(w.Interval), 100*w.Spread)
	}
	if c.Type == rule.Rise && (w.Usual > 0 || w.Threshold < c.Cold) {
		s += ", usual " + strconv.FormatUint(w.Usual, 10)
	}
	if !c.Each.IsZero() && c.Each.Max < math.MaxUint64 {
		s += ", none more than " + times(c.Each.Max)
	}
	if !c.Each.IsZero() && c.Each.Min > 0 {
		s += ", each at least " + times(c.Each.Min)
	}
	s += w.answered()
	if w.Update {
		s += ", at least twice as many as in the last alert"
	}
	return s
}

// answered is what is known of answers.
func (w *words) answered() string {
	switch w.only("answered") {
	case "no":
		return ", none answered"
	case "yes":
		return ", all answered"
	}
	for i := range w.Rule.Where {
		t := &w.Rule.Where[i]
		if t.Field.Name != "answered" {
			continue
		}
		const yes = 1 // as the words of the field
		if slices.Contains(t.Numbers, yes) == t.Not {
			return ", no answer known"
		}
	}
	return ""
}

// many is what the addresses outside are called where there are several.
func (w *words) many() string {
	switch {
	case w.Rule.Over == rule.Hits:
		return "listed addresses"
	case w.direction == "inbound":
		return "sources"
	}
	return "addresses outside"
}

// actor is who began, and target whom it went to, with the service.
func (w *words) actor() string {
	if w.direction == "outbound" {
		return cmp.Or(w.inside, "our hosts")
	}
	return cmp.Or(w.outside, w.many())
}

func (w *words) target() string {
	if w.direction == "outbound" {
		return with(cmp.Or(w.outside, w.many()), w.service)
	}
	return with(cmp.Or(w.inside, "our hosts"), w.service)
}

// verb is what the actor did; one: the actor is a single address.
func (w *words) verb(one bool) string {
	switch {
	case w.direction == "inbound":
		return "tried"
	case w.direction == "outbound":
		return "called"
	case one:
		return "was in contact with"
	}
	return "were in contact with"
}

// values is about a number of distinct values.
func (w *words) values(field string) string {
	out := w.direction == "outbound"
	switch field {
	case "outside", "offender":
		n := w.count() + " " + w.many()
		if out {
			return w.actor() + " " + w.verb(w.inside != "") + " " + with(n, w.service)
		}
		return n + " " + w.verb(false) + " " + w.target()
	case "inside", "local":
		n := w.count() + " of our hosts"
		if out {
			return n + " " + w.verb(false) + " " + w.target()
		}
		return w.actor() + " " + w.verb(w.outside != "") + " " + with(n, w.service)
	case "service_port":
		return w.actor() + " " + w.verb(true) + " " + w.number("service") + " of " + w.target()
	}
	return fmt.Sprintf("%s values of %s between %s and %s", w.count(), field, w.actor(), w.target())
}

// sum is about the sum of a field.
func (w *words) sum(field string) string {
	what, way, _ := strings.Cut(field, "_")
	n := w.number(strings.TrimSuffix(what, "s"))
	if what == "bytes" {
		n = size(w.Count)
	}
	ours, theirs := cmp.Or(w.inside, "our hosts"), with(cmp.Or(w.outside, w.many()), w.service)
	switch way {
	case "out":
		return ours + " sent " + n + " to " + theirs
	case "in":
		return ours + " received " + n + " from " + theirs
	}
	return n + " from " + w.actor() + " to " + w.target()
}

// inStep names the addresses of a rule of type lockstep.
func (w *words) inStep() string {
	const named = 2
	n := len(w.Sources)
	switch {
	case n == 0:
		return "several " + w.many()
	case n == 1:
		return w.Sources[0].Value
	case n == named:
		return w.Sources[0].Value + " and " + w.Sources[1].Value
	}
	more := strconv.Itoa(n - named)
	if n == mostShares {
		more = "at least " + more
	}
	return w.Sources[0].Value + ", " + w.Sources[1].Value + " and " + more + " more"
}

// count is the number, as exact as it is known.
func (w *words) count() string {
	n := strconv.FormatUint(w.Count, 10)
	if w.Failure > 0 {
		return "about " + n
	}
	return n
}

// number is the number of something.
func (w *words) number(of string) string {
	if w.Count == 1 {
		return w.count() + " " + of
	}
	return w.count() + " " + of + "s"
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return strconv.FormatUint(n, 10) + " times"
}

// interval is a mean time, as exact as people need it.
func interval(d time.Duration) string {
	unit := time.Second
	switch {
	case d < 10*time.Second:
		unit = 100 * time.Millisecond
	case d >= time.Hour:
		unit = time.Minute
	}
	s := d.Round(unit).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// size gives bytes in the largest decimal unit.
func size(n uint64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if f < 999.5 {
			break
		}
		f, unit = f/1000, u
	}
	return strconv.FormatFloat(f, 'g', 3, 64) + " " + unit
}

// with puts a service behind an address.
func with(address, service string) string { return strings.TrimSpace(address + " " + service) }
