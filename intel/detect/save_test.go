package detect

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// restarted gives an engine with the state of another one.
func restarted(t testing.TB, e *Engine) *Engine {
	t.Helper()
	b := e.Save()
	next := New(Config{Over: e.cfg.Over, Rules: shipped(t), MaxGroups: e.cfg.MaxGroups, MaxBytes: e.cfg.MaxBytes})
	if err := next.Restore(b); err != nil {
		t.Fatal(err)
	}
	if again := next.Save(); !bytes.Equal(b, again) {
		t.Fatal("the state is another one after a restart")
	}
	return next
}

// TestRestarts: an engine that is restarted again and again raises the same alerts.
func TestRestarts(t *testing.T) {
	all := swarm(6)
	all = append(all, steps(address("198.51.100.21"), address("203.0.113.21"), func(i int) time.Duration { return time.Second }, scanned)...)
	want := observeContacts(engine(t, rule.Contacts), slices.Clone(all), time.Hour)
	slices.SortStableFunc(all, func(a, b rule.Observation) int { return int(int64(a.First) - int64(b.First)) })
	e := engine(t, rule.Contacts)
	var got []Alert
	for i, n := 0, 0; i < len(all); n++ {
		slot, from := all[i].First/hour, i
		for i < len(all) && all[i].First/hour == slot {
			i++
		}
		got = append(got, observeContacts(e, all[from:i], time.Hour)...)
		if n%5 == 0 {
			e = restarted(t, e)
		}
	}
	if len(want) < 3 || !slices.EqualFunc(got, want, func(a, b Alert) bool { return a.ID == b.ID && a.Count == b.Count }) {
		t.Errorf("%d alerts with restarts, %d without", len(got), len(want))
	}
}

// TestRestartOverHits: likewise, between any two hits.
func TestRestartOverHits(t *testing.T) {
	start := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	e := engine(t, rule.Hits)
	for i := range 10 {
		o := hit(start.Add(time.Duration(i)*time.Second), address("203.0.113.9"), address("10.0.0.5"), 22, 1, 0)
		e.Observe(&o)
		if alerts := e.Alerts(); (len(alerts) > 0) != (i == 9) {
			t.Fatalf("hit %d: %v", i, alerts)
		}
		e = restarted(t, e)
	}
	o := hit(start.Add(time.Minute), address("203.0.113.9"), address("10.0.0.5"), 22, 1, 1)
	if e.Observe(&o); !slices.Equal(names(e.Alerts()), []string{"answered_after"}) {
		t.Error("no answered_after after restarts")
	}
}

// TestRestoreOfChangedRules: a rule that counts something else begins anew, the others go on.
func TestRestoreOfChangedRules(t *testing.T) {
	e := engine(t, rule.Hits)
	start := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for i := range 9 {
		o := hit(start.Add(time.Duration(i)*time.Second), address("203.0.113.9"), address("10.0.0.5"), 22, 1, 0)
		e.Observe(&o)
	}
	all := shipped(t)
	for _, r := range all {
		if r.Name == "contact_pair" {
			r.Correlation.Timespan = time.Hour
		}
	}
	next := New(Config{Over: rule.Hits, Rules: all, MaxGroups: 1000, MaxBytes: 1 << 20})
	if err := next.Restore(e.Save()); err != nil {
		t.Fatal(err)
	}
	o := hit(start.Add(time.Minute), address("203.0.113.9"), address("10.0.0.5"), 22, 1, 0)
	if next.Observe(&o); !slices.Equal(names(next.Alerts()), []string{"same_service"}) {
		t.Error("want same_service, which goes on, and not contact_pair, which begins anew")
	}
}

func FuzzRestore(f *testing.F) {
	e := engine(f, rule.Contacts)
	observeContacts(e, swarm(1)[:8], time.Hour)
	f.Add(e.Save())
	h := engine(f, rule.Hits)
	o := hit(time.Unix(1700000000, 0), address("203.0.113.9"), address("10.0.0.5"), 22, 1, 0)
	h.Observe(&o)
	f.Add(h.Save())
	rules, contacts := fuzzed()
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, over := range []rule.Over{rule.Hits, rule.Contacts} {
			cfg := Config{Over: over, Rules: rules, MaxGroups: 1000, MaxBytes: 1 << 20, Seed: 7}
			e := New(cfg)
			if e.Restore(sealed(b)) != nil {
				continue
			}
			observeContacts(e, slices.Clone(contacts), time.Hour)
			if New(cfg).Restore(e.Save()) != nil {
				t.Error("what was restored cannot be saved")
			}
		}
	})
}

// sealed gives bytes with the right checksum, so that more than that is tried.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(b[:max(len(b)-4, 0)]), crc32.Checksum(b[:max(len(b)-4, 0)], crc32.MakeTable(crc32.Castagnoli)))
}
