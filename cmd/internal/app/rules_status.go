package app

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// A RuleStatus is what the correlation rules do. Counters are since the start.
type RuleStatus struct {
	On          int       `json:"on" name:"rules" help:"Correlation rules that are on." show:"always"`
	Bad         int       `json:"bad" name:"rules_bad" help:"Rules that are left out because they are not valid." show:"some" words:"not valid"`
	Alerts      uint64    `json:"alerts" name:"rule_alerts_total" help:"Alerts sent." show:"always"`
	Again       uint64    `json:"again" name:"rule_alerts_repeated_total" help:"Alerts that had been sent before a restart, and were not sent again."`
	Old         uint64    `json:"old" name:"rule_alerts_old_total" help:"Alerts of a time before rules ran, which are not sent."`
	Quarantined uint64    `json:"quarantined" name:"rule_alerts_quarantined_total" help:"Alerts not sent because their rule raised too many within an hour." loss:"true" judged:"rules" words:"alerts of quarantined rules not sent"`
	Hits        uint64    `json:"hits" name:"rule_hits_total" help:"Hits and updates judged."`
	Contacts    uint64    `json:"contacts" name:"rule_contacts_total" help:"Contacts of the history judged since the last hour that was complete."`
	Late        uint64    `json:"late" name:"rule_events_not_judged_total" help:"Events that rules did not judge, by reason." with:"reason=late"`
	Retro       uint64    `json:"retro" name:"rule_events_not_judged_total" help:"Events that rules did not judge, by reason." with:"reason=retro"`
	Silenced    uint64    `json:"silenced" name:"rule_events_not_judged_total" help:"Events that rules did not judge, by reason." with:"reason=silenced"`
	FalseAlarms uint64    `json:"false_alarms" name:"rule_events_not_judged_total" help:"Events that rules did not judge, by reason." with:"reason=false_alarm"`
	Groups      int       `json:"groups" name:"rule_groups" help:"Groups that rules remember."`
	Bytes       int       `json:"bytes" name:"rule_bytes" help:"Memory of the groups, estimated."`
	Dropped     uint64    `json:"dropped" name:"rule_groups_dropped_total" help:"Groups forgotten within their window to make room for others." loss:"true" judged:"rules" words:"groups forgotten to make room"`
	Forgotten   uint64    `json:"forgotten" name:"rule_contacts_forgotten_total" help:"Contacts of hits forgotten to make room for others." loss:"true" judged:"rules" words:"contacts of hits forgotten to make room"`
	Lost        uint64    `json:"lost" name:"rule_events_lost_total" help:"Events that the journal dropped before rules had judged them." loss:"true" judged:"rules" words:"events lost before rules had judged them"`
	Pending     uint64    `json:"pending" name:"rule_events_pending" help:"Events in the journal that rules have still to judge."`
	Errors      uint64    `json:"errors" name:"rule_errors_total" help:"States that could not be written, histories that could not be read; they are tried again." show:"some" words:"failed attempts"`
	Until       time.Time `json:"contacts_until,omitzero" name:"rule_contacts_judged_timestamp_seconds" help:"Time up to which contacts are judged."`
	Took        float64   `json:"contacts_seconds" name:"rule_contacts_seconds" help:"Duration of the last look at the history."`
	Trouble     string    `json:"trouble,omitempty" show:"some" words:"failing"`
	Damaged     string    `json:"damaged,omitempty" show:"some" words:"state lost"`
	// Invalid are the rules that are left out, and why; Quiet those that are quarantined.
	Invalid []string `json:"invalid,omitempty"`
	Quiet   []string `json:"quarantined_rules,omitempty"`
}

func (r *ruleRunner) status() RuleStatus {
	r.mu.Lock()
	book := r.book
	r.mu.Unlock()
	if book == nil || r.raised == nil {
		return RuleStatus{}
	}
	h, c, raised := r.hits.Stats(), r.contacts.Stats(), r.raised.Stats()
	s := RuleStatus{
		On: len(book.On()), Bad: len(book.Bad), Alerts: raised.Sent, Again: raised.Again, Old: raised.Old, Quarantined: raised.Quarantined + h.Engine.Excess + c.Engine.Excess,
		Hits: h.Hits.Judged, Contacts: c.Read.Rows, Late: h.Engine.Late, Retro: h.Hits.Retro, Silenced: h.Hits.Silenced, FalseAlarms: h.Hits.FalseAlarms,
		Groups: h.Engine.Groups + c.Engine.Groups, Bytes: h.Engine.Bytes + c.Engine.Bytes,
		Dropped: h.Engine.Dropped + c.Engine.Dropped, Forgotten: h.Hits.Forgotten,
		Errors: h.Errors + c.Errors + raised.Errors, Until: c.Until, Took: c.Took.Seconds(),
		Trouble: strings.Join(slices.DeleteFunc([]string{h.Error, c.Error}, func(s string) bool { return s == "" }), "; "),
		Damaged: strings.Join(slices.DeleteFunc([]string{h.Damaged, c.Damaged}, func(s string) bool { return s == "" }), "; "),
	}
	for name, a := range r.raised.Rules() {
		if !a.Quarantined.IsZero() {
			s.Quiet = append(s.Quiet, name)
		}
	}
	slices.Sort(s.Quiet)
	for _, err := range book.Bad {
		s.Invalid = append(s.Invalid, err.Error())
	}
	if r.runner != nil {
		n := r.runner.Stats()
		s.Pending, s.Lost = n.Pending, n.Dropped+n.Failed
	}
	return s
}

// printRules prints what the rules do.
func printRules(w io.Writer, s RuleStatus, final bool) {
	fmt.Fprintf(w, "rules      %d on; %d alerts; %d hits judged", s.On, s.Alerts, s.Hits)
	if !s.Until.IsZero() && !final {
		fmt.Fprintf(w, "; contacts judged until %s", show.Date(s.Until))
	}
	fmt.Fprintln(w)
	more := show.Some(show.Count(uint64(s.Bad), "rules not valid"), show.Count(s.Quarantined, "alerts of quarantined rules not sent"),
		show.Count(s.Dropped, "groups forgotten to make room"), show.Count(s.Lost, "events lost before rules had judged them"),
		show.Count(s.Late, "late events not judged"), show.Count(s.Errors, "failed attempts"))
	if more != "" {
		fmt.Fprintf(w, "           %s\n", strings.TrimPrefix(more, ", "))
	}
	if s.Trouble != "" {
		fmt.Fprintf(w, "           %s\n", show.Printable(s.Trouble))
	}
}

// ruleCheck looks for rules that do not run, and for what they could not judge.
func ruleCheck(status func() RuleStatus) observe.Check {
	var past observe.History[RuleStatus]
	return observe.Check{Name: "rules", State: func(now time.Time) observe.Finding {
		var f finding
		s := status()
		before := past.Note(now, s)
		warn := func(key, format string, args ...any) {
			f.AtLeast(observe.Warning)
			f.Add(key, format, args...)
		}
		if s.Bad > 0 && len(s.Invalid) > 0 {
			warn("invalid", "%d rules are left out: %s; 'flowsnitch rules check' shows all", s.Bad, s.Invalid[0])
		}
		if len(s.Quiet) > 0 {
			warn("quarantined", "rules that raised too many alerts are quiet for an hour: %s; make their condition stricter, or name them in rules.disable", strings.Join(s.Quiet, ", "))
		} else if n := observe.Grown(s.Quarantined, before.Quarantined); n > 0 {
			warn("quarantined", "%d alerts were not sent, because their rule raised too many", n)
		}
		if s.Trouble != "" {
			warn("trouble", "rules cannot save what they remember, or read the history (%s); they go on, and try again", s.Trouble)
		}
		if s.Damaged != "" {
			warn("damaged", "what rules remembered could not be read (%s); they have begun anew", s.Damaged)
		}
		if n := observe.Grown(s.Dropped, before.Dropped); n > 0 {
			warn("dropped", "%d groups were forgotten within their window to make room: raise rules.max_groups and rules.max_bytes, or disable rules with many groups", n)
		}
		if n := observe.Grown(s.Forgotten, before.Forgotten); n > 0 {
			warn("forgotten", "%d contacts of hits were forgotten to make room; of their updates one flow counts", n)
		}
		if n := observe.Grown(s.Lost, before.Lost); n > 0 {
			f.AtLeast(observe.Critical)
			f.Add("lost", "%d events were lost before rules had judged them", n)
		}
		f.Otherwise("%d rules are on", s.On)
		return f.Finding
	}}
}
