package main

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// commandsOf gives the lines of the README's sh blocks, without their comments.
func commandsOf(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		for line := range strings.Lines(block[1]) {
			if line = strings.TrimSpace(strings.SplitN(line, "  #", 2)[0]); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// TestReadmeCommands runs every command that the README quotes, in order, in one
// folder, as a reader would. The collector runs on while the commands that follow ask it.
func TestReadmeCommands(t *testing.T) {
	lines := commandsOf(t)
	if len(lines) < 6 {
		t.Fatalf("only %d commands found in the README: %q", len(lines), lines)
	}
	dir := t.TempDir()
	state := shortDir(t)
	t.Setenv("XDG_STATE_HOME", state)
	t.Setenv("STATE_DIRECTORY", "")
	writeCapture(t, filepath.Join(dir, "router.pcap"))
	stop, started := func() {}, true // the collector that was started last
	defer func() { stop() }()
	for _, line := range lines {
		t.Run(line, func(t *testing.T) {
			if strings.Contains(line, "flowsnitch run") {
				stop()
				stop, started = func() {}, false
				stop = startQuoted(t, dir, line)
				started = true
				return
			}
			runQuoted(t, dir, line)
		})
		if !started {
			t.Skip("without a collector the commands that follow have nothing to ask")
		}
		if strings.Contains(line, "demo --to") && !t.Failed() {
			if hits := read(t, filepath.Join(state, "flowsnitch", "hits.json")); !strings.Contains(hits, "203.0.113.9") {
				t.Errorf("%s: no hit in\n%s", line, hits)
			}
		}
	}
}

// TestReadmeConfigurations checks the blocks of YAML of the README that are whole
// configurations.
func TestReadmeConfigurations(t *testing.T) {
	n := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, filepath.Join("..", "..", "README.md")), -1) {
		if !strings.Contains(block[1], "run -c flowsnitch.yml") {
			continue
		}
		n++
		if r := command(t, "config", "check", "-c", file(t, "flowsnitch.yml", block[1])); r.code != exitDone {
			t.Errorf("%s\n%+v", block[1], r)
		}
	}
	if n == 0 {
		t.Error("the README has no configuration of a first day")
	}
}

// runQuoted runs one quoted command.
func runQuoted(t *testing.T, dir, line string) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case line == "go test ./...":
		return // this is it
	case strings.HasPrefix(line, "go run ./cmd/flowsnitch demo"):
		line += " --duration 2s"
	case strings.Contains(line, "flowsnitch demo --to"):
		line = regexp.MustCompile(`--duration \S+`).ReplaceAllString(line, "--duration 3s")
		root = dir
	case strings.HasSuffix(line, "flowsnitch top"):
		line += " --every 100ms --count 2" // it ends with q only on a terminal
		root = dir
	case strings.Contains(line, "go build"):
		line = regexp.MustCompile(`-o (\S+)`).ReplaceAllString(line, "-o "+dir+"/$1")
	default:
		root = dir
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if strings.HasSuffix(line, "flowsnitch check") && strings.HasPrefix(string(out), "FLOWSNITCH ") {
		return // whatever it finds on a machine under load
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// startQuoted starts a collector and waits until it listens. What it returns stops it.
func startQuoted(t *testing.T, dir, line string) (stop func()) {
	path := filepath.Join(dir, "run.log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", "exec "+line)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	said := func() string { b, _ := os.ReadFile(path); return string(b) }
	eventually(t, "the collector listens", func() bool {
		select {
		case err := <-ended:
			if strings.Contains(said(), "in use") {
				t.Skipf("a port of the built-in configuration is in use on this machine: %s", said())
			}
			t.Fatalf("ended by itself: %v\n%s", err, said())
		default:
		}
		return strings.Contains(said(), "listens on")
	})
	return func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("%v\n%s", err, said())
		}
	}
}

// writeCapture writes a capture with one flow to a listed address.
func writeCapture(t *testing.T, path string) {
	t.Helper()
	enc, err := synth.NewEncoder(synth.Config{Version: flow.V9})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	f := synth.Flow{
		Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("203.0.113.9"),
		SrcPort: 51515, DstPort: 443, Protocol: 6, Bytes: 1234, Packets: 5, Start: now, End: now,
	}
	data, _, err := enc.Encode(nil, []synth.Flow{f}, now)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := capture.NewWriter(file)
	for _, payload := range [][]byte{enc.Templates(nil, now), data} {
		dg := flow.Datagram{Payload: payload, Source: netip.MustParseAddrPort("192.0.2.1:40000"), Received: now}
		if err := w.Write(dg, netip.MustParseAddrPort("192.0.2.10:2055")); err != nil {
			t.Fatal(err)
		}
	}
}
