package app

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/follow"
	"github.com/flowsnitch/flowsnitch/intel/detect/hits"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// A RuleStatus is what the correlation rules do. Counters are since the start.
type RuleStatus struct {
	On           int       `json:"on" name:"rules" help:"Correlation rules that are on." show:"always"`
	HistoryOff   int       `json:"history_off" name:"rules_without_history" help:"Rules over contacts that are on and see nothing, because the history is off." show:"some" words:"over contacts see nothing, because the history is off"`
	Bad          int       `json:"bad" name:"rules_bad" help:"Rules that are left out because they are not valid." show:"some" words:"not valid"`
	Alerts       uint64    `json:"alerts" name:"rule_alerts_total" help:"Alerts sent." show:"always"`
	Again        uint64    `json:"again" name:"rule_alerts_repeated_total" help:"Alerts that had been sent before a restart, and were not sent again."`
	Old          uint64    `json:"old" name:"rule_alerts_old_total" help:"Alerts of a time before rules ran, which are not sent."`
	Quarantined  uint64    `json:"quarantined" name:"rule_alerts_quarantined_total" help:"Alerts not sent because their rule raised too many within an hour." loss:"true" judged:"rules" words:"alerts of quarantined rules not sent"`
	Raised       uint64    `json:"raised" name:"rule_alerts_raised_total" help:"Alerts raised, those that were sent before or are not sent among them; of contacts, those of the hour that is not complete count when it is."`
	Observations uint64    `json:"observations" name:"rule_observations_total" help:"Observations that were given to rules: parts of hits and of contacts, counted once for each hour."`
	Updates      uint64    `json:"updates" name:"rule_alerts_updates_total" help:"Alerts raised whose count had doubled since the last one."`
	Hits         uint64    `json:"hits" name:"rule_hits_total" help:"Hits and updates judged."`
	Contacts     uint64    `json:"contacts" name:"rule_contacts_total" help:"Contacts of the history judged since the last hour that was complete."`
	Rewound      uint64    `json:"rewound" name:"rule_rewound_total" help:"Times that rules forgot what they remembered, because the clock was set back." loss:"true" judged:"rules" words:"times that rules began anew after the clock was set back"`
	Late         uint64    `json:"late" name:"rule_events_not_judged_total" help:"Events that rules did not judge, by reason." with:"reason=late"`
	Retro        uint64    `json:"retro" name:"rule_events_not_judged_total" help:"Events that rules did not judge, by reason." with:"reason=retro"`
	Silenced     uint64    `json:"silenced" name:"rule_events_not_judged_total" help:"Events that rules did not judge, by reason." with:"reason=silenced"`
	FalseAlarms  uint64    `json:"false_alarms" name:"rule_events_not_judged_total" help:"Events that rules did not judge, by reason." with:"reason=false_alarm"`
	Covered      uint64    `json:"covered" name:"rule_events_not_judged_total" help:"Events that rules did not judge, by reason." with:"reason=covered"`
	Partly       uint64    `json:"partly" name:"rule_updates_partly_judged_total" help:"Updates of contacts that rules did not remember, of which one flow counts."`
	Remembered   int       `json:"remembered" name:"rule_contacts_remembered" help:"Contacts of hits that rules remember, so that of their updates what is new counts."`
	Quieted      uint64    `json:"contacts_silenced" name:"rule_contacts_silenced" help:"Contacts of the last look at the history that were not judged, because they are silenced or a false alarm."`
	Omitted      uint64    `json:"contacts_omitted" name:"rule_contacts_omitted_total" help:"Contacts of the history that rules did not judge, because only the file of their day was left when rules ran again." loss:"true" judged:"rules" words:"contacts not judged, as their hours were merged to a day"`
	Spread       uint64    `json:"contacts_spread" name:"rule_contacts_spread" help:"Contacts of the last look at the history that lasted for hours, whose flows were spread evenly."`
	Unread       uint64    `json:"unread_files" name:"rule_unread_files_total" help:"Files of the history that rules could not read." loss:"true" judged:"rules" words:"files of the history that could not be read"`
	Files        uint64    `json:"files" name:"rule_files" help:"Files of the history that were read with the last look."`
	Groups       int       `json:"groups" name:"rule_groups" help:"Groups that rules remember."`
	Bytes        int       `json:"bytes" name:"rule_bytes" help:"Memory of the groups, estimated."`
	Dropped      uint64    `json:"dropped" name:"rule_groups_dropped_total" help:"Groups forgotten within their window to make room for others." loss:"true" judged:"rules" words:"groups forgotten to make room"`
	Forgotten    uint64    `json:"forgotten" name:"rule_contacts_forgotten_total" help:"Contacts of hits forgotten to make room for others." loss:"true" judged:"rules" words:"contacts of hits forgotten to make room"`
	Lost         uint64    `json:"lost" name:"rule_events_lost_total" help:"Events that the journal dropped before rules had judged them." loss:"true" judged:"rules" words:"events lost before rules had judged them"`
	Pending      uint64    `json:"pending" name:"rule_events_pending" help:"Events in the journal that rules have still to judge."`
	Errors       uint64    `json:"errors" name:"rule_errors_total" help:"States that could not be written, histories that could not be read; they are tried again." show:"some" words:"failed attempts"`
	Saved        time.Time `json:"saved,omitzero" name:"rule_state_saved_timestamp_seconds" help:"When the state of rules over hits was last written."`
	StateBytes   int       `json:"state_bytes" name:"rule_state_bytes" help:"Size of the states of rules over hits and over contacts."`
	StateWritten uint64    `json:"state_written_bytes" name:"rule_state_written_bytes_total" help:"Bytes of states that were written."`
	Waiting      int       `json:"waiting" name:"rule_events_unsaved" help:"Hits and updates judged since the state was last written."`
	Place        time.Time `json:"contacts_from,omitzero" name:"rule_contacts_saved_timestamp_seconds" help:"Hour of the history from which rules over contacts begin again after a restart."`
	LogDamaged   int       `json:"alerts_damaged" name:"rule_alerts_damaged_total" help:"Records of alerts sent that were damaged; such alerts may come again, with the same id." loss:"true" judged:"rules" words:"records of alerts damaged"`
	LogForgotten int       `json:"alerts_forgotten" name:"rule_alerts_forgotten_total" help:"Records of alerts sent that made room for others; such alerts may come again, with the same id."`
	Until        time.Time `json:"contacts_until,omitzero" name:"rule_contacts_judged_timestamp_seconds" help:"Time up to which contacts are judged."`
	Took         float64   `json:"contacts_seconds" name:"rule_contacts_seconds" help:"Duration of the last look at the history."`
	Trouble      string    `json:"trouble,omitempty" show:"some" words:"failing"`
	Damaged      string    `json:"damaged,omitempty" show:"some" words:"state lost"`
	// Invalid are the rules that are left out, and why; Quiet those that are quarantined.
	Invalid []string `json:"invalid,omitempty"`
	Quiet   []string `json:"quarantined_rules,omitempty"`
}

func (r *ruleRunner) status() RuleStatus {
	r.mu.Lock()
	book := r.book
	r.mu.Unlock()
	var s RuleStatus
	s.follow(r.hits.Stats(), r.contacts.Stats(), r.raised.Stats())
	s.On, s.Bad = len(book.On()), len(book.Bad)
	if r.a.history.Folder() == nil {
		for _, one := range book.On() {
			if one.Over == rule.Contacts {
				s.HistoryOff++
			}
		}
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
	n := r.runner.Stats()
	s.Pending, s.Lost = n.Pending, n.Dropped+n.Failed
	return s
}

// follow takes the counters of both engines.
func (s *RuleStatus) follow(h follow.HitsStats, c follow.ContactsStats, raised follow.RaisedStats) {
	s.Alerts, s.Again, s.Old, s.Quarantined = raised.Sent, raised.Again, raised.Old, raised.Quarantined
	s.LogDamaged, s.LogForgotten = raised.Damaged, raised.Forgotten
	s.engine(h.Engine)
	s.engine(c.Engine)
	s.judged(h.Hits)
	s.Contacts, s.Quieted, s.Omitted, s.Spread, s.Unread, s.Files = c.Read.Rows, c.Quiet, c.Omitted, c.Read.Spread, c.Unread, c.Read.Files
	s.Saved, s.StateBytes, s.Waiting, s.Place = h.Saved, h.Bytes+c.Bytes, h.Waiting, c.Place
	s.StateWritten = h.Written + c.Written
	s.Errors, s.Until, s.Took = h.Errors+c.Errors+raised.Errors, c.Until, c.Took.Seconds()
	s.Trouble, s.Damaged = both(h.Error, c.Error), both(h.Damaged, c.Damaged)
}

// engine adds the counters of one engine.
func (s *RuleStatus) engine(e detect.Stats) {
	s.Observations += e.Observations
	s.Late += e.Late
	s.Rewound += e.Rewound
	s.Raised += e.Alerts
	s.Updates += e.Updates
	s.Quarantined += e.Excess
	s.Groups += e.Groups
	s.Bytes += e.Bytes
	s.Dropped += e.Dropped
}

// judged takes what became of events.
func (s *RuleStatus) judged(h hits.Stats) {
	s.Hits, s.Retro, s.Silenced, s.FalseAlarms, s.Covered = h.Judged, h.Retro, h.Silenced, h.FalseAlarms, h.Covered
	s.Partly, s.Remembered, s.Forgotten = h.Partly, h.Contacts, h.Forgotten
}

// both joins what there is of two texts.
func both(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), "; ")
}

// printRules prints what the rules do.
func printRules(w io.Writer, s RuleStatus, final bool) {
	fmt.Fprintf(w, "rules      %d on; %d alerts; %d hits judged", s.On, s.Alerts, s.Hits)
	if !s.Until.IsZero() && !final {
		fmt.Fprintf(w, "; contacts judged until %s", show.Date(s.Until))
	}
	fmt.Fprintln(w)
	more := show.Some(show.Count(uint64(s.Bad), "rules not valid"), show.Count(uint64(s.HistoryOff), "over contacts see nothing, because the history is off"),
		show.Count(s.Rewound, "times that rules began anew after the clock was set back"), show.Count(s.Quarantined, "alerts of quarantined rules not sent"),
		show.Count(s.Dropped, "groups forgotten to make room"), show.Count(s.Lost, "events lost before rules had judged them"),
		show.Count(s.Late, "late events not judged"), show.Count(s.Omitted, "contacts not judged, as their hours were merged to a day"),
		show.Count(s.Unread, "files of the history that could not be read"), show.Count(uint64(s.LogDamaged), "records of alerts damaged"),
		show.Count(s.Forgotten, "contacts of hits forgotten to make room"), show.Count(s.Errors, "failed attempts"))
	if more != "" {
		fmt.Fprintf(w, "           %s\n", strings.TrimPrefix(more, ", "))
	}
	for _, line := range []string{lineOf("quarantined", strings.Join(s.Quiet, ", ")), lineOf("failing", s.Trouble), lineOf("state lost", s.Damaged)} {
		if line != "" {
			fmt.Fprintf(w, "           %s\n", show.Printable(line))
		}
	}
}

// lineOf gives label: text, and nothing without a text.
func lineOf(label, text string) string {
	if text == "" {
		return ""
	}
	return label + ": " + text
}

// ruleCheck looks for rules that do not run, and for what they could not judge.
func ruleCheck(status func() RuleStatus) observe.Check {
	var past observe.History[RuleStatus]
	return observe.Check{Name: "rules", State: func(now time.Time) observe.Finding {
		var f finding
		s := status()
		before := past.Note(now, s)
		if s.Bad > 0 && len(s.Invalid) > 0 {
			f.Warn("invalid", "%d rules are left out: %s; 'flowsnitch rules list' shows all", s.Bad, s.Invalid[0])
		}
		if len(s.Quiet) > 0 {
			f.Warn("quarantined", "rules that raised too many alerts are quiet for an hour: %s; make their condition stricter, or name them in rules.disable", strings.Join(s.Quiet, ", "))
		} else if n := observe.Grown(s.Quarantined, before.Quarantined); n > 0 {
			f.Warn("quarantined", "%d alerts were not sent, because their rule raised too many", n)
		}
		if s.Trouble != "" {
			f.Warn("trouble", "rules cannot save what they remember, or read the history (%s); they go on, and try again", s.Trouble)
		}
		if s.Damaged != "" {
			f.Warn("damaged", "what rules remembered could not be read (%s); they have begun anew", s.Damaged)
		}
		if n := observe.Grown(s.Rewound, before.Rewound); n > 0 {
			f.Warn("rewound", "the clock was set back, and rules have forgotten what they remembered: they have begun anew")
		}
		if n := observe.Grown(s.Dropped, before.Dropped); n > 0 {
			f.Warn("dropped", "%d groups were forgotten within their window to make room: raise rules.max_groups and rules.max_bytes, or disable rules with many groups", n)
		}
		if n := observe.Grown(s.Forgotten, before.Forgotten); n > 0 {
			f.Warn("forgotten", "%d contacts of hits were forgotten to make room; of their updates one flow counts", n)
		}
		if n := observe.Grown(s.Omitted, before.Omitted); n > 0 {
			f.Warn("omitted", "%d contacts were not judged, because rules did not run for so long that only files of whole days were left of the time", n)
		}
		if n := observe.Grown(s.Unread, before.Unread); n > 0 {
			f.Warn("unread", "%d files of the history could not be read, and their contacts were not judged; see 'flowsnitch status' for its damaged files", n)
		}
		if s.LogDamaged > 0 {
			f.Warn("records", "%d records of alerts sent are damaged: these alerts may come again, with the same id", s.LogDamaged)
		}
		if n := observe.Grown(s.Lost, before.Lost); n > 0 {
			f.AtLeast(observe.Critical)
			f.Add("lost", "%d events were lost before rules had judged them", n)
		}
		if s.HistoryOff > 0 {
			f.Otherwise("%d rules are on; %d of them are over contacts and see nothing, because the history is off", s.On, s.HistoryOff)
		}
		f.Otherwise("%d rules are on", s.On)
		return f.Finding
	}}
}
