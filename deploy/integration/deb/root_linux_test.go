//go:build integration

package deb

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/debian"
)

// What the root has beside apt: what the packages recommend, the exporter of the guide,
// and systemd for its tools, for it does not run.
var packages = []string{"adduser", "ca-certificates", "iproute2", "logrotate", "softflowd", "systemd"}

// A commandError is a program that failed, with what it printed.
type commandError struct {
	args []string
	out  []byte
	err  error
}

func (e *commandError) Error() string { return fmt.Sprintf("%q: %v\n%s", e.args, e.err, e.out) }
func (e *commandError) Unwrap() error { return e.err }

// output runs a program and gives what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(&commandError{cmd.Args, out, err})
	}
	return string(out)
}

// A machine is a Debian root with processes and a network of its own, where systemd does
// not run. All of it ends with the test.
type machine struct {
	dir string
	pid string // of its first process, as seen from here
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir()}
	output(t, "tar", "-x", "-C", m.dir, "--numeric-owner", "-f", debian.Archive(t, packages...))
	if err := os.Chmod(m.dir, 0o755); err != nil { // users of the root must get in
		t.Fatal(err)
	}
	// A shell is the first process, for it collects those that nobody waits for.
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-c",
		`mount -t proc proc "$0/proc" && exec chroot "$0" bash -c 'echo up; while :; do sleep 3600; done'`, m.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	up, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if _, err := up.Read(make([]byte, 3)); err != nil {
		t.Fatalf("the root does not start: %v", err)
	}
	children := fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid)
	b, err := os.ReadFile(children)
	if err != nil {
		t.Fatal(err)
	}
	m.pid = strings.TrimSpace(string(b))
	m.network(t)
	m.serviceManager(t)
	return m
}

// network gives the machine an interface into nowhere: what it sends there is seen by
// exporters and goes no further.
func (m *machine) network(t *testing.T) {
	t.Helper()
	m.sh(t, `ip link set lo up
ip link add eth0 type veth peer name wire
ip address add 192.168.77.10/24 dev eth0
ip link set wire up
ip link set eth0 up
ip neighbour add 192.168.77.1 lladdr 02:00:00:00:00:01 dev eth0
ip route add default via 192.168.77.1`)
}

// try runs a script in the root as a user types it.
func (m *machine) try(script string) (string, error) {
	cmd := exec.Command("nsenter", "--target", m.pid, "--mount", "--net", "--pid", "--root", "--wd",
		"timeout", "120", "sh", "-euc", script)
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
	}
	cmd.WaitDelay = 5 * time.Second // what it leaves in the background may hold its output
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), &commandError{[]string{script}, out, err}
	}
	return string(out), nil
}

func (m *machine) sh(t *testing.T, script string) string {
	t.Helper()
	out, err := m.try(script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// path gives where a file of the root lies here.
func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// put copies a file into the root.
func (m *machine) put(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path(to), b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// serviceManager puts a command systemctl in front of systemd's, which wants systemd
// to run: it starts the command line of the unit, as its user, and stops it.
func (m *machine) serviceManager(t *testing.T) {
	m.put(t, "testdata/systemctl", "usr/local/sbin/systemctl")
}
