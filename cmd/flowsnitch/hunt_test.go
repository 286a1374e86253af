package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	historyfile "github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/hunt"
)

var huntDay = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// contactsFor writes a history of a day below a state directory: what a user opened, a scan
// that was folded, a transit flow and one of IPv6.
func contactsFor(t *testing.T, stateDir string) string {
	t.Helper()
	at := func(h int) uint32 { return uint32(huntDay.Add(time.Duration(h) * time.Hour).Unix()) }
	ip := func(s string) flow.Addr6 { return flow.Addr6Of(netip.MustParseAddr(s)) }
	exporter := netip.MustParseAddr("192.0.2.1")
	rows := []row.Row{
		{Outside: ip("198.51.100.23"), Protocol: 6, Port: 22, Exporter: exporter, Direction: row.Inbound, First: at(0), Last: at(23), Flows: 5000, PacketsIn: 5000, BytesIn: 200_000, Sampling: 1, Hours: 1<<24 - 1, Folded: 4900},
		{Outside: ip("203.0.113.9"), Inside: ip("10.0.0.5"), Protocol: 6, Port: 443, Exporter: exporter, Site: "=oslo", Direction: row.Outbound, Flags: row.Answered, First: at(9), Last: at(10), Flows: 12, PacketsOut: 30, PacketsIn: 20, BytesOut: 4096, BytesIn: 1 << 20, Sampling: 1, Hours: 3 << 9},
		{Outside: ip("203.0.113.9"), Inside: ip("10.0.0.6"), Protocol: 17, Port: 53, Exporter: exporter, Direction: row.Outbound, First: at(11), Last: at(11), Flows: 1, PacketsOut: 1, BytesOut: 60, Sampling: 100, Hours: 1 << 11},
		{Outside: ip("203.0.113.77"), Inside: ip("198.51.100.1"), Protocol: 1, Direction: row.Transit, Flags: row.Blocked, First: at(12), Last: at(12), Flows: 1, PacketsIn: 1, BytesIn: 84, Sampling: 1, Hours: 1 << 12},
		{Outside: ip("2001:db8:bad::1"), Inside: ip("2001:db8:1::5"), Protocol: 6, Port: 8443, Direction: row.Unknown, Flags: row.Refused | row.Unsynchronised, First: at(8), Last: at(8), Flows: 1, PacketsOut: 1, PacketsIn: 1, BytesOut: 60, BytesIn: 40, Sampling: 1, Hours: 1 << 8},
	}
	byAddress := []row.Row{rows[4], rows[0], rows[1], rows[2], rows[3]}
	if row.Compare(&byAddress[0], &byAddress[1]) > 0 {
		byAddress = append(rows[:4:4], rows[4])
	}
	return filetest.Put(t, filepath.Join(stateDir, "history"), historyfile.Name{From: huntDay, To: huntDay.AddDate(0, 0, 1), Level: historyfile.Day}, historyfile.Form{}, historyfile.Info{}, byAddress)
}

// huntWhere is what is said of where an answer comes from, and how long it took.
var huntWhere = regexp.MustCompile(`(?m)^no running instance at .*\n|, [0-9.]+ [kKM]?i?B, in [0-9.]+ s$`)

// TestHuntOutput: the forms for other programs, as they are.
func TestHuntOutput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STATE_DIRECTORY", dir)
	contactsFor(t, dir)
	list := file(t, "bad.txt", "203.0.113.9\n198.51.100.23\nnonsense\n")
	for _, tt := range []struct{ args, out, err string }{
		{"203.0.113.0/24", `2026-11-01T12:00:00Z	2026-11-01T12:00:00Z	203.0.113.77	198.51.100.1	icmp	0	transit	no	false	true	1	0	1	0	84	1	0	12	-	-	-
2026-11-01T11:00:00Z	2026-11-01T11:00:00Z	203.0.113.9	10.0.0.6	udp	53	outbound	unknown	false	false	1	1	0	60	0	100	0	11	192.0.2.1	-	-
2026-11-01T09:00:00Z	2026-11-01T10:00:00Z	203.0.113.9	10.0.0.5	tcp	443	outbound	yes	false	false	12	30	20	4096	1048576	1	0	9 10	192.0.2.1	'=oslo	-
`, "3 rows, 3 hosts of yours, 2026-11-01 09:00:00 to 2026-11-01 12:00:00; 14 flows, 4.1 KiB sent, 1.0 MiB received\nhistory from 2026-11-01 00:00:00 UTC, complete until 2026-11-02 00:00:00 UTC; searched 1 file\n"},
		{"--json 2001:db8:bad::1", `{"first":"2026-11-01T08:00:00Z","last":"2026-11-01T08:00:00Z","outside":"2001:db8:bad::1","inside":"2001:db8:1::5","protocol":"tcp","port":8443,"direction":"unknown","answered":"no","refused":true,"blocked":false,"flows":1,"packets_out":1,"packets_in":1,"bytes_out":60,"bytes_in":40,"sampling":1,"folded":0,"hours":[8],"clock":"unsynced"}
`, "1 row, 1 host of yours, 2026-11-01 08:00:00 to 2026-11-01 08:00:00; 1 flow, 60 B sent, 40 B received\nhistory from 2026-11-01 00:00:00 UTC, complete until 2026-11-02 00:00:00 UTC; searched 1 file\n"},
		{"--csv --port 22,443 " + list, `first,last,outside,inside,protocol,port,direction,answered,refused,blocked,flows,packets_out,packets_in,bytes_out,bytes_in,sampling,folded,hours,exporter,site,clock
2026-11-01T00:00:00Z,2026-11-01T23:00:00Z,198.51.100.23,*,tcp,22,inbound,no,false,false,5000,0,5000,0,200000,1,4900,0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23,192.0.2.1,,
2026-11-01T09:00:00Z,2026-11-01T10:00:00Z,203.0.113.9,10.0.0.5,tcp,443,outbound,yes,false,false,12,30,20,4096,1048576,1,0,9 10,192.0.2.1,'=oslo,
`, "plain: ok, 2 accepted, 0 exclusions, 1 rejected, 0 skipped, 0 comments\n  line 3: nonsense: not an address or prefix\n" +
			"2 rows, 1 host of yours, 2026-11-01 00:00:00 to 2026-11-01 23:00:00; 5012 flows, 4.0 KiB sent, 1.2 MiB received\na host * is a scan in one row: 4900 contacts in these\n" +
			"history from 2026-11-01 00:00:00 UTC, complete until 2026-11-02 00:00:00 UTC; searched 1 file\n"},
	} {
		r := command(t, append([]string{"hunt"}, strings.Fields(tt.args)...)...)
		if r.code != huntFound || r.out != tt.out {
			t.Errorf("hunt %s: exit code %d\n%s\nwant\n%s", tt.args, r.code, r.out, tt.out)
		}
		if got := huntWhere.ReplaceAllString(r.err, ""); got != tt.err {
			t.Errorf("hunt %s: summary\n%s\nwant\n%s", tt.args, got, tt.err)
		}
	}
}

const huntGolden = `last                 host                 outside                                 service  answer   flows     sent  received  first                site  exporter
2026-11-01 01:00:00  10.0.0.5         ->  203.0.113.9                             443/tcp  yes         12  4.0 KiB   1.0 MiB  2026-11-01 00:00:00        192.0.2.1
2026-11-01 00:00:00  * (70 contacts)  <-  2001:db8:ffff:ffff:ffff:ffff:ffff:ffff  icmp     no          70      0 B       0 B  2026-11-01 00:00:00  oslo
2026-11-01 00:00:00  10.0.0.6         <>  203.0.113.9                             53/udp   refused      0      0 B       0 B  2026-11-01 00:00:00
2026-11-01 00:00:00  10.0.0.6         --  203.0.113.9                             53/udp   blocked      0      0 B       0 B  2026-11-01 00:00:00
`

// TestHuntTable: on a terminal there are as many columns as there is room for, and addresses
// are never cut.
func TestHuntTable(t *testing.T) {
	ip := netip.MustParseAddr
	rows := []hunt.Row{
		{First: huntDay, Last: huntDay.Add(time.Hour), Outside: ip("203.0.113.9"), Inside: ip("10.0.0.5"), Protocol: 6, Port: 443, Direction: event.Outbound, Answered: event.AnsweredYes, Flows: 12, BytesOut: 4096, BytesIn: 1 << 20, Exporter: ip("192.0.2.1")},
		{First: huntDay, Last: huntDay, Outside: ip("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"), Protocol: 1, Direction: event.Inbound, Answered: event.AnsweredNo, Folded: 70, Flows: 70, Site: "oslo"},
		{First: huntDay, Last: huntDay, Outside: ip("203.0.113.9"), Inside: ip("10.0.0.6"), Protocol: 17, Port: 53, Direction: event.Transit, Answered: event.AnsweredUnknown, Refused: true},
		{First: huntDay, Last: huntDay, Outside: ip("203.0.113.9"), Inside: ip("10.0.0.6"), Protocol: 17, Port: 53, Direction: hunt.Unknown, Answered: event.AnsweredUnknown, Blocked: true},
	}
	for _, columns := range []int{0, 100, 60} {
		table := huntTable{total: columns}
		for i := range rows {
			table.add(&rows[i])
		}
		var out bytes.Buffer
		table.print(&out)
		got := out.String()
		if columns == 0 && got != huntGolden {
			t.Errorf("printed\n%s\nwant\n%s", got, huntGolden)
		}
		if head, _, _ := strings.Cut(got, "\n"); columns == 60 && strings.Join(strings.Fields(head), " ") != "last host outside service" {
			t.Errorf("on a narrow terminal: %q", head)
		}
		for _, part := range []string{"* (70 contacts)", "<-", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "443/tcp", "<>", "--", "10.0.0.6"} {
			if !strings.Contains(got, part) {
				t.Errorf("%d columns: no %q in\n%s", columns, part, got)
			}
		}
		for line := range strings.Lines(got) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); columns >= 100 && n > columns {
				t.Errorf("%d columns: a line of %d: %s", columns, n, line)
			}
		}
		for _, state := range []string{"yes", "refused", "blocked"} {
			if columns != 60 && !strings.Contains(got, state) {
				t.Errorf("%d columns: no %q in\n%s", columns, state, got)
			}
		}
		table.add(&rows[0]) // narrower than before: the columns stay
		out.Reset()
		if table.print(&out); strings.Contains(out.String(), "outside") || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("more rows come as\n%s", out.String())
		}
	}
	site := hunt.Row{Outside: ip("203.0.113.9"), Site: "\x1b[2J"}
	table := huntTable{}
	table.add(&site)
	var out bytes.Buffer
	if table.print(&out); strings.Contains(out.String(), "\x1b") {
		t.Errorf("control characters in %q", out.String())
	}
}

// TestHuntCodes: what is found, what is not, what is wrong and what nobody can say.
func TestHuntCodes(t *testing.T) {
	elsewhere(t)
	dir := t.TempDir()
	config := file(t, "f.yml", "state_dir: "+dir+"\nintel: {feeds: [{name: acme, operator: true, file: "+file(t, "acme.txt", "203.0.113.9\n")+"}]}\n")
	path := contactsFor(t, dir)
	empty := file(t, "empty.txt", "")
	check := func(code int, said string, args ...string) {
		t.Helper()
		r := command(t, append([]string{"hunt", "-c", config}, args...)...)
		if r.code != code || !strings.Contains(r.err, said) {
			t.Errorf("hunt %v: exit code %d, %s; want %d, %q", args, r.code, r.err, code, said)
		}
		if (r.out != "") != (code == huntFound) {
			t.Errorf("hunt %v: printed %q", args, r.out)
		}
	}
	check(0, "2 rows", "203.0.113.9")
	check(0, "2 rows", "--feed", "acme")
	check(0, "may be more", "203.0.113.9", "--limit", "1")
	check(0, "5 rows", "0.0.0.0/0", "::/0", "--force")
	check(0, "1 row,", "--host", "10.0.0.5")
	check(0, "1 row,", "--host", "10.0.0.0/8", "--port", "53", "203.0.113.9")
	check(0, "1 of what was looked for is in home", "203.0.113.9", "10.0.0.5")
	check(0, "2 rows", "203.0.113.9", "--since", "2026-11-01T09:30:00Z", "--until", "2026-11-01T11:00:00Z")
	check(0, "2 rows", "--dir", filepath.Join(dir, "history"), "203.0.113.9")
	check(1, "nothing found", "192.0.2.200")
	old := filepath.Join(dir, "history", "import", "old")
	if err := os.MkdirAll(old, 0o750); err != nil {
		t.Fatal(err)
	}
	check(1, "not searched: imports old (--import NAME)", "192.0.2.200")
	check(3, "cannot say: there is no history", "--import", "old", "203.0.113.9")
	check(1, "nothing found", "203.0.113.9", "--since", "2026-11-01T20:00:00Z")
	check(2, "needs an address")
	check(2, "is more than a /8", "0.0.0.0/0")
	check(2, "is more than a /8", "::/0")
	check(2, "is in home", "10.0.0.5")
	check(2, "an empty list", empty)
	check(2, "nor is it a file", "nope")
	check(2, "is a directory", t.TempDir())
	check(2, "no feed nope; there are acme", "--feed", "nope")
	check(2, "not both", "--feed", "acme", "203.0.113.9")
	check(2, "is no time", "--since", "30x", "203.0.113.9")
	check(2, "before it begins", "--since", "1h", "--until", "2h", "203.0.113.9")
	check(2, "is no port", "--port", "http", "203.0.113.9")
	check(2, "--host", "--host", "x", "203.0.113.9")
	check(2, "name one", "--json", "--csv", "203.0.113.9")
	check(2, "name one", "--dir", dir, "--import", "x", "203.0.113.9")
	check(2, "is no folder", "--dir", filepath.Join(dir, "none"), "203.0.113.9")
	check(2, "use 1 to 64 of a-z", "--import", "../x", "203.0.113.9")
	check(2, "no import x", "--import", "x", "203.0.113.9")
	check(2, "--limit", "--limit", "-1", "203.0.113.9")
	check(3, "may include this host", "198.51.100.23", "--host", "10.0.0.5")
	check(3, "that is no answer", "203.0.113.9", "--until", "2026-10-01")
	check(3, "cannot say: there is no history", "--dir", t.TempDir(), "203.0.113.9")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut strings.Builder
	if code := execute(ctx, []string{"hunt", "-c", config, "203.0.113.9"}, strings.NewReader(""), &out, &errOut); code != huntUnknown || !strings.Contains(errOut.String(), "interrupted") {
		t.Errorf("interrupted: exit code %d, %s", code, errOut.String())
	}
	errOut.Reset()
	if code := execute(t.Context(), []string{"hunt", "-c", config, "203.0.113.9"}, strings.NewReader(""), full{}, &errOut); code != huntUnknown || !strings.HasSuffix(errOut.String(), "no space left on device\n") {
		t.Errorf("no room for the output: exit code %d, %s", code, errOut.String())
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	check(3, "damaged, so that contacts may be missing: c-2026", "203.0.113.9")
}

// TestParseTime: spans before now, days and times.
func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"30d": now.AddDate(0, 0, -30), "2w": now.AddDate(0, 0, -14), "90m": now.Add(-90 * time.Minute), "1h30m": now.Add(-90 * time.Minute), "0s": now, "": {},
		"2026-11-01T13:00:00Z": huntDay.Add(13 * time.Hour), "2026-11-01T13:00:00+01:00": huntDay.Add(12 * time.Hour),
		"2026-11-01": time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local), "2026-11-01 13:05": time.Date(2026, 11, 1, 13, 5, 0, 0, time.Local),
	} {
		if got, err := parseTime("--since", s, now, false); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", s, got, err, want)
		}
	}
	if got, _ := parseTime("--until", "2026-11-01", now, true); !got.Equal(time.Date(2026, 11, 1, 23, 59, 59, 0, time.Local)) {
		t.Errorf("a day ends %v", got)
	}
	for _, s := range []string{"d", "-1d", "1.5d", "99999d", "-1h", "tomorrow", "2026-13-01", "12", " "} {
		if got, err := parseTime("--since", s, now, false); err == nil {
			t.Errorf("%q was read as %v", s, got)
		}
	}
}

// TestHuntInstance: a running instance answers with what it has just received, as it does
// without it afterwards; lookup has the last contacts.
func TestHuntInstance(t *testing.T) {
	i := start(t, "203.0.113.9\n")
	s := i.status(t)
	send(t, s.Listeners[0].Address, exportOf(t, flow.V9, time.Now(), tcpFlow(weAddr, 51515, badAddr, 443)))
	eventually(t, "the flow has come", func() bool { return i.status(t).Decoded.Versions["v9"].Records == 1 })
	r := command(t, "hunt", "-c", i.config, "--json", badAddr.String())
	var got hunt.Row
	if err := json.Unmarshal([]byte(r.out), &got); r.code != huntFound || err != nil || got.Inside != weAddr || got.Outside != badAddr || got.Port != 443 || got.Direction != event.Outbound {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, args := range [][]string{{"192.0.2.200"}, {"0.0.0.0/0"}, {"10.0.0.5"}, {"--feed", "nope"}} {
		want := exitUsage
		if args[0] == "192.0.2.200" {
			want = huntNothing
		}
		if r := command(t, append([]string{"hunt", "-c", i.config}, args...)...); r.code != want {
			t.Errorf("%v: %+v, want exit code %d", args, r, want)
		}
	}
	if r := command(t, "hunt", "-c", i.config, "--feed", "bad"); r.code != huntFound || strings.Count(r.out, "\n") != 1 {
		t.Errorf("the feed: %+v", r)
	}
	look := command(t, "lookup", "-c", i.config, badAddr.String(), "192.0.2.200")
	if !strings.Contains(look.out, badAddr.String()+": last contacts of your hosts") || !strings.Contains(look.out, weAddr.String()+" -> "+badAddr.String()+" 443/tcp") || !strings.Contains(look.out, "192.0.2.200: no contact of your hosts from ") {
		t.Errorf("%+v", look)
	}
	var answer lookupAnswer
	if err := json.Unmarshal([]byte(command(t, "lookup", "-c", i.config, "--json", badAddr.String()).out), &answer); err != nil || answer.History == nil || len(answer.History.Contacts) != 1 || answer.History.Contacts[0] != got {
		t.Errorf("%+v, %v", answer.History, err)
	}
	if r := command(t, "status", "-c", i.config); !strings.Contains(r.out, "hunts      ") {
		t.Errorf("no hunts in the status:\n%s", r.out)
	}
	if code := i.end(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if r := command(t, "hunt", "-c", i.config, "--json", badAddr.String()); r.code != huntFound || !strings.Contains(r.out, badAddr.String()) || !strings.Contains(r.err, "no running instance") {
		t.Errorf("without the instance: %+v", r)
	}
}
