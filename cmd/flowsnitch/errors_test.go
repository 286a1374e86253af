package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestErrors: whatever is wrong, the last line of standard error says what and
// where, and the exit code whose fault it is.
func TestErrors(t *testing.T) {
	good := smallCapture(t)
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	empty, words := file(t, "empty", ""), file(t, "words.txt", "these are\nonly words\n")
	everything, html := file(t, "all.txt", "0.0.0.0/0\n"), file(t, "page.txt", "<!DOCTYPE html>\n<html><body>blocked</body></html>\n")
	web := file(t, "web.pcap", string(captureOf(t, []byte("GET / HTTP/1.0\r\n\r\n"))))
	list := file(t, "bad.txt", "203.0.113.9\n")
	config := func(text string) string { return file(t, "f.yml", text) }
	unknown, wrong := config("sflow: {tunnel: x}\n"), config("contact: {idle: 5}\n")
	lost := config("intel: {feeds: [{file: " + none + "}]}\n")

	keyless := config("{intel: {feeds: [{preset: otx}]}}\n")
	keyFileGone := config("{intel: {feeds: [{preset: otx, api_key_file: " + none + "}]}}\n")
	caGone := config("sinks: [{syslog: {tls: {ca: " + none + "}, transport: tls, servers: ['s:6514']}}]\n")

	tests := []struct {
		args string
		code int
		want string // the last line
	}{
		{"nosuch", 2, "flowsnitch has no command \"nosuch\"; see 'flowsnitch --help'"},
		{"replya", 2, "flowsnitch has no command \"replya\", perhaps replay is meant; see 'flowsnitch --help'"},
		{"help nosuch", 2, "there is no command \"nosuch\"; see 'flowsnitch --help'"},
		{"intel nosuch", 2, "flowsnitch intel has no command \"nosuch\"; see 'flowsnitch intel --help'"},
		{"config nosuch", 2, "flowsnitch config has no command \"nosuch\"; see 'flowsnitch config --help'"},
		{"run --bogus", 2, "unknown flag: --bogus; see 'flowsnitch run --help'"},
		{"run extra", 2, "flowsnitch run takes no argument, not \"extra\"; see 'flowsnitch run --help'"},
		{"run --intel", 2, "flag needs an argument: --intel; see 'flowsnitch run --help'"},
		{"top --every soon", 2, "--every: \"soon\" is not a duration such as 90s, 10m or 1h; see 'flowsnitch top --help'"},
		{"top --count=many", 2, "--count: \"many\" is not a whole number; see 'flowsnitch top --help'"},
		{"replay --rollup=perhaps x", 2, "--rollup: \"perhaps\" is not true or false; see 'flowsnitch replay --help'"},
		{"status extra", 2, "flowsnitch status takes no argument, not \"extra\"; see 'flowsnitch status --help'"},
		{"version extra", 2, "flowsnitch version takes no argument, not \"extra\"; see 'flowsnitch version --help'"},
		{"decode", 2, "flowsnitch decode needs a capture file; see 'flowsnitch decode --help'"},
		{"replay", 2, "flowsnitch replay needs a capture file; see 'flowsnitch replay --help'"},
		{"lookup", 2, "flowsnitch lookup needs an address or a prefix; see 'flowsnitch lookup --help'"},
		{"intel parse", 2, "flowsnitch intel parse needs one file; see 'flowsnitch intel parse --help'"},
		{"intel parse a b", 2, "flowsnitch intel parse takes one file, not 2; see 'flowsnitch intel parse --help'"},

		{"decode " + none, 1, none + ": no such file or directory"},
		{"decode " + dir, 1, dir + ": cannot read: is a directory"},
		{"decode " + empty, 1, empty + ": empty file (pcap or pcapng expected)"},
		{"decode " + words, 1, words + ": not a capture file (pcap or pcapng expected, first bytes 74 68 65 73)"},
		{"decode " + web, 1, web + ": no NetFlow, IPFIX or sFlow in it"},
		{"replay --intel " + list + " " + empty, 1, empty + ": empty file (pcap or pcapng expected)"},
		{"replay --intel " + list + " " + web, 1, web + ": no NetFlow, IPFIX or sFlow in it"},

		{"replay --intel " + none + " " + good, 1, "list " + none + ": no such file or directory"},
		{"replay --intel " + dir + " " + good, 1, "list " + dir + ": is a directory, not a list"},
		{"replay --intel " + words + " " + good, 1, "list " + words + ": no prefix in it; line 1 is \"these are\": not an address or prefix"},
		{"replay --intel " + everything + " " + good, 1, "list " + everything + ": no prefix in it; line 1 is \"0.0.0.0/0\": covers the whole address space"},
		{"replay --intel " + html + " " + good, 1, "list " + html + ": document rejected: the document is HTML or XML, not a list"},
		{"run --intel " + none, 1, "list " + none + ": no such file or directory"},
		{"lookup --intel " + none + " 192.0.2.1", 3, "list " + none + ": no such file or directory"},
		{"config check -c " + lost, 1, "list " + none + ": no such file or directory"},

		{"lookup foo", 2, `"foo" is neither an address nor a prefix such as 192.0.2.0/24`},
		{"lookup evil.example.com", 2, `"evil.example.com" is a name, and names are not looked up; give an address, or a prefix such as 192.0.2.0/24`},
		{"lookup 192.0.2.1 https://evil.example.com/x", 2, `"https://evil.example.com/x" is a name, and names are not looked up; give an address, or a prefix such as 192.0.2.0/24`},
		{"lookup 192.0.2.1:443", 2, `"192.0.2.1:443" is an address with a port; leave the port out: 192.0.2.1`},
		{"lookup [2001:db8::1]:443", 2, `"[2001:db8::1]:443" is an address with a port; leave the port out: 2001:db8::1`},
		{"lookup 192.0.2.0/33", 2, `"192.0.2.0/33" is neither an address nor a prefix such as 192.0.2.0/24`},

		{"intel parse " + none, 1, none + ": no such file or directory"},
		{"intel parse " + dir, 1, dir + ": is a directory, not a list"},
		{"intel parse " + html, 1, html + ": document rejected: the document is HTML or XML, not a list"},
		{"intel parse --now yesterday " + list, 2, `--now: "yesterday" is no time such as 2026-11-20T00:00:00Z`},

		{"run -c " + unknown, 2, unknown + ":1:9: sflow.tunnel: unknown key; allowed are tunnel_endpoints, tunnels"},
		{"config check -c " + unknown, 2, unknown + ":1:9: sflow.tunnel: unknown key; allowed are tunnel_endpoints, tunnels"},
		{"config print -c " + wrong, 2, wrong + `:1:17: contact.idle: must be a duration such as 90s, 10m or 1h, not "5"`},
		{"replay -c " + wrong + " " + good, 2, wrong + `:1:17: contact.idle: must be a duration such as 90s, 10m or 1h, not "5"`},
		{"status -c " + none, 2, none + ": no such file or directory"},
		{"config check -c " + dir, 2, dir + ": is a directory"},
		{"config check -c " + keyless, 2, keyless + ":1:18: intel.feeds[0].api_key_file: required; otx responds only with an API key"},
		{"config check -c " + keyFileGone, 2, keyFileGone + ":1:46: intel.feeds[0].api_key_file: " + none + ": no such file or directory"},
		{"config check -c " + caGone, 2, caGone + ":1:29: sinks[0].syslog.tls.ca: " + none + ": no such file or directory"},
		{"run --config=", 2, "-c names no file; see 'flowsnitch run --help'"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.args, "/", "_"), func(t *testing.T) {
			r := command(t, strings.Fields(tt.args)...)
			checkError(t, r, tt.code, tt.want)
		})
	}
}

// checkError holds what is true of every failed command.
func checkError(t *testing.T, r result, code int, want string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	lines := strings.Split(strings.TrimSuffix(r.err, "\n"), "\n")
	last := lines[len(lines)-1]
	if got, ok := strings.CutPrefix(last, "flowsnitch: "); !ok || got != want {
		t.Errorf("error\n %s\nwant\n flowsnitch: %s", last, want)
	}
	checkWords(t, last)
	if r.out != "" {
		t.Errorf("on standard output: %q", r.out)
	}
}

// checkWords finds what no message may hold: the words of Go for things of Go, and a
// path that stands there twice.
func checkWords(t *testing.T, line string) {
	t.Helper()
	for _, word := range []string{"EOF", "<nil>", "%!", "&{", "strconv.", "json:", "yaml:", "goroutine", "panic", "open /", "read /", "mkdir /", "stat /"} {
		if strings.Contains(line, word) {
			t.Errorf("%q has %q in it", line, word)
		}
	}
	seen := map[string]bool{}
	for _, path := range regexp.MustCompile(`/[\w./-]+[\w]`).FindAllString(line, -1) {
		if seen[path] {
			t.Errorf("%q names %s twice", line, path)
		}
		seen[path] = true
	}
}

// TestOtherFilesGoOn: a file that cannot be read does not stop the others.
func TestOtherFilesGoOn(t *testing.T) {
	good, none, words := smallCapture(t), filepath.Join(t.TempDir(), "none"), file(t, "words", "words")
	list := file(t, "bad.txt", "203.0.113.9\n")
	for _, args := range [][]string{
		{"decode", none, good, words, good},
		{"replay", "--intel", list, none, good, words, good},
	} {
		r := command(t, args...)
		want := 2 // hits
		if args[0] == "decode" {
			want = 4
		}
		if got := strings.Count(r.out, "\n"); r.code != exitFailed || got != want {
			t.Errorf("%s: exit code %d with %d lines, want %d with %d", args[0], r.code, got, exitFailed, want)
		}
		for _, complaint := range []string{
			"flowsnitch: " + none + ": no such file or directory\n",
			"flowsnitch: " + words + ": not a capture file (pcap or pcapng expected, first bytes 77 6f 72 64)\n",
		} {
			if !strings.Contains(r.err, complaint) {
				t.Errorf("%s says %q, want %q in it", args[0], r.err, complaint)
			}
		}
		if !strings.Contains(r.err, "of them export: 4 flow records (v9 4)\n") {
			t.Errorf("%s sums up %q", args[0], r.err)
		}
	}
}

// TestCutCapture ends a capture at every 7th byte and next to every frame: what is
// whole is decoded, what is not is told with file, frame and offset.
func TestCutCapture(t *testing.T) {
	whole, err := os.ReadFile(smallCapture(t))
	if err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile(`: frame \d at offset \d+: the file ends within a (record header|packet), after \d+ of \d+ bytes$`)
	for n := 0; n < len(whole); n += 7 {
		path := file(t, "cut.pcap", string(whole[:n]))
		r := command(t, "decode", path)
		if r.code != exitFailed || r.out != "" {
			t.Errorf("%d bytes: exit code %d, output %q; want 1 and none", n, r.code, r.out)
		}
		lines := strings.Split(strings.TrimSpace(r.err), "\n")
		last := lines[len(lines)-1]
		checkWords(t, last)
		switch {
		case n < 24 && strings.HasPrefix(last, "flowsnitch: "+path+": "):
		case n > 24 && place.MatchString(last):
		default:
			t.Errorf("%d bytes: %q", n, last)
		}
	}
	if r := command(t, "decode", file(t, "whole.pcap", string(whole))); r.code != exitDone || strings.Count(r.out, "\n") != 2 {
		t.Errorf("the whole capture: exit code %d, %q", r.code, r.out)
	}
}

// TestCutDatagrams cuts a datagram of every protocol at every byte: nothing breaks,
// and the datagrams around it lose nothing.
func TestCutDatagrams(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		t.Run(v.String(), func(t *testing.T) {
			all := exportOf(t, v, made, tcpFlow(weAddr, 51515, badAddr, 443), tcpFlow(elseAddr, 443, weAddr, 51516))
			data := all[len(all)-1]
			payloads := append([][]byte{}, all...)
			for n := range data {
				payloads = append(payloads, data[:n])
			}
			for n := range all[0] {
				payloads = append(payloads, all[0][:n])
			}
			payloads = append(payloads, all...)
			r := command(t, "decode", file(t, "cut.pcap", string(captureOf(t, payloads...))))
			if r.code != exitDone {
				t.Errorf("exit code %d: %s", r.code, r.err)
			}
			last := fmt.Sprintf(`"pkt":%d,`, len(payloads))
			if got := strings.Count(r.out, last); got != 2 {
				t.Errorf("%d records in the whole datagram at the end, want 2", got)
			}
			if first := strings.Count(r.out, fmt.Sprintf(`"pkt":%d,`, len(all))); first != 2 {
				t.Errorf("%d records in the whole datagram at the beginning, want 2", first)
			}
			if !strings.Contains(r.err, "problems: ") {
				t.Errorf("no problem counted: %s", r.err)
			}
		})
	}
}
