//go:build integration

package deb

import (
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
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
// file for all; whoever links a library that costs a megabyte shall notice. Of these,
// SQLite and the client of PostgreSQL, for the incidents, take ten, and the rules one.
var limits = map[string]int64{"amd64": 41_200_000, "arm64": 38_300_000, "armhf": 38_600_000}

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
	if err := buildIn(sources, out, "armhf"); err != nil {
		t.Fatal(err)
	}
	first := packageOf(t, "armhf")
	if sum(t, first) != sum(t, filepath.Join(out, filepath.Base(first))) {
		t.Error("two builds of the same sources differ")
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
		t.Run(arch, func(t *testing.T) { testProgram(t, arch, machine) })
	}
}

func testProgram(t *testing.T, arch string, machine elf.Machine) {
	dir := t.TempDir()
	output(t, "dpkg-deb", "-x", packageOf(t, arch), dir)
	path := filepath.Join(dir, "usr/bin/flowsnitch")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, limit %d", info.Size(), limits[arch])
	if info.Size() > limits[arch] {
		t.Errorf("%d bytes, the limit is %d", info.Size(), limits[arch])
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libs, _ := f.ImportedLibraries(); f.Machine != machine || len(libs) > 0 || f.Section(".symtab") != nil {
		t.Errorf("for %v, libraries %v, symbols %t", f.Machine, libs, f.Section(".symtab") != nil)
	}
	build, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if v6 := (debug.BuildSetting{Key: "GOARM", Value: "6"}); arch == "armhf" && !slices.Contains(build.Settings, v6) {
		t.Errorf("not built for ARMv6, so not for every Pi: %v", build.Settings)
	}
	if got := strings.TrimSpace(output(t, "dpkg-deb", "-f", packageOf(t, arch), "Architecture")); got != arch {
		t.Errorf("the package is for %s", got)
	}
}

// TestDocumentation: each package has the pages of the sources, and their links lead to files
// of the package.
func TestDocumentation(t *testing.T) {
	dir := t.TempDir()
	output(t, "dpkg-deb", "-x", packageOf(t, "amd64"), dir)
	dir = filepath.Join(dir, "usr/share/doc/flowsnitch")
	links := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	n := 0
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, link := range links.FindAllStringSubmatch(string(text), -1) {
			n++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), link[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil || n < 30 {
		t.Errorf("%d links, %v", n, err)
	}
}
