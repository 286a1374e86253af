package app

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// retroEvents reads the hits of the past in the hit log, and the live ones.
func (w watched) retroEvents(t *testing.T) (past, live []event.Event) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "hits.json"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		e, err := event.ParseJSON(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Kind == event.KindHit && e.Retro:
			past = append(past, e)
		case e.Kind == event.KindHit:
			live = append(live, e)
		}
	}
	return past, live
}

// TestRetro: flows are recorded, then a list gets the address: the contact before is in the
// hit log, once, with its time, and is no live hit; also after a restart, off the list and on
// it again.
func TestRetro(t *testing.T) {
	dir := shortDir(t)
	feed := list(t, dir, "bad.txt", "62.0.0.1")
	intel := fmt.Sprintf("{feeds: [{file: %s}]}\nhistory: {flush: 1m}", feed)
	w := observed(t, dir, intel, Options{})
	jobs := func() uint64 { return w.Status().Retro.Done }
	until(t, "the first set is known", func() bool { return jobs() == 1 })
	begin := time.Now().Truncate(time.Second)
	w.contact(t, "62.0.0.9", "62.0.0.9", "62.0.0.8", "62.0.0.1")
	until(t, "the flows are decoded", func() bool { return w.Status().Hits.Correlator.Hits == 1 })
	end := time.Now()
	// The history is flushed once a minute at most, and at the stop: no test waits for that.
	restart := func() {
		t.Helper()
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
		w = observed(t, dir, intel, Options{})
	}
	relist := func(addrs ...string) {
		t.Helper()
		list(t, dir, "bad.txt", addrs...)
		before := w.Status().Intel.Version
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		until(t, "another set is in force", func() bool { return w.Status().Intel.Version != before })
	}
	settled := func() {
		t.Helper()
		until(t, "nothing is waiting", func() bool { s := w.Status().Retro; return s.Jobs == [2]uint64{} && s.Entries == 0 && !s.Failing })
	}
	restart()
	relist("62.0.0.1", "62.0.0.9")
	until(t, "the contact before the listing", func() bool { past, _ := w.retroEvents(t); return len(past) > 0 })
	settled()
	past, live := w.retroEvents(t)
	if len(past) != 1 || len(live) != 1 || live[0].Offender.String() != "62.0.0.1" {
		t.Fatalf("%d hits of the past, %d live ones", len(past), len(live))
	}
	e := past[0]
	if e.Offender.String() != "62.0.0.9" || e.Local.String() != "10.0.0.5" || e.ServicePort != 443 || e.Direction != event.Outbound || e.Flows != 2 ||
		e.Packets != 10 || e.Days < 1 || e.Time.Before(begin.Add(-time.Minute)) || e.Time.After(end) || !e.Time.Equal(e.End) || e.Start.After(e.End) || e.Seq != 1 || !e.Last {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(e.Reason, "62.0.0.9/32 listed since") || !strings.Contains(e.Reason, "contact before, on") {
		t.Error(e.Reason)
	}
	w.waitAlert(t, "contact_before_listing: 1 contact of 1 host with 1 prefix of 1 new entry", "bad")
	if s := w.Status(); s.Hits.Found != 0 || s.Hits.Correlator.Hits != 0 || s.Retro.Matches[0] != 1 {
		t.Errorf("hits %+v\nretro %+v", s.Hits, s.Retro)
	}
	restart()
	relist("62.0.0.1")
	settled()
	relist("62.0.0.1", "62.0.0.9")
	restart()
	settled()
	restart()
	relist("62.0.0.1", "62.0.0.9", "62.0.0.8")
	until(t, "the other contact", func() bool { past, _ := w.retroEvents(t); return len(past) > 1 })
	settled()
	past, live = w.retroEvents(t)
	offenders := []string{past[0].Offender.String(), past[1].Offender.String()}
	slices.Sort(offenders)
	if len(past) != 2 || len(live) != 1 || !slices.Equal(offenders, []string{"62.0.0.8", "62.0.0.9"}) {
		t.Errorf("%d hits of the past of %v, %d live ones", len(past), offenders, len(live))
	}
}
