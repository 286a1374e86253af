package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A result is what a command left behind.
type result struct {
	code     int
	out, err string
}

// command runs one command with a state directory of its own, as main would.
func command(t *testing.T, args ...string) result {
	t.Helper()
	return commandIn(t, "", args...)
}

// commandIn is command with standard input.
func commandIn(t *testing.T, in string, args ...string) result {
	t.Helper()
	if os.Getenv("STATE_DIRECTORY") == "" {
		t.Setenv("STATE_DIRECTORY", t.TempDir())
	}
	var out, errOut bytes.Buffer
	code := execute(t.Context(), args, strings.NewReader(in), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

// file writes a file of the test and gives its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// corpus gives a folder of the reference data, or skips the test.
func corpus(t testing.TB, folder string) string {
	dir := os.Getenv("FLOWSNITCH_CORPUS")
	if dir == "" {
		t.Skip("set FLOWSNITCH_CORPUS to the folder of reference data to run this test")
	}
	return filepath.Join(dir, folder)
}

// captures gives the reference captures by name.
func captures(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(corpus(t, "flow"), "*.pcap"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures there (%v)", err)
	}
	out := make(map[string]string)
	for _, p := range paths {
		out[strings.TrimSuffix(filepath.Base(p), ".pcap")] = p
	}
	return out
}
