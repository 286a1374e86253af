//go:build integration

package readers

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// page gives the blocks of code of COUNTING.md in a language, each without comments.
func page(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../configs/COUNTING.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("no %s on the page", language)
	}
	return blocks
}

// A host is what is known of one of ours, by counting as the page says.
type host struct {
	local, site     string
	worst           event.Severity
	called          bool
	days            map[string]bool
	bytes, contacts uint64
}

func (h *host) String() string {
	called := "no"
	if h.called {
		called = "yes"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d\t%d", h.local, h.site, h.worst, called, len(h.days), h.bytes, h.contacts)
}

// rank counts a week slowly: one pass for each contact, one for each host.
func rank(events []event.Event) []string {
	last := map[uuid.UUID]*event.Event{}
	for i := range events {
		e := &events[i]
		if e.Contact != uuid.Nil && !e.Retro && (last[e.Contact] == nil || last[e.Contact].Seq < e.Seq) {
			last[e.Contact] = e
		}
	}
	type place struct {
		site  string
		local netip.Addr
	}
	hosts := map[place]*host{}
	for id, l := range last {
		if !l.Local.IsValid() {
			continue
		}
		h := hosts[place{l.Site, l.Local}]
		if h == nil {
			h = &host{local: l.Local.String(), site: l.Site, days: map[string]bool{}}
			hosts[place{l.Site, l.Local}] = h
		}
		for i := range events {
			if events[i].Contact == id {
				h.worst = max(h.worst, events[i].Severity)
				h.days[events[i].Time.UTC().Format(time.DateOnly)] = true
			}
		}
		h.called = h.called || l.Direction == event.Outbound && l.Answered == event.AnsweredYes
		h.bytes += l.Bytes
		if l.Role == flow.SideSrc {
			h.bytes = h.bytes - l.Bytes + l.BytesBack
		}
		h.contacts++
	}
	var list []*host
	for _, h := range hosts {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b *host) int {
		called := map[bool]int{true: 1}
		return cmp.Or(cmp.Compare(b.worst, a.worst), called[b.called]-called[a.called], len(b.days)-len(a.days), cmp.Compare(b.bytes, a.bytes))
	})
	var lines []string
	for _, h := range list {
		lines = append(lines, h.String())
	}
	return lines
}

// week makes the events of a week: one host that calls its control server, one that everybody
// knocks at, others at random, folded scans, canaries and alerts, and some events twice. Two
// branches use the same private addresses, and some hosts are at no site.
func week() []event.Event {
	r := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2026, 11, 16, 0, 30, 0, 0, time.UTC)
	var all []event.Event
	contact := func(site, local string, from time.Time, updates int, every time.Duration, change func(e *event.Event)) {
		offender := netip.AddrFrom4([4]byte{203, 0, 113, byte(r.IntN(256))})
		e := event.Event{Kind: event.KindHit, Contact: uuid.Must(uuid.NewRandom()), Time: from, Sensor: "pi", Site: site, Offender: offender,
			Src: offender, Role: flow.SideSrc, Direction: event.Inbound, Answered: event.AnsweredNo, Protocol: 6, HasProtocol: true}
		if local != "" {
			e.Local = netip.MustParseAddr(local)
			e.Dst = e.Local
		}
		for n := range updates + 1 {
			e.ID, e.Seq, e.Last = uuid.Must(uuid.NewRandom()), uint32(n+1), n == updates
			e.Flows, e.Bytes, e.BytesBack = uint64(n+1), e.Bytes+uint64(r.IntN(10_000)), e.BytesBack+uint64(r.IntN(10_000))
			if n > 0 {
				e.Kind, e.Time = event.KindUpdate, e.Time.Add(every)
			}
			change(&e)
			all = append(all, e)
			if r.IntN(5) == 0 {
				all = append(all, e) // delivered twice
			}
		}
	}
	outbound := func(e *event.Event) {
		e.Role, e.Direction, e.Answered, e.Severity = flow.SideDst, event.Outbound, event.AnsweredYes, event.Critical
		e.Src, e.Dst = e.Local, e.Offender
	}
	contact("oslo", "10.1.2.77", begin, 73, time.Hour, outbound)
	contact("bergen", "10.1.2.77", begin.Add(time.Minute), 2, time.Minute, func(*event.Event) {})
	for i := range 1000 {
		contact("", "10.1.0.10", begin.Add(time.Duration(i)*10*time.Minute), 0, 0, func(*event.Event) {})
	}
	for i := range 200 {
		local := fmt.Sprintf("10.1.3.%d", r.IntN(40))
		contact([]string{"", "oslo", "bergen"}[r.IntN(3)], local, begin.Add(time.Duration(i)*40*time.Minute), r.IntN(6), time.Duration(r.IntN(20))*time.Hour, func(e *event.Event) {
			if e.Contact[0]&1 == 0 {
				outbound(e)
				e.Answered = []event.Answered{event.AnsweredNo, event.AnsweredUnknown, event.AnsweredYes}[e.Contact[1]%3]
			}
			e.Severity = min(event.Severity(r.IntN(4)), event.Severity(r.IntN(4))) // it may fall again
		})
	}
	for range 20 {
		contact("oslo", "", begin, 3, time.Hour, func(e *event.Event) { e.Folded, e.Ports, e.Hosts = true, 100, 30 })
	}
	for i := range 30 { // no live hits, whoever they are of
		contact("oslo", fmt.Sprintf("10.1.3.%d", i), begin, 0, 0, func(e *event.Event) { outbound(e); e.Retro, e.Days = true, 9 })
	}
	for i := range 500 {
		at := begin.Add(time.Duration(i) * time.Minute)
		all = append(all,
			event.Event{Kind: event.KindCanary, ID: uuid.Must(uuid.NewRandom()), Time: at, Local: netip.MustParseAddr("192.0.2.252"), Bytes: 1, Role: flow.SideDst},
			event.Event{Kind: event.KindAlert, ID: uuid.Must(uuid.NewRandom()), Time: at, Alert: "feed_held_back", Local: netip.MustParseAddr("10.1.0.10")})
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// hitLog writes a week into a directory, in a log and a rotated file, and gives the lines.
func hitLog(t *testing.T, events []event.Event) (dir string, lines []byte) {
	t.Helper()
	dir = t.TempDir()
	for i := range events {
		lines = event.AppendJSON(lines, &events[i])
	}
	half := 0
	for range len(events) / 2 {
		half += strings.IndexByte(string(lines[half:]), '\n') + 1
	}
	for name, part := range map[string][]byte{"hits.json": lines[half:], "hits.json-20261118-000000": lines[:half]} {
		if err := os.WriteFile(filepath.Join(dir, name), part, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, lines
}

func compare(t *testing.T, out string, want []string) {
	t.Helper()
	got := strings.Split(strings.TrimSpace(out), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	t.Logf("%d hosts; first %s", len(got), got[0])
}

// TestCounting: the queries of the page rank hosts as a slow count does, and the host that
// calls its control server stands before the one that everybody knocks at, and before the
// host with the same address at another site.
func TestCounting(t *testing.T) {
	events := week()
	want := rank(events)
	place := func(local, site string) int {
		return slices.IndexFunc(want, func(s string) bool { return strings.HasPrefix(s, local+"\t"+site+"\t") })
	}
	caller, namesake, known := place("10.1.2.77", "oslo"), place("10.1.2.77", "bergen"), place("10.1.0.10", "")
	if caller < 0 || caller >= len(want)/2 || namesake < len(want)/2 || known < len(want)/2 {
		t.Fatalf("a week that shows nothing: %v", want)
	}
	dir, lines := hitLog(t, events)
	t.Run("jq", func(t *testing.T) {
		if _, err := exec.LookPath("jq"); err != nil {
			t.Skip("SKIPPED: there is no jq (apt-get install jq)")
		}
		compare(t, run(t, lines, "jq", "-rn", page(t, "jq")[0]), want)
		last := regexp.MustCompile(`'(.*)' hits`).FindStringSubmatch(page(t, "sh")[0])[1]
		contacts := map[uuid.UUID]bool{}
		for i := range events {
			contacts[events[i].Contact] = contacts[events[i].Contact] || !events[i].Retro
		}
		maps.DeleteFunc(contacts, func(_ uuid.UUID, live bool) bool { return !live })
		if n := strings.Count(run(t, lines, "jq", "-c", "-n", last), "\n"); n != len(contacts)-1 { // those without one
			t.Errorf("%d last events of %d contacts", n, len(contacts)-1)
		}
	})
	const table = `
import sys
def show(rows):
    for local, site, severity, called, days, out, contacts in rows:
        print(local, site, severity, "yes" if called else "no", days, out, contacts, sep="\t")
`
	t.Run("DuckDB", func(t *testing.T) {
		snake := python(t, "duckdb==2.0.1", "pytz")
		query := strings.ReplaceAll(page(t, "sql")[0], "hits.json*", filepath.Join(dir, "hits.json*"))
		compare(t, run(t, []byte(query), snake, "-c", table+"import duckdb\nshow(duckdb.sql(sys.stdin.read()).fetchall())"), want)
	})
	t.Run("ClickHouse", func(t *testing.T) {
		snake := python(t, "chdb==4.4.0")
		tables, err := configs.Artifact("clickhouse")
		if err != nil {
			t.Fatal(err)
		}
		null := regexp.MustCompile(`(?s)ENGINE = Kafka\nSETTINGS[^;]*;`).ReplaceAllString(string(tables), "ENGINE = Null;")
		script := table + `
import os, chdb.session
s = chdb.session.Session(sys.argv[1])
for statement in open(sys.argv[2]).read().split(";\n"):
    if statement.strip():
        s.query(statement)
s.query("INSERT INTO flowsnitch_queue SELECT line FROM file('" + sys.argv[3] + "', LineAsString, 'line String')")
print(s.query(sys.stdin.read(), "TabSeparated").bytes().decode(), end="")
`
		sql, all := filepath.Join(dir, "tables.sql"), filepath.Join(dir, "all.lines")
		for name, content := range map[string][]byte{sql: []byte(null), all: lines} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		again := `
import chdb.session
s = chdb.session.Session(sys.argv[1])
for statement in sys.stdin.read().split(";\n"):
    if statement.strip():
        s.query(statement)
print(s.query("SELECT name, type FROM system.columns WHERE table = 'flowsnitch_events' ORDER BY position", "TabSeparated").bytes().decode(), end="")
`
		fresh := run(t, []byte(null), snake, "-c", table+again, filepath.Join(dir, "fresh"))
		older, commands := olderTable(t, null)
		if got := run(t, []byte(older+commands+null), snake, "-c", table+again, filepath.Join(dir, "older")); got != fresh || !strings.Contains(fresh, "silenced\tString\n") {
			t.Errorf("a table made before it had all columns has\n%s\nwant\n%s", got, fresh)
		}
		query := strings.TrimSuffix(strings.TrimSpace(page(t, "sql")[1]), ";")
		out := run(t, []byte(query), snake, "-c", script, filepath.Join(dir, "session"), sql, all)
		out = regexp.MustCompile(`(?m)^([^\t]*\t[^\t]*\t[^\t]*\t)([01])\t`).ReplaceAllStringFunc(out, func(s string) string {
			return strings.NewReplacer("\t1\t", "\tyes\t", "\t0\t", "\tno\t").Replace(s)
		})
		compare(t, out, want)
	})
}

// olderTable gives the tables as they were before they had the columns that the commands in the
// comments add, and these commands.
func olderTable(t *testing.T, sql string) (older, commands string) {
	t.Helper()
	_, comment, ok := strings.Cut(sql, "gets those that it lacks with\n")
	comment, _, end := strings.Cut(comment, "-- before this file")
	if !ok || !end {
		t.Fatal("no commands for a table that lacks columns")
	}
	commands = strings.ReplaceAll(comment, "--", "")
	older = sql
	for _, m := range regexp.MustCompile(`ADD COLUMN IF NOT EXISTS (\w+) `).FindAllStringSubmatch(commands, -1) {
		older = regexp.MustCompile(`(?m)^ {4}(`+m[1]+` +[A-Z].*|.* AS `+m[1]+`),\n`).ReplaceAllString(older, "")
	}
	if strings.Count(older, "silenced") != strings.Count(comment, "silenced") {
		t.Fatal("the older table has the columns of the new one")
	}
	return older, commands
}
