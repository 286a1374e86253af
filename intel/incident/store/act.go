package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// maxNote and maxAuthor are the bytes that a note and a name may have, and maxNotes how many
// notes there are of an incident.
const (
	maxNote   = 4096
	maxAuthor = 128
	maxNotes  = 1000
)

// An ActionError has the reason why an action cannot be done.
type ActionError struct{ Reason string }

// Error gives the reason.
func (e *ActionError) Error() string { return e.Reason }

// Act does what somebody decided: state, note and audit entry in one transaction. It gives the
// incident as it is then. [ErrUnknown] means that there is none, an [ActionError] that this
// cannot be done with it.
func (s *Store) Act(ctx context.Context, a incident.Action) (*incident.Incident, error) {
	if err := s.act(ctx, &a); err != nil {
		return nil, err
	}
	return s.Get(ctx, a.Offender)
}

func (s *Store) act(ctx context.Context, a *incident.Action) error {
	if len(a.Text) > maxNote || !utf8.ValidString(a.Text) {
		return &ActionError{fmt.Sprintf("a text has at most %d bytes of UTF-8", maxNote)}
	}
	return s.writes(ctx, func(w *writing) error { return w.act(a) })
}

func (w *writing) act(a *incident.Action) error {
	r, err := w.rowOf(a)
	if err != nil {
		return err
	}
	now := w.now
	if !a.At.IsZero() {
		now = a.At.Unix()
	}
	author := string(fit.AppendPlain(nil, a.Author, maxAuthor))
	text := string(fit.AppendPlain(nil, a.Text, maxNote))
	if a.Act == incident.ActNote {
		if err := w.note(r, now, author, text); err != nil {
			return err
		}
		return w.audit(r.id, now, author, string(a.Act), text)
	}
	was := r.state
	if r.state, err = next(a.Act, was); err != nil {
		return err
	}
	if a.Act == incident.ActTake && was == incident.Taken {
		other, err := w.ownerOf(r)
		switch {
		case err != nil:
			return err
		case other == author:
			return nil // it is theirs already
		case !a.Force:
			return &incident.TakenError{Offender: a.Offender.Unmap(), Owner: other, Since: schema.Time(r.since)}
		}
		text = strings.TrimSuffix("from "+other+"; "+text, "; ")
	}
	owner := ""
	if a.Act == incident.ActTake {
		owner = author
	}
	r.since, r.verdict = now, 0
	if a.Act == incident.ActFalseAlarm {
		r.verdict = verdictOf(r)
	}
	if err := w.keepState(r); err != nil {
		return err
	}
	if a.Act == incident.ActTake || was == incident.Taken && a.Act == incident.ActReopen {
		if _, err := w.Exec("UPDATE incident_text SET owner = $1 WHERE incident = $2", owner, r.id); err != nil {
			return err
		}
	}
	return w.audit(r.id, now, author, string(a.Act), detail(was, text))
}

// ownerOf gives who has taken an incident.
func (w *writing) ownerOf(r *row) (owner string, err error) {
	err = w.QueryRow("SELECT owner FROM incident_text WHERE incident = $1", r.id).Scan(&owner)
	return owner, err
}

// next gives the state after an act. Two operators who do the same at once are both right,
// but the second has to know that it was done.
func next(act incident.Act, was incident.State) (incident.State, error) {
	to, known := map[incident.Act]incident.State{incident.ActTake: incident.Taken, incident.ActClose: incident.Closed,
		incident.ActReopen: incident.Open, incident.ActFalseAlarm: incident.FalseAlarm}[act]
	switch {
	case !known:
		return 0, &ActionError{fmt.Sprintf("%q is no act; use take, close, reopen, false_alarm or note", act)}
	case act != incident.ActTake && to == was: // to take it from somebody is possible, by force
		return 0, &ActionError{fmt.Sprintf("the incident is %s already", was)}
	case act == incident.ActReopen && was == incident.New:
		return 0, &ActionError{"the incident is new: nothing is to be reopened"}
	}
	return to, nil
}

func detail(was incident.State, text string) string {
	if text == "" {
		return fmt.Sprintf("was %s", was)
	}
	return fmt.Sprintf("was %s; %s", was, text)
}

// note adds a note.
func (w *writing) note(r *row, now int64, author, text string) error {
	if text == "" {
		return &ActionError{"the note is empty"}
	}
	var have int64
	if err := w.QueryRow("SELECT count(*) FROM note WHERE incident = $1", r.id).Scan(&have); err != nil {
		return err
	}
	if have >= maxNotes {
		return &ActionError{fmt.Sprintf("there are %d notes already, and no more are kept", maxNotes)}
	}
	n, err := w.number("note")
	if err != nil {
		return err
	}
	_, err = w.Exec("INSERT INTO note (id, incident, time, author, text) VALUES ($1, $2, $3, $4, $5)", n, r.id, now, author, text)
	return err
}

// rowOf reads the incident of an action.
func (w *writing) rowOf(a *incident.Action) (*row, error) {
	var id int64
	err := w.QueryRow("SELECT id FROM incident WHERE offender = $1", schema.Key(a.Offender.Unmap())).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	var found *row
	err = w.Fetch(schema.Incident, []any{id}, func(r *sql.Rows) (err error) {
		found, err = scanRow(r)
		return err
	})
	return found, err
}
