package app

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident/intake"
	"github.com/flowsnitch/flowsnitch/intel/incident/pulse"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
)

// An IncidentStatus is what is kept of offenders. Counters are since the start, but for those
// of events for the database: they go on over restarts, as those of sinks.
type IncidentStatus struct {
	Enabled   bool      `json:"enabled" name:"incidents_enabled" help:"1 while incidents are kept."`
	Database  string    `json:"database,omitempty"` // where it is, without a password
	Incidents int64     `json:"incidents" name:"incidents" help:"Incidents kept." show:"always"`
	Max       int64     `json:"max" name:"incidents_max" help:"Limit for the number of incidents."`
	Bytes     int64     `json:"bytes" name:"incidents_bytes" help:"Size of the database file; 0 with PostgreSQL."`
	Committed uint64    `json:"committed" name:"incident_events_total" help:"Events committed to the database of incidents."`
	Repeats   uint64    `json:"repeats" name:"incident_repeats_total" help:"Events that came again and had been counted."`
	Commits   uint64    `json:"commits" name:"incident_commits_total" help:"Transactions."`
	Early     uint64    `json:"early" name:"incident_early_commits_total" help:"Transactions before their time, because there was no more room in memory."`
	Errors    uint64    `json:"errors" name:"incident_commit_errors_total" help:"Failed transactions; they are tried again." show:"some" words:"failed commits"`
	Changed   uint64    `json:"changed" name:"incident_changes_total" help:"Incidents written."`
	Reopened  uint64    `json:"reopened" name:"incidents_reopened_total" help:"Incidents that were closed, or false alarms, and are open again."`
	Old       uint64    `json:"removed_old" name:"incidents_removed_total" help:"Incidents removed, by reason." with:"reason=old"`
	Over      uint64    `json:"removed_full" name:"incidents_removed_total" help:"Incidents removed, by reason." with:"reason=full" loss:"true" judged:"incidents" words:"incidents removed to make room"`
	Contacts  uint64    `json:"contacts_removed" name:"incident_contacts_removed_total" help:"Contacts forgotten after their last sight."`
	Damaged   uint64    `json:"damaged" name:"incidents_damaged_total" help:"Damaged databases moved aside." loss:"true" judged:"incidents" words:"damaged databases moved aside"`
	AsideAs   string    `json:"aside_as,omitempty"`
	Waiting   int       `json:"waiting" name:"incident_events_waiting" help:"Events in memory for the next transaction."`
	Pending   uint64    `json:"pending" name:"incident_events_pending" help:"Events in the journal that the database has still to get."`
	Dropped   uint64    `json:"dropped" name:"incident_events_lost_total" help:"Events that the journal dropped before the database had them." loss:"true" judged:"incidents" words:"events lost before the database had them"`
	Last      time.Time `json:"last_commit,omitzero" name:"incident_last_commit_timestamp_seconds" help:"Time of the last transaction."`
	Took      float64   `json:"commit_seconds" name:"incident_commit_seconds" help:"Duration of the last transaction."`
	Hours     int       `json:"pulse_hours_waiting" name:"incident_pulses_waiting" help:"Hours in memory of which the database does not have yet what the instance did in them."`
	Unwritten uint64    `json:"pulse_hours_dropped" name:"incident_pulses_dropped_total" help:"Hours of which reports will know nothing, because the database was away for too long." loss:"true" judged:"incidents" words:"hours of which reports know nothing"`
	Trouble   string    `json:"trouble,omitempty" name:"incidents_failing" help:"1 while the database does not take anything." show:"some" words:"the database does not take anything"`
}

func (l *incidentLog) status() IncidentStatus {
	l.mu.Lock()
	s := IncidentStatus{Enabled: l.cfg.Enabled, Max: int64(l.cfg.Max), Trouble: l.trouble}
	base, in := l.base, l.intake
	l.mu.Unlock()
	if base != nil {
		s.store(base.Stats())
		s.Database, s.Bytes = base.Where(), base.Size()
	}
	if in != nil {
		s.intake(in.Stats())
	}
	s.pulse(l.pulse.book.Stats())
	if l.runner != nil {
		c := l.runner.Stats()
		s.Pending, s.Dropped = c.Pending, c.Dropped+c.Failed
	}
	return s
}

func (s *IncidentStatus) store(b store.Stats) {
	s.Incidents, s.Changed, s.Reopened = b.Incidents, b.Changed, b.Reopened
	s.Old, s.Over, s.Contacts = b.Pruned.Old, b.Pruned.Over, b.Pruned.Contacts
	s.Damaged, s.AsideAs = b.Aside, b.AsideAs
}

func (s *IncidentStatus) intake(i intake.Stats) {
	s.Committed, s.Repeats, s.Commits, s.Early, s.Errors = i.Committed, i.Repeats, i.Commits, i.Early, i.Errors
	s.Waiting, s.Last, s.Took, s.Trouble = i.Waiting, i.Last, i.Took.Seconds(), i.Error
}

// pulse adds what became of the hours. Without a hit nothing else is written.
func (s *IncidentStatus) pulse(p pulse.Stats) {
	s.Hours, s.Unwritten = p.Waiting, p.Dropped
	s.Errors += p.Errors
	s.Trouble = cmp.Or(s.Trouble, p.Error)
}

// printIncidents prints what is kept.
func printIncidents(w io.Writer, s IncidentStatus, final bool) {
	if !s.Enabled {
		fmt.Fprintln(w, "incidents  none are kept (incidents.enabled)")
		return
	}
	fmt.Fprintf(w, "incidents  %d of at most %d kept; events: %d committed", s.Incidents, s.Max, s.Committed)
	if waiting := uint64(s.Waiting) + s.Pending; waiting > 0 {
		fmt.Fprintf(w, ", %d waiting", waiting)
	}
	if s.Hours > 2 { // the present one waits most of the time, and at times the one before
		fmt.Fprintf(w, "; what was done in %d hours waits for the database", s.Hours)
	}
	fmt.Fprintln(w)
	if more := show.Some(show.Count(s.Dropped, "events lost before the database had them"), show.Count(s.Errors, "failed commits"), show.Count(s.Reopened, "reopened"),
		show.Count(s.Over, "removed to make room"), show.Count(s.Old, "removed for their age"), show.Count(s.Damaged, "damaged databases moved aside"), show.Count(s.Unwritten, "hours of which reports know nothing")); more != "" {
		fmt.Fprintf(w, "           %s\n", strings.TrimPrefix(more, ", "))
	}
	if s.Trouble != "" {
		fmt.Fprintf(w, "           the database does not take anything: %s\n", show.Printable(s.Trouble))
	}
}

// What is worth a warning.
const (
	manyBehind  = 100_000          // events that wait
	lateCommits = 15 * time.Minute // since the last transaction, while events wait
)

// incidentCheck looks for a database that is gone, behind, full or damaged, and for events and
// incidents that are lost.
func incidentCheck(status func() IncidentStatus) observe.Check {
	var past observe.History[IncidentStatus]
	var since time.Time // of the trouble
	return observe.Check{Name: "incidents", State: func(now time.Time) observe.Finding {
		var f finding
		s := status()
		before := past.Note(now, s)
		switch {
		case s.Trouble == "":
			since = time.Time{}
		case since.IsZero():
			since = now
		}
		if s.Trouble != "" {
			f.Warn("trouble", "the database of incidents does not take anything since %s (%s); events wait in the journal: see whether the disk is full, or the server of incidents.database answers", show.Date(since), s.Trouble)
		}
		if n := uint64(s.Waiting) + s.Pending; n > manyBehind {
			f.Warn("behind", "%d events wait for the database of incidents: disk or CPU does not keep up", n)
		} else if s.Trouble == "" && s.Waiting > 0 && !s.Last.IsZero() && now.Sub(s.Last) > lateCommits {
			f.Warn("late", "the last transaction of the incidents is %s old: the disk does not answer, or the CPU does not keep up", now.Sub(s.Last).Round(time.Second))
		}
		if n := observe.Grown(s.Over, before.Over); n > 0 {
			f.Warn("full", "%d incidents were removed to make room: raise incidents.max, or look for a feed that lists too much", n)
		}
		switch {
		case s.AsideAs != "":
			f.Warn("damaged", "the database of incidents was damaged and has begun anew; what was in it is in %s: look for a broken disk, then remove that file", s.AsideAs)
		case s.Damaged > 0:
			f.Warn("damaged", "the database of incidents was damaged %d times since the start and has begun anew: look for a broken disk", s.Damaged)
		}
		if n := observe.Grown(s.Unwritten, before.Unwritten); n > 0 {
			f.Warn("unwritten", "reports will know nothing of %d hours: the database of incidents was away for more than 31 days", n)
		}
		if n := observe.Grown(s.Dropped, before.Dropped); n > 0 {
			f.AtLeast(observe.Critical)
			f.Add("lost", "%d events were lost before the database of incidents had them", n)
		}
		if !s.Enabled {
			f.Otherwise("no incidents are kept (incidents.enabled)")
		}
		f.Otherwise("%d incidents are kept", s.Incidents)
		return f.Finding
	}}
}
