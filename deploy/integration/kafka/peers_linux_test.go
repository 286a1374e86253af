//go:build integration || soak

package kafka

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The times after which something counts as hung. They are generous, for the machine
// may be busy and the first run downloads.
const (
	installTimeout = 5 * time.Minute
	patience       = 90 * time.Second
)

// need makes sure that a program is there, by Debian's package if it must.
func need(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Geteuid() != 0 {
		t.Fatalf("%s is missing: install %s", program, debian)
	}
	const script = `
		mkdir -p "$0"
		exec 9>"$0/apt.lock"
		flock 9
		export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive
		apt-get update -qq
		apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "$1"`
	if out, err := exec.CommandContext(t.Context(), "bash", "-euc", script, cacheDir(), debian).CombinedOutput(); err != nil {
		t.Fatalf("install %s: %v\n%s", debian, err, out)
	}
}

// cacheDir is where what was downloaded is kept.
func cacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "flowsnitch-integration")
}

// cache gives a directory that make fills the first time, and again when what it is
// made from changes.
func cache(t *testing.T, name, from string, make func(dir string) *exec.Cmd) string {
	t.Helper()
	dir := filepath.Join(cacheDir(), fmt.Sprintf("%s-%x", name, sha256.Sum256([]byte(from)))[:len(name)+17])
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := make(dir)
	timer := time.AfterFunc(installTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "complete"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// artifacts gives the directory with the jars of a broker.
func artifacts(t *testing.T) string {
	t.Helper()
	need(t, "java", "default-jre-headless")
	need(t, "mvn", "maven")
	pom, err := os.ReadFile("pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	return cache(t, "kafka", string(pom), func(dir string) *exec.Cmd {
		return exec.Command("mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+dir)
	})
}
