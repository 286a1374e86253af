package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMistakes: what people get wrong in their first hour, and the message that helps.
func TestMistakes(t *testing.T) {
	elsewhere(t)
	list, config := file(t, "bad.txt", "203.0.113.9\n"), func(text string) string { return file(t, "f.yml", text) }
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	closed.Close()
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	noUDP := free.LocalAddr().String()
	free.Close()
	for _, tt := range []struct {
		args, config string
		code         int
		want         string // in what it prints
	}{
		{"run --list " + list, "", 2, "unknown flag: --list, perhaps --intel is meant; see 'flowsnitch run --help'"},
		{"run --itnel " + list, "", 2, "unknown flag: --itnel, perhaps --intel is meant;"},
		{"run --conf x.yml", "", 2, "perhaps --config is meant;"},
		{"status --jsn", "", 2, "unknown flag: --jsn, perhaps --json is meant;"},
		{"check --configg x", "", 3, "FLOWSNITCH UNKNOWN - unknown flag: --configg, perhaps --config is meant"},
		{"run --xyzzy", "", 2, "unknown flag: --xyzzy; see"},
		{"run -intel " + list, "", 2, "-intel: a flag with a long name takes two hyphens: --intel;"},
		{"run -intel=" + list, "", 2, "takes two hyphens: --intel;"},
		{"run -config x.yml", "", 2, "takes two hyphens: --config;"},
		{"intel parse -format plain " + list, "", 2, "takes two hyphens: --format;"},
		{"check -config x.yml", "", 3, "takes two hyphens: --config"},
		{"run " + list, "", 2, "takes no argument, not \"" + list + "\"; a list? --intel " + list + ";"},
		{"run list.txt", "", 2, "; a list? --intel list.txt;"},
		{"run flowsnitch.yml", "", 2, "; a configuration? --config flowsnitch.yml;"},
		{"status f.yml", "", 2, "; a configuration? --config f.yml;"},
		{"check -c f.yml", "", 3, "-c f.yml: -c takes a range here, as in monitoring plugins; the configuration is --config f.yml"},
		{"check -c /etc/flowsnitch/flowsnitch.yml loss", "", 3, "the configuration is --config"},
		{"check --url " + nobody, "", 2, nobody + ": connection refused; does the instance run, and is its web.listen on that port?"},
		{"top", "", 1, "control.sock; start one with 'flowsnitch run', or name its configuration with -c"},
		{"run --profile pi", "", 2, "flowsnitch: profile: \"pi\" is unknown; allowed are edge"},
		{"demo --to nowhere", "", 2, "--to: \"nowhere\" is not host:port, such as 127.0.0.1:2055"},
		{"demo --duration 2s --to " + noUDP, "", 1, "nothing listens on udp " + noUDP + "; start 'flowsnitch run --intel FILE' first"},
		{"demo --list " + list, "", 1, list + ": file exists"},

		{"config check", "intel: {feeds: [{preset: spamhaus}]}", 2, ":1:26: intel.feeds[0].preset: \"spamhaus\" is unknown; perhaps spamhaus-drop, spamhaus-drop-v6"},
		{"config check", "intel: {feeds: [{preset: drop}]}", 2, "perhaps spamhaus-drop, "},
		{"config check", "intel: {feeds: [{preset: zzz}]}", 2, "\"zzz\" is unknown; 'flowsnitch intel presets' lists all"},
		{"config check", "intel:\n\tfeeds: []\n", 2, "YAML takes no tabs there: use blanks"},
		{"config check", "home:\n  - 10.0.0.0/8\nintel:\n  deny: []\n   allow: []\n", 2, "is it indented by as many blanks as its neighbours?"},
		{"config check", "name: \"open\nhome: [10.0.0.0/8]\n", 2, "a quote or bracket that is opened must be closed"},
		{"config check", "listen: [\"2055\"]", 2, `listen[0]: must be a block of keys such as - udp: ":2055", not "2055"`},
		{"config check", "intel: {feeds: [dshield]}", 2, "intel.feeds[0]: must be a block of keys such as - preset: dshield, not \"dshield\""},
		{"config check", "sinks: [kafka]", 2, "sinks[0]: must be a block of keys such as - jsonlog: {}, not"},
		{"config check", "exporters: [192.0.2.1]", 2, "exporters[0]: must be a block of keys such as - {name: edge-1, address: 192.0.2.1}, not"},
		{"config check", "listen: [{udp: \"0.0.0.0:2055\", allow: [\"2001:db8::/32\"]}]", 2, "listen[0].allow: all of it is IPv6, and 0.0.0.0:2055 receives IPv4 only, so no sender can match"},
		{"config check", "listen: [{udp: \"[::]:2055\", allow: [192.0.2.0/24]}]", 2, "listen[0].allow: all of it is IPv4, and [::]:2055 receives IPv6 only"},
		{"config check", "listen: [{udp: \"192.0.2.1:2055\", allow: [\"2001:db8::1\", \"::1\"]}]", 2, "so no sender can match"},
		{"config check", "intel: {feeds: []}\nlisten: [{udp: \"0.0.0.0:2055\", allow: [0.0.0.0/0, \"::/0\"]}, {udp: \":2056\", allow: [\"2001:db8::/32\"]}, {udp: \":2057\", allow: []}]", 0, "configuration OK"},
		{"config check", "home: [192.168.1.1/16]", 2, ":1:8: home[0]: 192.168.1.1/16 has bits behind its length; write 192.168.0.0/16 for the network, or 192.168.1.1 for the address"},
		{"config check", "home: [\"2001:db8::1/32\"]", 2, "write 2001:db8::/32 for the network, or 2001:db8::1 for the address"},
		{"config check", "intel: {allow: [192.0.2.1/24]}", 2, "intel.allow[0]: 192.0.2.1/24 has bits"},
		{"config check", "intel: {deny: [192.0.2.1/24]}", 2, "intel.deny[0]: 192.0.2.1/24 has bits"},
		{"config check", "listen: [{udp: \":2055\", allow: [192.0.2.1/24]}]", 2, "listen[0].allow[0]: 192.0.2.1/24 has bits"},
		{"config check", "sflow: {tunnel_endpoints: [192.0.2.1/24]}", 2, "sflow.tunnel_endpoints[0]: 192.0.2.1/24 has bits"},
	} {
		args := strings.Fields(tt.args)
		if tt.config != "" {
			args = append(args, "-c", config(tt.config))
		}
		r := command(t, args...)
		if said := r.out + r.err; r.code != tt.code || !strings.Contains(said, tt.want) || strings.Contains(said, ": :") {
			t.Errorf("%s %q: exit code %d, want %d\n%swant %s", tt.args, tt.config, r.code, tt.code, said, tt.want)
		}
	}
	if r := command(t, "intel", "parse", file(t, "p.html", "<!DOCTYPE html>\n<html></html>\n")); r.code != 1 || !strings.HasPrefix(r.err, "no format: reject-document, 0 accepted") {
		t.Errorf("a page: %+v", r)
	}
}

// A process is the real program, in a folder and with an environment of its own.
type process struct {
	t    *testing.T
	path string
	home string
}

// build makes the program as a stranger does.
func build(t *testing.T) process {
	t.Helper()
	p := process{t, filepath.Join(t.TempDir(), "flowsnitch"), shortDir(t)}
	out, err := exec.Command("go", "build", "-o", p.path, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return p
}

// run runs a command in some folder, and gives what it prints and its exit code.
func (p process) run(dir string, args ...string) (string, int) {
	p.t.Helper()
	cmd := p.command(dir, args...)
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		p.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (p process) command(dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(p.t.Context(), p.path, args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + p.home, "PATH=" + os.Getenv("PATH"), "HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9"}
	return cmd
}

// TestFirstDay is the way of somebody who has just built the program: the sample list, an
// instance that uses it alone, flows that are sent on purpose, a hit, and questions from
// any folder.
func TestFirstDay(t *testing.T) {
	p := build(t)
	folder, other := t.TempDir(), t.TempDir()
	if out, code := p.run(other, "lookup", "203.0.113.9"); code != lookupUnknown || strings.Contains(out, "not listed") {
		t.Errorf("before all: exit code %d\n%s", code, out)
	}
	if out, code := p.run(other, "check"); code != 2 || !strings.Contains(out, "start one with 'flowsnitch run'") {
		t.Errorf("check before all: exit code %d\n%s", code, out)
	}
	if out, code := p.run(folder, "demo", "--list", "demo.txt"); code != exitDone || !strings.Contains(out, "flowsnitch run --intel demo.txt") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if out, code := p.run(folder, "lookup", "--intel", "demo.txt", "203.0.113.9"); code != lookupListed {
		t.Errorf("a list alone: exit code %d\n%s", code, out)
	}
	run := p.command(folder, "run", "--intel", "demo.txt")
	log, hits := new(syncBuffer), new(syncBuffer)
	run.Stderr, run.Stdout = log, hits
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	t.Cleanup(func() { _ = run.Process.Kill() })
	eventually(t, "it listens", func() bool {
		select {
		case err := <-ended:
			if strings.Contains(log.String(), "in use") {
				t.Skipf("a port of the built-in configuration is in use on this machine: %s", log.String())
			}
			t.Fatalf("it ended by itself: %v\n%s", err, log.String())
		default:
		}
		return strings.Contains(log.String(), " listens on ") && strings.Contains(log.String(), "only the lists of --intel count: demo.txt;")
	})
	for _, want := range []string{"home 10.0.0.0/8, ", "add their prefixes to 'home'"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q at the start:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "feed is not up to date") || strings.Contains(log.String(), "being fetched") {
		t.Errorf("feeds are fetched beside a list alone:\n%s", log.String())
	}
	out, code := p.run(other, "demo", "--to", "127.0.0.1:2055", "--duration", "2s")
	if code != exitDone || !strings.Contains(out, "203.0.113.9 # beacon") || !strings.Contains(out, "flows sent to 127.0.0.1:2055") {
		t.Fatalf("demo --to: exit code %d\n%s", code, out)
	}
	eventually(t, "a hit", func() bool { return strings.Contains(hits.String(), "203.0.113.9") })
	for addr, want := range map[string]int{"203.0.113.9": lookupListed, "198.51.100.23": lookupListed, "192.0.2.1": lookupNot, "nonsense": exitUsage} {
		if out, code := p.run(other, "lookup", addr); code != want {
			t.Errorf("lookup %s: exit code %d, want %d\n%s", addr, code, want, out)
		}
	}
	eventually(t, "the instance has judged itself", func() bool { out, _ := p.run(other, "check"); return !strings.Contains(out, "still starting") })
	if out, code := p.run(other, "check", "workers", "templates"); code != 0 {
		t.Errorf("check: exit code %d\n%s", code, out)
	}
	if out, code := p.run(other, "status"); code != 0 || !strings.Contains(out, "hit and ") {
		t.Errorf("status: exit code %d\n%s", code, out)
	}
	if err := run.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%v\n%s", err, log.String())
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
}

// TestRunAddsLists: with a configuration the lists of the command line are added to it.
func TestRunAddsLists(t *testing.T) {
	feed := file(t, "feed.txt", "8.8.4.4\n")
	i := startIn(t, shortDir(t), "203.0.113.9\n", "intel: {feeds: [{name: acme, file: "+feed+", operator: true}]}")
	if want := "lists of --intel, added to the 1 feeds of the configuration: " + i.list; !strings.Contains(i.err.String(), want) {
		t.Errorf("no %q in\n%s", want, i.err.String())
	}
	for _, addr := range []string{"203.0.113.9", "8.8.4.4"} {
		if r := command(t, "lookup", "-c", i.config, addr); r.code != lookupListed {
			t.Errorf("%s: %+v", addr, r)
		}
	}
}
