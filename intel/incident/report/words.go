package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// The sentences that text and HTML have in common.

// minute gives a time to the minute in the zone of the report.
func (r *Report) minute(t time.Time) string { return t.In(r.zone).Format("2006-01-02 15:04") }

// period gives the time that the report is about.
func (r *Report) period() string {
	length := r.Until.Sub(r.From).Round(time.Hour)
	text := fmt.Sprintf("%d hours", int(length.Hours()))
	if days := length.Hours() / 24; days >= 2 && days == float64(int(days)) {
		text = fmt.Sprintf("%d days", int(days))
	}
	return fmt.Sprintf("%s to %s %s (%s)", r.minute(r.From), r.minute(r.Until), r.Until.In(r.zone).Format("MST"), text)
}

// verdict is one sentence about whether the rest can be trusted.
func (a *Alive) verdict() string {
	switch {
	case a.Hours == 0:
		return "The period has not begun."
	case a.Unknown == a.Hours:
		return fmt.Sprintf("BLIND: nothing is known of any of the %d hours. What follows is not silence, it is ignorance.", a.Hours)
	case a.Unknown+a.Blind == a.Hours:
		return fmt.Sprintf("BLIND: no flow was received in any of the %d hours. Check that routers export to this address.", a.Hours)
	case a.Unknown+a.Blind > 0:
		var parts []string
		if a.Unknown > 0 {
			parts = append(parts, fmt.Sprintf("nothing is known of %d", a.Unknown))
		}
		if a.Blind > 0 {
			parts = append(parts, fmt.Sprintf("%d had no flow", a.Blind))
		}
		return fmt.Sprintf("PARTLY BLIND: of %d hours %s.", a.Hours, strings.Join(parts, ", "))
	case a.Lost > 0:
		return fmt.Sprintf("Flows came in all %d hours, but some were lost: %d of %d received or lost (%s)%s.", a.Hours, a.Lost, a.Flows+a.Lost, percent(a.Lost, a.Flows+a.Lost), a.missing(", and "))
	}
	return fmt.Sprintf("Flows came in all %d hours, %d in all, and none was lost%s.", a.Hours, a.Flows, a.missing(", but "))
}

// missing is in how many minutes the program did not run, empty for none.
func (a *Alive) missing(before string) string {
	if a.Partly == 0 {
		return ""
	}
	return fmt.Sprintf("%sflowsnitch did not run for %s of %s", before, plural(a.Missing, "minute"), plural(a.Partly, "hour"))
}

// aliveLines are what else there is about it.
func (r *Report) aliveLines() (lines []string) {
	a := &r.Alive
	for _, g := range a.Gaps {
		what := "nothing is known"
		if g.Blind {
			what = "no flow"
		}
		lines = append(lines, fmt.Sprintf("%s to %s: %s", r.minute(g.From), r.minute(g.Until), what))
	}
	if a.MoreGaps > 0 {
		lines = append(lines, fmt.Sprintf("and %d shorter gaps", a.MoreGaps))
	}
	if a.Lost > 0 && a.Unknown+a.Blind > 0 {
		lines = append(lines, fmt.Sprintf("lost: %d of %d flows (%s)", a.Lost, a.Flows+a.Lost, percent(a.Lost, a.Flows+a.Lost)))
	}
	if a.Unknown+a.Blind > 0 && a.Partly > 0 {
		lines = append(lines, a.missing("besides, "))
	}
	for _, t := range a.Troubles {
		lines = append(lines, fmt.Sprintf("%s, last %s: %s", plural(t.Hours, "hour"), r.minute(t.Last), plain(t.Text, 300)))
	}
	for _, f := range a.Now {
		lines = append(lines, "now "+findingText(f))
	}
	if !a.Asked {
		lines = append(lines, "no running instance was asked for its state now")
	}
	return lines
}

func findingText(f observe.Finding) string {
	return fmt.Sprintf("%s, %s: %s", f.State, f.Check, plain(f.Text, 300))
}

// waiting is how many incidents need somebody.
func (r *Report) waiting() string {
	if r.Attention.Total == 0 {
		return "No incident of severity high or critical of this period waits for somebody."
	}
	return fmt.Sprintf("%s of severity high or critical not looked at yet.", count(r.Attention.Total, r.Attention.More, "incident"))
}

// older is what waits from before the period, empty for nothing.
func (r *Report) older() string {
	if r.Older == 0 {
		return ""
	}
	return count(r.Older, r.OlderMore, "older one") + " from before this period " + verb(r.Older, "waits", "wait") + " as well: 'flowsnitch incidents --severity high --state new,open'."
}

func verb[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// fresh is who is new.
func (f *Figures) fresh() string {
	return fmt.Sprintf("%s, of %d.", plural(f.New, "offender"), f.Offenders)
}

// returning is who came back.
func (f *Figures) returning() string {
	if f.Offenders == 0 {
		return "No offender was seen in this period."
	}
	if f.Returned == 0 {
		return fmt.Sprintf("None of the %s of this period had been seen before.", plural(f.Offenders, "offender"))
	}
	return fmt.Sprintf("%d of the %s of this period had been seen before (%s); they are %s of the %d known before.",
		f.Returned, plural(f.Offenders, "offender"), percent(uint64(f.Returned), uint64(f.Offenders)),
		percent(uint64(f.Returned), uint64(f.KnownBefore)), f.KnownBefore)
}

// withheldText is how many rows may not be shown, empty for none.
func (r *Report) withheldText() string {
	if r.Withheld == 0 {
		return ""
	}
	return fmt.Sprintf("%s not named: only listings above TLP %s know of them. 'flowsnitch incidents' shows them on this machine, --max-tlp here.", plural(r.Withheld, "offender"), r.MaxTLP)
}

// what gives the facts of an incident in a line.
func (r *Report) what(i *incident.Incident) string {
	facts := []string{count(i.Hosts, i.MoreHosts, "host") + " of ours", plural(i.Days, "day"), plural(i.Flows, "flow")}
	if i.BytesOut > 0 {
		facts = append(facts, observe.Size(i.BytesOut)+" out")
	}
	return strings.Join(facts, ", ") + "; " + how(i.Way(), i.Blocked)
}

// how states what happened between an offender and our hosts.
func how(w incident.Way, blocked bool) string {
	switch w {
	case incident.WayCalled:
		return "called by us and answered"
	case incident.WayTried:
		return "tried by us" + unanswered(blocked)
	case incident.WayAnswered:
		return "we answered"
	case incident.WayScanned:
		return "scanned" + unanswered(blocked)
	case incident.WayUnknown:
		return "the flows do not show who began"
	}
	return string(w)
}

func unanswered(blocked bool) string {
	if blocked {
		return ", blocked"
	}
	return ", no answer seen"
}

// seen gives the time of an incident.
func (r *Report) seen(i *incident.Incident) string {
	return fmt.Sprintf("first %s, last %s", r.minute(i.First), r.minute(i.Last))
}

// state gives what has been made of an incident, empty for nothing.
func state(i *incident.Incident) string {
	switch {
	case i.State == incident.New:
		return ""
	case i.Owner != "":
		return i.State.String() + " by " + plain(i.Owner, 40)
	}
	return i.State.String()
}

// rest is how many rows of a list are not shown, empty for none.
func rest(n int, more bool) string {
	switch {
	case more:
		return fmt.Sprintf("and more than %d others", n)
	case n > 0:
		return fmt.Sprintf("and %d more", n)
	}
	return ""
}

// What stands where a list is empty, and below others.
const (
	noAlert   = "None was raised."
	noFeed    = "None has listed an offender so far."
	feedsNote = "Offenders: with contact in this period. Confirmed, false and not yet judged: of all incidents that the feed listed."
)

// daysNote is about days that the period cuts, empty where it cuts none.
func (r *Report) daysNote() string {
	const day = 24 * time.Hour
	if r.From.Equal(r.From.Truncate(day)) && r.Until.Equal(r.Until.Truncate(day)) {
		return ""
	}
	return "Flows and bytes are counted by the day (UTC): of offenders of this period, the days that it cuts count whole."
}

// silenced is what a silence kept back.
func (r *Report) silenced() string {
	if r.Figures.Silenced == 0 {
		return "Nothing of this period was silenced."
	}
	return fmt.Sprintf("%s of %s of this period %s kept from mail, log and other outputs by a silence, those from before it included.",
		plural(r.Figures.Silenced, "event"), plural(r.Figures.Quiet, "offender"), verb(r.Figures.Silenced, "was", "were"))
}

// line is a silence in a line.
func (s *Silence) line(r *Report) string {
	return fmt.Sprintf("%s until %s by %s: %s; %s", plain(s.What, 120), r.minute(s.Until), plain(s.Author, 40), plain(s.Reason, 120), plural(s.Events, "event"))
}

// busiest gives a few days, those with the most flows first.
func busiest(days []Day) []Day {
	days = slices.Clone(days)
	slices.SortStableFunc(days, func(a, b Day) int { return cmp.Compare(b.Flows, a.Flows) })
	return days[:min(len(days), 7)]
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// place gives country and network of an offender, empty if unknown.
func place(i *incident.Incident) string {
	return strings.TrimSpace(i.Country + " " + asName(i.ASNumber, i.ASName))
}

func asName(number uint32, name string) string {
	if number == 0 {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("AS%d %s", number, plain(name, 40)))
}

// host gives a host of ours with its site.
func host(h incident.Host) string {
	if h.Site == "" {
		return h.Addr.String()
	}
	return h.Addr.String() + " at " + plain(h.Site, 40)
}

// flows gives a bucket for people.
func (b *Bucket) flows() string {
	switch b.To {
	case b.From:
		return plural(b.From, "flow")
	case 0:
		return fmt.Sprintf("%d or more flows", b.From)
	}
	return fmt.Sprintf("%d to %d flows", b.From, b.To)
}

func plain(s string, limit int) string { return string(fit.AppendPlain(nil, s, limit)) }

// things is the word after a number.
func things[N int | uint64](n N, thing string) string { return verb(n, thing, thing+"s") }

func plural[N int | uint64](n N, thing string) string {
	return fmt.Sprintf("%d %s", n, things(n, thing))
}

func count(n int, more bool, thing string) string {
	if more {
		return fmt.Sprintf("more than %d %ss", n, thing)
	}
	return plural(n, thing)
}

func percent(part, of uint64) string {
	if of == 0 {
		return "0 %"
	}
	p := float64(part) / float64(of) * 100
	if part > 0 && p < 0.1 {
		return "less than 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", p)
}

// Subject is the report in a line, for a mail: whether anything was seen, and what waits.
func (r *Report) Subject() string {
	state := "OK"
	switch a := &r.Alive; {
	case a.Unknown+a.Blind >= a.Hours:
		state = "BLIND"
	case a.Unknown+a.Blind > 0:
		state = "PARTLY BLIND"
	case r.Attention.Total > 0:
		state = count(r.Attention.Total, r.Attention.More, "incident") + " to look at"
	}
	return fmt.Sprintf("flowsnitch %s: report until %s: %s", plain(r.Sensor, 60), r.Until.In(r.zone).Format(time.DateOnly), state)
}
