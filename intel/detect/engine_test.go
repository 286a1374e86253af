package detect

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
)

var fuzzed = sync.OnceValues(func() ([]*rule.Rule, []rule.Observation) { return shipped(nil), swarm(0)[:50] })

// shipped are the rules that are shipped.
func shipped(t testing.TB) []*rule.Rule {
	if t != nil {
		t.Helper()
	}
	good, bad := rule.Check(rulebook.Shipped())
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	return good
}

func engine(t testing.TB, over rule.Over) *Engine {
	return New(Config{Over: over, Rules: shipped(t), MaxGroups: 100_000, MaxBytes: 60 << 20, Seed: 7})
}

func address(s string) flow.Addr6 { return flow.Addr6Of(netip.MustParseAddr(s)) }

// source gives a made-up address outside.
func source(n int) flow.Addr6 { return flow.Mapped(198<<24 | 18<<16 + uint32(n)) }

// at is a time as observations have it.
func at(t time.Time) uint32 { return uint32(t.Unix()) }

// A try is one unanswered contact from outside.
func try(when time.Time, from, to flow.Addr6, port uint16) rule.Observation {
	return rule.Observation{
		Time: at(when.Truncate(time.Hour)), First: at(when), Last: at(when), Outside: from, Inside: to,
		Protocol: 6, ServicePort: port, Direction: 1, Flows: 1, PacketsIn: 1, BytesIn: 40,
	}
}

// observeContacts gives contacts to the engine by the hour, and intervals of some minutes
// within it.
func observeContacts(e *Engine, all []rule.Observation, interval time.Duration) (alerts []Alert) {
	slices.SortStableFunc(all, func(a, b rule.Observation) int { return int(int64(a.First) - int64(b.First)) })
	step := uint32(interval.Seconds())
	for i := 0; i < len(all); {
		slot := all[i].First / step
		var batch []rule.Observation
		for ; i < len(all) && all[i].First/step == slot; i++ {
			batch = append(batch, all[i])
		}
		slices.SortStableFunc(batch, func(a, b rule.Observation) int { return a.Outside.Compare(b.Outside) })
		for j := range batch {
			e.Observe(&batch[j])
		}
		complete := i == len(all) || all[i].First/hour != batch[0].First/hour
		e.EndInterval(complete)
		alerts = append(alerts, e.Alerts()...)
	}
	return alerts
}

// swarm makes the tries of the swarm of November 2023, after days of background.
func swarm(days int) []rule.Observation {
	rnd := rand.New(rand.NewPCG(1, 2))
	mail := address("192.0.2.25")
	var all []rule.Observation
	start := time.Date(2023, 11, 10, 0, 0, 0, 0, time.UTC)
	for d := -days; d < 0; d++ {
		for range 100 {
			when := start.AddDate(0, 0, d).Add(time.Duration(rnd.Int64N(int64(24 * time.Hour))))
			all = append(all, try(when, source(100_000+rnd.IntN(50_000)), mail, 25))
		}
	}
	var sources []int
	next := 0
	for tries, n := range []int{0, 1235, 469, 139, 51, 16, 27, 4, 1} {
		for range n {
			for range tries {
				sources = append(sources, next)
			}
			next++
		}
	}
	rnd.Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
	for d, n := range []int{86, 468, 1307, 1070, 141} {
		for range n {
			when := start.AddDate(0, 0, d).Add(time.Duration(rnd.Int64N(int64(24 * time.Hour))))
			all = append(all, try(when, source(sources[0]), mail, 25))
			sources = sources[1:]
		}
	}
	return all
}

func TestSwarm(t *testing.T) {
	var first []Alert
	for _, interval := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour} {
		alerts := observeContacts(engine(t, rule.Contacts), swarm(28), interval)
		if len(alerts) == 0 {
			t.Fatal("no alert")
		}
		a := alerts[0]
		rise := time.Date(2023, 11, 11, 0, 0, 0, 0, time.UTC)
		if a.Rule.Name != "swarm" || a.To.Before(rise) || a.To.After(rise.Add(6*time.Hour)) {
			t.Errorf("%s at %s", a.Rule.Name, a.To)
		}
		for _, a := range alerts {
			if a.Rule.Name != "swarm" {
				t.Errorf("alert of %s", a.Rule.Name)
			}
			t.Log(interval, a.To.Format(time.DateTime), a.Update, a.Count, a.Failure, a.Threshold, a.Usual, pairs(a.Group), a.Histogram)
		}
		if first == nil {
			first = alerts
		}
		if !slices.EqualFunc(first, alerts, func(a, b Alert) bool { return a.ID == b.ID && a.Count == b.Count }) {
			t.Errorf("other alerts with an interval of %s", interval)
		}
	}
}

func TestSwarmCold(t *testing.T) {
	alerts := observeContacts(engine(t, rule.Contacts), swarm(1), time.Hour)
	if len(alerts) == 0 || alerts[0].To.Day() != 12 && alerts[0].To.Day() != 13 {
		t.Fatal(alerts)
	}
}

var scanned = []uint16{444, 445, 465, 502, 503, 515, 523, 548, 554, 587, 631, 636, 666, 774, 789, 873, 902}

// steps makes a scan of the ports by two addresses, the second after a delay.
func steps(a, b flow.Addr6, delay func(i int) time.Duration, ports []uint16) (all []rule.Observation) {
	when := time.Date(2023, 11, 10, 5, 50, 0, 0, time.UTC)
	host := address("192.0.2.80")
	for i, p := range ports {
		when = when.Add(time.Duration(28+i*37%74) * time.Second)
		all = append(all, try(when, a, host, p), try(when.Add(delay(i)), b, host, p))
	}
	return all
}

func TestLockstep(t *testing.T) {
	a, b := address("198.51.100.21"), address("203.0.113.21")
	second := func(i int) time.Duration { return time.Duration(i%2) * time.Second }
	var many []uint16 // fifty ports an hour
	for i := range 150 {
		many = append(many, uint16(1000+i))
	}
	for _, test := range []struct {
		name string
		all  []rule.Observation
		want int
	}{
		{"in step", steps(a, b, second, scanned), 1},
		{"sixteen ports", steps(a, b, second, scanned[:16]), 1},
		{"fifteen ports", steps(a, b, second, scanned[:15]), 0},
		{"half a minute later", steps(a, b, func(int) time.Duration { return 30 * time.Second }, scanned), 0},
		{"in step at first, apart later", append(steps(a, b, second, scanned), steps(a, b, func(int) time.Duration { return 9 * time.Second }, many[:80])...), 1},
		{"merely overlapping", steps(a, b, func(i int) time.Duration { return time.Duration(2*(i%5)) * time.Second }, many), 0},
		{"one scanner behind two exporters", steps(a, a, second, scanned), 0},
	} {
		var ids []string
		for _, interval := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour} {
			alerts := observeContacts(engine(t, rule.Contacts), slices.Clone(test.all), interval)
			if len(alerts) != test.want {
				t.Errorf("%s, interval %s: %d alerts, want %d", test.name, interval, len(alerts), test.want)
			}
			for _, a := range alerts {
				ids = append(ids, a.ID.String())
				if len(a.Sources) != 2 || a.Group[0].Value != "192.0.2.80" {
					t.Error(a)
				}
			}
		}
		if ids = slices.Compact(ids); len(ids) > 1 {
			t.Errorf("%s: ids %v", test.name, ids)
		}
	}
}

// TestScannersThatOverlap: two that scan all ports of a host within an hour meet by chance.
func TestScannersThatOverlap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var all []rule.Observation
	for _, from := range []string{"198.51.100.1", "203.0.113.1"} {
		for _, p := range rnd.Perm(200) {
			when := time.Date(2023, 11, 10, 5, 0, 0, 0, time.UTC).Add(time.Duration(rnd.Int64N(int64(30 * time.Minute))))
			all = append(all, try(when, address(from), address("192.0.2.80"), uint16(p+1)))
		}
	}
	if alerts := observeContacts(engine(t, rule.Contacts), all, 10*time.Minute); len(alerts) > 0 {
		t.Error(alerts)
	}
}

// hit is an observation of a hit.
func hit(when time.Time, offender, local flow.Addr6, port uint16, direction, answered uint8) rule.Observation {
	return rule.Observation{Time: at(when), First: at(when), Last: at(when), Outside: offender, Inside: local, Protocol: 6,
		ServicePort: port, Direction: direction, Answered: answered, Flows: 1}
}

func names(alerts []Alert) (list []string) {
	for _, a := range alerts {
		list = append(list, a.Rule.Name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func TestHits(t *testing.T) {
	start := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	bad, us := address("203.0.113.9"), address("10.0.0.5")
	host := func(n int) flow.Addr6 { return flow.Mapped(10<<24 | uint32(n)) }
	series := func(n int, every time.Duration, make func(i int, when time.Time) rule.Observation) (all []rule.Observation) {
		for i := range n {
			all = append(all, make(i, start.Add(time.Duration(i)*every)))
		}
		return all
	}
	for _, test := range []struct {
		name string
		all  []rule.Observation
		want []string
	}{
		{"nine tries", series(9, time.Second, func(i int, w time.Time) rule.Observation { return hit(w, bad, us, 22, 1, 0) }), nil},
		{"ten tries", series(10, time.Minute-time.Second, func(i int, w time.Time) rule.Observation { return hit(w, bad, us, 22, 1, 0) }), []string{"contact_pair", "same_service"}},
		{"ten tries, too slow", series(10, time.Minute+8*time.Second, func(i int, w time.Time) rule.Observation { return hit(w, bad, us, 22, 1, 0) }), nil},
		{"twenty tries at hosts", series(20, 10*time.Second, func(i int, w time.Time) rule.Observation { return hit(w, bad, host(i%10), 22, 1, 0) }), []string{"contact_source"}},
		{"five services", series(5, time.Second, func(i int, w time.Time) rule.Observation { return hit(w, bad, host(i), uint16(20+i), 1, 0) }), []string{"services_source"}},
		{"five services of a host", series(5, time.Second, func(i int, w time.Time) rule.Observation { return hit(w, bad, us, uint16(20+i), 1, 0) }), []string{"services_pair", "services_source"}},
		{"answered", append(series(5, time.Second, func(i int, w time.Time) rule.Observation { return hit(w, bad, us, 22, 1, 0) }),
			hit(start.Add(time.Minute), bad, us, 22, 1, 1)), []string{"answered_after"}},
		{"answered before", append([]rule.Observation{hit(start.Add(-time.Minute), bad, us, 22, 1, 1)},
			series(5, time.Second, func(i int, w time.Time) rule.Observation { return hit(w, bad, us, 22, 1, 0) })...), nil},
		{"twenty hosts", series(20, time.Minute, func(i int, w time.Time) rule.Observation { return hit(w, bad, host(i), 22, 1, 2) }), []string{"fan_in"}},
		{"ten offenders", series(10, time.Minute, func(i int, w time.Time) rule.Observation { return hit(w, source(i), us, 443, 0, 2) }), []string{"fan_out"}},
		{"twenty listed sources", series(20, 15*time.Minute, func(i int, w time.Time) rule.Observation { return hit(w, source(i), us, 25, 1, 2) }), []string{"swarm_hits"}},
		{"like a clock", series(7, time.Hour, func(i int, w time.Time) rule.Observation {
			return hit(w.Add(time.Duration(i%3)*time.Minute), bad, us, 443, 0, 1)
		}), []string{"beacon"}},
	} {
		e := engine(t, rule.Hits)
		for i := range test.all {
			e.Observe(&test.all[i])
		}
		if got := names(e.Alerts()); !slices.Equal(got, test.want) {
			t.Errorf("%s: alerts of %v, want %v", test.name, got, test.want)
		}
	}
}

// TestRandomIsNoBeacon: calls at random times are no clock, however they come in updates.
func TestRandomIsNoBeacon(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	e := engine(t, rule.Hits)
	for n := range 200 {
		when := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
		for range 20 {
			o := hit(when, source(n), address("10.0.0.5"), 443, 0, 1)
			o.Flows = uint64(1 + rnd.IntN(60))
			for range o.Flows {
				when = when.Add(time.Duration(rnd.ExpFloat64() * float64(time.Minute)))
			}
			o.Time, o.First, o.Last = at(when), at(when), at(when)
			e.newest = 0 // each source has a time of its own
			e.Observe(&o)
		}
	}
	if n := len(slices.DeleteFunc(e.Alerts(), func(a Alert) bool { return a.Rule.Name != "beacon" })); n > 2 {
		t.Errorf("%d of 200 random callers are beacons", n)
	}
}

// TestBounds: many groups take no more than they may, and what has come far stays.
func TestBounds(t *testing.T) {
	e := New(Config{Over: rule.Hits, Rules: shipped(t), MaxGroups: 2000, MaxBytes: 4 << 20, Seed: 7})
	when := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	us := address("10.0.0.5")
	for i := range 30_000 {
		o := hit(when, source(i), flow.Mapped(10<<24|uint32(i)), 22, 1, 0)
		e.Observe(&o)
		if i%100 == 0 && i < 1000 { // one that tries again and again
			o := hit(when, address("203.0.113.9"), us, 22, 1, 0)
			e.Observe(&o)
		}
		if s := e.Stats(); s.Groups > 2010 || s.Bytes > 4<<20+10_000 {
			t.Fatal(s)
		}
	}
	if got := names(e.Alerts()); !slices.Contains(got, "contact_pair") {
		t.Error(got)
	}
	if s := e.Stats(); s.Dropped == 0 || s.Observations != 30_010 {
		t.Error(s)
	}
}
