package incident

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// TestLessHost: the host that calls its control server stands first however few its flows
// are, the host that is merely scanned last however many.
func TestLessHost(t *testing.T) {
	host := func(name string, worst event.Severity, called bool, days int, out, flows uint64) HostShare {
		return HostShare{Host: Host{Site: name}, Worst: worst, Called: called, Answered: called, Days: days, Sums: Sums{Flows: flows, BytesOut: out}}
	}
	rows := []HostShare{
		host("scanned", event.Low, false, 7, 0, 1544),
		host("scanned, answers", event.Medium, false, 7, 9000, 700),
		host("called once", event.Critical, true, 1, 500, 1),
		host("beacon", event.Critical, true, 7, 400, 1),
		host("called in vain", event.Critical, false, 7, 60, 50),
		host("upload", event.Critical, true, 7, 1e9, 2),
	}
	slices.SortFunc(rows, func(a, b HostShare) int { return LessHost(&a, &b) })
	want := []string{"upload", "beacon", "called once", "called in vain", "scanned, answers", "scanned"}
	for i, r := range rows {
		if r.Site != want[i] {
			t.Errorf("place %d: %s, want %s", i+1, r.Site, want[i])
		}
	}
}

// TestRankKey: the order by key, bytes, time and id is that of Less.
func TestRankKey(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 1))
	sizes := []uint64{0, 0, 40, 63, 64, 65, 4095, 4096, 4097, 5000, 1 << 20, 1<<20 + 1, 1<<63 - 1}
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	rows := make([]Incident, 5000)
	for i := range rows {
		rows[i] = Incident{
			ID: int64(i + 1), Worst: event.Severity(r.IntN(2)), Called: r.IntN(2) == 0, Answered: r.IntN(2) == 0, Days: 1 + r.IntN(2),
			Sums: Sums{BytesOut: sizes[r.IntN(len(sizes))]}, Last: start.Add(time.Duration(r.IntN(5*24)) * time.Hour),
		}
	}
	byLess, byKey := slices.Clone(rows), slices.Clone(rows)
	slices.SortFunc(byLess, func(a, b Incident) int { return Less(&a, &b) })
	compare := func(a, b *Incident) int {
		for _, d := range []int64{RankKey(b) - RankKey(a), int64(b.BytesOut) - int64(a.BytesOut), b.Last.Unix() - a.Last.Unix(), b.ID - a.ID} {
			if d != 0 {
				return map[bool]int{true: 1, false: -1}[d > 0]
			}
		}
		return 0
	}
	slices.SortFunc(byKey, func(a, b Incident) int { return compare(&a, &b) })
	for i := range byLess {
		if byLess[i].ID != byKey[i].ID {
			t.Fatalf("place %d: %+v by Less, %+v by key", i, byLess[i], byKey[i])
		}
	}
}

// TestSizeKey: the key never falls, is the number itself at first, and moves by less than
// seven percent of the number.
func TestSizeKey(t *testing.T) {
	last, at := int64(-1), uint64(0)
	for n := uint64(0); n < 1<<62; n += 1 + n/97 {
		k := SizeKey(n)
		switch {
		case k < last, k >= 1<<13:
			t.Fatalf("%d: key %d after %d", n, k, last)
		case k < ExactSize && k != int64(n):
			t.Fatalf("%d: exact key %d", n, k)
		case k == last && float64(n) > 1.07*float64(at):
			t.Fatalf("%d and %d have one key", at, n)
		case k > last:
			last, at = k, n
		}
	}
	if k := SizeKey(1<<64 - 1); k >= 1<<13 {
		t.Errorf("the greatest number has the key %d", k)
	}
}

// TestDayOf: days count from 1970 on, in both directions.
func TestDayOf(t *testing.T) {
	for s, want := range map[string]int32{"1970-01-01T00:00:00Z": 0, "1969-12-31T23:59:59Z": -1, "2026-11-30T23:59:59Z": 20787, "2026-12-01T00:00:00+02:00": 20787} {
		at, _ := time.Parse(time.RFC3339, s)
		if got := DayOf(at); got != want {
			t.Errorf("%s: day %d, want %d", s, got, want)
		}
	}
	if d := (&Day{Day: 20787}).Date(); d != "2026-11-30" {
		t.Error(d)
	}
}
