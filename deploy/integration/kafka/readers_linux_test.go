//go:build integration

package kafka

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// testReadme runs the consumers that the page on sinks shows. They read the topic of the hits
// from its beginning.
func testReadme(t *testing.T, b *broker, snake string) {
	text := read(t, filepath.Join("..", "..", "..", "sinks", "README.md"))
	_, text, _ = strings.Cut(text, "\n## Kafka\n")
	text, _, _ = strings.Cut(text, "\n## ")
	text = strings.ReplaceAll(text, "kafka1.example:9092", b.plain)
	line := regexp.MustCompile(`(?m)^kcat .*$`).FindString(text)
	script := regexp.MustCompile("(?s)```python\n(.*?)```").FindStringSubmatch(text)
	if line == "" || script == nil {
		t.Fatal("the page shows no kcat or no Python")
	}
	for _, cmd := range []*exec.Cmd{
		exec.CommandContext(t.Context(), "sh", "-c", "exec "+line),
		exec.CommandContext(t.Context(), snake, "-c", script[1]),
	} {
		for _, got := range firstLines(t, cmd, 100) {
			if !strings.Contains(got, " 203.0.113.") || !strings.Contains(got, "hit") {
				t.Fatalf("%s printed %q", cmd.Path, got)
			}
		}
	}
}

// testConsume reads with our own command, by the configuration of a sink with TLS and a
// password, and ends it as a person does.
func testConsume(t *testing.T, b *broker, ca *authority.Authority) {
	file := filepath.Join(t.TempDir(), "flowsnitch.yml")
	write(t, file, fmt.Sprintf("sinks: [{kafka: {brokers: [%q], topics: {hits: hits.zstd}, tls: {enabled: true, ca: %s}, "+
		"sasl: {mechanism: scram-sha-256, user: %s, password: %s}}}]\n", b.saslSSL, ca.File, user, password))
	cmd := exec.CommandContext(t.Context(), instance.Binary(t, "flowsnitch"), "consume", "-c", file, "--from", "first", "--meta")
	seen := seen{}
	for _, line := range firstLines(t, cmd, 500) {
		f := strings.SplitN(line, "\t", 6)
		if len(f) != 6 || f[0] != "hits.zstd" || f[4] != "kind=hit format=native v=2 content-type=application/json" {
			t.Fatalf("got %q", line)
		}
		seen.add(t, f[1], f[3], f[5])
	}
	if len(seen.ids) != 500 || cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("%d events; %v at SIGINT", len(seen.ids), cmd.ProcessState)
	}
}

// firstLines gives the first lines that a command prints and then interrupts it.
func firstLines(t *testing.T, cmd *exec.Cmd, n int) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	problems := bytes.Buffer{}
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(os.Kill) })()
	for in := bufio.NewScanner(out); len(lines) < n && in.Scan(); {
		lines = append(lines, in.Text())
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
	if len(lines) < n {
		t.Fatalf("%s printed %d lines, want %d\n%s", cmd.Path, len(lines), n, &problems)
	}
	return lines
}

// python gives a Python that has the client kafka-python and what it needs for each
// compression.
func python(t *testing.T) string {
	t.Helper()
	const client = "kafka-python[snappy,lz4,zstd]==3.0.12"
	need(t, "python3", "python3-venv")
	dir := cache(t, "python", client, func(dir string) *exec.Cmd {
		return exec.Command("sh", "-ec", `python3 -m venv "$0" && "$0/bin/pip" install -q "$1"`, dir, client)
	})
	return filepath.Join(dir, "bin", "python")
}
