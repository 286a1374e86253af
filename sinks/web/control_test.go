package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "snitch-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestStopBeforeStart: there is nothing to wait for.
func TestStopBeforeStart(t *testing.T) {
	NewControl(socketDir(t)).Stop(t.Context())
	NewServer(Config{Listen: "127.0.0.1:0"}).Stop(t.Context())
}

// TestTwoStarts: of several starts at once one wins, and its socket answers.
func TestTwoStarts(t *testing.T) {
	for range 50 {
		dir := socketDir(t)
		stale, err := net.Listen("unix", filepath.Join(dir, SocketName))
		if err != nil {
			t.Fatal(err)
		}
		stale.(*net.UnixListener).SetUnlinkOnClose(false)
		stale.Close() // as kill -9 leaves it
		var all sync.WaitGroup
		started := make(chan *Control, 8)
		for range cap(started) {
			all.Go(func() {
				c := NewControl(dir)
				c.Serve([]observe.Route{{Method: "GET", Path: "/x", Role: observe.Local, Handler: observe.JSON(func(*http.Request) (any, error) { return 7, nil })}})
				if err := c.Start(); err == nil {
					started <- c
				} else if !strings.Contains(err.Error(), "another flowsnitch is running") {
					t.Error(err)
				}
			})
		}
		all.Wait()
		close(started)
		if len(started) != 1 {
			t.Fatalf("%d have started", len(started))
		}
		var x int
		if err := Ask(t.Context(), dir, "/x", &x); err != nil || x != 7 {
			t.Fatalf("the winner does not answer: %v", err)
		}
		(<-started).Stop(t.Context())
		if err := Ask(t.Context(), dir, "/x", &x); !errors.Is(err, ErrNotRunning) {
			t.Fatalf("after the stop: %v", err)
		}
	}
}

// TestForeignSocket: the socket of another is not removed by the stop.
func TestForeignSocket(t *testing.T) {
	dir := socketDir(t)
	c := NewControl(dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, SocketName)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c.Stop(t.Context())
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of another is gone: %v", err)
	}
}

// TestRoles: root and the user of the instance may act, others may only read.
func TestRoles(t *testing.T) {
	c := NewControl(t.TempDir())
	done := func(*http.Request) (any, error) { return "done", nil }
	c.Serve([]observe.Route{{Method: "POST", Path: "/act", Role: observe.Operator, Handler: observe.JSON(done)}})
	c.Serve([]observe.Route{{Method: "GET", Path: "/read", Role: observe.Local, Handler: observe.JSON(done)}})
	for _, tt := range []struct {
		uid  int
		path string
		want int
	}{
		{0, "POST /act", 200}, {os.Geteuid(), "POST /act", 200}, {os.Geteuid() + 1, "POST /act", 403}, {65534, "POST /act", 403},
		{os.Geteuid() + 1, "GET /read", 200}, {0, "GET /read", 200},
	} {
		method, path, _ := strings.Cut(tt.path, " ")
		r := httptest.NewRequest(method, path, nil).WithContext(context.WithValue(t.Context(), peer{}, tt.uid))
		w := httptest.NewRecorder()
		if c.mux.ServeHTTP(w, r); w.Code != tt.want {
			t.Errorf("uid %d, %s: %d, want %d", tt.uid, tt.path, w.Code, tt.want)
		}
		if w.Code == 403 && !strings.Contains(w.Body.String(), fmt.Sprintf("(uid %d) may do that", os.Geteuid())) {
			t.Errorf("the reason is %s", w.Body)
		}
	}
}

// TestControlLimit: one user cannot take all connections.
func TestControlLimit(t *testing.T) {
	dir := socketDir(t)
	c := NewControl(dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Stop(t.Context())
	open := 0
	for range 5 * maxFromOne {
		conn, err := net.Dial("unix", filepath.Join(dir, SocketName))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
		if n, _ := conn.Read(make([]byte, 12)); n > 0 {
			open++
		}
	}
	if open != maxFromOne {
		t.Errorf("%d connections are held, want %d", open, maxFromOne)
	}
}
