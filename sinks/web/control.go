package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/observe"
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
	counts counts
	dir    disk.File   // the state directory, locked
	socket os.FileInfo // ours, so that no other is removed
	once   sync.Once
	done   chan struct{} // nil = not started
}

// NewControl makes the control socket of a state directory; nothing is opened yet.
func NewControl(stateDir string) *Control {
	c := &Control{path: filepath.Join(stateDir, SocketName), mux: http.NewServeMux()}
	c.server = &http.Server{
		Handler: c.mux, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(&c.counts, "", 0),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, peer{}, peerOf(conn))
		},
	}
	return c
}

// Serve answers the routes of all roles. What may change anything is for root and the user
// that we run as.
func (c *Control) Serve(routes []observe.Route) {
	for _, r := range routes {
		h := r.Handler.ServeHTTP
		if r.Role == observe.Operator {
			h = named(guarded(h))
		}
		c.mux.HandleFunc(r.Method+" "+r.Path, h)
	}
}

// peer is the key of the user id of a client in the context of its requests.
type peer struct{}

// anyUser is the user id of a client where the system does not say it.
const anyUser = -1

// mayAct reports whether a client may change anything: root, and the user that we run as.
// Whoever else the mode of the socket lets in, as the group of monitoring, may only read.
func mayAct(uid int) bool { return uid == 0 || uid == os.Geteuid() || uid == anyUser }

// Author gives who makes a request, for notes of who did what: the name of the user at the
// other end of the control socket, "uid N" where the system has no name for it, "local user"
// where it does not show one. Root may act for another user, see [OurName].
func Author(ctx context.Context) string {
	if name, ok := ctx.Value(onBehalf{}).(string); ok {
		return name
	}
	uid, ok := ctx.Value(peer{}).(int)
	if !ok || uid == anyUser {
		return "local user"
	}
	return UserName(uid)
}

// onBehalf is the key of the name of a user for whom root makes a request, and behalfHeader is
// where the request has it.
type onBehalf struct{}

const behalfHeader = "Flowsnitch-User"

// named has requests of root made in the name of the user who became root for it. Whoever else
// sends such a name goes by their own.
func named(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if uid, ok := r.Context().Value(peer{}).(int); ok && uid == 0 {
			if name := r.Header.Get(behalfHeader); isUser(name) {
				r = r.WithContext(context.WithValue(r.Context(), onBehalf{}, name))
			}
		}
		f(w, r)
	}
}

// isUser reports whether this system has a user of that name.
func isUser(name string) bool {
	if name == "" {
		return false
	}
	_, err := user.Lookup(name)
	return err == nil
}

// OurName gives who runs this process, for notes of who did what: with sudo or doas the user who
// became root, so that two operators are two.
func OurName() string {
	if os.Getuid() == 0 {
		for _, variable := range []string{"SUDO_USER", "DOAS_USER"} {
			if name := os.Getenv(variable); isUser(name) {
				return name
			}
		}
	}
	return UserName(os.Getuid())
}

// UserName gives the name of a user of this system, "uid N" where it has none.
func UserName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("uid %d", uid)
}

// guarded keeps clients that may only read from f.
func guarded(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if uid, ok := r.Context().Value(peer{}).(int); !ok || !mayAct(uid) {
			observe.Answer(w, http.StatusForbidden, observe.Failure{Error: fmt.Sprintf(
				"permission denied: only root and the user that runs flowsnitch (uid %d) may do that; members of its group may only read", os.Geteuid())})
			return
		}
		f(w, r)
	}
}

// Start locks the state directory and opens the socket. A socket that a dead process left
// behind is replaced; another running instance is an error, and its socket stays.
func (c *Control) Start() error {
	if err := c.lock(); err != nil {
		return err
	}
	l, err := c.listen()
	if err != nil {
		_ = c.dir.Close()
		return err
	}
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		_ = c.server.Serve(limit(l, maxConns, maxFromOne)) // ends with ErrServerClosed
	}()
	return nil
}

// lock takes the lock on the directory itself: there is no file that somebody might remove.
// It goes with the process, however that ends.
func (c *Control) lock() (err error) {
	if c.dir, err = (disk.OS{}).OpenFile(filepath.Dir(c.path), os.O_RDONLY|disk.FollowLinks, 0); err != nil {
		return c.cannotOpen(err)
	}
	if err = c.dir.Lock(); errors.Is(err, syscall.EWOULDBLOCK) {
		_ = c.dir.Close()
		return c.isTaken()
	}
	return nil // a file system without locks: the socket decides
}

// LockStateDir takes the lock of a state directory that no instance has, to work on what is
// in it. The function that it returns releases it.
func LockStateDir(dir string) (release func() error, err error) {
	c := &Control{path: filepath.Join(dir, SocketName)}
	if err := c.lock(); err != nil {
		return nil, err
	}
	return c.dir.Close, nil
}

func (c *Control) isTaken() error {
	return fmt.Errorf("%s: another flowsnitch is running with this state directory; stop it, or set another state_dir", c.path)
}

func (c *Control) listen() (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", c.path, time.Second); err == nil {
		conn.Close()
		return nil, c.isTaken()
	}
	if err := os.Remove(c.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, c.cannotOpen(err)
	}
	l, err := net.Listen("unix", c.path)
	if err != nil {
		return nil, c.cannotOpen(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // by then it may be that of another
	if err = os.Chmod(c.path, socketMode); err == nil {
		c.socket, err = os.Lstat(c.path)
	}
	if err != nil {
		l.Close()
		return nil, c.cannotOpen(err)
	}
	return l, nil
}

// longestPath is what fits in a socket address of every system: 104 bytes on BSD and
// macOS, 108 on Linux, the end mark included.
const longestPath = 103

// cannotOpen returns why there is no socket, with its path once.
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

// Stop closes the socket and waits for its goroutine; without a Start that succeeded there
// is nothing to do.
func (c *Control) Stop(ctx context.Context) {
	if c.done == nil {
		return
	}
	c.once.Do(func() {
		if now, err := os.Lstat(c.path); err == nil && os.SameFile(now, c.socket) {
			_ = os.Remove(c.path)
		}
		if c.server.Shutdown(ctx) != nil {
			c.server.Close()
		}
		<-c.done
		_ = c.dir.Close()
	})
}

// maxAnswer bounds the answer of a running instance.
const maxAnswer = 64 << 20

// ErrNotRunning means that nothing listens on the control socket.
var ErrNotRunning = errors.New("no running instance")

// Ask gets a path from the running instance of a state directory, as JSON into v.
func Ask(ctx context.Context, stateDir, path string, v any) error {
	return Request(ctx, stateDir, http.MethodGet, path, v)
}

// Request makes a request to the running instance of a state directory and reads the answer,
// JSON, into v.
func Request(ctx context.Context, stateDir, method, path string, v any) error {
	b, err := Fetch(ctx, stateDir, method, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: not the answer of a flowsnitch: %w", filepath.Join(stateDir, SocketName), err)
	}
	return nil
}

// Fetch makes a request to the running instance of a state directory and gives its answer.
func Fetch(ctx context.Context, stateDir, method, path string) ([]byte, error) {
	answer, err := Stream(ctx, stateDir, method, path, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	b, err := io.ReadAll(io.LimitReader(answer, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(stateDir, SocketName), err)
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("%s: the answer is longer than %d MiB", filepath.Join(stateDir, SocketName), maxAnswer>>20)
	}
	return b, nil
}

// A BadRequestError is the answer to a request that is wrong in itself.
type BadRequestError string

// Error gives the reason.
func (e BadRequestError) Error() string { return string(e) }

// A RefusedError is the answer to a request that is right in itself, but not possible: what it
// is about does not exist (404), or has another state by now (409).
type RefusedError struct {
	Status int
	Reason string
}

// Error gives the reason.
func (e *RefusedError) Error() string { return e.Reason }

// refused gives the reason in an answer that has one.
func refused(resp *http.Response) (f observe.Failure, ok bool) {
	ok = json.NewDecoder(io.LimitReader(resp.Body, maxReason)).Decode(&f) == nil && f.Error != ""
	return f, ok
}

// maxReason bounds the reason in an answer.
const maxReason = 64 << 10

// Stream makes a request, with a body unless it is nil, and gives the answer as it comes,
// of any length. The body is not sent before the instance is ready to read it. Close must
// follow; it ends an answer that is still coming.
func Stream(ctx context.Context, stateDir, method, path string, body io.Reader) (io.ReadCloser, error) {
	socket := filepath.Join(stateDir, SocketName)
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, body)
	if err != nil {
		return nil, err
	}
	if method != http.MethodGet && os.Getuid() == 0 {
		req.Header.Set(behalfHeader, OurName())
	}
	if body != nil {
		req.Header.Set("Expect", "100-continue") // one that is refused would fail in the middle of it
	}
	resp, err := clientOf(socket).Do(req)
	if err != nil {
		return nil, askError(socket, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	f, known := refused(resp)
	switch {
	case !known && resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: the running instance has no %s; it is of another version, restart it", socket, path)
	case !known:
	case resp.StatusCode == http.StatusBadRequest:
		return nil, BadRequestError(f.Error)
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusConflict:
		return nil, &RefusedError{resp.StatusCode, f.Error}
	case resp.StatusCode == http.StatusForbidden, resp.StatusCode == http.StatusServiceUnavailable:
		return nil, errors.New(f.Error)
	}
	return nil, fmt.Errorf("%s%s: %s", socket, path, resp.Status)
}

// expectTime is how long a body waits for an instance that is busy.
const expectTime = time.Hour

func clientOf(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, ExpectContinueTimeout: expectTime,
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
		return fmt.Errorf("%s: %w; run it as the user that runs flowsnitch, or as a member of its group", socket, os.ErrPermission)
	}
	return fmt.Errorf("%w at %s", ErrNotRunning, socket)
}
