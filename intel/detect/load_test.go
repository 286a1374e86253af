package detect

import (
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// sources is how many distinct addresses a flood has: FLOWSNITCH_SOURCES=10000000 for the full
// figures, which take minutes.
func sources(t testing.TB, usual int) int {
	t.Helper()
	s := os.Getenv("FLOWSNITCH_SOURCES")
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		t.Fatalf("FLOWSNITCH_SOURCES=%q is no number", s)
	}
	return n
}

// spoofed is the i-th address of a flood; no two are the same.
func spoofed(i int) flow.Addr6 { return flow.Mapped(uint32(i)*2_654_435_761 | 1<<31) }

// live is the memory in use after a collection.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// flooded is an engine for n sources: with the room that half of the defaults is for a million
// and more, with a tenth of that for fewer.
func flooded(t testing.TB, over rule.Over, n int) *Engine {
	c := Config{Over: over, Rules: shipped(t), MaxGroups: 50_000, MaxBytes: 32e6, Seed: 7}
	if n < 1_000_000 {
		c.MaxGroups, c.MaxBytes = c.MaxGroups/10, c.MaxBytes/10
	}
	return New(c)
}

// A peak is the most memory that an engine was seen with.
type peak struct{ before, most uint64 }

func (p *peak) look() { p.most = max(p.most, live()-min(p.before, live())) }

// check fails when an engine had more memory than it may have, with an eighth for the
// allocator, or a count of it that is wrong.
func (p *peak) check(t *testing.T, e *Engine, n int) {
	t.Helper()
	s := e.Stats()
	t.Logf("%d sources: %d groups of at most %d, %d dropped, %.1f MB by the count of the engine, at most %.1f MB of heap", n, s.Groups, e.cfg.MaxGroups, s.Dropped, float64(s.Bytes)/1e6, float64(p.most)/1e6)
	if s.Dropped == 0 || p.most > uint64(e.cfg.MaxBytes)/8*9 {
		t.Errorf("%d groups dropped, %d bytes of heap, at most %d are allowed", s.Dropped, p.most, e.cfg.MaxBytes)
	}
	groups, bytes := 0, 0
	for _, w := range e.watches {
		groups += len(w.groups)
		own := 0
		for _, g := range w.groups {
			own += g.bytes
		}
		if bytes += own; own != w.bytes || len(w.changed) > len(w.groups) {
			t.Errorf("%s: %d bytes, counted as %d; %d changed of %d", w.rule.Name, own, w.bytes, len(w.changed), len(w.groups))
		}
	}
	if groups != s.Groups || bytes != s.Bytes {
		t.Errorf("%d groups and %d bytes, counted as %d and %d", groups, bytes, s.Groups, s.Bytes)
	}
}

// TestFloodOfHits: of a flood of hits of spoofed addresses memory stays flat. Neither those that
// try once nor those that each raise an alert blind another rule: a slow beacon is seen.
func TestFloodOfHits(t *testing.T) {
	for name, tries := range map[string]int{"one try each": 1, "an alert each": 5} {
		t.Run(name, func(t *testing.T) {
			n := sources(t, 20_000)
			p := peak{before: live()}
			e := flooded(t, rule.Hits, n)
			start := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
			const hours = 10
			alerts := make(map[string]int)
			for i := range n {
				when := start.Add(time.Duration(float64(i) / float64(n) * float64(hours*time.Hour)))
				if i%(n/hours) == 0 {
					o := hit(when, address("203.0.113.9"), address("10.0.0.5"), 443, 0, 1)
					e.Observe(&o)
				}
				for port := range tries {
					o := hit(when, spoofed(i), flow.Mapped(10<<24|uint32(i%4096)), uint16(1+(i+port)%7), 1, 0)
					e.Observe(&o)
				}
				for _, a := range e.Alerts() {
					alerts[a.Rule.Name]++
				}
				if i%(n/5) == n/5-1 {
					p.look()
				}
			}
			t.Log(alerts)
			// Of those with an alert each, the ones on their way when room is made go.
			if alerts["beacon"] == 0 || tries == 5 && alerts["services_source"] < n/100*97 {
				t.Error("a beacon, or sources that tried five services, were not seen")
			}
			p.check(t, e, n)
		})
	}
}

// TestFloodOfContacts: likewise of contacts, within one hour, beside a swarm and a scan in step.
func TestFloodOfContacts(t *testing.T) {
	n := sources(t, 60_000)
	p := peak{before: live()}
	e := flooded(t, rule.Contacts, n)
	when := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var found []Alert
	for interval := range 6 {
		from, to := interval*n/6, (interval+1)*n/6
		for i := from; i < to; i++ {
			if (i-from)%(n/600) == 0 { // 600 sources of the swarm, and a port of two that are in step every minute
				k := (i - from) / (n / 600)
				o := try(when.Add(time.Duration(interval)*10*time.Minute), source(interval*100+k), address("192.0.2.25"), 25)
				e.Observe(&o)
			}
			o := try(when, spoofed(i), flow.Mapped(10<<24|uint32(i%4096)), uint16(1+i%7))
			e.Observe(&o)
		}
		for _, from := range []string{"198.51.100.21", "203.0.113.21"} {
			for k := range 4 {
				o := try(when.Add(time.Duration(interval*10+k)*time.Minute), address(from), address("192.0.2.80"), scanned[(4*interval+k)%len(scanned)])
				e.Observe(&o)
			}
		}
		e.EndInterval(interval == 5)
		found = append(found, e.Alerts()...)
		p.look()
	}
	if got := names(found); !slices.Equal(got, []string{"lockstep", "swarm"}) {
		t.Errorf("alerts of %v", got)
	}
	p.check(t, e, n)
}

// TestManyAlerts: a rule that alerts of everything makes no more alerts than can wait, and counts
// the others.
func TestManyAlerts(t *testing.T) {
	list, bad := rule.Read("own", []byte(`{title: t, name: every, over: contacts, correlation: {type: event_count, group-by: [outside], timespan: 1h, condition: {gte: 2}}}`))
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	e := New(Config{Over: rule.Contacts, Rules: list, MaxGroups: 10_000, MaxBytes: 32e6})
	for i := range 5000 {
		o := try(time.Unix(1_700_000_000, 0), source(i), address("10.0.0.1"), 22)
		o.Flows = 2
		e.Observe(&o)
	}
	e.EndInterval(true)
	if n, s := len(e.Alerts()), e.Stats(); n != mostAtOnce || s.Excess != 5000-mostAtOnce || s.Alerts != 5000 {
		t.Errorf("%d alerts, %+v", n, s)
	}
}

// TestUsualIsKept: what is usual for a service outlives a flood of groups that have nothing.
func TestUsualIsKept(t *testing.T) {
	e := flooded(t, rule.Contacts, 0)
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	mail := address("192.0.2.25")
	for d := range 10 { // two hundred each evening
		for h := range 24 {
			when := start.AddDate(0, 0, d).Add(time.Duration(h) * time.Hour)
			if h == 20 {
				for i := range 200 {
					o := try(when, source(d*1000+i), mail, 25)
					e.Observe(&o)
				}
			}
			if d == 9 && h < 20 {
				for i := range 6000 { // services that one source tries
					o := try(when, source(1), flow.Mapped(10<<24|uint32(h*6000+i)), 22)
					e.Observe(&o)
				}
			}
			o := try(when, source(2), address("192.0.2.26"), 26)
			e.Observe(&o)
			e.EndInterval(true)
		}
	}
	alerts := e.Alerts()
	if s := e.Stats(); s.Dropped == 0 || len(alerts) == 0 {
		t.Errorf("%d dropped, %d alerts", s.Dropped, len(alerts))
	}
	for _, a := range alerts {
		if a.To.Day() > 4 { // before, it was not known what is usual
			t.Errorf("%s is an alert of %d, where %d are usual", a.To, a.Count, a.Usual)
		}
	}
}

// BenchmarkHits is one hit at 5,000 a second: of a thousand addresses that come back, of which
// each tries one service of one host; and with as many others that are seen once.
func BenchmarkHits(b *testing.B) {
	for _, of := range []struct {
		name string
		once int // one of so many is
	}{{"known", math.MaxInt}, {"half-new", 2}, {"all-new", 1}} {
		b.Run(of.name, func(b *testing.B) {
			e := flooded(b, rule.Hits, 1_000_000)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				who := i * 7 % 1000
				if i++; i%of.once == 0 {
					who = i
				}
				o := hit(time.Unix(1_700_000_000+int64(i/5000), 0), spoofed(who), flow.Mapped(10<<24|uint32(who%256)), uint16(who%8), uint8(who&1), uint8(who%3))
				if e.Observe(&o); i%5000 == 0 {
					e.Alerts()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)*5000/1e7, "%core@5000/s")
		})
	}
}

// BenchmarkContacts is one row, at 100,000 an interval of ten minutes, sorted as they are read.
func BenchmarkContacts(b *testing.B) {
	const rows = 100_000
	rnd := rand.New(rand.NewPCG(1, 2))
	e := flooded(b, rule.Contacts, 1_000_000)
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	all := make([]rule.Observation, 0, rows)
	for i := range rows / 4 {
		for range 4 {
			o := try(at, flow.Mapped(1<<31|uint32(i)<<8), flow.Mapped(10<<24|rnd.Uint32N(4096)), uint16(1+rnd.IntN(1000)))
			if i%2 == 0 {
				o.Direction, o.Answered = 0, 1
			}
			all = append(all, o)
		}
	}
	interval := 0
	b.ReportAllocs()
	for b.Loop() {
		for i := range all {
			o := all[i]
			o.Time += uint32(interval/6) * hour
			o.First += uint32(interval) * 600
			o.Last = o.First + uint32(i%600)
			o.Outside.Lo += uint64(interval % 200)
			e.Observe(&o)
		}
		interval++
		e.EndInterval(interval%6 == 0)
		e.Alerts()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/600e9*100, "%core@10min")
}

func TestLeast(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		all := make([]candidate, 1+rnd.IntN(60))
		for i := range all {
			all[i] = candidate{rank: rnd.Uint64N(5), tie: rnd.Uint64N(5), g: &group{key: key{{Lo: rnd.Uint64N(9)}}}}
		}
		want, n := slices.Clone(all), rnd.IntN(len(all)+1)
		slices.SortFunc(want, candidate.compare)
		least(all, n)
		if !slices.EqualFunc(all[:n], want[:n], func(a, b candidate) bool { return a.compare(b) == 0 }) {
			t.Fatalf("the least %d of %d differ", n, len(all))
		}
	}
}
