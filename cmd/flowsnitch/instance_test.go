package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// elsewhere gives a state directory of this user that nothing runs in.
func elsewhere(t *testing.T) {
	t.Helper()
	t.Setenv("STATE_DIRECTORY", t.TempDir())
}

// asPackage makes a file the package's configuration for a test.
func asPackage(t *testing.T, path string) {
	t.Helper()
	old := packageConfig
	packageConfig = path
	t.Cleanup(func() { packageConfig = old })
}

// TestFindsInstance: without -c a command finds this user's instance, then the one whose
// configuration the environment names, then that of the package.
func TestFindsInstance(t *testing.T) {
	own := start(t, "203.0.113.1\n")
	named := start(t, "203.0.113.2\n")
	packaged := start(t, "203.0.113.3\n")
	is := func(what, addr string) {
		t.Helper()
		for _, a := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"} {
			want := lookupNot
			if a == addr {
				want = lookupListed
			}
			if r := command(t, "lookup", a); r.code != want {
				t.Errorf("%s, lookup %s: %+v, want exit code %d", what, a, r, want)
			}
		}
	}
	// The feed of the list is the same everywhere: status names the directory.
	asks := func(what, dir string) {
		t.Helper()
		if r := command(t, "status", "--json"); r.code != exitDone || !strings.Contains(r.out, `"state_dir":"`+dir+`"`) {
			t.Errorf("%s: status %+v", what, r)
		}
		if r := command(t, "check", "workers"); r.code != exitDone && !strings.Contains(r.out, "still starting") {
			t.Errorf("%s: check %+v", what, r)
		}
		for _, args := range [][]string{{"intel", "status"}, {"intel", "update"}, {"canary"}, {"top", "--every", "100ms", "--count", "1"}} {
			if r := command(t, args...); r.code != exitDone || strings.Contains(r.err, "no running instance") {
				t.Errorf("%s: %v: %+v", what, args, r)
			}
		}
	}
	asPackage(t, packaged.config)
	elsewhere(t)
	is("the package's", "203.0.113.3")
	asks("the package's", packaged.dir)
	t.Setenv(configVariable, named.config)
	is("the environment's", "203.0.113.2")
	asks("the environment's", named.dir)
	t.Setenv("STATE_DIRECTORY", own.dir)
	is("our own", "203.0.113.1")
	asks("our own", own.dir)
	if r := command(t, "lookup", "203.0.113.2", "-c", named.config); r.code != lookupListed || r.err != "" {
		t.Errorf("with -c: %+v", r)
	}
	if r := command(t, "config", "check"); r.code != exitDone {
		t.Errorf("config check: %+v", r)
	}
}

// TestFindsNoInstance: what is said when nothing runs there names where was looked.
func TestFindsNoInstance(t *testing.T) {
	elsewhere(t)
	dir := t.TempDir()
	config := file(t, "f.yml", "state_dir: "+dir+"\nintel: {feeds: []}\n")
	asPackage(t, config)
	want := "no running instance at " + filepath.Join(dir, "control.sock") + " (configuration " + config + ")"
	for _, args := range [][]string{{"status"}, {"top"}, {"canary"}} {
		if r := command(t, args...); r.code != exitFailed || !strings.Contains(r.err, want) || !strings.Contains(r.err, "start one with 'flowsnitch run -c "+config+"'") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := command(t, "check"); r.code != 2 || !strings.Contains(r.out, want) {
		t.Errorf("check: %+v", r)
	}
	if r := command(t, "consume"); r.code != exitUsage || !strings.Contains(r.err, "no Kafka sink in configuration "+config) {
		t.Errorf("consume: %+v", r)
	}
	if r := command(t, "config", "check"); r.code != exitDone || !strings.Contains(r.err, "this is configuration "+config) {
		t.Errorf("config check: %+v", r)
	}
	for _, name := range []string{filepath.Join(dir, "none.yml"), file(t, "bad.yml", "nope: 1\n")} {
		t.Setenv(configVariable, name)
		if r := command(t, "status"); r.code != exitUsage || !strings.Contains(r.err, "$FLOWSNITCH_CONFIG: "+name) {
			t.Errorf("an environment that names %s: %+v", name, r)
		}
	}
	os.Unsetenv(configVariable)
	if os.Getuid() == 0 {
		t.Skip("root reads every file, so the rest needs another user")
	}
	if err := os.Chmod(config, 0); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"status"}, {"lookup", "192.0.2.1"}} {
		if r := command(t, args...); r.code == exitDone || r.code == lookupNot && args[0] == "lookup" || !strings.Contains(r.err, config+" cannot be read (permission denied)") {
			t.Errorf("a configuration of others: %v: %+v", args, r)
		}
	}
}

// TestRunTakesNoConfig: run without -c is the built-in default, whatever is around.
func TestRunTakesNoConfig(t *testing.T) {
	elsewhere(t)
	config := file(t, "bad.yml", "nope: 1\n")
	asPackage(t, config)
	t.Setenv(configVariable, config)
	if r := command(t, "run", "--intel", filepath.Join(t.TempDir(), "none")); r.code != exitFailed || !strings.Contains(r.err, "no such file") {
		t.Errorf("%+v", r)
	}
}

// TestConsumeFindsBrokers: the instance that runs says which configuration it has.
func TestConsumeFindsBrokers(t *testing.T) {
	i := startIn(t, shortDir(t), "", `sinks: [{console: {}}]`)
	t.Setenv("STATE_DIRECTORY", i.dir)
	if r := command(t, "consume"); r.code != exitUsage || !strings.Contains(r.err, "no Kafka sink in configuration "+i.config) {
		t.Errorf("%+v", r)
	}
}

// TestLookupCodes: 0 is listed, 1 is not, 3 is nobody knows, and the highest wins.
func TestLookupCodes(t *testing.T) {
	elsewhere(t)
	list, empty := file(t, "bad.txt", "203.0.113.0/24\n"), file(t, "empty.txt", "# nothing\n")
	run := start(t, "")
	for _, tt := range []struct {
		args string
		code int
		out  string
	}{
		{"--intel " + list + " 203.0.113.9", 0, "203.0.113.9 is listed by bad as 203.0.113.0/24\n"},
		{"--intel " + list + " 192.0.2.9", 1, "192.0.2.9 is not listed\n"},
		{"--intel " + list + " 203.0.113.9 192.0.2.9", 1, "192.0.2.9 is not listed\n"},
		{"--intel " + list + " 203.0.113.9 nonsense", 2, ""},
		{"--intel " + empty + " 203.0.113.9", 3, "203.0.113.9: cannot say, nothing is known here: no list has an entry yet\n"},
		{"203.0.113.9", 3, "203.0.113.9: cannot say, nothing is known here: no list has an entry yet (there is no complete copy yet of dshield, "},
		{"203.0.113.9 192.0.2.9 2001:db8::1", 3, "2001:db8::1: cannot say"},
		{"-c " + run.config + " 203.0.113.9", 3, "203.0.113.9: cannot say"},
		{"-c /nonexistent.yml 203.0.113.9", 2, ""},
	} {
		r := command(t, append([]string{"lookup"}, strings.Fields(tt.args)...)...)
		if r.code != tt.code || !strings.Contains(r.out, tt.out) || strings.Contains(r.out, "not listed") && tt.code == 3 {
			t.Errorf("lookup %s: %+v, want exit code %d and %q", tt.args, r, tt.code, tt.out)
		}
		r = command(t, append([]string{"lookup", "--json"}, strings.Fields(tt.args)...)...)
		if r.code != tt.code {
			t.Errorf("lookup --json %s: %+v, want exit code %d", tt.args, r, tt.code)
		}
	}
}

func TestLookupJSON(t *testing.T) {
	list := file(t, "bad.txt", "203.0.113.0/24 # scanners\n")
	feed := file(t, "feed.txt", "10.1.2.3\n")
	config := file(t, "f.yml", "intel: {feeds: [{name: acme, file: "+feed+", category: c2}]}\n")
	r := command(t, "lookup", "--json", "-c", config, "--intel", list, "::ffff:203.0.113.9", "10.1.2.3", "192.0.2.0/24")
	if r.code != lookupNot || r.err != "" || strings.Count(r.out, "\n") != 3 {
		t.Fatalf("%+v", r)
	}
	var got []lookupAnswer
	for line := range strings.Lines(r.out) {
		var a lookupAnswer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		got = append(got, a)
	}
	if a := got[0]; a.Query != "::ffff:203.0.113.9" || a.Prefix.String() != "203.0.113.9/32" || a.Answer != "listed" || len(a.Listings) != 1 ||
		a.Listings[0].Feed != "bad" || a.Listings[0].Score != 90 || a.Listings[0].Description != "scanners" || a.Indicators != 1 {
		t.Errorf("a listed one: %+v", a)
	}
	if a := got[1]; a.Answer != "not_listed" || len(a.Stopped) == 0 || a.Stopped[0].Feed != "acme" || a.Stopped[0].Reason != "home" || a.Stopped[0].By.String() != "10.0.0.0/8" {
		t.Errorf("one that is stopped: %+v", a)
	}
	if a := got[2]; a.Answer != "not_listed" || a.Listings == nil {
		t.Errorf("a prefix: %+v", a)
	}
}
