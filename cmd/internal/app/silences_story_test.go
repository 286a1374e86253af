package app

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/intel/silence"
)

// incident commits what there is, and gives the incident of an address.
func (q quietApp) incident(t *testing.T, a netip.Addr) *incident.Incident {
	t.Helper()
	for range 40 { // the runner of the incidents takes what it has within a second or two
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	if err := q.incidents.taker().Close(t.Context()); err != nil { // which is but a commit
		t.Fatal(err)
	}
	s, err := q.incidents.ready()
	if err != nil {
		t.Fatal(err)
	}
	i, err := s.Get(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// desk is the desk of an operator.
func (q quietApp) desk(t *testing.T, author string) Desk {
	t.Helper()
	s, err := q.incidents.ready()
	if err != nil {
		t.Fatal(err)
	}
	d := q.incidents.desk(context.Background(), s)
	d.author = author
	return d
}

// report is the report of the last week in text.
func (q quietApp) report(t *testing.T) string {
	t.Helper()
	now := q.machine.Wall()
	s, err := q.incidents.ready()
	if err != nil {
		t.Fatal(err)
	}
	r, err := report.Make(t.Context(), s, report.Options{Sensor: "test", From: now.AddDate(0, 0, -7), Until: now.Add(time.Hour), MaxTLP: "red", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestSilenceStory follows one offender through everything that a silence touches: events from
// before it go out, those under it stay in, the incident counts both, and report and lookup
// show it; a restart in between, a clock that is set and set back, a full disk, the end.
func TestSilenceStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		q := startQuiet(t, dir, zap.NewNop())
		hit := eventtest.Hit()
		hit.Seq, hit.Contact = 0, uuid.Nil
		next := func() event.Event { // one more of the same contact
			e := hit
			e.Seq++
			e.Contact = uuid.MustParse("0192f7c0-0000-7abc-8def-0123456789ab")
			e.Flows, e.Time = uint64(e.Seq), time.Now()
			e.ContactFirstSeen = e.Time
			if e.Seq > 1 {
				e.Kind = event.KindUpdate
			}
			hit = e
			return e
		}
		expect := func(what, want string) {
			t.Helper()
			if got := q.happen(t, next()); got != want {
				t.Errorf("%s: came to %q, want %q", what, got, want)
			}
		}
		expect("before", "hits all")

		// What is in the journal when the silence is made goes out.
		spooled := next()
		spooled.ID = uuid.Must(uuid.NewV7())
		q.sinks.publish([]event.Event{spooled})
		s, err := q.silences.book.Add(t.Context(), silence.Silence{Conditions: silence.Conditions{Offender: netip.PrefixFrom(hit.Offender, 32)}, Reason: "a test", Author: "ann", Until: q.machine.Wall().Add(3 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		expect("under the silence", "all")
		if b, _ := os.ReadFile(filepath.Join(dir, "hits.json")); !strings.Contains(string(b), spooled.ID.String()) {
			t.Error("what was in the journal before did not go out")
		}
		i := q.incident(t, hit.Offender)
		if i.Silenced != 1 || i.Flows != 3 || i.State != incident.New {
			t.Errorf("the incident counts %d silenced events, %d flows, and is %s", i.Silenced, i.Flows, i.State)
		}
		if text := q.report(t); !strings.Contains(text, "1 event of 1 offender") {
			t.Errorf("the report does not show what was silenced:\n%s", text)
		}
		l := Lookup{Prefix: netip.PrefixFrom(hit.Offender, 32)}
		if l.Silenced(q.silences.book); len(l.Silences) != 1 || l.Silences[0].Events != 1 {
			t.Errorf("lookup shows %+v", l.Silences)
		}

		q.stop(t)
		q = startQuiet(t, dir, zap.NewNop())
		expect("after a restart", "all")
		if i := q.incident(t, hit.Offender); i.Silenced != 2 || i.Flows != 4 {
			t.Errorf("after a restart: %d silenced events, %d flows", i.Silenced, i.Flows)
		}

		// A clock that is ahead for a while ends nothing for good.
		q.machine.wrong.Store(int64(5 * time.Hour))
		time.Sleep(2 * time.Minute)
		q.machine.wrong.Store(0)
		time.Sleep(2 * time.Minute)
		expect("after the clock was wrong", "all")

		// A disk that takes nothing: no silence comes into force, which is shown, and ends with it.
		path := filepath.Join(dir, silence.FileName)
		was, err := os.ReadFile(path)
		if err := errors.Join(err, os.Remove(path), os.MkdirAll(filepath.Join(path, "x"), 0o755)); err != nil {
			t.Fatal(err)
		}
		if _, err := q.silences.book.Add(t.Context(), silence.Silence{Conditions: silence.Conditions{Feed: "otx"}, Reason: "x", Author: "ann", Until: q.machine.Wall().Add(time.Hour)}); !errors.Is(err, silence.ErrDisk) {
			t.Errorf("a disk that takes nothing: %v", err)
		}
		if f := silenceCheck(q.silences.status).State(time.Now()); f.State != observe.Warning || q.silences.status().InForce != 1 {
			t.Errorf("%v %s, %+v", f.State, f.Text, q.silences.status())
		}
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, was, 0o600)); err != nil {
			t.Fatal(err)
		}
		expect("meanwhile", "all")
		if err := q.silences.book.Save(t.Context()); err != nil || q.silences.status().Unsaved != "" {
			t.Errorf("the disk is there again: %v, %q", err, q.silences.status().Unsaved)
		}

		// A closed incident stays closed while it is silenced, and opens again afterwards.
		if _, err := q.desk(t, "bo").Act(t.Context(), Act{Act: incident.ActClose, Offender: hit.Offender}); err != nil {
			t.Fatal(err)
		}
		expect("closed", "all")
		if i := q.incident(t, hit.Offender); i.State != incident.Closed || i.Flows != 7 {
			t.Errorf("under the silence it is %s, with %d flows", i.State, i.Flows)
		}
		time.Sleep(s.Until.Sub(q.machine.Wall()) + 2*time.Second)
		expect("after the end", "hits all")
		if i := q.incident(t, hit.Offender); i.State != incident.Open || i.Silenced != 5 || i.Flows != 8 {
			t.Errorf("after the end it is %s, with %d silenced events and %d flows", i.State, i.Silenced, i.Flows)
		}
		if list := q.silences.book.List(true); len(list) != 1 || list[0].Events != 5 {
			t.Errorf("%+v", list)
		}
		q.stop(t)
	})
}

// TestFalseAlarmStory: a false alarm is allowed for a time, by one of two operators who do the
// same at once; no feed may list it then, also after a restart; it ends by itself, or when it
// is undone, and the set is built anew each time.
func TestFalseAlarmStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		q := startQuiet(t, dir, zap.NewNop())
		hit := eventtest.Hit()
		hit.Seq, hit.Contact, hit.ContactFirstSeen = 1, uuid.MustParse("0192f7c0-0000-7abc-8def-0123456789ab"), time.Now()
		q.happen(t, hit)
		q.incident(t, hit.Offender)
		prefix := netip.PrefixFrom(hit.Offender, 32)
		allowed := func(want ...netip.Prefix) {
			t.Helper()
			if got := q.silences.book.Prefixes(); len(got) != len(want) || len(got) == 1 && got[0] != want[0] {
				t.Errorf("allowed are %v, want %v", got, want)
			}
		}
		a := Act{Act: incident.ActFalseAlarm, Offender: hit.Offender, Text: "our relay", Allow: time.Hour}
		failed := make(chan error)
		var until [2]time.Time
		for k, author := range []string{"anna", "bo"} {
			d := q.desk(t, author)
			go func() {
				done, err := d.Act(context.Background(), a)
				if err == nil {
					until[k] = done.Allowed
				}
				failed <- err
			}()
		}
		if err := errors.Join(<-failed, <-failed); err != nil {
			t.Fatal(err)
		}
		allowed(prefix)
		if list := q.silences.book.AllowList(); !until[0].Equal(until[1]) || !until[0].Equal(list[0].Until) || list[0].Reason != "our relay" {
			t.Errorf("until %v, %+v", until, list)
		}
		i := q.incident(t, hit.Offender)
		if i.State != incident.FalseAlarm || len(i.Audit) != 1 {
			t.Errorf("%s, %+v", i.State, i.Audit)
		}
		verdicts, err := q.desk(t, "anna").Verdicts(t.Context())
		if err != nil || len(verdicts) != 2 || verdicts[0].False != 1 || verdicts[1].False != 1 {
			t.Errorf("%+v, %v", verdicts, err)
		}

		q.stop(t)
		q = startQuiet(t, dir, zap.NewNop())
		allowed(prefix)

		// Undone: it is open again, and whoever did it knows that nothing is seen of it yet.
		done, err := q.desk(t, "bo").Act(t.Context(), Act{Act: incident.ActReopen, Offender: hit.Offender})
		if err != nil || done.Incident.State != incident.Open || len(done.Still) != 1 || done.Still[0].Prefix != prefix {
			t.Fatalf("%+v, %v", done, err)
		}
		if verdicts, err := q.desk(t, "anna").Verdicts(t.Context()); err != nil || verdicts[0].False != 0 {
			t.Errorf("undone: %+v, %v", verdicts, err)
		}
		if _, err := q.silences.book.Disallow(t.Context(), prefix); err != nil {
			t.Fatal(err)
		}
		allowed()

		// Or it ends by itself.
		a.Text = strings.Repeat("a long reason, ", 100)
		if _, err := q.desk(t, "anna").Act(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		allowed(prefix)
		time.Sleep(time.Hour + 2*time.Second)
		synctest.Wait()
		allowed()
		q.stop(t)
	})
}
