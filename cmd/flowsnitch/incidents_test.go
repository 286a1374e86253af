package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// evil is what a feed, a network or an operator might write.
const evil = "x\x1b[2J\u202e\u009b31m=cmd|' /C calc'!A0<script>"

// undisturbed makes a state directory and the configuration of an instance that does nothing by
// itself; more are lines of its own.
func undisturbed(t *testing.T, more ...string) (config, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "snitch-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config = file(t, "f.yml", "state_dir: "+dir+"\nlisten: [{udp: \"127.0.0.1:0\"}]\nweb: {listen: ''}\ncanary: {every: 0s}\nintel: {feeds: []}\nsinks: [{jsonlog: {}}]\n"+strings.Join(more, ""))
	return config, dir
}

// withDatabase opens the database of incidents of a configuration for f, and closes it.
func withDatabase(t *testing.T, config string, f func(*store.Store)) {
	t.Helper()
	cfg, err := configs.Load(config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), app.IncidentsConfig(&cfg))
	if err != nil {
		t.Fatal(err)
	}
	f(s)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// remember commits events to the database of incidents of a configuration.
func remember(t *testing.T, config string, events ...event.Event) {
	t.Helper()
	var b batch.Batch
	for i := range events {
		b.Add(&events[i])
	}
	withDatabase(t, config, func(s *store.Store) {
		if _, err := s.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	})
}

// knowing makes a state directory whose database knows of a beacon and a scanner, and gives its
// configuration.
func knowing(t *testing.T) (config, dir string) {
	t.Helper()
	config, dir = undisturbed(t)
	remember(t, config, talk("62.0.0.1", "10.1.2.77", event.Outbound, event.AnsweredYes, 95, 7), talk("62.0.0.2", "10.1.0.10", event.Inbound, event.AnsweredNo, 18, 900))
	return config, dir
}

func talk(offender, local string, direction event.Direction, answered event.Answered, score uint8, flows uint64) event.Event {
	e := event.Event{
		Kind: event.KindHit, ID: uuid.New(), Contact: uuid.New(), Seq: 1, Time: time.Now().Add(-time.Minute), ContactFirstSeen: time.Now().Add(-time.Minute), Sensor: "test",
		Offender: netip.MustParseAddr(offender), Local: netip.MustParseAddr(local), Direction: direction, Answered: answered, Score: score, Severity: event.SeverityOf(int(score)),
		Protocol: 6, HasProtocol: true, ServicePort: 443, Flows: flows, Packets: 4 * flows, Bytes: 400 * flows, Reason: "c2 " + evil, Clock: "ok",
	}
	e.Src, e.Dst, e.Role = e.Offender, e.Local, flow.SideSrc
	if direction == event.Outbound {
		e.Src, e.Dst, e.Role = e.Local, e.Offender, flow.SideDst
	}
	e.Indicators = []event.Indicator{{Prefix: netip.PrefixFrom(e.Offender, 32), Feed: "acme", Score: score, Category: "c2", Description: evil, Ref: "https://acme.example/1"}}
	return e
}

// startInstance starts an instance of a configuration.
func startInstance(t *testing.T, config string) {
	t.Helper()
	cfg, err := configs.Load(config)
	if err != nil {
		t.Fatal(err)
	}
	a := app.New(cfg, app.Options{ConfigFile: config, Out: io.Discard}, zap.NewNop())
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestIncidents: the commands print the same with a running instance and without one, within 80
// columns and without anything that a terminal obeys.
func TestIncidents(t *testing.T) {
	for _, running := range []bool{false, true} {
		config, dir := knowing(t)
		if running {
			startInstance(t, config)
		}
		for _, tt := range []struct {
			args  []string
			code  int
			want  []string
			never string
		}{
			{[]string{"incidents"}, exitDone, []string{"severity  offender  what", "\ncritical  62.0.0.1  called   new", "\nlow       62.0.0.2  scanned  new"}, "192.0.2"},
			{[]string{"incidents", "--by", "host"}, exitDone, []string{"critical  10.1.2.77  called", "low       10.1.0.10  scanned"}, ""},
			{[]string{"incidents", "--severity", "high"}, exitDone, []string{"62.0.0.1"}, "62.0.0.2"},
			{[]string{"incidents", "--offender", "62.0.0.2/32", "--service", "443", "--last-after", "1h"}, exitDone, []string{"62.0.0.2"}, "62.0.0.1"},
			{[]string{"incidents", "--host", "10.9.0.0/16"}, exitDone, nil, "62.0.0"},
			{[]string{"incidents", "show", "62.0.0.1"}, exitDone, []string{
				"62.0.0.1 | critical | new\nYour host 10.1.2.77 calls 62.0.0.1, and got an answer, on 443/tcp.\n", "Not looked at yet.", "What to do\n  1. Take your host 10.1.2.77 off",
				"acme as 62.0.0.1, score 95, c2", "https://acme.example/1", "nft insert rule inet filter forward ip daddr 62.0.0.1 drop", "  10.1.2.77  called  critical",
			}, ""},
			{[]string{"incidents", "show", "10.1.2.77"}, exitDone, []string{"10.1.2.77 | critical | host of yours\n", "flowsnitch incidents show 62.0.0.1"}, "nft"},
			{[]string{"incidents", "show", "62.0.0.9"}, exitFailed, []string{"there is no incident of 62.0.0.9"}, ""},
			{[]string{"incidents", "show", "10.9.9.9"}, exitFailed, []string{"10.9.9.9 is in your home networks and has not been in contact with a listed address"}, ""},
			{[]string{"incidents", "show", "62.0.0.0/24"}, exitUsage, []string{"is a prefix, and an incident is of one address; 'flowsnitch incidents --offender 62.0.0.0/24'"}, ""},
			{[]string{"incidents", "show", "name.example"}, exitUsage, []string{"is a name"}, ""},
			{[]string{"incidents", "62.0.0.1"}, exitUsage, []string{"'flowsnitch incidents show 62.0.0.1'"}, ""},
			{[]string{"incidents", "shw"}, exitUsage, []string{"perhaps show is meant"}, ""},
			{[]string{"incidents", "--state", "odd"}, exitUsage, []string{`--state: "odd" is no state`}, ""},
			{[]string{"incidents", "--sort", "odd"}, exitUsage, []string{"--sort:"}, ""},
			{[]string{"incidents", "--by", "odd"}, exitUsage, []string{"--by:"}, ""},
			{[]string{"incidents", "close", "62.0.0.9"}, exitFailed, []string{"there is no incident of 62.0.0.9"}, ""},
			{[]string{"incidents", "false-alarm", "62.0.0.2", "--allow"}, exitUsage, []string{"--allow needs a reason"}, ""},
			{[]string{"incidents", "false-alarm", "62.0.0.2", "--allow", "--note", "x", "--for", "odd"}, exitUsage, []string{"--for:"}, ""},
			{[]string{"incidents", "note", "62.0.0.1"}, exitUsage, []string{"needs an address and a text"}, ""},
			{[]string{"incidents", "take", "62.0.0.1"}, exitDone, []string{"62.0.0.1: taken by " + web.OurName()}, ""},
			{[]string{"incidents", "note", "62.0.0.1", "asked", evil}, exitDone, []string{"62.0.0.1: noted"}, ""},
			{[]string{"incidents", "show", "62.0.0.1"}, exitDone, []string{"has taken it, today", "Last note, by", "Notes\n", "Who did what\n"}, "Not looked at"},
			{[]string{"incidents", "false-alarm", "62.0.0.2", "--note", "our scanner"}, exitDone, []string{"62.0.0.2: marked as a false alarm"}, ""},
			{[]string{"incidents"}, exitDone, []string{"62.0.0.1"}, "62.0.0.2"},
			{[]string{"incidents", "--all"}, exitDone, []string{"62.0.0.1", "false_alarm"}, ""},
			{[]string{"incidents", "reopen", "62.0.0.2"}, exitDone, []string{"62.0.0.2: open again"}, ""},
			{[]string{"incidents", "close", "62.0.0.1", "62.0.0.2", "--note", "done"}, exitDone, []string{"62.0.0.1: closed\n62.0.0.2: closed\n"}, ""},
			{[]string{"lookup", "62.0.0.1"}, lookupUnknown, []string{"62.0.0.1: incident, critical, closed, last contact 2"}, ""},
		} {
			at := 1
			if len(tt.args) > 1 && tt.args[0] == "incidents" && !strings.HasPrefix(tt.args[1], "-") && !strings.Contains(tt.args[1], "62.") {
				at = 2
			}
			args := append(append(append([]string{}, tt.args[:at]...), "-c", config), tt.args[at:]...)
			r := command(t, args...)
			if r.code != tt.code {
				t.Errorf("running %v: %v: exit code %d, want %d; %s", running, args, r.code, tt.code, r.err)
			}
			for _, want := range tt.want {
				if !strings.Contains(r.out+r.err, want) {
					t.Errorf("running %v: %v: no %q in\n%s%s", running, args, want, r.out, r.err)
				}
			}
			if tt.never != "" && strings.Contains(r.out, tt.never) {
				t.Errorf("running %v: %v: %q in\n%s", running, args, tt.never, r.out)
			}
			for line := range strings.SplitSeq(r.out, "\n") {
				if utf8.RuneCountInString(line) > 80 || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("running %v: %v: %q", running, args, line)
				}
			}
			if said := strings.Contains(r.err, "no running instance at "+dir); tt.code == exitDone && tt.args[0] == "incidents" && said == running {
				t.Errorf("running %v: %v: %s", running, args, r.err)
			}
		}
	}
}

// TestIncidentsForms: JSON is read back, and no cell of CSV is a formula.
func TestIncidentsForms(t *testing.T) {
	config, _ := knowing(t)
	r := command(t, "incidents", "-c", config, "--json")
	var rows []incident.Incident
	for d := json.NewDecoder(strings.NewReader(r.out)); d.More(); {
		var i incident.Incident
		if err := d.Decode(&i); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, i)
	}
	if len(rows) != 2 || rows[0].Offender.String() != "62.0.0.1" || !rows[0].Called {
		t.Errorf("%+v", rows)
	}
	for _, args := range [][]string{{"incidents", "-c", config, "--csv"}, {"incidents", "-c", config, "--csv", "--by", "host"}} {
		r = command(t, args...)
		cells, err := csv.NewReader(strings.NewReader(r.out)).ReadAll()
		if err != nil || len(cells) != 3 {
			t.Fatalf("%v: %v, %d rows", args, err, len(cells))
		}
		for _, row := range cells {
			for _, c := range row {
				if strings.HasPrefix(c, "=") || strings.HasPrefix(c, "+") || strings.HasPrefix(c, "@") {
					t.Errorf("%v: a formula: %q", args, c)
				}
			}
		}
	}
	r = command(t, "incidents", "show", "-c", config, "--json", "62.0.0.1")
	var shown shownIncident
	if err := json.Unmarshal([]byte(r.out), &shown); err != nil || len(shown.Story) < 5 || len(shown.Advice) == 0 || len(shown.Firewall) == 0 || shown.Incident.HostList[0].Addr.String() != "10.1.2.77" {
		t.Errorf("%v, %+v", err, shown)
	}
	// One page after another has all rows once.
	r = command(t, "incidents", "-c", config, "--limit", "1")
	_, after, ok := strings.Cut(r.err, "--after ")
	if !ok || !strings.Contains(r.out, "62.0.0.1") {
		t.Fatalf("%+v", r)
	}
	r = command(t, "incidents", "-c", config, "--limit", "1", "--after", strings.TrimSpace(after))
	if !strings.Contains(r.out, "62.0.0.2") || strings.Contains(r.out, "62.0.0.1") {
		t.Errorf("%+v", r)
	}
}

// TestIncidentsNothing: a state directory without a database, and one whose database is empty.
func TestIncidentsNothing(t *testing.T) {
	dir := t.TempDir()
	config := file(t, "f.yml", "state_dir: "+dir+"\nintel: {feeds: []}\n")
	r := command(t, "incidents", "-c", config)
	if r.code != exitFailed || !strings.Contains(r.err, "there is no database of incidents in "+dir+" yet") {
		t.Errorf("%+v", r)
	}
	withDatabase(t, config, func(*store.Store) {})
	for by, want := range map[string]string{"offender": "no incident: no listed address has been in contact", "host": "no host: none of yours"} {
		r := command(t, "incidents", "-c", config, "--by", by)
		if r.code != exitDone || r.out != "" || !strings.Contains(r.err, want) {
			t.Errorf("by %s: %+v", by, r)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, web.SocketName)); err == nil {
		t.Error("reading has made a socket")
	}
}

// TestIncidentsLocked: without an instance one command changes incidents at a time.
func TestIncidentsLocked(t *testing.T) {
	config, dir := knowing(t)
	release, err := web.LockStateDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r := command(t, "incidents", "close", "-c", config, "62.0.0.1"); r.code != exitFailed || !strings.Contains(r.err, "another flowsnitch is running with this state directory") {
		t.Errorf("%+v", r)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "incidents", "close", "-c", config, "62.0.0.1"); r.code != exitDone {
		t.Errorf("%+v", r)
	}
}

// TestIncidentsQuiet: what keeps the events of an address away is shown with its incident, with
// the command that ends it; a false alarm can be allowed afterwards, and what opens again says
// that nothing is seen of it.
func TestIncidentsQuiet(t *testing.T) {
	for _, running := range []bool{false, true} {
		config, _ := knowing(t)
		if running {
			startInstance(t, config)
		}
		at := func(args ...string) []string { return append(args, "-c", config) }
		asks(t, exitDone, "$ flowsnitch silence add --offender 62.0.0.1 --for 7d --reason WHY\n", at("incidents", "show", "62.0.0.1")...)
		asks(t, exitDone, "62.0.0.2: marked as a false alarm\n", at("incidents", "false-alarm", "62.0.0.2")...)
		asks(t, exitFailed, "62.0.0.2: the incident is false_alarm already", at("incidents", "false-alarm", "62.0.0.2")...)
		long := strings.Repeat("our relay, ", 40)
		until := " until " + time.Now().AddDate(0, 0, 30).Format("2006-01-02")
		asks(t, exitDone, "62.0.0.2: marked as a false alarm; no feed may list it"+until, at("incidents", "false-alarm", "62.0.0.2", "--allow", "--note", long)...)
		asks(t, exitDone, "no feed may list it"+until, at("incidents", "false-alarm", "62.0.0.2", "--allow", "--for", "1d", "--note", "sooner")...) // the later end counts
		r := asks(t, exitDone, "\nNo feed may list 62.0.0.2"+until, at("incidents", "show", "62.0.0.2")...)
		if strings.Contains(r.out, "nft") || !strings.Contains(r.out, "  $ flowsnitch incidents reopen 62.0.0.2\n  $ flowsnitch silence disallow 62.0.0.2\n") {
			t.Errorf("running %v: %s", running, r.out)
		}
		r = asks(t, exitDone, "62.0.0.2: open again\nno feed may list 62.0.0.2"+until, at("incidents", "reopen", "62.0.0.2")...)
		if !strings.Contains(r.out, "until then nothing of it is seen\n  $ flowsnitch silence disallow 62.0.0.2\n") {
			t.Errorf("running %v: %s", running, r.out)
		}
		if changed := strings.Contains(r.err, "the database of incidents is changed directly"); changed == running {
			t.Errorf("running %v: %s", running, r.err)
		}
		asks(t, exitDone, "no longer allowed", at("silence", "disallow", "62.0.0.2")...)
		asks(t, exitFailed, "62.0.0.2: the incident is open already", at("incidents", "reopen", "62.0.0.2")...)
		r = asks(t, exitDone, "offender 62.0.0.1", at("silence", "add", "--offender", "62.0.0.1", "--for", "7d", "--reason", evil)...)
		m := silenceID.FindStringSubmatch(r.out)
		if m == nil {
			t.Fatalf("%+v", r)
		}
		r = asks(t, exitDone, "\nSilence "+m[1]+" (offender 62.0.0.1) until ", at("incidents", "show", "62.0.0.1")...)
		if !strings.Contains(r.out, "  $ flowsnitch silence remove "+m[1]+"\n") || strings.Contains(r.out, "silence add") || strings.ContainsRune(r.out, 0x202e) {
			t.Errorf("running %v: %s", running, r.out)
		}
		var shown shownIncident
		if r := command(t, at("incidents", "show", "--json", "62.0.0.1")...); json.Unmarshal([]byte(r.out), &shown) != nil || len(shown.Silences) != 1 {
			t.Errorf("%+v", r)
		}
	}
}

// TestIncidentsUnreadable: why a database cannot be used without an instance is one clear
// sentence, nothing is made, and lookup does not conceal it.
func TestIncidentsUnreadable(t *testing.T) {
	config, dir := knowing(t)
	path := filepath.Join(dir, app.IncidentsFile)
	empty := file(t, "e.yml", "state_dir: "+t.TempDir()+"\nintel: {feeds: []}\n")
	sentence := func(code int, want string, args ...string) {
		t.Helper()
		r := asks(t, code, want, args...)
		if n := strings.Count(r.err, "flowsnitch: "); code == exitFailed && n != 1 {
			t.Errorf("%q: %d lines: %s", args, n, r.err)
		}
	}
	for _, args := range [][]string{{"incidents"}, {"incidents", "show", "62.0.0.1"}, {"incidents", "take", "62.0.0.1"}, {"incidents", "note", "62.0.0.1", "x"}} {
		sentence(exitFailed, "there is no database of incidents in ", append(args, "-c", empty)...)
	}
	if r := command(t, "lookup", "62.0.0.1", "-c", empty); strings.Contains(r.out, "incident") {
		t.Errorf("%+v", r)
	}
	gone := file(t, "g.yml", "state_dir: "+dir+"\nintel: {feeds: []}\nincidents: {database: 'postgres://x@127.0.0.1:1/x'}\n")
	for _, args := range [][]string{{"incidents"}, {"incidents", "take", "62.0.0.1"}} {
		sentence(exitFailed, "PostgreSQL 127.0.0.1:1/x: ", append(args, "-c", gone)...)
	}
	sentence(lookupUnknown, "62.0.0.1: incident: cannot say: PostgreSQL 127.0.0.1:1/x: ", "lookup", "62.0.0.1", "-c", gone)
	sentence(exitDone, "what became of the incidents of each feed cannot be shown: PostgreSQL 127.0.0.1:1/x: ", "intel", "status", "-c", gone)
	secret := file(t, "p.yml", "state_dir: "+dir+"\nintel: {feeds: []}\nincidents: {database: 'postgres://x@127.0.0.1:1/x', password_file: /nonexistent/password}\n")
	sentence(exitFailed, "/nonexistent/password", "incidents", "-c", secret)

	asks(t, exitDone, "offender 62.0.0.1", "silence", "add", "--offender", "62.0.0.1", "--for", "7d", "--reason", "x", "-c", config)
	for _, name := range []string{path, filepath.Join(dir, "silences.json")} {
		if err := os.Chmod(name, 0); err != nil {
			t.Fatal(err)
		}
	}
	r := unprivileged(t, dir, config, "incidents", "incidents take 62.0.0.1", "lookup 62.0.0.1", "silence list", "silence add --offender 62.0.0.2 --for 1d --reason x")
	for _, want := range []string{
		path + ": permission denied: run this as root, or as the user that runs flowsnitch; to read it, a member of its group will do\n",
		path + ": permission denied: run this as root, or as the user that runs flowsnitch\n",
		"62.0.0.1: incident: cannot say: " + path + ": permission denied: ",
		"silences.json: permission denied: run this as root, or as the user that runs flowsnitch\n",
		"nothing has changed: open ",
	} {
		if !strings.Contains(r, want) {
			t.Errorf("no %q in\n%s", want, r)
		}
	}
}

// unprivileged runs commands one after another as a user who is not root and has no group of the
// files, and gives all that they print.
func unprivileged(t *testing.T, dir, config string, lines ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		var out string
		for _, line := range lines {
			r := command(t, append(strings.Fields(line), "-c", config)...)
			out += r.out + r.err
		}
		return out
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(config), 0o755), os.Chmod(config, 0o644)); err != nil {
		t.Fatal(err)
	}
	for at := filepath.Dir(config); at != os.TempDir() && at != "/"; at = filepath.Dir(at) { // those of the test
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "self")
	b, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(program, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "-test.run=^TestAsSomebody$", "-test.v")
	c.Dir = dir
	c.Env = append(os.Environ(), "SNITCH_TEST_LINES="+strings.Join(lines, "\n"), "SNITCH_TEST_CONFIG="+config, "STATE_DIRECTORY="+dir, "GOCOVERDIR=", "HOME="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	return string(out)
}

// TestAsSomebody is what unprivileged runs in a process of its own.
func TestAsSomebody(t *testing.T) {
	lines := os.Getenv("SNITCH_TEST_LINES")
	if lines == "" {
		return // it is not a process of its own
	}
	for line := range strings.SplitSeq(lines, "\n") {
		r := command(t, append(strings.Fields(line), "-c", os.Getenv("SNITCH_TEST_CONFIG"))...)
		os.Stdout.WriteString(r.out + r.err)
	}
}

// TestDayLine: one sign a day, the last is today, more flows are a higher sign.
func TestDayLine(t *testing.T) {
	daily := []incident.Day{{Day: 80, Flows: 9}, {Day: 96, Flows: 1}, {Day: 98, Flows: 4}, {Day: 99, Flows: 1 << 40}, {Day: 101, Flows: 5}}
	if got, want := dayLine(daily, 100, 6, false), "_._:@_"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := dayLine(daily, 100, 6, true), "_▁_▂█_"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
