//go:build linux && (integration || soak)

package instance

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

// ReadFile gives what is in a file.
func ReadFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// WriteFile writes a file and gives its path.
func WriteFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Replace replaces what must be there.
func Replace(t testing.TB, text, old, by string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("there is no %q in\n%s", old, text)
	}
	return strings.ReplaceAll(text, old, by)
}

// marks are the abstract sockets of the ports that were given away.
var marks sync.Map // of int to net.Listener

// FreePort returns a port of loopback that is free for UDP and TCP, and stays so until the
// test process ends, whoever listens on it meanwhile: it is outside the range from which the
// kernel takes ports for other sockets, and the abstract socket of its name, which goes with
// the process, keeps the tests of other packages from it.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		mark, err := net.Listen("unix", fmt.Sprintf("@flowsnitch-test-port-%d", port))
		if err != nil {
			continue
		}
		marks.Store(port, mark)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		if u, err := net.ListenPacket("udp", addr); err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
