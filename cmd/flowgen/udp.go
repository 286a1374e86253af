package main

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// A udpTransmitter has one connected socket for each exporter. Connected, because
// the kernel then looks up the route once, and reports when nobody listens.
type udpTransmitter struct {
	sockets []socket
	sys     batchSender
}

// newUDPTransmitter opens the sockets of all exporters.
func newUDPTransmitter(p *plan) (*udpTransmitter, error) {
	t := &udpTransmitter{sys: newBatchSender(p.batch + 1)}
	for _, a := range p.addresses {
		var local *net.UDPAddr
		if a.IsValid() {
			local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
		}
		s, err := openSocket(local, p.target)
		if err != nil {
			t.Close()
			return nil, fmt.Errorf("socket %d of %d: %w", len(t.sockets)+1, len(p.addresses), err)
		}
		t.sockets = append(t.sockets, s)
	}
	return t, nil
}

func openSocket(local *net.UDPAddr, target netip.AddrPort) (socket, error) {
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return socket{}, err
	}
	return newSocket(conn)
}

func (t *udpTransmitter) send(exporter int, messages []message, _ time.Time) (int, error) {
	return t.sys.send(t.sockets[exporter], messages)
}

// Close closes every socket; datagrams that the kernel took are on their way.
func (t *udpTransmitter) Close() error {
	var first error
	for _, s := range t.sockets {
		if err := s.conn.Close(); first == nil {
			first = err
		}
	}
	return first
}
