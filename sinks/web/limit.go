package web

import (
	"net"
	"sync"
	"sync/atomic"
)

// A limitListener closes connections beyond a number, in all and from one address, at
// once: one that had to wait would keep others from knowing that nobody answers.
type limitListener struct {
	net.Listener
	all, each int
	refused   atomic.Uint64

	mu   sync.Mutex
	open int
	from map[any]int // at most open entries
}

func limit(l net.Listener, all, each int) *limitListener {
	return &limitListener{Listener: l, all: all, each: each, from: make(map[any]int)}
}

// Accept gives the next connection that finds room.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := addrOf(c)
		if l.enter(addr) {
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(addr) })}, nil
		}
		l.refused.Add(1)
		c.Close()
	}
}

func (l *limitListener) enter(a any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.all || l.from[a] >= l.each {
		return false
	}
	l.open++
	l.from[a]++
	return true
}

func (l *limitListener) leave(a any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.from[a]--; l.from[a] == 0 {
		delete(l.from, a)
	}
}

// addrOf gives the address of a client, or its user where it comes over a Unix socket.
func addrOf(c net.Conn) any {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return peerOf(c)
}

// A limitedConn gives its room back when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
