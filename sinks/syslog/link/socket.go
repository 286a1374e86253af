package link

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// A socket counts what is written to it, and distinguishes a server that is slow from one that
// reads nothing. Under TLS two goroutines may write.
type socket struct {
	net.Conn
	control     syscall.RawConn
	timeout     time.Duration
	written     atomic.Uint64
	interrupted atomic.Bool
}

// newSocket takes conn over; it is closed on an error.
func newSocket(conn net.Conn, timeout time.Duration) (*socket, error) {
	control, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &socket{Conn: conn, control: control, timeout: timeout}, nil
}

// steps is how often within the timeout is looked whether the server takes something.
const steps = 4

// Write writes b, as long as the peer's kernel goes on taking something. TLS is broken
// after a Write that has run out of time, so a slow peer must not look like that.
func (s *socket) Write(b []byte) (n int, err error) {
	acked := s.acked()
	for silent := 0; ; {
		m, err := s.writeFor(s.timeout/steps, b[n:])
		n += m
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || s.interrupted.Load() {
			return n, err
		}
		before := acked
		if acked = s.acked(); acked > before {
			silent = 0
		} else if silent++; silent == steps-1 { // some of the first step may have been silence
			return n, err
		}
	}
}

// writeFor writes for some time.
func (s *socket) writeFor(d time.Duration, b []byte) (n int, err error) {
	if err := s.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return 0, err
	}
	if s.interrupted.Load() { // before the deadline was set
		return 0, os.ErrDeadlineExceeded
	}
	n, err = s.Conn.Write(b)
	s.written.Add(uint64(n))
	return n, err
}

// interrupt makes every Write return now, and for ever.
func (s *socket) interrupt() {
	s.interrupted.Store(true)
	_ = s.SetWriteDeadline(time.Unix(1, 0))
}

// acked gives how many of the bytes written the peer's kernel has taken. Where that
// cannot be determined it is all of them.
func (s *socket) acked() uint64 {
	written := s.written.Load()
	queued, _ := unsent(s.control)
	return written - min(queued, written)
}
