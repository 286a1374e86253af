//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A namespace is a network of its own: an operating system thread that has left
// that of the machine. It has no name, so that the kernel drops it, and the links in
// it, with its last user, however the test ends.
type namespace struct {
	calls chan func()
	net   *os.File
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{calls: make(chan func())}
	ready := make(chan error)
	go n.serve(ready)
	if err := <-ready; err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
	t.Cleanup(func() {
		close(n.calls)
		n.net.Close()
	})
	n.ip(t, "link set lo up")
	return n
}

// serve is the thread. It stays locked, so that it ends with the goroutine and is
// never used for anything else.
func (n *namespace) serve(ready chan<- error) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		n.net, err = os.Open("/proc/thread-self/ns/net")
	}
	ready <- err
	for f := range n.calls {
		f()
	}
}

// do runs f in the namespace: sockets and processes that it makes belong to it.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// ip runs the command ip in the namespace.
func (n *namespace) ip(t *testing.T, args string) {
	t.Helper()
	var out []byte
	var err error
	n.do(func() { out, err = exec.Command("ip", strings.Fields(args)...).CombinedOutput() })
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// The ends of the link between two namespaces.
const (
	nearLink = "near0"
	farLink  = "far0"
)

// connect joins two namespaces by a pair of virtual Ethernet interfaces. All given
// addresses are on the link, whatever their prefix.
func connect(t *testing.T, near, far *namespace, nearAddrs, farAddrs []string) {
	t.Helper()
	near.ip(t, "link add "+nearLink+" type veth peer name "+farLink)
	near.ip(t, fmt.Sprintf("link set %s netns /proc/%d/fd/%d", farLink, os.Getpid(), far.net.Fd()))
	near.address(t, nearLink, nearAddrs)
	far.address(t, farLink, farAddrs)
	near.route(t, nearLink, farAddrs)
	far.route(t, farLink, nearAddrs)
}

func (n *namespace) address(t *testing.T, link string, addrs []string) {
	t.Helper()
	for _, a := range addrs {
		if strings.Contains(a, ":") {
			n.ip(t, "address add "+a+"/128 dev "+link+" nodad")
		} else {
			n.ip(t, "address add "+a+"/32 dev "+link)
		}
	}
	n.ip(t, "link set "+link+" up")
}

func (n *namespace) route(t *testing.T, link string, to []string) {
	t.Helper()
	for _, a := range to {
		n.ip(t, "route add "+a+" dev "+link)
	}
}
