package retro

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/contact"
)

func run(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		f(t, w)
		w.stop()
	})
}

// TestOnce follows a contact: before the listing, over files and merges, through a restart,
// off the list and on it again.
func TestOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.list("62.0.0.1")
		w.settle()
		w.expect("nothing yet")
		for day := range 3 {
			w.flow(5, "62.0.0.9", 443)
			w.flow(5, "62.0.0.9", 443, func(r *row.Row) { r.Exporter = netip.MustParseAddr("192.0.2.2") })
			w.flow(6, "62.0.0.8", 443)
			if day == 1 {
				w.flush()
			}
			time.Sleep(24 * time.Hour)
		}
		last := time.Now().Add(-24 * time.Hour).UTC()
		w.list("62.0.0.1", "62.0.0.9")
		w.settle()
		if len(w.events) != 1 {
			t.Fatalf("%d events", len(w.events))
		}
		e := w.events[0]
		if !e.Retro || e.Kind != event.KindHit || !e.Time.Equal(last.Truncate(time.Second)) || !e.Start.Equal(last.Add(-48*time.Hour).Truncate(time.Second)) ||
			!e.End.Equal(e.Time) || !e.ContactFirstSeen.Equal(e.Start) || e.ID.Version() != 8 || e.ID.Variant() != uuid.RFC4122 || len(e.Exporters) != 2 ||
			e.Packets != 30 || e.BytesBack != 2400 || e.Severity != event.Critical || e.Answered != event.AnsweredYes || e.Role != flow.SideDst {
			t.Errorf("%+v", e)
		}
		if !strings.Contains(e.Reason, "c2 listed by feodo (90); outbound, answered; 62.0.0.9/32 listed since ") ||
			!strings.HasSuffix(e.Reason, "UTC, contact before, on 3 days since "+e.Start.Format(time.DateOnly)) {
			t.Error(e.Reason)
		}
		w.expect("listed", "feodo 10.0.0.5 62.0.0.9:443 outbound x6 3d")
		if len(w.alerts) != 1 || !strings.HasPrefix(w.alerts[0], AlertFound+": 1 contact of 1 host with 1 prefix of 1 new entry were found") {
			t.Errorf("%q", w.alerts)
		}
		w.merge()
		w.stop()
		w.start()
		w.list("62.0.0.1", "62.0.0.9")
		w.settle()
		w.expect("after a restart")
		w.list("62.0.0.1")
		w.settle()
		w.flow(5, "62.0.0.9", 443) // meets no listing, but the contact is known
		w.flow(7, "62.0.0.9", 443)
		time.Sleep(time.Hour)
		w.list("62.0.0.1", "62.0.0.9")
		w.settle()
		w.expect("listed again", "feodo 10.0.0.7 62.0.0.9:443 outbound x1 1d")
		w.list("62.0.0.1", "62.0.0.0/24")
		w.settle()
		w.expect("another prefix of it: what no live match has met", "feodo 10.0.0.5 62.0.0.9:443 outbound x7 4d",
			"feodo 10.0.0.6 62.0.0.8:443 outbound x3 3d", "feodo 10.0.0.7 62.0.0.9:443 outbound x1 1d")
		s := w.hunter.Stats()
		if s.Matches[sentOne] != 4 || s.Matches[repeated] == 0 || s.Jobs != [2]uint64{} || s.Entries != 0 || s.Failing || !s.WaitingSince.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

// TestLive: what has met a live match, whatever listed it then, is no contact before the listing.
func TestLive(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.list("62.0.0.1", "62.0.0.2")
		w.settle()
		w.flow(1, "62.0.0.1", 443) // listed
		w.flow(2, "62.0.0.9", 443) // begins before, ends after the listing
		w.flow(3, "62.0.0.9", 443)
		time.Sleep(30 * time.Second)
		w.past.mu.Lock()
		w.past.held[1].Last += 60
		w.past.mu.Unlock()
		w.list("62.0.0.1", "62.0.0.2", "62.0.0.9", "62.0.0.0/24")
		// Exported and matched after the listing, over before it.
		w.flow(4, "62.0.0.9", 443, func(r *row.Row) { r.First -= 5; r.Last -= 5 })
		w.hunter.Live([]event.Event{{Kind: event.KindHit, Offender: netip.MustParseAddr("62.0.0.9"), Local: netip.MustParseAddr("10.0.0.4"), Protocol: 6, ServicePort: 443}})
		w.settle()
		w.expect("before", "feodo 10.0.0.3 62.0.0.9:443 outbound x1 1d", "feodo 10.0.0.3 62.0.0.9:443 outbound x1 1d")
		time.Sleep(time.Hour)
		w.list("62.0.0.1") // off the list
		w.settle()
		w.flow(1, "62.0.0.1", 443)
		w.flow(1, "62.0.0.2", 443)
		w.flush()
		w.list("62.0.0.1", "62.0.0.2")
		w.settle()
		w.expect("what happened between two listings", "feodo 10.0.0.1 62.0.0.2:443 outbound x1 1d")
		if n := w.hunter.Stats().Matches[live]; n == 0 {
			t.Error("no live matches are counted")
		}
		if len(w.hunter.live) != 0 {
			t.Error("live hits are remembered for nothing")
		}
	})
}

// TestWhatCounts: ports, families, folded scans, transit, quarantine, the allowlist.
func TestWhatCounts(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.policy.Allow = []netip.Prefix{netip.MustParsePrefix("62.1.0.5/32")}
		w.quiet = []netip.Prefix{netip.MustParsePrefix("62.3.0.1/32")}
		w.list()
		w.settle()
		inbound := func(r *row.Row) { r.Direction = row.Inbound }
		w.flow(1, "62.0.0.1", 443)
		w.flow(1, "62.0.0.1", 80)
		w.flow(1, "62.0.0.1", 443, inbound)
		w.flow(2, "2606:4700::1", 443)
		w.flow(3, "62.0.1.1", 0, inbound, func(r *row.Row) { r.Inside, r.Folded, r.PacketsOut = flow.Addr6{}, 700, 0 })
		w.flow(4, "62.0.2.1", 53, func(r *row.Row) { r.Direction, r.Protocol = row.Transit, 17 })
		w.flow(5, "62.1.0.5", 443)
		w.flow(5, "62.1.0.6", 443)
		w.flow(6, "62.3.0.1", 443)
		w.flow(7, "62.9.0.1", 443, func(r *row.Row) { r.Site = "oslo" })
		w.flow(7, "62.9.0.1", 443, func(r *row.Row) { r.Site = "bergen" })
		time.Sleep(time.Hour)
		w.list("62.0.0.1 443", "2606:4700::/64", "62.0.1.1", "62.0.2.0/24", "62.1.0.0/24", "62.3.0.1", "62.9.0.1")
		w.settle()
		var scan, transit, refused event.Event
		for _, e := range w.events {
			switch {
			case e.Folded:
				scan = e
			case e.Direction == event.Transit:
				transit = e
			case e.Refused:
				refused = e
			}
		}
		if scan.Local.IsValid() || scan.Role != flow.SideSrc || scan.Answered != event.AnsweredNo || scan.Severity != event.Low || transit.Protocol != 17 || refused.Refused {
			t.Errorf("%+v\n%+v\n%+v", scan, transit, refused)
		}
		w.expect("all", "feodo 10.0.0.1 62.0.0.1:443 outbound x1 1d", "feodo 10.0.0.2 2606:4700::1:443 outbound x1 1d", "feodo invalid IP 62.0.1.1:0 inbound x1 1d",
			"feodo 10.0.0.4 62.0.2.1:53 transit x1 1d", "feodo 10.0.0.5 62.1.0.6:443 outbound x1 1d", "feodo 10.0.0.7 62.9.0.1:443 outbound x1 1d", "feodo 10.0.0.7 62.9.0.1:443 outbound x1 1d")
		w.quiet = nil
		w.list("62.0.0.1 443", "62.0.0.1", "2606:4700::/64", "62.0.1.1", "62.0.2.0/24", "62.1.0.0/24", "62.3.0.1", "62.9.0.1")
		w.settle()
		w.expect("without the port now, and the scan that it opened", "feodo 10.0.0.1 62.0.0.1:80 outbound x1 1d")
	})
}

// TestCarried: contacts of IPv6 addresses that carry a listed IPv4 address are found by it, as
// live hits are, also of a list that is too long for ranges of their own, once, and not if the
// address was listed at the time by either.
func TestCarried(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.policy.NAT64 = []netip.Prefix{netip.MustParsePrefix("2001:db8:64::/96")}
		w.list("62.0.0.1")
		w.settle()
		for i, outside := range []string{"62.0.0.9", "64:ff9b::62.0.0.9", "2002:3e00:9::5", "2001:db8:64::62.0.0.9",
			"64:ff9b::62.0.0.8", "2002:3e00:8::5", "2001:db8:65::62.0.0.9", "64:ff9b::62.0.0.1"} { // from the fifth on: not listed, or met a listing
			w.flow(byte(1+i), outside, 443)
		}
		w.flow(20, "64:ff9b::62.4.0.9", 53)
		time.Sleep(time.Hour)
		w.list("62.0.0.1", "62.0.0.9", "62.4.0.9 443")
		w.settle()
		w.mu.Lock()
		for i := range w.events {
			if e := &w.events[i]; e.Offender.Is6() != e.Embedded.IsValid() || e.Offender.Is6() && e.Embedded.String() != "62.0.0.9" {
				t.Errorf("%s has %s in it", e.Offender, e.Embedded)
			}
		}
		w.mu.Unlock()
		w.expect("carried", "feodo 10.0.0.1 62.0.0.9:443 outbound x1 1d", "feodo 10.0.0.2 64:ff9b::3e00:9:443 outbound x1 1d",
			"feodo 10.0.0.3 2002:3e00:9::5:443 outbound x1 1d", "feodo 10.0.0.4 2001:db8:64::3e00:9:443 outbound x1 1d")
		long := []string{"62.0.0.8"}
		for i := range 10_000 {
			long = append(long, fmt.Sprintf("70.%d.%d.%d", i>>13, i>>5&255, i<<3&255))
		}
		w.list(long...)
		w.settle()
		w.expect("a long list", "feodo 10.0.0.5 64:ff9b::3e00:8:443 outbound x1 1d", "feodo 10.0.0.6 2002:3e00:8::5:443 outbound x1 1d")
	})
}

// TestWaitingSince: a job that waits over a restart has waited since its set came into force,
// and the check warns of it, also while no set has come since the start.
func TestWaitingSince(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.list("62.0.0.1")
		w.settle()
		w.past.set(false, errDisk)
		came := time.Now()
		w.list("62.0.0.1", "62.0.0.2", "62.0.0.3")
		w.settle()
		w.stop()
		time.Sleep(2 * time.Hour)
		w.start()
		synctest.Wait()
		s := w.hunter.Stats()
		if d := s.WaitingSince.Sub(came); d < 0 || d > 2*time.Second || s.Entries != 2 || s.Jobs != [2]uint64{1, 0} {
			t.Errorf("%+v, the set came at %s", s, came)
		}
		if f := Check(w.hunter.Stats).State(time.Now()); !strings.Contains(f.Text, "2 new entries have been waiting for 3h") {
			t.Errorf("%+v", f)
		}
		w.past.set(false, nil)
		w.list("62.0.0.1", "62.0.0.2", "62.0.0.3")
		w.settle()
		if s := w.hunter.Stats(); !s.WaitingSince.IsZero() || s.Entries != 0 || s.Done != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestWaitingSinceDuringHunt: a set that comes while an earlier one is searched for has waited
// since it came into force, not since it was compared or since the search ended.
func TestWaitingSinceDuringHunt(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.list("62.0.0.1")
		w.settle()
		w.flow(1, "62.0.0.9", 443)
		time.Sleep(time.Hour)
		var came time.Time
		var seen []Stats
		w.past.during = func() {
			seen = append(seen, w.hunter.Stats())
			if len(seen) == 1 {
				came = time.Now()
				w.list("62.0.0.1", "62.0.0.2", "62.0.0.3", "62.0.0.4")
				time.Sleep(2 * time.Hour)
			}
		}
		began := time.Now()
		w.list("62.0.0.1", "62.0.0.2")
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if len(seen) != 2 {
			t.Fatalf("%d searches", len(seen))
		}
		for i, want := range []struct {
			since   time.Time
			entries uint64
		}{{began, 1}, {came, 2}} {
			if s := seen[i]; s.WaitingSince.Sub(want.since).Abs() > 2*time.Second || s.Entries != want.entries || s.Jobs != [2]uint64{0, 1} {
				t.Errorf("search %d: %+v, its set came at %s", i, s, want.since)
			}
		}
		if s := w.hunter.Stats(); !s.WaitingSince.IsZero() || s.Entries != 0 || s.Jobs != [2]uint64{} || s.Done != 3 { // the first set was a job, too
			t.Errorf("at the end: %+v", s)
		}
	})
}

// TestManyLive: contacts with a live hit that are too many to be remembered are counted.
func TestManyLive(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.past.set(false, errDisk)
		w.list("62.0.0.0/8")
		hits := make([]event.Event, maxLive+10)
		for i := range hits {
			hits[i] = event.Event{Kind: event.KindHit, Offender: netip.AddrFrom4([4]byte{62, byte(i >> 16), byte(i >> 8), byte(i)}), Protocol: 6, ServicePort: 443}
		}
		w.hunter.Live(hits)
		w.hunter.Live(hits[:10]) // known
		if s := w.hunter.Stats(); s.LiveForgotten != 10 {
			t.Errorf("%+v", s)
		}
		var s Stats
		check := Check(func() Stats { return s })
		if f := check.State(time.Now()); f.Text != "" {
			t.Error(f.Text)
		}
		s.LiveForgotten = w.hunter.Stats().LiveForgotten
		if f := check.State(time.Now().Add(time.Minute)); !strings.Contains(f.Text, "10 live hits") {
			t.Error(f.Text)
		}
	})
}

// TestFlood: broad prefixes and too many contacts are counted and named.
func TestFlood(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.list()
		w.settle()
		for i := range maxContacts + 50 {
			w.flow(byte(i), fmt.Sprintf("62.0.%d.%d", i>>8, i&255), 443)
		}
		w.flow(1, "63.0.0.1", 443)
		w.flow(1, "63.0.0.1", 80)
		w.flow(1, "64.0.0.1", 80)
		time.Sleep(time.Hour)
		w.list("63.0.0.0/8", "64.0.0.0/16")
		w.settle()
		w.expect("a broad one", "feodo 10.0.0.1 64.0.0.1:80 outbound x1 1d")
		w.list("63.0.0.0/8", "64.0.0.0/16", "62.0.0.0/16", "62.0.0.0/30")
		w.settle()
		w.expect("too many")
		s := w.hunter.Stats()
		if s.Matches != [4]uint64{1, 2 + maxContacts + 50 + 4, 0, 0} {
			t.Errorf("%+v", s)
		}
		if len(w.alerts) != 2 || !strings.Contains(w.alerts[0], "2 records of contacts before the listing with 1 prefix are too many to be sent one by one: 63.0.0.0/8 2 from ") ||
			!strings.Contains(w.alerts[1], fmt.Sprintf("%d records of contacts before the listing with 2 prefixes are too many to be sent one by one: 62.0.0.0/16 %d from ", maxContacts+54, maxContacts+50)) {
			t.Errorf("%q", w.alerts)
		}
	})
}

// TestOperatorFirst: the operator's own word comes before everything else, also when the others
// are too many.
func TestOperatorFirst(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.list()
		w.settle()
		for i := range maxContacts + 50 {
			w.flow(byte(i), fmt.Sprintf("62.0.%d.%d", i>>8, i&255), 443)
		}
		time.Sleep(time.Hour)
		w.list("62.0.0.0/16", "own 62.0.0.1")
		w.settle()
		w.expect("own", "deny 10.0.0.1 62.0.0.1:443 outbound x1 1d")
	})
}

// TestWaits: nothing is searched before the history is complete, and a disk that fails is
// tried again.
func TestWaits(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.list()
		w.settle()
		w.flow(1, "62.0.0.1", 443)
		w.flush()
		time.Sleep(time.Second)
		w.flow(2, "62.0.0.1", 443) // in a table, and the next flush is a minute away
		w.list("62.0.0.1")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := w.hunter.Stats(); s.Jobs != [2]uint64{0, 1} || s.Entries != 1 || w.past.searched() != 0 {
			t.Errorf("%+v, %d reads", s, w.past.searched())
		}
		w.settle()
		w.expect("complete", "feodo 10.0.0.1 62.0.0.1:443 outbound x1 1d", "feodo 10.0.0.2 62.0.0.1:443 outbound x1 1d")

		w.flow(1, "62.0.0.2", 443)
		time.Sleep(time.Hour)
		w.past.set(false, errDisk)
		w.list("62.0.0.1", "62.0.0.2")
		w.settle()
		w.list("62.0.0.1", "62.0.0.2", "62.0.0.3") // joins what waits
		w.settle()
		if s := w.hunter.Stats(); !s.Failing || s.Jobs != [2]uint64{2, 0} || s.Entries != 2 || time.Since(s.WaitingSince) < time.Hour || s.LastError != errDisk.Error() {
			t.Errorf("%+v", s)
		}
		w.expect("broken")
		w.past.set(false, nil, "c-1.parquet")
		w.settle()
		w.settle()
		w.expect("mended", "feodo 10.0.0.1 62.0.0.2:443 outbound x1 1d")
		if s := w.hunter.Stats(); s.Failing || s.Jobs != [2]uint64{} {
			t.Errorf("%+v", s)
		}
	})
}

// TestJournal: what the journal does not take to the disk does not count as sent, also over a
// restart.
func TestJournal(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.list()
		w.settle()
		w.flow(1, "62.0.0.1", 443)
		time.Sleep(time.Hour)
		w.refuse = errDisk
		w.list("62.0.0.1")
		w.settle()
		if s := w.hunter.Stats(); !s.Failing || s.Matches[sentOne] != 0 {
			t.Errorf("%+v", s)
		}
		w.stop()
		w.refuse = nil
		w.start()
		w.list("62.0.0.1")
		w.settle()
		w.expect("the disk is back", "feodo 10.0.0.1 62.0.0.1:443 outbound x1 1d")
	})
}

// TestDamageRestart: after damage of what was listed, or of a change, only the next set counts
// as known: what comes after a restart is searched for.
func TestDamageRestart(t *testing.T) {
	for _, what := range []string{"known", "done-"} {
		run(t, func(t *testing.T, w *world) {
			w.list("62.0.0.1")
			w.settle()
			for i := range 30 {
				w.list("62.0.0.1", fmt.Sprintf("62.7.0.%d", i))
				w.settle()
			}
			w.flow(1, "62.0.0.9", 443)
			w.flow(2, "62.7.0.29", 443) // met it
			time.Sleep(time.Hour)
			w.stop()
			files, _ := filepath.Glob(w.dir + "/*")
			for _, f := range files {
				if strings.HasPrefix(filepath.Base(f), what) {
					b, _ := os.ReadFile(f)
					b[len(b)/2] ^= 1
					_ = os.WriteFile(f, b, 0o600)
				}
			}
			w.start()
			w.list("62.0.0.1", "62.7.0.29")
			w.settle()
			w.expect(what + ": no old news")
			w.stop()
			w.start()
			w.list("62.0.0.1", "62.7.0.29", "62.0.0.9")
			w.settle()
			w.expect(what+": what is new", "feodo 10.0.0.1 62.0.0.9:443 outbound x1 1d")
		})
	}
}

// TestOff: without a history nothing is hunted, and nothing is written.
func TestOff(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.past.set(true, nil)
		w.list("62.0.0.1")
		w.settle()
		if names, _ := os.ReadDir(w.dir); len(names) != 0 || w.past.flushes != 0 {
			t.Errorf("%v", names)
		}
		w.past.set(false, nil)
		w.flow(1, "62.0.0.2", 443)
		w.hunter.Feed(w.store.Load(), time.Now())
		w.settle()
		w.list("62.0.0.1", "62.0.0.2")
		w.settle()
		w.expect("on", "feodo 10.0.0.1 62.0.0.2:443 outbound x1 1d")
	})
}

// TestDamage: a damaged job is found again by the next set, a damaged record of what was listed
// makes no flood of old news.
func TestDamage(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.list("62.0.0.1")
		w.settle()
		w.flow(1, "62.0.0.1", 443)
		w.flow(1, "62.0.0.2", 443)
		time.Sleep(time.Hour)
		for i := range 24 { // so that there is the file
			w.list("62.0.0.1", fmt.Sprintf("62.7.0.%d", i))
			w.settle()
		}
		w.past.set(false, errDisk)
		w.list("62.0.0.1", "62.0.0.2")
		w.settle()
		w.stop()
		files, _ := filepath.Glob(w.dir + "/*")
		spoil := func(prefix string) {
			for _, f := range files {
				if strings.HasPrefix(filepath.Base(f), prefix) {
					b, _ := os.ReadFile(f)
					b[len(b)/2] ^= 1
					_ = os.WriteFile(f, b, 0o600)
					return
				}
			}
			t.Fatalf("no %s in %v", prefix, files)
		}
		spoil("job-")
		w.past.set(false, nil)
		w.start()
		w.list("62.0.0.1", "62.0.0.2")
		w.settle()
		w.expect("the job is made again", "feodo 10.0.0.1 62.0.0.2:443 outbound x1 1d")
		w.stop()
		spoil("known")
		w.start()
		w.list("62.0.0.1", "62.0.0.2", "62.0.0.3")
		w.settle()
		w.expect("no old news")
		w.flow(9, "62.0.0.9", 443)
		time.Sleep(time.Hour)
		w.list("62.0.0.1", "62.0.0.2", "62.0.0.3", "62.0.0.9")
		w.settle()
		w.expect("goes on", "feodo 10.0.0.9 62.0.0.9:443 outbound x1 1d")
		if s := w.hunter.Stats(); s.Damaged == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestKill dies before each operation of the disk, and before each event is published or just
// after, and starts again: every contact is sent, and what comes twice has the same id.
// It comes twice only if the death was between the journal and the note.
func TestKill(t *testing.T) {
	twice, deaths := 0, 0
	for at := 0; ; at++ {
		died := false
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			calls := 0
			faults := &disktest.Faults{Part: at % 40}
			dying := func() error {
				if died {
					faults.SetPart(0) // the dead write nothing
				}
				if calls++; calls-1 == at {
					died = true
				}
				if died {
					return syscall.EIO // and all that follows
				}
				return nil
			}
			w.start()
			w.list("62.0.0.1")
			w.settle()
			for i := range byte(5) {
				w.flow(i, "62.0.0.9", 443)
				w.flow(i, fmt.Sprintf("62.1.0.%d", i), 443)
				time.Sleep(20 * time.Hour)
				w.flush()
			}
			w.stop()
			w.fs, faults.Hook = faults, func(disktest.Call) error { return dying() }
			var sentNow []uuid.UUID
			w.publish = func(events []event.Event) {
				if dying() == nil {
					sentNow = append(sentNow, ids(events)...)
				} else {
					faults.SetPart(0)
				}
			}
			w.start()
			w.list("62.0.0.1", "62.0.0.9", "own 62.1.0.0/24")
			time.Sleep(10 * time.Minute)
			w.merge()
			time.Sleep(10 * time.Minute)
			w.list("62.0.0.1", "62.0.0.9", "own 62.1.0.0/24", "62.1.0.3")
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			w.stop()
			before := slices.Clone(sentNow)
			w.events = nil
			faults.Hook, w.publish = nil, nil
			w.start()
			w.list("62.0.0.1", "62.0.0.9", "own 62.1.0.0/24", "62.1.0.3")
			w.settle()
			w.settle()
			w.list("62.0.0.1", "62.0.0.9", "own 62.1.0.0/24", "62.1.0.3")
			w.settle()
			w.stop()
			all := map[uuid.UUID]int{}
			for _, id := range append(before, ids(w.events)...) {
				all[id]++
			}
			if len(all) != 11 {
				t.Errorf("death at %d of %d: %d contacts, want 11", at, calls, len(all))
			}
			again := 0
			for _, n := range all {
				if n > 2 {
					t.Errorf("death at %d: one came %d times", at, n)
				}
				again += n - 1
			}
			if again > 0 {
				twice++
			}
		})
		if !died {
			break
		}
		deaths++
		if t.Failed() {
			return
		}
	}
	// Of each batch: written, not synced; noted with an error. A handful of all places.
	t.Logf("%d deaths, %d of them had contacts come again", deaths, twice)
	if deaths < 50 || twice > 12 {
		t.Errorf("%d of %d deaths had contacts come again", twice, deaths)
	}
}

// TestOracle compares a random month with a plain account of it.
func TestOracle(t *testing.T) {
	for seed := range uint64(12) {
		run(t, func(t *testing.T, w *world) { oracle(t, w, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func oracle(t *testing.T, w *world, r *rand.Rand) {
	type talk struct {
		host   byte
		target int
		port   uint16
	}
	type stretch struct{ from, to time.Time }
	target := func(i int) string { return fmt.Sprintf("62.0.%d.%d", i>>2, i&3) }
	flows := map[talk][]time.Time{}
	listings := map[string][]*stretch{} // prefix -> in force
	want := map[string]bool{}
	covers := func(p string, i int) bool { return netip.MustParsePrefix(p).Contains(netip.MustParseAddr(target(i))) }
	met := func(i int, at time.Time) bool {
		for p, list := range listings {
			for _, s := range list {
				if covers(p, i) && !at.Before(s.from) && (s.to.IsZero() || at.Before(s.to)) {
					return true
				}
			}
		}
		return false
	}
	for range 60 {
		for range r.IntN(12) {
			c := talk{byte(r.IntN(3)), r.IntN(12), uint16(r.IntN(2))}
			w.flow(c.host, target(c.target), c.port)
			flows[c] = append(flows[c], time.Now())
			time.Sleep(time.Duration(60+r.IntN(600)) * time.Second)
		}
		if r.IntN(3) == 0 {
			w.flush()
		}
		time.Sleep(2 * time.Hour)
		if r.IntN(2) == 0 {
			continue
		}
		now := map[string]bool{}
		for range r.IntN(4) {
			i := r.IntN(12)
			now[[]string{target(i) + "/32", fmt.Sprintf("62.0.%d.0/24", i>>2)}[r.IntN(2)]] = true
		}
		at := time.Now()
		for p, list := range listings {
			if s := list[len(list)-1]; s.to.IsZero() && !now[p] {
				s.to = at
			}
		}
		for p := range now {
			if n := len(listings[p]); n > 0 && listings[p][n-1].to.IsZero() {
				continue
			}
			for c, times := range flows {
				for _, f := range times {
					if covers(p, c.target) && !met(c.target, f) {
						want[fmt.Sprintf("%s 10.0.0.%d %s:%d", p, c.host, target(c.target), c.port)] = true
					}
				}
			}
		}
		for p := range now {
			if n := len(listings[p]); n == 0 || !listings[p][n-1].to.IsZero() {
				listings[p] = append(listings[p], &stretch{from: at})
			}
		}
		var list []string
		for p := range now {
			list = append(list, p)
		}
		if r.IntN(4) == 0 {
			w.stop()
			w.start()
		}
		w.list(list...)
		w.settle()
	}
	got := map[string]bool{}
	seen := map[uuid.UUID]bool{}
	for _, e := range w.events {
		if seen[e.ID] {
			t.Errorf("%s came twice", e.ID)
		}
		seen[e.ID] = true
		for _, p := range e.Indicators {
			c := contact.OfEvent(&e)
			if contact.EventID(p.Prefix, &c) == e.ID {
				got[fmt.Sprintf("%s %s %s:%d", p.Prefix, e.Local, e.Offender, e.ServicePort)] = true
			}
		}
	}
	for k := range want {
		if !got[k] {
			t.Errorf("missing: %s", k)
		}
	}
	for k := range got {
		if !want[k] {
			t.Errorf("too much: %s", k)
		}
	}
	if len(want) < 20 {
		t.Errorf("only %d contacts", len(want))
	}
}
