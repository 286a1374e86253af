package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/silence"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// asks runs a command and holds its exit code and a part of what it prints.
func asks(t *testing.T, code int, want string, args ...string) result {
	t.Helper()
	r := command(t, args...)
	if r.code != code || !strings.Contains(r.out+r.err, want) {
		t.Errorf("%q: %+v, want exit code %d and %q", args, r, code, want)
	}
	return r
}

var silenceID = regexp.MustCompile(`silence ([a-z2-7]{8}) until`)

// TestSilenceCommands adds, lists, looks up and removes, first of a running instance, then of
// its file after it has stopped, which shows what was made before.
func TestSilenceCommands(t *testing.T) {
	i := start(t, "203.0.113.9\n")
	id := ""
	for _, running := range []bool{true, false} {
		c := []string{"-c", i.config}
		add := func(args ...string) []string { return append(append([]string{"silence", "add"}, args...), c...) }
		list := func(args ...string) []string { return append(append([]string{"silence", "list"}, args...), c...) }
		if running {
			asks(t, exitDone, "nothing is silenced", list()...)
		} else {
			i.stop()
			<-i.ended
			asks(t, exitDone, id, list()...)
			asks(t, exitDone, "silence "+id+" has ended", append([]string{"silence", "remove", id}, c...)...)
		}
		r := asks(t, exitDone, ": offender 203.0.113.0/24, service tcp/22", add("--offender", "203.0.113.7/24", "--service", "tcp/22", "--for", "7d", "--reason", "a \x1b[31mtest\n")...)
		if m := silenceID.FindStringSubmatch(r.out); m != nil {
			id = m[1]
		}
		if strings.Contains(r.err, "no instance is running") == running {
			t.Errorf("running %v: %q", running, r.err)
		}
		asks(t, exitFailed, "is there already", add("--offender", "203.0.113.0/24", "--service", "tcp/22", "--for", "1d", "--reason", "again")...)
		asks(t, exitUsage, "everything", add("--offender", "0.0.0.0/0", "--for", "1d", "--reason", "x")...)
		asks(t, exitUsage, "reason", add("--offender", "203.0.113.1", "--for", "1d")...)
		asks(t, exitUsage, "until when", add("--offender", "203.0.113.1", "--reason", "x")...)
		asks(t, exitUsage, "--for", add("--offender", "203.0.113.1", "--for", "soon", "--reason", "x")...)
		asks(t, exitUsage, "use --for 7d", add("--offender", "203.0.113.1", "--until", "7d", "--reason", "x")...)
		asks(t, exitUsage, "has passed", add("--offender", "203.0.113.1", "--until", "2020-01-01", "--reason", "x")...)
		asks(t, exitUsage, "service", add("--service", "ssh", "--for", "1d", "--reason", "x")...)
		asks(t, exitDone, "by "+web.OurName()+": a test\n          no event silenced yet\n", list()...)
		asks(t, exitDone, "203.0.113.9: silence "+id+" (offender 203.0.113.0/24, service tcp/22) until", append([]string{"lookup", "--intel", i.list, "203.0.113.9"}, c...)...)
		asks(t, exitDone, "198.51.100.0/24 is allowed until", append([]string{"silence", "allow", "198.51.100.0/24", "--for", "30d", "--reason", "ours"}, c...)...)
		asks(t, exitFailed, "is there already", append([]string{"silence", "allow", "198.51.100.0/24", "--for", "1d", "--reason", "ours"}, c...)...)
		asks(t, exitDone, "allowed for a time\n198.51.100.0/24  until ", list()...)
		asks(t, lookupNot, "198.51.100.7: no feed may list 198.51.100.0/24 until", append([]string{"lookup", "--intel", i.list, "198.51.100.7"}, c...)...)
		var all silenceList
		if r := command(t, list("--json", "--all")...); json.Unmarshal([]byte(r.out), &all) != nil || len(all.Allowed) != 1 || all.Silences[len(all.Silences)-1].ID != id {
			t.Errorf("%+v", r)
		}
		asks(t, exitDone, "198.51.100.0/24 is no longer allowed", append([]string{"silence", "disallow", "198.51.100.0/24"}, c...)...)
		asks(t, exitFailed, "not allowed for a time", append([]string{"silence", "disallow", "198.51.100.0/24"}, c...)...)
		asks(t, exitFailed, "there is no such silence", append([]string{"silence", "remove", "aaaaaaaa"}, c...)...)
		asks(t, exitUsage, "nearly everything", add("--service", "tcp", "--for", "1d", "--reason", "x")...)
		asks(t, exitUsage, "at least /8", add("--offender", "128.0.0.0/1", "--for", "1d", "--reason", "x")...)
		r = asks(t, exitDone, ": feed dmeo", add("--feed", "dmeo", "--for", "1d", "--reason", strings.Repeat("why ", 60))...)
		if remarked := strings.Contains(r.err, "no feed is called dmeo"); remarked != running {
			t.Errorf("running %v: %q", running, r.err)
		}
		for line := range strings.Lines(command(t, list()...).out) {
			if len(line) > 81 {
				t.Errorf("%d columns: %q", len(line), line)
			}
		}
		if m := silenceID.FindStringSubmatch(r.out); m != nil { // what is wrong among several keeps nothing from the others
			r := asks(t, exitFailed, "silence "+m[1]+" has ended", append([]string{"silence", "remove", "aaaaaaaa", m[1]}, c...)...)
			if n := strings.Count(r.err, "no instance is running"); (n == 1) == running || !strings.Contains(r.err, `no such silence: "aaaaaaaa"`) {
				t.Errorf("running %v: %q", running, r.err)
			}
		}
	}
	asks(t, exitDone, "removed ", "silence", "list", "--all", "-c", i.config)
	path := filepath.Join(i.dir, silence.FileName)
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	asks(t, exitFailed, "damaged", "silence", "list", "-c", i.config)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a list has moved the file: %v", err)
	}
}
