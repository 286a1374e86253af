package store

import (
	"errors"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
)

func withName(t testing.TB, to, name string) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func TestCommit(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		first := hit(1, "203.0.113.9", "10.0.0.5", 0)
		second := update(first, 2, 5, time.Hour)
		second.Answered, second.Severity, second.Score, second.Reason = event.AnsweredYes, event.High, 70, "answered"
		done := commit(t, s, first)
		if done.New != 1 || done.Changed != 1 || done.Repeats != 0 {
			t.Errorf("got %+v", done)
		}
		if done = commit(t, s, first, second, second); done.Repeats != 2 || done.Changed != 1 {
			t.Errorf("got %+v", done)
		}
		x := get(t, s, "203.0.113.9")
		if x.Flows != 5 || x.PacketsIn != 10 || x.BytesIn != 500 || x.BytesOut != 0 || x.Contacts != 1 || x.Hosts != 1 || x.Ports != 1 || x.Days != 1 ||
			!x.First.Equal(t0) || !x.Last.Equal(t0.Add(time.Hour)) || !x.Answered || x.Called || !x.Inbound || x.Worst != event.High || x.Reason != "answered" ||
			x.State != incident.New || len(x.Exporters) != 1 {
			t.Errorf("got %+v", x)
		}
		if _, err := s.Get(t.Context(), netip.MustParseAddr("192.0.2.77")); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
	})
}

// TestLanes: events of one contact in any order, as the urgent lane comes first.
func TestLanes(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		first := hit(1, "203.0.113.9", "10.0.0.5", 0)
		third := update(first, 3, 9, 26*time.Hour)
		third.Severity = event.Critical
		third.ContactFirstSeen = time.Time{}
		third.Indicators = nil
		commit(t, s, third)
		commit(t, s, update(first, 2, 4, time.Hour))
		commit(t, s, first)
		x := get(t, s, "203.0.113.9")
		if x.Flows != 9 || x.Contacts != 1 || !x.First.Equal(t0) || x.Days != 2 || x.Worst != event.Critical {
			t.Errorf("got %+v", x)
		}
		var feeds int
		if err := s.db.Read().QueryRow("SELECT count(*) FROM incident_feed").Scan(&feeds); err != nil || feeds != 1 {
			t.Error(feeds, err)
		}
	})
}

func TestNewer(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		s := open(t, cfg)
		tx, err := s.db.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("INSERT INTO migration VALUES (99, 0)"); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), cfg)
		if _, ok := errors.AsType[*database.NewerError](err); !ok {
			t.Errorf("got %v", err)
		}
	})
}

func TestAct(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		now := t0
		cfg.Now = func() time.Time { return now }
		s := open(t, cfg)
		h := hit(1, "203.0.113.9", "10.0.0.5", 0)
		commit(t, s, h)
		now = now.Add(time.Minute)
		if x := act(t, s, "203.0.113.9", incident.ActTake, ""); x.State != incident.Taken || x.Owner != "ada" {
			t.Errorf("got %+v", x)
		}
		act(t, s, "203.0.113.9", incident.ActNote, "called the owner")
		if x := act(t, s, "203.0.113.9", incident.ActClose, "mended"); x.State != incident.Closed {
			t.Errorf("got %+v", x)
		}
		now = now.Add(time.Hour)
		if done := commit(t, s, update(h, 2, 2, time.Second)); done.Reopened != 0 {
			t.Error("a flow of before the verdict has reopened it")
		}
		if done := commit(t, s, update(h, 3, 3, time.Hour)); done.Reopened != 1 || get(t, s, "203.0.113.9").State != incident.Open {
			t.Errorf("got %+v", done)
		}
		act(t, s, "203.0.113.9", incident.ActFalseAlarm, "")
		if done := commit(t, s, update(h, 4, 4, 3*time.Hour)); done.Reopened != 0 {
			t.Error("a false alarm is open again though it is no worse")
		}
		worse := update(h, 5, 5, 4*time.Hour)
		worse.Answered = event.AnsweredYes
		if done := commit(t, s, worse); done.Reopened != 1 {
			t.Error("a false alarm that is answered now is not open again")
		}
		x := get(t, s, "203.0.113.9")
		if last := x.Audit[len(x.Audit)-1]; x.State != incident.Open || last.Author != program || last.Detail != "was false_alarm; answered, and not when it was judged" {
			t.Errorf("got %+v", x.Audit)
		}
		act(t, s, "203.0.113.9", incident.ActFalseAlarm, "")
		worse.Severity, worse.Score, worse.Silenced = event.Critical, 99, "abcdefgh"
		if done := commit(t, s, update(worse, 6, 6, 5*time.Hour)); done.Reopened != 0 || get(t, s, "203.0.113.9").Silenced != 1 {
			t.Error("a silenced event has changed the state, or is not counted")
		}
		worse.Silenced = ""
		if done := commit(t, s, update(worse, 7, 7, 6*time.Hour)); done.Reopened != 1 {
			t.Error("a false alarm that is critical now is not open again")
		}
		if _, err := s.Act(t.Context(), incident.Action{Act: incident.ActReopen, Offender: x.Offender, Author: "eve"}); err == nil {
			t.Error("it was open already")
		}
	})
}
