package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/spf13/cobra"
)

// TestHelp: every command explains itself, with an example that begins with the
// command, within 100 columns.
func TestHelp(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				visit(sub)
			}
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		r := command(t, args...)
		if r.code != exitDone || r.err != "" {
			t.Errorf("%v: exit code %d, %q", args, r.code, r.err)
		}
		if c.Name() != "help" && !strings.Contains(r.out, "Examples:\n  "+c.CommandPath()) {
			t.Errorf("%v: no example of the command:\n%s", args, r.out)
		}
		if strings.Contains(r.out, "[flags]\n") && len(c.Commands()) == 0 {
			t.Errorf("%v: the usage line says [flags]:\n%s", args, r.out)
		}
		if same := command(t, append([]string{"help"}, args[:len(args)-1]...)...); same != r {
			t.Errorf("'help' and '--help' of %q differ", c.CommandPath())
		}
	}
	visit(newRoot())
}

func TestVersion(t *testing.T) {
	r := command(t, "version")
	if r.code != exitDone || !regexp.MustCompile(`^flowsnitch \S+ \w+/\w+ go1\.\S+\n$`).MatchString(r.out) || r.err != "" {
		t.Errorf("%+v", r)
	}
}

// TestIntelParseCorpus: the prefixes of each list are those of its reference. The one
// list that is too long to have one is compared by the number of its prefixes.
func TestIntelParseCorpus(t *testing.T) {
	dir := corpus(t, "feeds")
	n := 0
	for row := range strings.Lines(read(t, filepath.Join(dir, "INDEX.tsv"))) {
		column := strings.Split(row, "\t")
		if !slices.Contains([]string{"plain", "dshield", "drop-json"}, column[1]) {
			continue
		}
		n++
		path := filepath.Join(dir, column[0])
		for _, args := range [][]string{{}, {"--format", column[1]}} {
			r := command(t, append(append([]string{"intel", "parse", "--now", "2026-11-20T00:00:00Z"}, args...), path)...)
			want := exitDone
			if column[2] == "reject-document" {
				want = exitFailed
			}
			good := fmt.Sprint(strings.Count(r.out, "\n")) == column[3]
			if column[0] != "plain/ipsum.txt" {
				good = good && r.out == read(t, path+".expect.txt")
			}
			if r.code != want || !good {
				t.Errorf("%s %v: exit code %d, %d bytes that are not the reference; %s", column[0], args, r.code, len(r.out), r.err)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d lists compared", n)
	}
}

// TestIntelParseRejects: the exit code is 1 for a list that is rejected as a whole, and what
// it holds is printed all the same.
func TestIntelParseRejects(t *testing.T) {
	const drop = `{"cidr":"203.0.113.0/24","sblid":"SBL1"}` + "\n"
	for _, tt := range []struct{ format, list, out, why string }{
		{"drop-json", drop, "203.0.113.0/24\n", "its end is missing"},
		{"drop-json", drop + `{"type":"metadata","records":2}` + "\n", "203.0.113.0/24\n", "it announces 2 entries and holds 1"},
		{"drop-json", drop + `{"type":"metadata","records":1}` + "\n", "203.0.113.0/24\n", ""},
		{"", "one.example\ntwo.example\n", "", "no prefix in 2 rows"},
		{"ipset", "203.0.113.1\n", "", "no prefix in 1 rows"},
		{"", "<!DOCTYPE html><p>gone", "", "HTML or XML"},
		{"csv:ip", "a,b\n203.0.113.1,x\n", "", `no column "ip"`},
		{"stix", "203.0.113.1\n", "", "document rejected"},
		{"", "# nothing today\n", "", ""},
		{"", "203.0.113.1\nnonsense\n", "203.0.113.1/32\n", ""},
		{"stix", `{"objects":[]}`, "", ""},
		{"misp", `{"Event":{"uuid":"1","Attribute":[{"type":"md5","value":"x","to_ids":true}]}}`, "", ""},
	} {
		args := []string{"intel", "parse", file(t, "list", tt.list)}
		if tt.format != "" {
			args = append(args, "--format", tt.format)
		}
		r := command(t, args...)
		want := exitDone
		if tt.why != "" {
			want = exitFailed
		}
		if r.code != want || r.out != tt.out || !strings.Contains(r.err, tt.why) {
			t.Errorf("%s %q: exit code %d, %q, %s", tt.format, tt.list, r.code, r.out, r.err)
		}
	}
}

func TestIntelParse(t *testing.T) {
	const list = "# a comment\n203.0.113.9\n198.51.100.77/24 ; SBL1\nnonsense\n10.0.0.1-10.0.0.2\n203.0.113.9\n"
	const want = "10.0.0.1/32\n10.0.0.2/32\n198.51.100.0/24\n203.0.113.9/32\n"
	path := file(t, "bad.txt", list)
	for _, r := range []result{command(t, "intel", "parse", path), commandIn(t, list, "intel", "parse", "-")} {
		if r.code != exitDone || r.out != want {
			t.Errorf("exit code %d, %q; want %q", r.code, r.out, want)
		}
		if want := "plain: ok, 5 accepted, 0 exclusions, 1 rejected, 0 skipped, 1 comments\n  line 4: nonsense: not an address or prefix\n"; r.err != want {
			t.Errorf("report %q, want %q", r.err, want)
		}
	}
	if r := command(t, "intel", "parse", "--refs", path); r.out != "198.51.100.0/24\tSBL1\n" {
		t.Errorf("refs %q", r.out)
	}
	if r := command(t, "intel", "parse", "--format", "nope", path); r.code != exitUsage || !strings.Contains(r.err, `unknown feed format "nope"; known: plain, dshield,`) {
		t.Errorf("unknown format: %+v", r)
	}
	if r := command(t, "intel", "parse", file(t, "empty", "")); r.code != exitDone || r.out != "" || !strings.HasPrefix(r.err, "plain: empty, 0 accepted") {
		t.Errorf("an empty file: %+v", r)
	}
}

func TestLookup(t *testing.T) {
	list := file(t, "bad.txt", "203.0.113.0/24 # scanners\n203.0.113.9\n2001:db8:bad::/48\n")
	feed := file(t, "feed.txt", "192.0.2.1\n10.1.2.3\n8.8.8.8\n")
	config := file(t, "f.yml", "intel: {allow: [8.8.8.8], feeds: [{name: acme, file: "+feed+", category: c2}]}\n")
	for _, tt := range []struct {
		asked string
		want  []string
		not   string
	}{
		{"203.0.113.9", []string{"203.0.113.9 is listed by bad as 203.0.113.9/32\n", "203.0.113.9 is listed by bad as 203.0.113.0/24\n", "description  scanners\n", "score        90\n"}, "is not listed"},
		{"203.0.113.77/32", []string{"203.0.113.77 is listed by bad as 203.0.113.0/24\n"}, "203.0.113.9/32"},
		{"203.0.113.128/25", []string{"203.0.113.128/25 is listed by bad as 203.0.113.0/24\n"}, "203.0.113.9/32"},
		{"::ffff:203.0.113.9", []string{"203.0.113.9 is listed by bad as 203.0.113.9/32\n"}, "ffff"},
		{"2001:db8:bad::1", []string{"2001:db8:bad::1 is listed by bad as 2001:db8:bad::/48\n"}, "is not listed"},
		{"1.1.1.1", []string{"1.1.1.1 is not listed\n"}, "only your own"},
		{"8.8.8.8", []string{"8.8.8.8 is not listed\n", "8.8.8.8: entry 8.8.8.8/32 of acme is not used: allow 8.8.8.8/32\n"}, "listed by"},
		{"10.1.2.3", []string{"10.1.2.3 is not listed\n", "10.1.2.3: entry 10.1.2.3/32 of acme is not used: home 10.0.0.0/8\n"}, "listed by"},
		{"10.9.9.9", []string{"10.9.9.9: no feed may list it, only your own lists: home 10.0.0.0/8\n"}, "acme"},
	} {
		r := command(t, "lookup", "-c", config, "--intel", list, tt.asked)
		code := lookupListed
		if tt.not == "listed by" || tt.not == "only your own" || tt.not == "acme" {
			code = lookupNot
		}
		if r.code != code || r.err != "" {
			t.Errorf("%s: exit code %d, want %d, %s", tt.asked, r.code, code, r.err)
		}
		for _, want := range tt.want {
			if !strings.Contains(r.out, want) {
				t.Errorf("%s: no %q in\n%s", tt.asked, want, r.out)
			}
		}
		if strings.Contains(r.out, tt.not) {
			t.Errorf("%s: %q in\n%s", tt.asked, tt.not, r.out)
		}
	}
}

// TestLookupHostile: what a feed says cannot reach the terminal as more than text.
func TestLookupHostile(t *testing.T) {
	list := file(t, "bad.txt", "203.0.113.9 # \x1b[2J\u009b31m red \u202e\n")
	r := command(t, "lookup", "--intel", list, "203.0.113.9")
	if strings.ContainsAny(r.out, "\x1b\u009b\u202e") {
		t.Errorf("control characters in %q", r.out)
	}
}

func TestConfig(t *testing.T) {
	printed := command(t, "config", "print")
	if printed.code != exitDone || !strings.HasPrefix(printed.out, "name: ") || printed.err != "" {
		t.Fatalf("%+v", printed)
	}
	again := command(t, "config", "print", "-c", file(t, "f.yml", printed.out))
	if again.out != printed.out {
		t.Errorf("printed, read and printed again:\n%s\nwant\n%s", again.out, printed.out)
	}
	list := file(t, "bad.txt", "203.0.113.9\n198.51.100.0/24\nnonsense\n")
	r := command(t, "config", "check", "-c", file(t, "f.yml", "intel: {feeds: [{file: "+list+", operator: true}]}\n"))
	if want := "configuration OK: 3 listeners, 1 feeds, 2 indicators, 2 sinks\n"; r.code != exitDone || r.out != want {
		t.Errorf("check says %q with exit code %d, want %q", r.out, r.code, want)
	}
	if want := "list " + list + ": 1 rows were not understood, 2 were; 'flowsnitch intel parse " + list + "' shows them\n"; r.err != want {
		t.Errorf("check complains %q, want %q", r.err, want)
	}
}

// TestConfigStarts nothing: a check leaves no trace in the state directory.
func TestConfigStarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	t.Setenv("STATE_DIRECTORY", dir)
	for _, args := range [][]string{{"config", "check"}, {"config", "print"}, {"lookup", "192.0.2.1"}, {"status"}, {"decode", smallCapture(t)}, {"replay", smallCapture(t)}} {
		command(t, args...)
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Fatalf("%v made the state directory (%v)", args, err)
		}
	}
}

func TestStatusWithoutInstance(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STATE_DIRECTORY", dir)
	want := "flowsnitch: no running instance at " + filepath.Join(dir, "control.sock") + "; start one with 'flowsnitch run', or name its configuration with -c\n"
	if r := command(t, "status"); r.code != exitFailed || r.out != "" || r.err != want {
		t.Errorf("%+v, want %q", r, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "hits.json"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, "status")
	if r.code != exitFailed || !strings.HasPrefix(r.out, "last hit log entry 20") || !strings.HasSuffix(r.out, ", 3 B in "+filepath.Join(dir, "hits.json")+"\n") {
		t.Errorf("%+v", r)
	}
}

func TestReplay(t *testing.T) {
	small, list := smallCapture(t), file(t, "bad.txt", "203.0.113.9\n")
	r := command(t, "replay", "--intel", list, small)
	if r.code != exitDone || strings.Count(r.out, "\n") != 1 || !strings.HasPrefix(r.out, `{"integration":"flowsnitch","@timestamp":"`) {
		t.Errorf("%+v", r)
	}
	if want := "2 frames, 2 UDP datagrams, 2 of them export: 2 flow records (v9 2)\n1 indicators, 1 hits, 1 events\n"; r.err != want {
		t.Errorf("summary %q, want %q", r.err, want)
	}
	for _, args := range [][]string{{"replay", small}, {"replay", "--intel", file(t, "none.txt", ""), small}} {
		r := command(t, args...)
		if r.code != exitDone || r.out != "" || !strings.Contains(r.err, "nothing is listed, so nothing can be a hit: give a list of prefixes with --intel FILE\n") {
			t.Errorf("%v: %+v", args, r)
		}
		if len(args) == 4 && !strings.HasPrefix(r.err, "list "+args[2]+": nothing in it\n") {
			t.Errorf("an empty list: %q", r.err)
		}
	}
}

// TestInterrupted: Ctrl-C ends the reading of captures, with what has been found.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	small := smallCapture(t)
	for _, name := range []string{"decode", "replay"} {
		var out, errOut strings.Builder
		code := execute(ctx, []string{name, small, small}, strings.NewReader(""), &out, &errOut)
		if got := errOut.String(); code != exitFailed || strings.Count(got, "interrupted") != 1 || !strings.HasSuffix(got, "flowsnitch: "+small+": interrupted\n") {
			t.Errorf("%s: exit code %d, %q", name, code, got)
		}
	}
}

// A full writer has no room for anything.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestNoRoom: output that cannot be written is a failure.
func TestNoRoom(t *testing.T) {
	list := file(t, "bad.txt", "203.0.113.9\n")
	for _, args := range [][]string{
		{"decode", smallCapture(t)}, {"replay", "--intel", list, smallCapture(t)}, {"intel", "parse", list},
		{"lookup", "--intel", list, "203.0.113.9"}, {"config", "print"}, {"config", "check"}, {"version"},
	} {
		t.Setenv("STATE_DIRECTORY", t.TempDir())
		var errOut strings.Builder
		code := execute(t.Context(), args, strings.NewReader(""), full{}, &errOut)
		want := exitFailed
		if args[0] == "lookup" {
			want = lookupUnknown // 1 would be an answer
		}
		if code != want || !strings.HasSuffix(errOut.String(), "flowsnitch: standard output: no space left on device\n") {
			t.Errorf("%v: exit code %d, %q", args, code, errOut.String())
		}
	}
}

// TestReplayRollup: one contact is one hit, and its updates by the times of the
// capture, not by the clock.
func TestReplayRollup(t *testing.T) {
	var payloads [][]byte
	var flows []synth.Flow
	for i := range 5 {
		f := tcpFlow(weAddr, uint16(50000+i), badAddr, 443)
		f.TCPFlags = 0x02
		flows = append(flows, f)
	}
	enc, err := synth.NewEncoder(synth.Config{Version: flow.V5})
	if err != nil {
		t.Fatal(err)
	}
	for i := range flows { // captureOf puts a second between them
		b, _, err := enc.Encode(nil, flows[i:i+1], made)
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, b)
	}
	path, list := file(t, "five.pcap", string(captureOf(t, payloads...))), file(t, "bad.txt", "203.0.113.9\n")
	every := readLines(t, command(t, "replay", "--intel", list, path).out)
	if len(every) != 5 {
		t.Errorf("%d hits without --rollup, want 5", len(every))
	}
	r := command(t, "replay", "--rollup", "--intel", list, path)
	events := readLines(t, r.out)
	if len(events) != 2 || events[0]["kind"] != "hit" || events[1]["kind"] != "update" {
		t.Fatalf("%d events, want a hit and an update:\n%s", len(events), r.out)
	}
	if f := events[1]["flowsnitch"].(map[string]any); f["flows"] != num("5") || f["packets"] != num("25") {
		t.Errorf("the update tells %v flows, %v packets; want 5, 25", f["flows"], f["packets"])
	}
	if !strings.HasSuffix(r.err, "1 indicators, 5 hits, 2 events\n") {
		t.Errorf("summary %q", r.err)
	}
	if again := command(t, "replay", "--rollup", "--intel", list, path); len(readLines(t, again.out)) != 2 {
		t.Errorf("another run says %q", again.out)
	}
}

// TestParseRejects: a document that is rejected is an error for scripts, and is told why.
func TestParseRejects(t *testing.T) {
	for _, c := range []struct {
		args      []string
		body, err string
		code      int
		out       string
	}{
		{nil, `{"data":{"ip":["192.0.2.1"]}}`, "set path: data.ip", exitFailed, ""},
		{nil, `{"data":null}`, "JSON of unknown shape", exitFailed, ""},
		{[]string{"--path", "data.ip"}, `{"data":{"ip":["192.0.2.1"]}}`, "json: ok, 1 accepted", exitDone, "192.0.2.1/32\n"},
		{[]string{"--path", "ip"}, `{"data":{"ip":["192.0.2.1"]}}`, `no member "ip"`, exitFailed, ""},
		{[]string{"--path", "a[0]"}, "{}", "--path", exitUsage, ""},
		{[]string{"--path", "a", "--format", "plain"}, "{}", "--path", exitUsage, ""},
		{nil, "192.0.2.1 198.51.100.2", "1 rejected parts", exitDone, "192.0.2.1/32\n"},
		{nil, "# updated 2026-03-30\n192.0.2.1", "data of 2026-03-30", exitDone, "192.0.2.1/32\n"},
	} {
		r := command(t, append(append([]string{"intel", "parse"}, c.args...), file(t, "list", c.body))...)
		if r.code != c.code || r.out != c.out || !strings.Contains(r.err, c.err) {
			t.Errorf("%v %s: %+v", c.args, c.body, r)
		}
	}
}
