package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// program is the author of what the program does by itself.
const program = "flowsnitch"

// A sight is what a batch has of one incident that can change its state: events that are
// not silenced, of flows after the state was set, and not found in the history.
type sight struct {
	again bool
	open  bool // something that is not silenced, whenever it was
}

func (s *sight) add(x *piece, c *batch.Contact, ch *change) {
	if ch.fresh == ch.silenced {
		return
	}
	s.open = true
	if c.Flags&batch.Retro == 0 && ch.sums.Flows > 0 && c.Last > x.since {
		s.again = true
	}
}

// judge changes the state of an incident that comes again or gets worse, and notes why in the
// audit.
func (p *part) judge(x *piece, seen *sight) error {
	var why string
	switch {
	case x.state == incident.Closed && seen.again:
		why = "seen again at " + schema.Time(x.last).Format(time.RFC3339)
	case x.state == incident.FalseAlarm && seen.open:
		why = x.worsened()
	}
	if why == "" {
		return nil
	}
	x.state, x.since = incident.Open, p.now
	p.done.Reopened++
	if err := p.keepState(&x.row); err != nil {
		return err
	}
	return p.audit(x.id, p.now, program, string(incident.ActReopen), fmt.Sprintf("was %s; %s", x.was.state, why))
}

// verdictOf is what a false alarm is compared with later.
func verdictOf(r *row) int64 {
	v := 2 * int64(r.worst)
	if r.flags&batch.Answered != 0 {
		v++
	}
	return v
}

// worsened gives in what a false alarm is worse than when it was judged; empty = nothing.
func (r *row) worsened() string {
	var why []string
	if then := event.Severity(r.verdict / 2); r.worst > then {
		why = append(why, fmt.Sprintf("severity %s, and %s when it was judged", r.worst, then))
	}
	if r.flags&batch.Answered != 0 && r.verdict%2 == 0 {
		why = append(why, "answered, and not when it was judged")
	}
	return strings.Join(why, "; ")
}

// keepState writes what a commit leaves alone otherwise.
func (w *writing) keepState(r *row) error {
	_, err := w.Exec("UPDATE incident SET state = $1, since = $2, verdict = $3 WHERE id = $4", int64(r.state), r.since, r.verdict, r.id)
	return err
}

// audit adds an entry, of which none is ever changed.
func (w *writing) audit(id, when int64, author, act, detail string) error {
	n, err := w.number("audit")
	if err != nil {
		return err
	}
	_, err = w.Exec("INSERT INTO audit (id, incident, time, author, act, detail) VALUES ($1, $2, $3, $4, $5, $6)", n, id, when, author, act, detail)
	return err
}
