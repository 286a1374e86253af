package main

import (
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/sinks/export/target"
)

const exportable = "62.0.0.0/24\n62.0.1.0/24\n8.8.8.8\n10.0.0.1\n203.0.113.9\n2a00:1::7\n"

// TestExport: a list of one's own, in every target; what must never be blocked is not in it.
func TestExport(t *testing.T) {
	list := file(t, "block.txt", exportable)
	config := file(t, "f.yml", "home: [62.0.1.128/25]\nintel: {allow: [62.0.0.7], feeds: []}\n")
	r := command(t, "export", "text", "--set", "-c", config, "--intel", list)
	lines := strings.SplitAfter(r.out, "\n")
	if r.code != exitDone || !strings.HasPrefix(r.out, "# flowsnitch export text: 10 prefixes, 9 of IPv4 and 1 of IPv6\n# filter: max-tlp green, max 65536\n# made: 2") {
		t.Fatalf("%+v", r)
	}
	const want = "62.0.0.0/30\n62.0.0.4/31\n62.0.0.6\n62.0.0.8/29\n62.0.0.16/28\n62.0.0.32/27\n62.0.0.64/26\n62.0.0.128/25\n62.0.1.0/25\n2a00:1::7\n"
	if got := strings.Join(lines[3:], ""); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	if want := "10 prefixes of 6 listings; 5 reach into addresses that must never be blocked\n"; r.err != want {
		t.Errorf("%q, want %q", r.err, want)
	}
	for _, target := range target.All {
		if r := command(t, "export", target.Name, "--set", "--intel", list); r.code != exitDone || !strings.Contains(r.out, "62.0.0") && !strings.Contains(r.out, "0.0.0.62") {
			t.Errorf("%s: %+v", target.Name, r)
		}
		if help := command(t, "export", "--help").out; !strings.Contains(help, "  "+target.Name+" ") || !strings.Contains(help, "  "+target.Example+"\n") {
			t.Errorf("%s is not in the help:\n%s", target.Name, help)
		}
	}
	same := []string{"export", "nftables", "--set", "--no-time", "--intel", list}
	if one, two := command(t, same...), command(t, same...); one != two || strings.Contains(one.out, "made") {
		t.Errorf("%+v\n%+v", one, two)
	}
	r = command(t, "export", "text", "--set", "--intel", list, "--max", "1", "--family", "6", "--name", "x")
	if r.code != exitDone || !strings.HasSuffix(r.out, "Z\n2a00:1::7\n") {
		t.Errorf("%+v", r)
	}
	r = command(t, "export", "text", "--set", "--intel", list, "--max", "1", "--family", "4")
	if !strings.Contains(r.out, ": 1 prefixes, 1 of IPv4 and 0 of IPv6\n") || strings.Contains(r.err, "cut") {
		t.Errorf("%+v", r)
	}
}

// TestExportRefused: what would make a wrong or an empty list is an error, and nothing is
// printed.
func TestExportRefused(t *testing.T) {
	list := file(t, "block.txt", exportable)
	for _, tt := range []struct {
		args string
		code int
		err  string
	}{
		{"export text --intel LIST", exitUsage, "flowsnitch export needs --set: it makes lists of the whole set in force only; see"},
		{"export --set --intel LIST", exitUsage, "flowsnitch export needs a target: text, nftables,"},
		{"export iptables --set --intel LIST", exitUsage, `there is no target "iptables"; use text, nftables,`},
		{"export text --set --intel LIST --min-score 101", exitUsage, "--min-score: 101 is not valid; 0 to 100 is allowed"},
		{"export text --set --intel LIST --max-tlp pink", exitUsage, `--max-tlp: "pink" is not valid`},
		{"export text --set --intel LIST --name a-b", exitUsage, `--name: "a-b" is not valid`},
		{"export text --set --intel LIST --feed nope", exitFailed, `feed: "nope" is not in the set; it has block`},
		{"export text --set --intel EMPTY", exitFailed, "nothing is listed: no list has an entry yet"},
	} {
		args := strings.Fields(strings.NewReplacer("LIST", list, "EMPTY", file(t, "none.txt", "")).Replace(tt.args))
		if r := command(t, args...); r.code != tt.code || r.out != "" || !strings.Contains(r.err, tt.err) {
			t.Errorf("%s: %+v", tt.args, r)
		}
	}
}

// TestExportFromInstance: the running instance gives the same list as its files, and the same
// errors.
func TestExportFromInstance(t *testing.T) {
	i := start(t, exportable)
	for _, args := range [][]string{{"text"}, {"stix", "--family", "6"}, {"ipset", "--feed", "bad", "--max", "1"}, {"text", "--feed", "nope"}, {"text", "--category", "nope"}} {
		args = append([]string{"export", "--set", "--no-time", "-c", i.config}, args...)
		running := command(t, args...)
		files := command(t, append(args, "--intel", i.list)...)
		if running != files {
			t.Errorf("%v: the instance gives\n%+v\nits files\n%+v", args, running, files)
		}
	}
	i.end(t)
	if r := command(t, "export", "text", "--set", "-c", i.config, "--feed", "bad"); r.code != exitFailed || r.out != "" || !strings.Contains(r.err, "no running instance") {
		t.Errorf("after the stop: %+v", r)
	}
}
