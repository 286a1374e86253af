//go:build integration || soak

package syslog

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The times after which something counts as hung. They are generous, for the machine
// may be busy.
const (
	installTimeout = 5 * time.Minute
	patience       = 60 * time.Second
)

// unpack unpacks Debian's packages, with what they need and the system has not, into
// a directory of their own and gives it.
func unpack(t *testing.T, packages ...string) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "flowsnitch-integration", strings.Join(packages, "+"))
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return dir
	}
	const script = `
		mkdir -p "$0/debs/partial"
		exec 9>"$0/../apt.lock"
		flock 9
		apt-get update -qq
		apt-get install -y -qq --download-only --reinstall --no-install-recommends \
			-o Dir::Cache::archives="$0/debs" -o DPkg::Lock::Timeout=120 "$@"
		for deb in "$0"/debs/*.deb; do dpkg -x "$deb" "$0"; done
		rm -r "$0/debs"
		touch "$0/complete"`
	cmd := exec.Command("bash", append([]string{"-euc", script, dir}, packages...)...)
	timer := time.AfterFunc(installTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("unpack %v: %v (this needs Debian and root)\n%s", packages, err, out)
	}
	return dir
}

// A daemon is a syslog server. Its files and ports outlive its process.
type daemon struct {
	root, dir string // of its packages, of its files
	args      []string
	ready     []string // each host:port of TCP that listens when it is ready
	process   *exec.Cmd
	ended     chan struct{} // closed when process has ended
}

// newDaemon starts a daemon; args[0] is the path of the program in its package.
func newDaemon(t *testing.T, root, dir string, ready []string, args ...string) *daemon {
	t.Helper()
	d := &daemon{root: root, dir: dir, args: args, ready: ready}
	t.Cleanup(func() {
		d.end(syscall.SIGKILL)
		if t.Failed() {
			out, _ := os.ReadFile(d.file("out"))
			t.Logf("the end of what %s printed:\n%s", args[0], out[max(0, len(out)-5000):])
		}
	})
	d.start(t)
	return d
}

func (d *daemon) file(name string) string { return filepath.Join(d.dir, name) }

// libraries gives the directories of a package's libraries.
func libraries(root string) string {
	var list []string
	for _, pattern := range []string{"/usr/lib/*-linux-gnu*", "/lib/*-linux-gnu*", "/usr/lib/syslog-ng", "/usr/lib/syslog-ng/*"} {
		found, _ := filepath.Glob(root + pattern)
		list = append(list, found...)
	}
	return strings.Join(list, ":")
}

// start starts the process and waits until it listens.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(d.file("out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	d.process = exec.Command(filepath.Join(d.root, d.args[0]), d.args[1:]...)
	d.process.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries(d.root))
	d.process.Stdout, d.process.Stderr = out, out
	d.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	d.ended = ended
	go func(cmd *exec.Cmd) {
		defer close(ended)
		_ = cmd.Wait()
	}(d.process)
	eventually(t, d.args[0]+" listens", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s has ended", d.args[0])
		default:
		}
		for _, address := range d.ready {
			c, err := net.Dial("tcp", address)
			if err != nil {
				return false
			}
			c.Close()
		}
		return true
	})
}

// end ends the process.
func (d *daemon) end(signal syscall.Signal) {
	if d.process != nil {
		_ = d.process.Process.Signal(signal)
		<-d.ended
	}
}

// lines gives what the daemon has written to a file so far.
func (d *daemon) lines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(d.file(name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	text, _ := strings.CutSuffix(string(b), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

// ports gives n free ports of loopback, for TCP and UDP.
func ports(t *testing.T, n int) []int {
	t.Helper()
	var list []int
	for range n {
		list = append(list, instance.FreePort(t))
	}
	return list
}

func at(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
