package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	historyfile "github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

const badRules = `title: one
name: one
where: {colour: red}
---
title: two
name: two
correlation: {type: event_count, group-by: [offender], timespan: 10m, condition: {gte: 3}}
---
title: three
name: three
correlation: {type: temporal, rules: [two, contact_pair], group-by: [offender], timespan: 10m}
`

func TestRulesList(t *testing.T) {
	r := command(t, "rules", "list")
	if r.code != exitDone || !strings.Contains(r.err, "these are the rules of its files") || strings.Count(r.out, "\n") != 25 {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"lockstep ", "ports in step >= 16", "off: there are no logins yet", "on, for others"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
	own := file(t, "own.yml", badRules)
	cfg := file(t, "f.yml", fmt.Sprintf("rules: {files: [%q], disable: [swarm]}\nhistory: {enabled: false}\n", own))
	r = command(t, "rules", "list", "--json", "-c", cfg)
	var list []app.ListedRule
	if err := json.Unmarshal([]byte(r.out), &list); err != nil {
		t.Fatal(err)
	}
	if r.code != exitFailed || !strings.Contains(r.err, own+":3:9: unknown key") || len(list) != 26 {
		t.Errorf("%d rules, %+v", len(list), r)
	}
	for _, l := range list {
		if off := l.Name == "swarm" || l.Over == "logins"; (l.Off != "") != off || l.Shipped != (l.Name != "two" && l.Name != "three") || l.LastDay != nil || (l.Note != "") != (l.Name == "lockstep") {
			t.Errorf("%+v", l)
		}
	}
}

func TestRulesCheck(t *testing.T) {
	own := file(t, "own.yml", badRules)
	r := command(t, "rules", "check", own)
	if r.code != exitUsage || r.out != "" || !strings.Contains(r.err, own+":3:9: unknown key") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	_, good, _ := strings.Cut(badRules, "---\n")
	r = command(t, "rules", "check", file(t, "good.yml", good))
	if r.code != exitDone || r.err != "" || r.out != "rules OK: 2 in 1 files\n" {
		t.Errorf("%+v", r)
	}
	if r = command(t, "rules", "check", "/nowhere.yml"); r.code != exitUsage || !strings.Contains(r.err, "no such file") {
		t.Errorf("%+v", r)
	}
	if r = command(t, "rules", "test", own, "--history"); r.code != exitUsage || !strings.Contains(r.err, own+":3:9") {
		t.Errorf("%+v", r)
	}
	if r = command(t, "rules", "test"); r.code != exitUsage || !strings.Contains(r.err, "needs --history, --hits FILE or --capture FILE") {
		t.Errorf("%+v", r)
	}
	if r = command(t, "rules", "test", "--history"); r.code != exitUsage || !strings.Contains(r.err, "there is no contact history in ") {
		t.Errorf("%+v", r)
	}
	cfg := file(t, "f.yml", fmt.Sprintf("rules: {files: [%q]}\n", own))
	if r = command(t, "config", "check", "-c", cfg); r.code != exitUsage || !strings.Contains(r.err, own+":3:9: unknown key") {
		t.Errorf("%+v", r)
	}
	printed := command(t, "config", "print", "rules")
	if r = command(t, "rules", "check", file(t, "printed.yml", printed.out)); r.code != exitDone || r.out != "rules OK: 24 in 1 files\n" {
		t.Errorf("%+v", r)
	}
}

// TestRulesCheckRefuses: what is wrong with a rule, or made to do harm, is one line with its
// place and what is allowed; the rules around it stay.
func TestRulesCheckRefuses(t *testing.T) {
	const good = "title: good\nname: good%d\ncorrelation: {type: event_count, group-by: [offender], timespan: 10m, condition: {gte: 3}}\n"
	const head = "title: bad\nname: bad\n"
	count := func(keys string) string { return head + "correlation: {type: event_count, " + keys + "}\n" }
	for text, want := range map[string]string{
		head + "where: {colour: red}\n":                                                          `7:9: unknown key "colour"; allowed are answered, as, blocked`,
		head + "where: {direction: in}\n":                                                        `7:20: direction: "in" is not valid; use outbound, inbound`,
		count("timespan: 9999d, condition: {gte: 3}"):                                            "7:44: timespan: 9999d is not valid; use whole seconds, 1s to 7d",
		count("timespan: 0s, condition: {gte: 3}"):                                               "7:44: timespan: 0s is not valid",
		count("timespan: -5m, condition: {gte: 3}"):                                              "7:44: timespan: -5m is not valid",
		count("timespan: 10m, condition: {gte: -3}"):                                             `7:66: gte: "-3" is not a whole number`,
		count("timespan: 10m, condition: {gte: 0}"):                                              "7:60: gte: 0 always holds",
		count("timespan: 10m, condition: {gte: 1}"):                                              "7:60: condition: gte: 1 holds for the first flow already",
		count("group-by: [offender, local, site, feed, as], timespan: 10m, condition: {gte: 3}"): "7:44: group-by has 5 fields; at most 4 are allowed",
		head + "where: {feed|re: '(a+)+$'}\n":                                                    `7:9: unknown key "feed|re"; allowed are`,
		"a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nd: [*c,*c,*c]\n":                     "5:4: tags, anchors, aliases and merge keys of YAML are not taken",
		strings.Repeat("{a: ", 5000) + "\n":                                                      "5:65: lists and blocks are more than 16 deep in each other",
		head + "name: again\nwhere: {direction: inbound}\n":                                      "",
		strings.Replace(fmt.Sprintf(good, 1), "name: good1", "name: good0", 1):                   "5:1: rule good0: there is a rule of this name in ",
		"title: x\nname: \"a\\eb\"\nwhere: {direction: inbound}\n":                               "5:1: name: \"a\\x1bb\" is not valid; use letters, digits, '_' and '-'",
		"title: x\nname: x\n\"\\e[2J\": \n":                                                      "",
		head + "description: " + strings.Repeat("x", 70_000) + "\n":                              "4:1: rule has more than 65536 bytes",
		head + "correlation: {type: temporal, rules: [good0, gone], timespan: 1h}\n":             `5:1: rule bad: rules: there is no rule "gone"`,
		head + "correlation: {type: temporal, rules: [good0, bad], timespan: 1h}\n":              "5:1: rule bad: rules: bad is not valid, or refers back to this rule",
	} {
		path := file(t, "own.yml", fmt.Sprintf(good, 0)+"---\n"+text+"---\n"+fmt.Sprintf(good, 2))
		r := command(t, "rules", "check", path)
		lines := strings.Split(strings.TrimSuffix(r.err, "\n"), "\n")
		if r.code != exitUsage || r.out != "" || len(lines) != 1 || !strings.Contains(lines[0], path+":"+want) || len(lines[0]) > 600 || strings.ContainsRune(lines[0], 0x1b) {
			t.Errorf("%.60q:\n got %.700q\nwant %s", text, r.err, want)
		}
		cfg := file(t, "f.yml", fmt.Sprintf("rules: {shipped: false, files: [%q]}\n", path))
		if r = command(t, "rules", "list", "-c", cfg); r.code != exitFailed || strings.Count(r.out, "\n") != 3 {
			t.Errorf("%.60q: %+v", text, r)
		}
	}
	huge := filepath.Join(t.TempDir(), "huge.yml")
	if err := os.WriteFile(huge, bytes.Repeat([]byte("# nothing\n"), 1_000_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "rules", "check", huge, file(t, "good.yml", fmt.Sprintf(good, 1))); r.code != exitUsage || strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, huge+": file has more than 1048576 bytes") {
		t.Errorf("%+v", r)
	}
	r := command(t, "rules", "check", file(t, "own.yml", strings.Replace(fmt.Sprintf(good, 1), "name: good1", "name: swarm", 1)))
	if r.code != exitDone || r.out != "rules OK: 1 in 1 files\n" || !strings.Contains(r.err, "own.yml:1:1: rule swarm replaces the shipped rule of that name\n") {
		t.Errorf("%+v", r)
	}
}

// pairScan gives the rows of two sources that try the same ports of a host in step.
func pairScan(at time.Time) (rows []row.Row) {
	for i := range 17 {
		when := uint32(at.Add(time.Duration(i) * time.Minute).Unix())
		for n, from := range []string{"198.51.100.21", "203.0.113.21"} {
			seen := when + uint32(n*(i%2))
			rows = append(rows, row.Row{Outside: flow.Addr6Of(netip.MustParseAddr(from)), Inside: flow.Addr6Of(netip.MustParseAddr("10.0.0.80")), Protocol: 6, Port: uint16(440 + i),
				Direction: row.Inbound, First: seen, Last: seen, Flows: 1, PacketsIn: 1, BytesIn: 40, Sampling: 1, Hours: 1 << at.Hour()})
		}
	}
	slices.SortFunc(rows, func(a, b row.Row) int { return row.Compare(&a, &b) })
	return rows
}

// putHistory writes a file of a contact history.
func putHistory(t *testing.T, root string, from, to time.Time, level historyfile.Level, rows []row.Row) {
	t.Helper()
	filetest.Put(t, root, historyfile.Name{From: from, To: to, Level: level}, historyfile.Form{}, historyfile.Info{}, rows)
}

// TestRulesQuiet: what is silenced and offenders whose incident is a false alarm are left out
// and counted, beside a running instance and without one.
func TestRulesQuiet(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	history := t.TempDir()
	putHistory(t, history, noon, noon.Add(30*time.Minute), historyfile.Flush, pairScan(noon))
	var lines strings.Builder
	for i := range 20 {
		lines.WriteString(hitLine(i, noon.Add(time.Duration(i)*time.Second)))
	}
	log := file(t, "hits.json", lines.String())
	for _, running := range []bool{false, true} {
		config, _ := undisturbed(t)
		remember(t, config, talk("203.0.113.9", "10.0.0.1", event.Inbound, event.AnsweredNo, 50, 1), talk("203.0.113.21", "10.0.0.80", event.Inbound, event.AnsweredNo, 50, 1))
		if running {
			startInstance(t, config)
		}
		at := func(args ...string) []string { return append(args, "-c", config) }
		overHistory, overHits := at("rules", "test", "--dir", history), at("rules", "test", "--hits", log)
		asks(t, exitDone, "lockstep: ", overHistory...)
		asks(t, exitDone, "contact_source: ", overHits...)
		asks(t, exitDone, "silence ", at("silence", "add", "--offender", "198.51.100.21", "--for", "1d", "--reason", "ours")...)
		asks(t, exitDone, "silence ", at("silence", "add", "--host", "10.0.0.3", "--for", "1d", "--reason", "honeypot")...)
		r := asks(t, exitDone, "no alert\n", overHistory...)
		if !strings.Contains(r.err, "  17 observations judged, ") || !strings.Contains(r.err, ", 17 of silenced addresses and false alarms, left out\n") {
			t.Error(r.err)
		}
		r = asks(t, exitDone, ", 1 silenced", overHits...)
		if strings.Contains(r.out, "contact_source: ") || !strings.Contains(r.err, "hits: 20 events of 1 files: no alert\n") {
			t.Errorf("%+v", r)
		}
		asks(t, exitDone, "marked as a false alarm", at("incidents", "false-alarm", "203.0.113.9")...)
		asks(t, exitDone, "hits: 20 events of 1 files: no alert\n  0 observations judged, ", overHits...)
		asks(t, exitDone, ", 1 silenced, 19 of offenders whose incident is a false alarm\n", overHits...)
		asks(t, exitDone, "marked as a false alarm", at("incidents", "false-alarm", "203.0.113.21")...)
		asks(t, exitDone, ", 34 of silenced addresses and false alarms, left out\n", overHistory...)
	}
}

// TestRulesOverHistory: what is in files of minutes and of days fires, within the time asked for.
func TestRulesOverHistory(t *testing.T) {
	root := t.TempDir()
	put := func(from, to time.Time, level historyfile.Level, rows []row.Row) {
		putHistory(t, root, from, to, level, rows)
	}
	day := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	put(day, day.Add(24*time.Hour-time.Second), historyfile.Day, pairScan(day.Add(5*time.Hour)))
	second := day.Add(30 * time.Hour)
	put(second, second.Add(30*time.Minute), historyfile.Flush, pairScan(second))
	r := command(t, "rules", "test", "--dir", root)
	if r.code != exitDone || strings.Count(r.out, "\n") != 2 || strings.Count(r.out, "\tmedium\tlockstep: 198.51.100.21 and 203.0.113.21 tried the same 17 ports of 10.0.0.80") != 2 {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"contacts: 68 rows of 2 files: 2 alerts: lockstep 2\n", "  68 observations judged, ", "not run, as they are over hits (--hits or --capture): "} {
		if !strings.Contains(r.err, want) {
			t.Errorf("no %q in %s", want, r.err)
		}
	}
	r = command(t, "rules", "test", "--dir", root, "--since", "2026-11-21T00:00:00Z", "--json")
	e, err := event.ParseJSON([]byte(r.out))
	if r.code != exitDone || err != nil || e.Alert != "rule_lockstep" || e.Rule.Count != 17 || e.Kind != event.KindAlert || len(e.Rule.Sources) != 2 {
		t.Errorf("%v, %+v", err, r)
	}
}

// hitLine gives a line of a hit log.
func hitLine(n int, at time.Time) string {
	e := event.Event{Kind: event.KindHit, ID: uuid.Must(uuid.NewV7()), Time: at, Contact: uuid.UUID{1: byte(n), 15: 1}, Seq: 1, ContactFirstSeen: at, Offender: netip.MustParseAddr("203.0.113.9"),
		Local: netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), Src: netip.MustParseAddr("203.0.113.9"), Dst: netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), Protocol: 6, HasProtocol: true,
		ServicePort: 22, Direction: event.Inbound, Answered: event.AnsweredUnknown, Role: flow.SideSrc, Flows: 1, Packets: 1, Bytes: 40, Start: at, End: at, Clock: "ok"}
	return string(event.AppendJSON(nil, &e))
}

// TestRulesOverHitLog: a log and those that it was before are one.
func TestRulesOverHitLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hits.json")
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var parts [3]string
	for i := range 20 {
		parts[i/7] += hitLine(i, noon.Add(time.Duration(i)*time.Second))
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, parts[0])
	z.Close()
	for name, content := range map[string]string{"hits.json-20261119-000000.gz": zipped.String(), "hits.json-20261120-000000": parts[1], "hits.json": "{}\n\n" + parts[2], "hits.json.old": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := command(t, "rules", "test", "--hits", path)
	if r.code != exitDone || strings.Count(r.out, "\n") != 2 || !strings.Contains(r.out, "2026-11-20T12:00:19Z\tlow\tcontact_source: 20 flows from 203.0.113.9 to our hosts within 10m") ||
		!strings.Contains(r.out, "fan_in: 203.0.113.9 tried 20 of our hosts") {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(r.err, "hits: 20 events of 3 files: 2 alerts") || !strings.Contains(r.err, ", 1 lines that are no event\n") || !strings.Contains(r.err, path+": line 1: not an event") {
		t.Errorf("%s", r.err)
	}
	own := file(t, "own.yml", "title: x\nname: mine\ncorrelation: {type: event_count, group-by: [offender], timespan: 10s, condition: {gte: 5}}\n")
	r = commandIn(t, parts[0], "rules", "test", own, "--hits", "-")
	if r.code != exitDone || strings.Count(r.out, "mine: ") != 1 || strings.Contains(r.err, "not run") {
		t.Errorf("%+v", r)
	}
	if r = commandIn(t, "hello\n", "rules", "test", "--hits", "-"); r.code != exitFailed || !strings.Contains(r.err, "no hit in it") {
		t.Errorf("%+v", r)
	}
	if r = command(t, "rules", "test", "--hits", filepath.Join(dir, "none")); r.code != exitFailed || !strings.Contains(r.err, "none: no such file") {
		t.Errorf("%+v", r)
	}
}

// TestRulesTestNoisy: a rule that a running instance would quarantine is named.
func TestRulesTestNoisy(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	own := file(t, "own.yml", "title: x\nname: always\ncorrelation: {type: value_sum, group-by: [local], timespan: 10m, condition: {field: bytes_in, gte: 2}}\n")
	const named = "  always raised more than 100 alerts within an hour: a running instance would quarantine it for an hour\n"
	var lines strings.Builder
	for i := range 101 {
		if i == 100 {
			if r := commandIn(t, lines.String(), "rules", "test", own, "--hits", "-"); r.code != exitDone || strings.Contains(r.err, named) || !strings.Contains(r.err, ": 100 alerts: always 100\n") {
				t.Errorf("%s", r.err)
			}
		}
		lines.WriteString(hitLine(i, noon.Add(time.Duration(i)*time.Second)))
	}
	if r := commandIn(t, lines.String(), "rules", "test", own, "--hits", "-"); r.code != exitDone || !strings.HasSuffix(r.err, named) {
		t.Errorf("%s", r.err)
	}
}

// TestRulesOverCapture: a capture goes through the real path, for rules over hits and over contacts.
func TestRulesOverCapture(t *testing.T) {
	enc, err := synth.NewEncoder(synth.Config{Version: flow.V9})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := capture.NewWriter(&b)
	for i := range 17 {
		for n, from := range []string{"198.51.100.21", "203.0.113.21"} {
			at := made.Truncate(time.Hour).Add(time.Duration(i)*time.Minute + time.Duration(n)*time.Second)
			f := synth.Flow{Src: netip.MustParseAddr(from), Dst: netip.MustParseAddr("10.0.0.80"), SrcPort: uint16(50_000 + i), DstPort: uint16(440 + i), Protocol: 6, Packets: 1, Bytes: 40, TCPFlags: 2, Start: at, End: at}
			payload, _, err := enc.Encode(nil, []synth.Flow{f}, at)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range [][]byte{enc.Templates(nil, at), payload} {
				if err := w.Write(flow.Datagram{Payload: p, Source: netip.MustParseAddrPort("192.0.2.1:40000"), Received: at}, netip.MustParseAddrPort("192.0.2.100:2055")); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	path := file(t, "scan.pcap", b.String())
	r := command(t, "rules", "test", "--capture", path, "--intel", file(t, "bad.txt", "203.0.113.21\n"))
	for _, want := range []string{"lockstep: 198.51.100.21 and 203.0.113.21 tried the same 17 ports of 10.0.0.80", "services_pair: 203.0.113.21 tried 5 services of 10.0.0.80", "services_source: 203.0.113.21 tried"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
	if r.code != exitDone || !strings.Contains(r.err, " events of 1 captures: ") || !strings.Contains(r.err, "contacts: 34 rows of 1 files: 1 alert: lockstep 1\n") {
		t.Errorf("%+v", r)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "flowsnitch-rules-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
