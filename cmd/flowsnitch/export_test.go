package main

import (
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/sinks/export/target"
)

const exportable = "62.0.0.0/24\n62.0.1.0/24\n8.8.8.8\n10.0.0.1\n203.0.113.9\n2a00:1::7\n0.0.0.0 bad.example.org\n"

// TestExport: a list of one's own, in every target; what must never be blocked is not in it.
func TestExport(t *testing.T) {
	list := file(t, "block.txt", exportable)
	config := file(t, "f.yml", "home: [62.0.1.128/25]\nintel: {allow: [62.0.0.7], feeds: []}\n")
	r := command(t, "export", "text", "--set", "-c", config, "--intel", list)
	lines := strings.SplitAfter(r.out, "\n")
	if r.code != exitDone || !strings.HasPrefix(r.out, "# flowsnitch export text: 10 prefixes, 9 of IPv4 and 1 of IPv6\n# filter: all that is listed, max-tlp green, max 65536\n# made: 2") {
		t.Fatalf("%+v", r)
	}
	const want = "62.0.0.0/30\n62.0.0.4/31\n62.0.0.6\n62.0.0.8/29\n62.0.0.16/28\n62.0.0.32/27\n62.0.0.64/26\n62.0.0.128/25\n62.0.1.0/25\n2a00:1::7\n"
	if got := strings.Join(lines[5:], ""); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	if want := "10 prefixes of 6 listings; 5 reach into addresses that must never be blocked\n"; r.err != want {
		t.Errorf("%q, want %q", r.err, want)
	}
	for _, target := range target.All {
		if r := command(t, "export", target.Name, "--set", "--intel", list); r.code != exitDone || !strings.Contains(r.out, "62.0.0") && !strings.Contains(r.out, "0.0.0.62") && !strings.Contains(r.out, "\nbad.example.org ") {
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
	if r.code != exitDone || !strings.HasSuffix(r.out, "there\n2a00:1::7\n") {
		t.Errorf("%+v", r)
	}
	r = command(t, "export", "text", "--set", "--intel", list, "--max", "1", "--family", "4")
	if !strings.Contains(r.out, ": 1 prefix, 1 of IPv4 and 0 of IPv6\n") || strings.Contains(r.err, "cut") {
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
		{"export text --intel LIST", exitUsage, "--intel is for lists of all that is listed: add --set"},
		{"export text --set --severity high --intel LIST", exitUsage, "--severity is a filter of offenders, which --set has not"},
		{"export text --severity worst", exitUsage, "--severity: "},
		{"export rpz", exitUsage, "rpz is a list of names, which feeds have: add --set"},
		{"export --set --intel LIST", exitUsage, "flowsnitch export needs a target: text, nftables,"},
		{"export iptables --set --intel LIST", exitUsage, `there is no target "iptables"; use text, nftables,`},
		{"export text --set --intel LIST --min-score 101", exitUsage, "--min-score: 101 is not valid; 0 to 100 is allowed"},
		{"export text --set --intel LIST --max-tlp pink", exitUsage, `--max-tlp: "pink" is not valid`},
		{"export text --set --intel LIST --name a-b", exitUsage, `--name: "a-b" is not valid`},
		{"export text --set --intel LIST --feed nope", exitFailed, `feed: "nope" is not in the set; it has block`},
		{"export rpz --set --intel LIST --family 4", exitFailed, "family: names have none"},
		{"export rpz --set --intel LIST --feed nope", exitFailed, `feed: "nope" is not in the set; it has block`},
		{"export rpz --set --intel EMPTY", exitFailed, "nothing is listed: no feed has a domain or host name yet"},
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
	for _, args := range [][]string{{"text"}, {"stix", "--family", "6"}, {"ipset", "--feed", "bad", "--max", "1"}, {"text", "--feed", "nope"}, {"text", "--category", "nope"}, {"rpz"}, {"postfix-access", "--max-tlp", "red"}, {"rpz", "--feed", "nope"}} {
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

// TestExportNames: names of a list of one's own; allowed ones, public suffixes and hosts of URLs
// are left out, and reported.
func TestExportNames(t *testing.T) {
	list := file(t, "block.txt", "0.0.0.0 bad.example.org a.bad.example.org\nco.uk\nevil.example.co.uk\nshop.allowed.example.net\nhttp://u.example.org/x\n0.0.0.0 localhost.localdomain\n")
	config := file(t, "f.yml", "intel: {allow_names: [Allowed.Example.Net., www.bad.example.org], feeds: []}\n")
	r := command(t, "export", "rpz", "--set", "--no-time", "-c", config, "--intel", list)
	const want = "; flowsnitch export rpz: 2 names\n; filter: all that is listed, max-tlp green, max 65536\n; load: a zone of response-policy; rndc reload ZONE\n; undo: remove the zone from response-policy; rndc reconfig\n$TTL 300\n@ IN SOA localhost. root.localhost. 1 300 60 86400 60\n@ IN NS localhost.\n" +
		"bad.example.org IN CNAME .\n*.bad.example.org IN CNAME .\nwww.bad.example.org IN CNAME rpz-passthru.\n*.www.bad.example.org IN CNAME rpz-passthru.\n" +
		"evil.example.co.uk IN CNAME .\n*.evil.example.co.uk IN CNAME .\n"
	if r.code != exitDone || r.out != want {
		t.Errorf("%+v, want\n%s", r, want)
	}
	if want := "2 names of 7 listings; left out: 1 hosts of URLs (--urls), 1 allowed, 2 public suffixes, critical, local or malformed names, 1 below another one\n"; r.err != want {
		t.Errorf("%q, want %q", r.err, want)
	}
	r = command(t, "export", "postfix-access", "--set", "--urls", "-c", config, "--intel", list)
	if r.code != exitDone || !strings.Contains(r.out, "\nu.example.org REJECT listed, score 90: block\n.u.example.org REJECT ") || !strings.Contains(r.out, "\nwww.bad.example.org DUNNO\n") {
		t.Errorf("%+v", r)
	}
}
