package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// SocketName is the control socket's name in the state directory.
const SocketName = "control.sock"

// socketMode lets the owner and the group in, nobody else.
const socketMode = 0o660

// A Control serves the control socket. Handlers are added before Start.
type Control struct {
	path   string
	mux    *http.ServeMux
	server *http.Server
	once   sync.Once
	done   chan struct{}
}

// NewControl makes the control socket of a state directory; nothing is opened yet.
func NewControl(stateDir string) *Control {
	c := &Control{path: filepath.Join(stateDir, SocketName), mux: http.NewServeMux(), done: make(chan struct{})}
	c.server = &http.Server{Handler: c.mux, ReadHeaderTimeout: 5 * time.Second}
	return c
}

// Get answers GET requests of a path with what f gives, as JSON.
func (c *Control) Get(path string, f func() any) {
	c.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(f()) // the asker is gone: nobody to tell
	})
}

// Do answers requests of a method and path, as in "POST /intel/update", with what f
// gives, as JSON; an error as its text with status 400, an [Unavailable] with 503.
func (c *Control) Do(pattern string, f func(*http.Request) (any, error)) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		answer, err := f(r)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // the client is gone: there is nobody to report to
	})
}

// Unavailable is the reason why a request cannot be met now, but may be later.
type Unavailable string

// Error gives the reason.
func (u Unavailable) Error() string { return string(u) }

// A failure is the answer to a request that cannot be met.
type failure struct {
	Error string `json:"error"`
}

// fail answers with the text of an error.
func fail(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if _, ok := errors.AsType[Unavailable](err); ok {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{err.Error()})
}

// Start opens the socket. A socket that a dead process left behind is replaced;
// one that answers belongs to a running instance, and that is an error.
func (c *Control) Start() error {
	if conn, err := net.DialTimeout("unix", c.path, time.Second); err == nil {
		conn.Close()
		return fmt.Errorf("%s: another flowsnitch is running with this state directory; stop it, or set another state_dir", c.path)
	}
	if err := os.Remove(c.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return c.cannotOpen(err)
	}
	l, err := net.Listen("unix", c.path)
	if err != nil {
		return c.cannotOpen(err)
	}
	if err := os.Chmod(c.path, socketMode); err != nil {
		l.Close()
		return c.cannotOpen(err)
	}
	go func() {
		defer close(c.done)
		_ = c.server.Serve(l) // ends with ErrServerClosed
	}()
	return nil
}

// longestPath is what fits in a socket address of every system: 104 bytes on BSD and
// macOS, 108 on Linux, the end mark included.
const longestPath = 103

// cannotOpen says why there is no socket, with its path once.
func (c *Control) cannotOpen(err error) error {
	cause, hint := err, "state_dir must be a directory that can be written"
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		cause = errno
	}
	if len(c.path) > longestPath {
		hint = fmt.Sprintf("its path has %d bytes, of which a socket takes %d: set a shorter state_dir", len(c.path), longestPath)
	}
	return fmt.Errorf("control socket %s: %w; %s", c.path, cause, hint)
}

// Stop closes the socket and waits for its goroutine. It must not be called
// before a Start that succeeded.
func (c *Control) Stop(ctx context.Context) {
	c.once.Do(func() {
		if c.server.Shutdown(ctx) != nil {
			c.server.Close()
		}
		<-c.done
	})
}

// maxAnswer bounds the answer of a running instance.
const maxAnswer = 64 << 20

// ErrNotRunning says that nobody listens on the control socket.
var ErrNotRunning = errors.New("no running instance")

// Ask gets a path from the running instance of a state directory, as JSON into v.
func Ask(ctx context.Context, stateDir, path string, v any) error {
	return Tell(ctx, stateDir, http.MethodGet, path, v)
}

// Tell makes a request to the running instance of a state directory and reads the answer,
// JSON, into v.
func Tell(ctx context.Context, stateDir, method, path string, v any) error {
	socket := filepath.Join(stateDir, SocketName)
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, nil)
	if err != nil {
		return err
	}
	resp, err := clientOf(socket).Do(req)
	if err != nil {
		return askError(socket, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
			return fmt.Errorf("%s: not the answer of a flowsnitch: %w", socket, err)
		}
		return nil
	case http.StatusBadRequest, http.StatusForbidden, http.StatusServiceUnavailable:
		var f failure
		if json.NewDecoder(resp.Body).Decode(&f) == nil && f.Error != "" {
			return errors.New(f.Error)
		}
	}
	return fmt.Errorf("%s%s: %s", socket, path, resp.Status)
}

func clientOf(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
}

func askError(socket string, err error) error {
	var op *net.OpError
	switch {
	case !errors.As(err, &op) || op.Op != "dial":
		return fmt.Errorf("%s: %w", socket, err)
	case os.IsPermission(op.Err):
		return fmt.Errorf("%s: %w; ask as the user that runs flowsnitch, or as a member of its group", socket, os.ErrPermission)
	}
	return fmt.Errorf("%w at %s", ErrNotRunning, socket)
}
