package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// millionVariable turns TestMillion on: 1, or the path of a file that is kept and used again, or
// the URL of an empty PostgreSQL database.
const millionVariable = "FLOWSNITCH_MILLION"

// onlyVariable is a regular expression: only lists whose filter has it are timed, as "feed=.*" or
// "^$" for that without a filter.
const onlyVariable = "FLOWSNITCH_MILLION_ONLY"

// The shape of the million: what a year of a large network may leave.
const (
	millionIncidents = 1_000_000
	millionHosts     = 50_000
	millionFeeds     = 40
	millionNetworks  = 20_000
)

// millionEnd is when the last contacts of the million were.
var millionEnd = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// TestMillion times lists of 1,000,000 incidents, by hand:
//
//	FLOWSNITCH_MILLION=1 go test -run TestMillion -v ./intel/incident/store
//
// It prints for each filter, pair of filters and order the milliseconds of a processor that
// the slowest page took: of the first two, and one from the middle of the order. It fails for nothing:
// machines differ.
func TestMillion(t *testing.T) {
	at := os.Getenv(millionVariable)
	if at == "" {
		t.Skipf("set %s to time lists of %d incidents", millionVariable, millionIncidents)
	}
	cfg := DefaultConfig(at)
	switch {
	case strings.HasPrefix(at, "postgres://"):
		cfg.Database = at
	case !strings.Contains(at, "/"):
		cfg.Path = filepath.Join(t.TempDir(), "million.db")
	}
	began := time.Now()
	s := open(t, cfg)
	var have int64
	if err := s.db.Read().QueryRow("SELECT count(*) FROM incident").Scan(&have); err != nil {
		t.Fatal(err)
	}
	if have == 0 {
		buildMillion(t, s)
		t.Logf("built in %v", time.Since(began).Round(time.Second))
	}
	timeLists(t, s)
	if os.Getenv(onlyVariable) == "" {
		timeHosts(t, s)
		timeOthers(t, s)
	}
}

// skewed gives a number below n, small ones far more often.
func skewed(r *rand.Rand, n int) int {
	return min(int(math.Pow(float64(n), r.Float64()))-1+r.IntN(2), n-1)
}

// indexes are all of the tables of incidents, taken away while the million is written.
func indexes(t *testing.T) (drop, create []string) {
	for statement := range strings.SplitSeq(string(schema.Steps[0]), ";\n") {
		var lines []string
		for line := range strings.Lines(statement) {
			if line, _, _ = strings.Cut(line, "--"); strings.TrimSpace(line) != "" {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		one := strings.Join(lines, " ")
		if words := strings.Fields(one); len(words) > 2 && words[0] == "CREATE" && words[1] == "INDEX" {
			drop, create = append(drop, "DROP INDEX "+words[2]), append(create, one)
		}
	}
	if len(drop) < 10 {
		t.Fatalf("only %d indexes in the schema", len(drop))
	}
	return drop, create
}

func run(t *testing.T, s *Store, statements []string) {
	tx, err := s.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, one := range statements {
		if _, err := tx.Exec(s.db.SQL(one)); err != nil {
			t.Fatalf("%s: %v", one, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func buildMillion(t *testing.T, s *Store) {
	drop, create := indexes(t)
	run(t, s, drop)
	m := &million{r: rand.New(rand.NewPCG(16, 2026)), hosts: make([]hostSum, millionHosts), rows: map[*database.Table][]any{}}
	m.names()
	for n := range millionIncidents {
		m.incident(int64(n + 1))
		if n%20_000 == 19_999 {
			m.flush(t, s)
		}
	}
	for i := range m.hosts {
		if m.hosts[i].offenders > 0 {
			m.put(schema.HostSum, m.hosts[i].values(nil, int64(i+1))...)
		}
	}
	m.flush(t, s)
	run(t, s, create)
	if s.db.Postgres {
		run(t, s, []string{"ANALYZE"})
	}
}

type million struct {
	r     *rand.Rand
	hosts []hostSum
	rows  map[*database.Table][]any
}

func (m *million) put(table *database.Table, values ...any) {
	m.rows[table] = append(m.rows[table], values...)
}

func (m *million) flush(t *testing.T, s *Store) {
	tx, err := s.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for table, values := range m.rows {
		if err := tx.Put(table, values); err != nil {
			t.Fatal(err)
		}
		m.rows[table] = values[:0]
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func (m *million) names() {
	for i := range millionFeeds {
		m.put(schema.Feed, fmt.Sprintf("feed-%02d", i), int64(i+1))
	}
	for i := range millionNetworks {
		m.put(schema.Network, int64(i+1), fmt.Sprintf("NETWORK-%d Example", i+1))
	}
	for i := range millionHosts {
		m.put(schema.Host, m.address(10<<24|uint32(i)), []string{"", "oslo", "bergen"}[i%3], int64(i+1))
	}
}

func (m *million) address(a uint32) []byte {
	b := make([]byte, 16)
	b[10], b[11] = 0xff, 0xff
	binary.BigEndian.PutUint32(b[12:], a)
	return b
}

// incident makes one with all that belongs to it.
func (m *million) incident(id int64) {
	r := m.r
	end := millionEnd.Unix()
	first := end - int64(float64(365*86_400)*float64(millionIncidents-id)/millionIncidents) - r.Int64N(3600)
	x := row{id: id, state: incident.New, since: first, first: first, last: min(end, first+int64(r.ExpFloat64()*float64([]int64{0, 0, 600, 86_400, 20 * 86_400}[r.IntN(5)])))}
	x.offender = schema.Addr(m.address(1<<24 + uint32(id)*2654435761%(220<<24)))
	if r.IntN(50) == 0 {
		x.state = incident.State(1 + r.IntN(4))
	}
	x.days = 1 + min((x.last-x.first)/86_400, int64(r.IntN(40)))
	x.lastDay = x.last / 86_400
	x.sums.Flows = uint64(math.Exp(r.ExpFloat64() * 2.2))
	x.sums.PacketsIn, x.sums.BytesIn = x.sums.Flows, x.sums.Flows*uint64([]int{40, 40, 44, 60, 60 + r.IntN(3000)}[r.IntN(5)])
	x.flags = batch.Inbound
	if r.IntN(8) == 0 {
		x.flags |= batch.Answered
		x.sums.BytesOut, x.sums.PacketsOut = x.sums.BytesIn*uint64(r.IntN(20)), x.sums.PacketsIn
	}
	if r.IntN(25) == 0 {
		x.flags |= batch.Outbound | batch.Called
		if r.IntN(3) == 0 {
			x.flags |= batch.Answered | batch.CalledAnswered
		}
	}
	for flag, one := range map[batch.Flags]int{batch.Retro: 50, batch.Transit: 100, batch.Internal: 10_000} {
		if r.IntN(one) == 0 {
			x.flags |= flag
		}
	}
	x.worst = event.Severity([]int{0, 0, 0, 0, 0, 0, 0, 1, 1, 2}[r.IntN(10)])
	if r.IntN(60) == 0 {
		x.worst = event.Critical
	}
	x.country = string([]byte{'A' + byte(skewed(r, 20)), 'A' + byte(r.IntN(3))})
	x.asNumber = uint32(1 + skewed(r, millionNetworks))
	x.contacts, x.hosts, x.ports = int64(x.sums.Flows), 1+int64(skewed(r, 40)), 1
	x.hosts = min(x.hosts, 4)
	m.put(schema.Incident, x.values(nil)...)
	m.links(&x)
}

func (m *million) links(x *row) {
	r := m.r
	reason := fmt.Sprintf("%s listed by feed-%02d (%d); inbound", millionCategories[r.IntN(8)], skewed(r, millionFeeds), 30+r.IntN(60))
	m.put(schema.IncidentText, x.id, "", reason, m.address(192<<24|2))
	host, feed := skewed(r, millionHosts), skewed(r, millionFeeds)
	for n := range x.hosts {
		h := (host + int(n)*7919) % millionHosts
		sum := &m.hosts[h]
		part := incident.Sums{Flows: x.sums.Flows / uint64(x.hosts), BytesOut: x.sums.BytesOut / uint64(x.hosts), BytesIn: x.sums.BytesIn / uint64(x.hosts)}
		m.put(schema.IncidentHost, x.id, int64(h+1), int64(part.Flows), int64(0), int64(0), int64(part.BytesOut), int64(part.BytesIn), x.first, x.last, x.days, int64(x.worst), int64(x.flags))
		one := hostSum{offenders: 1, sums: part, first: x.first, last: x.last, worst: int64(x.worst), flags: x.flags}
		if sum.offenders == 0 {
			*sum = one
		} else {
			sum.merge(&one)
		}
		sum.days = min(365, sum.days+1)
	}
	for f := range 1 + r.IntN(2) {
		m.put(schema.IncidentFeed, x.id, int64(1+(feed+f*11)%millionFeeds), schema.Key(x.offender), int64(32), millionCategories[skewed(r, 8)], "https://example.org/", "", "", int64(50), x.first, x.last)
	}
	m.put(schema.IncidentService, x.id, int64(6)<<16|int64([]int{22, 23, 443, 445, 3389, 1 + r.IntN(1000)}[r.IntN(6)]), int64(x.sums.Flows))
	for d := range min(x.days, 3) {
		m.put(schema.IncidentDay, x.lastDay-d, x.id, int64(x.sums.Flows)/min(x.days, 3), int64(0), int64(x.sums.BytesIn))
	}
}

var millionCategories = []string{"scan", "bruteforce", "c2", "spam", "phishing", "malware", "proxy", "tor"}

// processorTime gives the time of processors that this process has used, and with PostgreSQL on this
// machine those that serve it: unlike the time of day it does not depend on what else runs.
func processorTime(s *Store) time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	total := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if !s.db.Postgres {
		return total
	}
	rows, err := s.db.Read().Query("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
	if err != nil {
		return 0
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var pid int
		var ran int64
		_ = rows.Scan(&pid)
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid)); err == nil {
			_, _ = fmt.Sscan(string(b), &ran)
		}
		total += time.Duration(ran)
	}
	return total
}

// timeList gives the time of processors of the slowest page: of the first two, and of one from
// the middle.
func timeList(t *testing.T, s *Store, q incident.Query) (slowest time.Duration, total string) {
	ask := func() incident.Page[incident.Incident] {
		began := processorTime(s)
		page, err := s.List(t.Context(), q)
		slowest = max(slowest, processorTime(s)-began)
		if err != nil {
			t.Fatal(q, err)
		}
		return page
	}
	page := ask()
	if total = fmt.Sprint(page.Total); page.More {
		total += "+"
	}
	if q.After = page.Next; q.After == "" {
		return slowest, total
	}
	ask()
	if q.After = middle(t, s, q); q.After != "" {
		ask()
	}
	return slowest, total
}

// middle gives the cursor of the row after three thousand, if there are so many.
func middle(t *testing.T, s *Store, q incident.Query) string {
	q.Limit, q.After = incident.MaxLimit, ""
	for range 3 {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	return q.After
}

func millionFilters() (single, pairs []string) {
	ago := func(days int) string { return url.QueryEscape(millionEnd.AddDate(0, 0, -days).Format(time.RFC3339)) }
	single = []string{
		"", "first-before=" + ago(300), "first-before=" + ago(30), "first-after=" + ago(1), "first-after=" + ago(200), "last-before=" + ago(200), "last-after=" + ago(1), "last-after=" + ago(90),
		"severity=medium", "severity=critical", "state=new", "state=open", "state=taken,false_alarm", "feed=feed-00", "feed=feed-20", "feed=feed-39", "feed=none",
		"category=scan", "category=tor", "category=c2", "service=tcp/22", "service=tcp/999", "service=777", "service=udp", "offender=20.0.0.0/8", "offender=20.1.0.0/16", "offender=20.1.1.0/24",
		"host=10.0.0.1", "host=10.0.150.9", "host=10.0.0.0/24", "host=10.0.0.0/16", "site=oslo", "country=AA", "country=RB", "country=ZZ", "as=5", "as=15000",
		"answered=yes", "answered=no", "direction=inbound", "direction=outbound", "direction=internal", "direction=transit", "retro=yes", "retro=no",
		"text=scan", "text=feed-39", "text=nothing has this", "text=20.1.1", "text=NETWORK-15000", "text=network", "text=network-77",
	}
	pairs = []string{
		"first-before=" + ago(300) + "&last-after=" + ago(30), "first-before=" + ago(330) + "&last-after=" + ago(5), "severity=high&last-after=" + ago(7), "severity=critical&state=new", "severity=medium&state=new,open&last-after=" + ago(7),
		"state=new&last-after=" + ago(1), "country=AA&severity=high", "country=AA&feed=feed-00", "country=RB&service=tcp/22", "feed=feed-00&category=c2", "feed=feed-20&severity=critical",
		"feed=feed-00&answered=yes", "service=tcp/22&answered=yes", "service=tcp/3389&direction=outbound", "direction=outbound&answered=yes", "direction=outbound&severity=critical",
		"host=10.0.0.1&severity=high", "host=10.0.0.0/24&answered=yes", "site=oslo&severity=critical", "offender=20.0.0.0/8&last-after=" + ago(30), "as=5&answered=yes",
		"retro=yes&severity=high", "category=c2&direction=outbound", "category=tor&country=RB", "text=c2&severity=high", "last-before=" + ago(300) + "&severity=critical",
	}
	return single, pairs
}

func timeLists(t *testing.T, s *Store) {
	single, pairs := millionFilters()
	only := regexp.MustCompile(os.Getenv(onlyVariable))
	var over []string
	for n, text := range slices.Concat(single, pairs) {
		if !only.MatchString(text) {
			continue
		}
		f := filter(t, text)
		line := fmt.Sprintf("%-64.64s", text)
		for _, sort := range incident.Sorts() {
			if n >= len(single) && sort != incident.ByRank && sort != incident.ByLast && sort != incident.ByFlows {
				continue
			}
			took, total := timeList(t, s, incident.Query{Filter: f, Sort: sort, Descending: true})
			if sort == incident.ByRank {
				line += fmt.Sprintf(" %7s", total)
			}
			line += fmt.Sprintf(" %6.1f", float64(took.Microseconds())/1000)
			if took > 100*time.Millisecond {
				over = append(over, fmt.Sprintf("%v  %s by %v", took.Round(time.Millisecond), text, sort))
			}
		}
		t.Log(line)
	}
	t.Logf("over 100 ms: %d of %d\n%s", len(over), len(single)*len(incident.Sorts())+3*len(pairs), strings.Join(over, "\n"))
}

func timeHosts(t *testing.T, s *Store) {
	for _, text := range []string{"", "host=10.0.0.0/24", "site=oslo", "severity=critical", "feed=feed-20", "last-after=2026-11-29", "severity=high"} {
		line := fmt.Sprintf("hosts %-30s", text)
		for _, sort := range incident.Sorts() {
			q := incident.Query{Filter: filter(t, text), Sort: sort, Descending: true}
			var slowest time.Duration
			for range 3 {
				began := processorTime(s)
				page, err := s.Hosts(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				slowest = max(slowest, processorTime(s)-began)
				if q.After = page.Next; q.After == "" {
					break
				}
			}
			line += fmt.Sprintf(" %6.1f", float64(slowest.Microseconds())/1000)
		}
		t.Log(line)
	}
}

func timeOthers(t *testing.T, s *Store) {
	took := func(name string, do func(ctx context.Context) error) {
		began := processorTime(s)
		if err := do(t.Context()); err != nil {
			t.Error(name, err)
		}
		t.Logf("%-28s %8.1f ms", name, float64((processorTime(s)-began).Microseconds())/1000)
	}
	week, month := millionEnd.AddDate(0, 0, -7), millionEnd.AddDate(0, -1, 0)
	took("one incident whole", func(ctx context.Context) error { _, err := s.Get(ctx, s.anyOffender(t)); return err })
	took("a busy host", func(ctx context.Context) error {
		_, _, err := s.Of(ctx, incident.Host{Addr: schema.Addr((&million{}).address(10 << 24))})
		return err
	})
	took("verdicts", func(ctx context.Context) error { _, err := s.Verdicts(ctx); return err })
	took("returning, a month", func(ctx context.Context) error { _, _, err := s.Returning(ctx, month, month, millionEnd); return err })
	took("period, a week", func(ctx context.Context) error { _, err := s.Period(ctx, week, millionEnd); return err })
	took("period, a month", func(ctx context.Context) error { _, err := s.Period(ctx, month, millionEnd); return err })
	took("blockable, a week, medium", func(ctx context.Context) error {
		return s.Blockable(ctx, incident.Filter{MinSeverity: event.Medium, LastAfter: week}, func(*incident.Incident) error { return nil })
	})
}

func (s *Store) anyOffender(t *testing.T) netip.Addr {
	var b []byte
	if err := s.db.Read().QueryRow("SELECT offender FROM incident WHERE id = 777777").Scan(&b); err != nil {
		t.Fatal(err)
	}
	return schema.Addr(b)
}
