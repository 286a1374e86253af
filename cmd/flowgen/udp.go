package main

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
)

// A udpTransmitter has one connected socket for each exporter. Connected, because
// the kernel then looks up the route once, and reports when nobody listens.
type udpTransmitter struct {
	sockets []*ipv4.PacketConn // of both families: nothing that they do here differs
	batch   []ipv4.Message
}

// newUDPTransmitter opens the sockets of all exporters.
func newUDPTransmitter(p *plan) (*udpTransmitter, error) {
	t := &udpTransmitter{batch: make([]ipv4.Message, p.batch+1)}
	for i := range t.batch {
		t.batch[i].Buffers = make([][]byte, 1)
	}
	for _, a := range p.addresses {
		var local *net.UDPAddr
		if a.IsValid() {
			local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
		}
		conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(p.target))
		if err != nil {
			t.Close()
			return nil, fmt.Errorf("socket %d of %d: %w", len(t.sockets)+1, len(p.addresses), err)
		}
		t.sockets = append(t.sockets, ipv4.NewPacketConn(conn))
	}
	return t, nil
}

func (t *udpTransmitter) send(exporter int, messages []message, _ time.Time) (int, error) {
	for i, m := range messages {
		t.batch[i].Buffers[0] = m.payload
	}
	return writeBatch(t.sockets[exporter], t.batch[:len(messages)])
}

// writeBatch sends datagrams with one system call, or the first of them where the system
// has no call for many.
func writeBatch(conn *ipv4.PacketConn, batch []ipv4.Message) (int, error) {
	n, err := conn.WriteBatch(batch, 0)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Close closes every socket; datagrams that the kernel took are on their way.
func (t *udpTransmitter) Close() error {
	var first error
	for _, s := range t.sockets {
		if err := s.Close(); first == nil {
			first = err
		}
	}
	return first
}
