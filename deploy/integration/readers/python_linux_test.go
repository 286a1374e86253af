//go:build integration

package readers

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// installTimeout is when an installation counts as hung.
const installTimeout = 5 * time.Minute

// python gives a Python with packages, pinned as in "duckdb==2.0.1", in an environment of its
// own that is kept. Without them the test is skipped.
func python(t *testing.T, packages ...string) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	name := fmt.Sprintf("readers-%x", sha256.Sum256([]byte(strings.Join(packages, " "))))[:24]
	dir := filepath.Join(base, "flowsnitch-integration", name)
	program := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return program
	}
	const script = `python3 -m venv "$0" && "$0/bin/pip" install -q "$@" && touch "$0/complete"`
	cmd := exec.Command("sh", append([]string{"-ec", script, dir}, packages...)...)
	timer := time.AfterFunc(installTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: %v cannot be installed, this needs Python with venv, and PyPI: %v\n%s", packages, err, out)
	}
	return program
}

// run runs a program with a standard input and gives what it prints.
func run(t *testing.T, in []byte, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var problems bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", program, err, out, &problems)
	}
	return string(out)
}
