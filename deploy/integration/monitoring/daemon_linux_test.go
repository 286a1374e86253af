//go:build integration

package monitoring

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// file gives the path of a file of the folder deploy.
func file(path ...string) string {
	return filepath.Join(append([]string{"..", ".."}, path...)...)
}

// A daemon is a process that runs until the end of the test.
type daemon struct {
	name string
	done chan struct{}
	mu   sync.Mutex
	log  bytes.Buffer
}

// Write takes what the process prints.
func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

// launch starts a daemon in a process group of its own, which ends with the test.
func launch(t *testing.T, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{name: filepath.Base(cmd.Path), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = d, d
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.done)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-d.done
		if t.Failed() {
			t.Logf("%s printed:\n%s", d.name, d.log.String())
		}
	})
	return d
}

// until waits for something to come true while a daemon runs; show is printed if it does
// not.
func (d *daemon) until(t *testing.T, what string, show func() any, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(instance.Patience); !f(); time.Sleep(100 * time.Millisecond) {
		select {
		case <-d.done:
			t.Fatalf("%s has ended before: %s", d.name, what)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s; there is %v", instance.Patience, what, show())
		}
	}
}

// serveLog takes syslog at a local socket until the returned function is called.
func serveLog(t *testing.T, path string) (stop func()) {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, c) }()
	stop = sync.OnceFunc(func() {
		c.Close()
		_ = os.Remove(path)
	})
	t.Cleanup(stop)
	return stop
}

// newInstance makes an instance that lists something, tests itself often, and sends to a
// syslog server at the local socket that it gives.
func newInstance(t *testing.T, more string) (i *instance.Instance, log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	i = instance.New(t, fmt.Sprintf(`
intel: {feeds: [{name: bad, file: %s}]}
canary: {every: 1s}
clock: {check: "off"}
sinks:
  - jsonlog: {}
  - syslog: {transport: unix, servers: ["%s"]}
    delivery: {backoff_max: 1s}
%s`, instance.WriteFile(t, filepath.Join(dir, "bad.txt"), "62.0.0.53\n"), log, more))
	return i, log
}
