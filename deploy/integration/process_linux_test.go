//go:build integration

package integration

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The times that may pass before a test takes something for hung. They are generous,
// for the machine may be busy; nothing waits for their end when all is well.
const (
	hitTimeout  = 60 * time.Second
	stepTimeout = 60 * time.Second
	pollEvery   = 50 * time.Millisecond
)

// A process runs in a namespace until it is stopped or the test ends.
type process struct {
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed at its end
	err  error         // how it ended; after done
}

// output gathers what a process prints, for a test that fails.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start starts a program in the namespace. It leads a process group of its own, for
// some fork, and dies with the test process, however that ends.
func (n *namespace) start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = time.Second
	var err error
	n.do(func() { err = p.cmd.Start() })
	if err != nil {
		t.Fatalf("start %s: %v (make integration installs it)", name, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%v ended with %v and printed:\n%s", p.cmd.Args, p.err, &p.out)
		}
	})
	return p
}

// stop asks the process to end and waits for it. What is left of its group is killed.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if p.running() {
		p.cmd.Process.Signal(os.Interrupt)
		if !p.wait(stepTimeout) {
			t.Errorf("%s: no end %v after SIGINT", p.cmd.Args[0], stepTimeout)
		}
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

func (p *process) running() bool { return !p.wait(0) }

// wait reports whether the process has ended within d.
func (p *process) wait(d time.Duration) bool {
	select {
	case <-p.done:
		return true
	default:
	}
	select {
	case <-p.done:
		return true
	case <-time.After(d):
		return false
	}
}

// eventually polls ok until it holds, and reports whether it did in time. A process
// that has ended ends the wait.
func (p *process) eventually(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if ok() {
			return true
		}
		if p.wait(pollEvery) {
			return ok()
		}
	}
	return ok()
}
