package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
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

// TestStream: a long answer comes as it is made, a refusal does not need the body to be
// read, and it is known when the request itself was wrong.
func TestStream(t *testing.T) {
	dir := socketDir(t)
	c := NewControl(dir)
	more := make(chan struct{})
	post := func(path string, f http.HandlerFunc) observe.Route {
		return observe.Route{Method: "POST", Path: path, Role: observe.Local, Handler: f}
	}
	c.Serve([]observe.Route{
		post("/long", func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%d\n", len(b))
			_ = http.NewResponseController(w).Flush()
			<-more
			fmt.Fprintln(w, "end")
		}),
		post("/busy", func(w http.ResponseWriter, _ *http.Request) { observe.Fail(w, observe.Unavailable("busy")) }),
		post("/wrong", func(w http.ResponseWriter, _ *http.Request) { observe.Fail(w, errors.New("wrong")) }),
	})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Stop(t.Context())
	body := func() io.Reader { return strings.NewReader(strings.Repeat("x", 8<<20)) }
	answer, err := Stream(t.Context(), dir, "POST", "/long", body())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	lines := bufio.NewReader(answer)
	if line, err := lines.ReadString('\n'); line != "8388608\n" || err != nil {
		t.Errorf("the answer begins %q, %v", line, err)
	}
	close(more)
	if rest, err := io.ReadAll(lines); string(rest) != "end\n" || err != nil {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	for range 20 { // the reason must not get lost in an error of sending
		_, err = Stream(t.Context(), dir, "POST", "/busy", body())
		if _, ok := errors.AsType[BadRequestError](err); ok || err == nil || err.Error() != "busy" {
			t.Fatalf("busy: %v", err)
		}
		_, err = Stream(t.Context(), dir, "POST", "/wrong", body())
		if _, ok := errors.AsType[BadRequestError](err); !ok || err.Error() != "wrong" {
			t.Fatalf("wrong: %v", err)
		}
	}
}

// TestAuthor: who makes a request is named by the system, not by the request.
func TestAuthor(t *testing.T) {
	dir := socketDir(t)
	c := NewControl(dir)
	c.Serve([]observe.Route{{Method: "GET", Path: "/who", Role: observe.Operator, Handler: observe.JSON(func(r *http.Request) (any, error) { return Author(r.Context()), nil })}})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Stop(t.Context())
	want := UserName(os.Geteuid())
	if runtime.GOOS != "linux" {
		want = "local user"
	}
	var got string
	if err := Ask(t.Context(), dir, "/who?author=somebody", &got); err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if got := UserName(3_999_999_999); got != "uid 3999999999" {
		t.Errorf("a user without a name is %q", got)
	}
	if got := Author(t.Context()); got != "local user" {
		t.Errorf("without a socket it is %q", got)
	}
}

// TestOnBehalf: root acts in the name of the user who became root, if there is such a user; nobody
// else acts in the name of another.
func TestOnBehalf(t *testing.T) {
	const someone = "nobody"
	if !isUser(someone) {
		t.Skip("this system has no user nobody")
	}
	for _, tt := range []struct {
		uid        int
		name, want string
	}{{0, someone, someone}, {0, "no such user", UserName(0)}, {0, "", UserName(0)}, {0, "no\x1bbody", UserName(0)}, {65534, "root", UserName(65534)}, {3_999_999_999, "root", "uid 3999999999"}} {
		got := ""
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), peer{}, tt.uid), http.MethodPost, "/who", nil)
		r.Header.Set(behalfHeader, tt.name)
		named(func(_ http.ResponseWriter, r *http.Request) { got = Author(r.Context()) })(httptest.NewRecorder(), r)
		if got != tt.want {
			t.Errorf("uid %d for %q: %q, want %q", tt.uid, tt.name, got, tt.want)
		}
	}
	t.Setenv("SUDO_USER", someone)
	if os.Getuid() != 0 {
		if got := OurName(); got != UserName(os.Getuid()) {
			t.Errorf("without sudo: %q", got)
		}
		return
	}
	if got := OurName(); got != someone {
		t.Errorf("with sudo: %q", got)
	}
	dir := socketDir(t)
	c := NewControl(dir)
	c.Serve([]observe.Route{{Method: "POST", Path: "/who", Role: observe.Operator, Handler: observe.JSON(func(r *http.Request) (any, error) { return Author(r.Context()), nil })}})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Stop(t.Context())
	var got string
	if err := Request(t.Context(), dir, http.MethodPost, "/who", &got); err != nil || runtime.GOOS == "linux" && got != someone {
		t.Errorf("over the socket: %q, %v", got, err)
	}
}

// TestRefused: what does not exist, and what has another state by now, comes with its reason;
// a path that the instance does not have is that of another version.
func TestRefused(t *testing.T) {
	dir := socketDir(t)
	c := NewControl(dir)
	for _, status := range []int{http.StatusNotFound, http.StatusConflict} {
		c.Serve([]observe.Route{{Method: "GET", Path: fmt.Sprintf("/%d", status), Role: observe.Local, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			observe.Answer(w, status, observe.Failure{Error: "because"})
		})}})
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Stop(t.Context())
	for _, status := range []int{http.StatusNotFound, http.StatusConflict} {
		_, err := Fetch(t.Context(), dir, "GET", fmt.Sprintf("/%d", status))
		if r, ok := errors.AsType[*RefusedError](err); !ok || r.Status != status || r.Reason != "because" {
			t.Errorf("%d: %v", status, err)
		}
	}
	if _, err := Fetch(t.Context(), dir, "GET", "/other"); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("a path that is not there: %v", err)
	}
}
