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
// folder, as a reader would. A command that runs until it is stopped is stopped.
func TestReadmeCommands(t *testing.T) {
	lines := commandsOf(t)
	if len(lines) < 6 {
		t.Fatalf("only %d commands found in the README: %q", len(lines), lines)
	}
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	writeCapture(t, filepath.Join(dir, "router.pcap"))
	for _, line := range lines {
		t.Run(line, func(t *testing.T) { runQuoted(t, dir, line) })
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
	case strings.Contains(line, "go build"):
		line = regexp.MustCompile(`-o (\S+)`).ReplaceAllString(line, "-o "+dir+"/$1")
	default:
		root = dir
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = root
	if strings.Contains(line, "flowsnitch run") {
		stopWhenListening(t, cmd)
		return
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// stopWhenListening starts a collector and stops it once it says that it listens.
func stopWhenListening(t *testing.T, cmd *exec.Cmd) {
	cmd.Args[2] = "exec " + cmd.Args[2]
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	said := func() string { b, _ := os.ReadFile(log.Name()); return string(b) }
	for {
		select {
		case err := <-ended:
			if strings.Contains(said(), "in use") {
				t.Skipf("a port of the built-in configuration is in use on this machine: %s", said())
			}
			t.Fatalf("ended by itself: %v\n%s", err, said())
		case <-time.After(20 * time.Millisecond):
		}
		if strings.Contains(said(), "listens on") {
			break
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, said())
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
