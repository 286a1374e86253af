//go:build linux && (integration || soak)

// Package debian makes clean Debian root file systems for integration tests: Archive returns
// a tar file with the packages asked for, made once by mmdebstrap and kept between runs.
// Imported by tests alone.
package debian

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const suite = "bookworm"

// script makes root.tar in a folder. Mirror and proxies are those of the machine, whose
// own Debian may be another one: then it is the mirror that mmdebstrap knows.
const script = `
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
	sed -n "s/ $1 main\$//p" | head -n 1)
apt-config dump Acquire | grep -E '::(Proxy|Check-Valid-Until|Check-Date|CAInfo|Verify-Peer) ' > "$0/apt.conf" || true
mmdebstrap --quiet --variant=apt ${2:+--include="$2"} --aptopt="$0/apt.conf" "$1" "$0/root.tar" $mirror`

// Archive gives a clean Debian root as a tar file: the essential packages, apt, and those
// that are named. It is made once a machine, from the machine's own mirrors, and kept in
// the user's cache. It needs root and mmdebstrap.
func Archive(t testing.TB, packages ...string) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "flowsnitch-integration")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, strings.Join(append([]string{"root", suite}, packages...), "-")+".tar")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	part, err := os.MkdirTemp(dir, "part-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(part)
	if out, err := exec.Command("bash", "-euc", script, part, suite, strings.Join(packages, ",")).CombinedOutput(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(part, "root.tar"), path); err != nil {
		t.Fatal(err)
	}
	return path
}
