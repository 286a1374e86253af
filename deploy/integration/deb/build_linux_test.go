//go:build integration

package deb

import (
	"crypto/sha256"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	version = "1.0.0"
	epoch   = "SOURCE_DATE_EPOCH=1790000000"
	top     = "../../.."
)

// limits of the program in bytes, stripped, by Debian's architecture. A Pi carries one
// file for all; whoever links a library that costs a megabyte shall notice.
var limits = map[string]int64{"amd64": 20_000_000, "arm64": 19_000_000, "armhf": 19_000_000}

// built gives the folder of the packages, which are made once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "flowsnitch-deb-")
	if err != nil {
		return "", err
	}
	return dir, buildIn(top, dir, "amd64", "arm64", "armhf")
})

// buildIn builds packages from the sources in a folder.
func buildIn(sources, out string, archs ...string) error {
	cmd := exec.Command("deploy/package/build", append([]string{version, out}, archs...)...)
	cmd.Dir = sources
	cmd.Env = append(os.Environ(), epoch)
	if b, err := cmd.CombinedOutput(); err != nil {
		return &commandError{cmd.Args, b, err}
	}
	return nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := built(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// packageOf gives the path of a package.
func packageOf(t *testing.T, arch string) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "flowsnitch_"+version+"_"+arch+".deb")
}

// TestReproducible: the same sources in another folder give the same bytes.
func TestReproducible(t *testing.T) {
	sources, out := t.TempDir(), t.TempDir()
	script := `git ls-files -z --cached --others --exclude-standard | tar -c --null --ignore-failed-read -T - | tar -x -C "$0"`
	cmd := exec.Command("bash", "-c", script, sources)
	cmd.Dir = top
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copying the sources: %v\n%s", err, b)
	}
	if err := buildIn(sources, out, "amd64", "armhf"); err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "armhf"} {
		first := packageOf(t, arch)
		if sum(t, first) != sum(t, filepath.Join(out, filepath.Base(first))) {
			t.Errorf("%s: two builds of the same sources differ", arch)
		}
	}
}

func sum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// TestProgram: each package holds a small static program for its machine.
func TestProgram(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "armhf": elf.EM_ARM} {
		dir := t.TempDir()
		output(t, "dpkg-deb", "-x", packageOf(t, arch), dir)
		path := filepath.Join(dir, "usr/bin/flowsnitch")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes, limit %d", arch, info.Size(), limits[arch])
		if info.Size() > limits[arch] {
			t.Errorf("%s: %d bytes, the limit is %d", arch, info.Size(), limits[arch])
		}
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if libs, _ := f.ImportedLibraries(); f.Machine != machine || len(libs) > 0 || f.Section(".symtab") != nil {
			t.Errorf("%s: for %v, libraries %v, symbols %t", arch, f.Machine, libs, f.Section(".symtab") != nil)
		}
		if got := strings.TrimSpace(output(t, "dpkg-deb", "-f", packageOf(t, arch), "Architecture")); got != arch {
			t.Errorf("%s: the package is for %s", arch, got)
		}
	}
	if b, err := os.ReadFile(buildInfoOfArmhf(t)); err != nil || !strings.Contains(string(b), "GOARM=6") {
		t.Errorf("armhf is not built for ARMv6: %v", err)
	}
}

// buildInfoOfArmhf gives the armhf program, which carries its own build settings.
func buildInfoOfArmhf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "dpkg-deb", "-x", packageOf(t, "armhf"), dir)
	return filepath.Join(dir, "usr/bin/flowsnitch")
}
