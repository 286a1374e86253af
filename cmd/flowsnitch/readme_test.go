package main

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// pages are what a reader has of documentation, beside guides that have tests of their own,
// in the order of reading.
var pages = []string{"README.md", "configs/README.md", "intel/feeds/README.md", "sinks/README.md", "sinks/export/README.md", "deploy/package/README.md", "flow/history/README.md",
	"deploy/prometheus/README.md", "deploy/icinga/README.md", "deploy/pi/README.md", "deploy/bench/README.md",
	"sinks/webhook/README.md", "intel/enrich/README.md", "intel/incident/README.md", "configs/rules/README.md", "intel/silence/README.md", "deploy/routers/README.md", "configs/COUNTING.md", "CONTRIBUTING.md", "CHANGELOG.md"}

// quoted are those whose commands are run, one after the other.
const quoted = 5

func page(t *testing.T, name string) string {
	t.Helper()
	return read(t, filepath.Join("..", "..", filepath.FromSlash(name)))
}

// blocksOf gives the blocks of a language on a page.
func blocksOf(t *testing.T, name, language string) (blocks []string) {
	t.Helper()
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(page(t, name), -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

// commandsOf gives the lines of the sh blocks of pages, without their comments.
func commandsOf(t *testing.T, pages []string) (lines []string) {
	t.Helper()
	for _, name := range pages {
		n := len(lines)
		for _, block := range blocksOf(t, name, "sh") {
			for line := range strings.Lines(block) {
				if line = strings.TrimSpace(strings.SplitN(line, "  #", 2)[0]); line != "" {
					lines = append(lines, line)
				}
			}
		}
		if len(lines) < n+2 {
			t.Errorf("%s: only %d commands", name, len(lines)-n)
		}
	}
	return lines
}

// TestReadmeCommands runs every command that the README and the pages beside it quote, in
// order, in one folder, as a reader would. The collector keeps running for the commands that
// follow.
func TestReadmeCommands(t *testing.T) {
	lines := commandsOf(t, pages[:quoted])
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

// TestReadmeConfigurations checks the blocks of YAML on the pages: each is a configuration or
// a part of one, whose files are there.
func TestReadmeConfigurations(t *testing.T) {
	for _, name := range []string{"README.md", "intel/feeds/README.md", "sinks/README.md", "deploy/prometheus/README.md"} {
		blocks := blocksOf(t, name, "yaml")
		if len(blocks) == 0 {
			t.Errorf("%s has no configuration", name)
		}
		for _, block := range blocks {
			dir := t.TempDir()
			for _, path := range regexp.MustCompile(`/etc/flowsnitch/([\w.-]+)`).FindAllStringSubmatch(block, -1) {
				if err := os.WriteFile(filepath.Join(dir, path[1]), []byte("203.0.113.9\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			text := strings.ReplaceAll(block, "/etc/flowsnitch/", dir+"/")
			if r := command(t, "config", "check", "-c", file(t, "flowsnitch.yml", text)); r.code != exitDone {
				t.Errorf("%s:\n%s\n%+v", name, block, r)
			}
		}
	}
}

// TestPages: what the pages link to is there, and the README stays short enough for an hour.
func TestPages(t *testing.T) {
	if n := strings.Count(page(t, "README.md"), "\n"); n > 250 {
		t.Errorf("the README has %d lines, at most 250 are for the first hour", n)
	}
	for _, name := range pages {
		checkLinks(t, filepath.Join("..", ".."), name)
	}
}

// TestPackedPages: what packages and archives carry of the documentation is all that its
// links lead to.
func TestPackedPages(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("../../deploy/package/pages", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	packed := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			packed++
			name, _ := filepath.Rel(dir, path)
			checkLinks(t, dir, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil || packed != len(pages) {
		t.Errorf("%d of %d pages are packed: %v", packed, len(pages), err)
	}
}

// checkLinks: what a page links to in the folder of all pages is there.
func checkLinks(t *testing.T, root, name string) {
	t.Helper()
	body := read(t, filepath.Join(root, filepath.FromSlash(name)))
	text := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(body, "")
	for _, link := range regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`).FindAllStringSubmatch(text, -1) {
		target := name
		if link[1] != "" {
			target = path.Join(path.Dir(name), link[1])
		}
		file := filepath.Join(root, filepath.FromSlash(target))
		info, err := os.Stat(file)
		if err != nil {
			t.Errorf("%s: %s: %v", name, link[0], err)
			continue
		}
		if link[2] != "" && (info.IsDir() || !slices.Contains(anchors(read(t, file)), link[2])) {
			t.Errorf("%s: %s: no such heading in %s", name, link[0], target)
		}
	}
}

// anchors gives the headings of a page as they are in links to them.
func anchors(text string) (all []string) {
	text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		h[1] = regexp.MustCompile(`[^\w\s-]`).ReplaceAllString(strings.ToLower(h[1]), "")
		all = append(all, strings.ReplaceAll(h[1], " ", "-"))
	}
	return all
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
