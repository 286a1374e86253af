//go:build !linux

package udp

import (
	"net"
	"net/netip"
	"syscall"
)

// A plain receiver reads one datagram at a time.
type plain struct {
	conn *net.UDPConn
	buf  []byte
	n    int
	from netip.AddrPort
}

func newReceiver(conn *net.UDPConn, _ syscall.RawConn, _ int) (receiver, error) {
	return &plain{conn: conn, buf: make([]byte, 64<<10)}, nil
}

func (p *plain) receive(int) (int, error) {
	n, from, err := p.conn.ReadFromUDPAddrPort(p.buf)
	if err != nil {
		return 0, err
	}
	p.n, p.from = n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return 1, nil
}

// rest is never asked: shut fails here, so that Drain closes the socket.
func (p *plain) rest(int) (int, error) { return 0, net.ErrClosed }

func (p *plain) datagram(int) ([]byte, netip.AddrPort, bool) {
	return p.buf[:p.n:p.n], p.from, false
}

func (p *plain) release() {}
