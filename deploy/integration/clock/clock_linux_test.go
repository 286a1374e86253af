//go:build integration

package clock

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const year = 365 * 24 * time.Hour

// TestClockIsSet sets the wall clock of a running program ten years forward, then
// decades back. Contacts go on, so that no flow is a new hit, indicators do not expire,
// the hit log is not rotated, and events say that their dates cannot be trusted.
func TestClockIsSet(t *testing.T) {
	s := newSite(t)
	s.start(t)
	s.send(t, 1)
	s.wait(t, "hits", func() bool { return len(s.hits(t)) >= 20 })
	known := len(s.hits(t))
	for i, jump := range []struct {
		offset string
		to     time.Duration
	}{{"+10y", 10 * year}, {"-30y", -30 * year}} {
		s.set(t, jump.offset)
		s.wait(t, "the jump is seen", func() bool { return s.status(t).Clock.Jumps == i+1 })
		st := s.status(t)
		if st.Clock.State != "unsynced" || st.Intel.Indicators != 2 || time.Since(st.Clock.Trusted).Abs() > time.Hour {
			t.Errorf("after %s: %+v", jump.offset, st)
		}
		s.wait(t, "everybody names the jump", func() bool {
			check, ready, metrics, log := s.voices(t)
			return strings.Contains(check, "WARNING - clock: the wall clock cannot be trusted: the clock was set by") &&
				strings.Contains(ready, "the clock was set by") && strings.Contains(metrics, `flowsnitch_check_state{check="clock"} 1`) &&
				strings.Contains(log, "the clock was set by")
		})
		s.send(t, 1) // contacts that are known
		s.send(t, 2+i)
		s.wait(t, "new hits", func() bool { return len(s.hits(t)) >= known+20 })
		all := s.hits(t)
		for _, e := range all[known:] {
			if e.Flowsnitch.Clock != "unsynced" || e.Timestamp.Sub(time.Now().Add(jump.to)).Abs() > 30*24*time.Hour {
				t.Errorf("after %s: %+v", jump.offset, e)
			}
		}
		if n := len(all) - known; n > 40 { // of the new seed alone
			t.Errorf("after %s: %d new hits of 25 new contacts", jump.offset, n)
		}
		known = len(all)
	}
	s.set(t, "+0")
	s.wait(t, "the clock is set right", func() bool { return s.status(t).Clock.Jumps == 3 })
	s.wait(t, "nobody names a jump any more", func() bool {
		check, ready, _, _ := s.voices(t)
		return !strings.Contains(check, "was set by") && !strings.Contains(ready, "was set by")
	})
	s.check(t)
	s.stop(t)
	if synced() {
		t.Log("the kernel says that the clock is right, so that a new process may believe it: no restart in another year")
		return
	}
	s.set(t, "+10y")
	s.start(t)
	if st := s.status(t); st.Intel.Indicators != 2 || time.Since(st.Clock.Trusted).Abs() > time.Hour {
		t.Errorf("started in another year: %+v\n%s", st, &s.log)
	}
	if !strings.Contains(s.log.String(), "templates of the last run are back") {
		t.Errorf("started in another year without templates\n%s", &s.log)
	}
	s.check(t)
	s.stop(t)
}

// check wants one hit log.
func (s *site) check(t *testing.T) {
	t.Helper()
	if old, _ := filepath.Glob(filepath.Join(s.state, "hits.json-*")); len(old) != 0 {
		t.Errorf("rotated: %q", old)
	}
}

// synced tells whether the kernel says that somebody keeps the clock right.
func synced() bool {
	var tx unix.Timex
	_, err := unix.Adjtimex(&tx)
	return err == nil && tx.Status&unix.STA_UNSYNC == 0
}
