//go:build integration || soak

package day

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/debian"
)

// enter is a shell that becomes a fresh Debian of its own: root folder, processes, users,
// and a network with nothing but loopback. Go and the modules are there to be read, and what
// this machine has compiled, when $BUILT names it: the same files compile to the same. What is
// new goes into memory. $1 is what newcomer.sh takes.
const enter = `
ip link set lo up
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/tmp"
mkdir -p "$0/usr/local/go" "$0/modules" "$0/built" "$0/new"
mount --bind "$GOROOT" "$0/usr/local/go"
mount --bind "$MODULES" "$0/modules"
if [ -n "$BUILT" ]; then
	mount -t tmpfs tmpfs "$0/new"
	mkdir "$0/new/upper" "$0/new/work"
	mount -t overlay -o "lowerdir=$BUILT,upperdir=$0/new/upper,workdir=$0/new/work" overlay "$0/built" ||
		echo "all is compiled again: there is no overlay here"
fi
exec chroot "$0" sh -euc '
useradd --create-home --shell /bin/sh newcomer
mv /flowsnitch /home/newcomer/flowsnitch
chown -R newcomer: /home/newcomer
find /built -maxdepth 1 -type d -exec chown newcomer: {} +
exec su - newcomer -c "
cd flowsnitch
export PATH=\$PATH:/usr/local/go/bin GOPROXY=file:///modules GOTOOLCHAIN=local GOFLAGS=\"-buildvcs=false $GOFLAGS\" GOCACHE=/built
exec sh deploy/integration/day/newcomer.sh $0"
' "$1"`

// TestNewcomer walks through the first hour on a fresh Debian root with only Go, without
// privileges and without a network; the modules come from the cache of this machine.
func TestNewcomer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: this needs root, for a Debian root and a network of its own")
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("SKIPPED: this needs mmdebstrap: apt-get install mmdebstrap")
	}
	const top = "../../.."
	root := t.TempDir()
	shell(t, `tar -x -C "$0" --numeric-owner -f "$1" && chmod 755 "$0"`, root, debian.Archive(t))
	shell(t, `cd "$1" && mkdir "$0" && git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$0"`,
		filepath.Join(root, "flowsnitch"), top)
	shell(t, `cd "$0" && go mod download`, top)
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", enter, root, suite)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
		"GOROOT=" + goEnv(t, "GOROOT"), "GOFLAGS=" + goEnv(t, "GOFLAGS"), "MODULES=" + filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download")}
	cache := ""
	if built {
		cache = goEnv(t, "GOCACHE")
	}
	cmd.Env = append(cmd.Env, "BUILT="+cache)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(longest, func() { _ = cmd.Process.Kill() })
	defer hung.Stop()
	steps, last := map[string]int{}, ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		last = lines.Text()
		t.Log(last)
		if m := regexp.MustCompile(`^step (\d+) (.*)$`).FindStringSubmatch(last); m != nil {
			steps[m[2]], _ = strconv.Atoi(m[1])
		}
	}
	if err := cmd.Wait(); err != nil || last != "done" {
		t.Fatalf("%v, at %q", err, last)
	}
	if after := steps["hit"] - steps["first hit"]; after >= 60 {
		t.Errorf("the first hit came %d s after the build", after)
	} else {
		t.Logf("demo with its build %d s, the first hit %d s after the build, all %d s (%d CPUs, shared)",
			steps["build"]-steps["demo"], after, steps["end"]-steps["demo"], runtime.NumCPU())
	}
}

// TestNewcomerCommands: the script has the commands of the README's first two sections.
func TestNewcomerCommands(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("newcomer.sh")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "\n## Two commands\n")
	parts := strings.SplitN(text, "\n## ", 3)
	if len(parts) != 3 {
		t.Fatal("the README has no two commands and no first hit")
	}
	n := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(parts[0]+parts[1], -1) {
		for line := range strings.Lines(block[1]) {
			line, _, _ = strings.Cut(line, "  #")
			line = strings.TrimSpace(line)
			if strings.Contains(line, "replay") { // needs a capture
				continue
			}
			if n++; !strings.Contains(string(script), line) {
				t.Errorf("newcomer.sh does not run %q", line)
			}
		}
	}
	if n < 8 {
		t.Errorf("only %d commands in the README", n)
	}
}

func shell(t *testing.T, script string, args ...string) string {
	t.Helper()
	out, err := exec.Command("sh", append([]string{"-euc", script}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(shell(t, `go env "$0"`, name))
}
