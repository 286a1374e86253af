package udp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/flowsnitch/flowsnitch/flow"
)

const (
	// tick is the longest that Read blocks.
	tick = time.Second
	// patience is how many reads in a row may fail before Read brakes.
	patience = 10
	// brake is how long each further failing read then takes, so that a socket
	// that only ever fails costs nothing.
	brake = 100 * time.Millisecond
)

// A Socket is one receiving socket and the buffers of the one worker that reads it.
type Socket struct {
	conn  *net.UDPConn
	raw   syscall.RawConn
	local netip.AddrPort

	configured, granted int
	steered             bool

	// Owned by the reader.
	in       receiver
	gate     gate
	failures int

	allow     atomic.Pointer[allowList] // nil admits everybody
	drops     dropCounter
	draining  atomic.Bool
	unread    atomic.Uint64
	closed    chan struct{}
	closeOnce sync.Once
	closeErr  error

	// Written by the reader alone, read by anyone; the pads keep the readers of
	// neighbouring sockets out of each other's cache lines.
	_     cpu.CacheLinePad
	count counters
	_     cpu.CacheLinePad
}

// A receiver is the system's way to get datagrams: a ring of slots filled by
// recvmmsg on Linux, a single buffer elsewhere.
type receiver interface {
	// receive waits for datagrams and returns how many came, at most limit.
	receive(limit int) (int, error)
	// rest is receive without waiting; it returns net.ErrClosed when there are
	// no more.
	rest(limit int) (int, error)
	// datagram gives what slot i received. The payload is valid until the next
	// receive.
	datagram(i int) (payload []byte, from netip.AddrPort, truncated bool)
	// release frees the slots.
	release()
}

type counters struct {
	datagrams, bytes, truncated, readErrors, refused, refusedUnnamed atomic.Uint64
}

func newSocket(conn *net.UDPConn, batch int) (*Socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(tick)); err != nil {
		return nil, err
	}
	in, err := newReceiver(conn, raw, batch)
	if err != nil {
		return nil, err
	}
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s := &Socket{conn: conn, raw: raw, in: in, closed: make(chan struct{})}
	s.local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	return s, nil
}

// LocalAddr is the address that the socket is bound to.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Read fills batch with the datagrams that have arrived from allowed senders and
// returns how many. It blocks until there is one. It returns 0 and no error about
// once a second, busy or not, so that the worker can do its periodic work, and
// after a failed read, which is counted. After [Socket.Close], or when a drained
// socket is empty, it returns net.ErrClosed and frees the buffers; nothing else
// ends it.
//
// Payloads belong to the socket and are valid until the next Read. All datagrams
// of a batch carry the same time of receipt. Only one goroutine may call Read.
func (s *Socket) Read(batch []flow.Datagram) (int, error) {
	if len(batch) == 0 {
		return 0, io.ErrShortBuffer
	}
	for {
		n, err := s.receive(len(batch))
		if err != nil {
			return 0, s.failed(err)
		}
		s.failures = 0
		if kept := s.admit(batch, n); kept > 0 {
			return kept, nil
		}
	}
}

func (s *Socket) receive(limit int) (int, error) {
	if s.draining.Load() {
		return s.in.rest(limit)
	}
	return s.in.receive(limit)
}

// failed handles a receive that brought nothing. It returns nil for whatever does
// not end the socket.
func (s *Socket) failed(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		// Renewed here and not before each read: arming a timer per batch would
		// cost more than the tick is worth.
		s.conn.SetReadDeadline(time.Now().Add(tick))
		return nil
	case errors.Is(err, net.ErrClosed):
		s.in.release()
		return net.ErrClosed
	}
	s.count.readErrors.Add(1)
	if s.failures++; s.failures >= patience {
		s.pause(brake)
	}
	return nil
}

func (s *Socket) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.closed:
	}
}

// admit moves the n received datagrams that are allowed into batch and counts all
// of them, once per batch.
func (s *Socket) admit(batch []flow.Datagram, n int) (kept int) {
	now := time.Now()
	list := s.allow.Load()
	if list != s.gate.list {
		s.gate.use(list)
	}
	var bytes, truncated, unnamed uint64
	for i := range n {
		payload, from, cut := s.in.datagram(i)
		if list != nil {
			if admitted, named := s.gate.admits(from.Addr()); !admitted {
				if !named {
					unnamed++
				}
				s.gate.top.add(from.Addr(), now)
				continue
			}
		}
		batch[kept] = flow.Datagram{Payload: payload, Source: from, Received: now}
		kept++
		bytes += uint64(len(payload))
		if cut {
			truncated++
		}
	}
	s.count.datagrams.Add(uint64(kept))
	s.count.bytes.Add(bytes)
	addSome(&s.count.truncated, truncated)
	if kept < n {
		s.count.refused.Add(uint64(n - kept))
		s.gate.share()
	}
	addSome(&s.count.refusedUnnamed, unnamed)
	return kept
}

// addSome spares the locked instruction for counters that hardly ever move.
func addSome(c *atomic.Uint64, n uint64) {
	if n > 0 {
		c.Add(n)
	}
}

// SetAllow replaces the allow list: nil admits everybody, an empty list nobody.
// It takes effect with the next batch. Refused senders are named anew.
func (s *Socket) SetAllow(prefixes []netip.Prefix) {
	if prefixes == nil {
		s.allow.Store(nil)
		return
	}
	s.allow.Store(newAllowList(prefixes))
}

// Refused gives the senders that were refused for the first time since the last
// call, for the log. At most 64 are remembered between two calls of SetAllow;
// datagrams of further ones are counted in Stats.RefusedUnnamed.
func (s *Socket) Refused() []netip.Addr { return s.gate.takeFresh() }

// Drain stops the intake for a clean stop: the kernel takes no further datagram
// (what still comes is among the drops), Read hands out what lies in its buffer
// and then returns net.ErrClosed. The socket is still to be closed. Where the
// system cannot do that, Drain is Close.
func (s *Socket) Drain() {
	if err := s.shut(); err != nil {
		s.Close()
		return
	}
	// In this order: a reader that misses the flag meets the deadline, and one
	// that renews the deadline meets the flag when it comes back.
	s.draining.Store(true)
	s.conn.SetReadDeadline(time.Unix(1, 0))
}

// Close reads the kernel's drop counter a last time, counts the datagrams that
// nobody will read any more and closes the socket. A blocked Read returns
// net.ErrClosed at once. Close may be called more than once.
func (s *Socket) Close() error {
	s.closeOnce.Do(func() {
		if s.shut() == nil {
			s.unread.Store(s.discard())
		}
		s.Drops()
		close(s.closed)
		s.closeErr = s.conn.Close()
	})
	return s.closeErr
}
