package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Lengths of the headers of a spoofed datagram, and its source port, that of the
// exporter's second process being the next one.
const (
	headersLen = ipv4.HeaderLen + 8
	spoofPort  = 40000
)

// A spoofTransmitter writes whole IPv4 packets through one raw socket, so that
// they can come from any address. The kernel fills in the IP checksum; that of UDP
// may be 0 in IPv4.
type spoofTransmitter struct {
	conn    *ipv4.PacketConn
	sources []spoofSource  // of the sessions
	batch   []ipv4.Message // headers, payload
}

type spoofSource struct {
	addr [4]byte
	port uint16
}

func newSpoofTransmitter(p *plan) (transmitter, error) {
	conn, err := net.ListenIP(fmt.Sprintf("ip4:%d", unix.IPPROTO_RAW), nil)
	if err != nil {
		return nil, fmt.Errorf("--spoof needs a raw socket (root or CAP_NET_RAW): %w", err)
	}
	t := &spoofTransmitter{conn: ipv4.NewPacketConn(conn), batch: make([]ipv4.Message, p.batch+1)}
	for i, a := range p.addresses {
		t.sources = append(t.sources, spoofSource{a.As4(), spoofPort + uint16(p.process(i))})
	}
	to := &net.IPAddr{IP: p.target.Addr().AsSlice()}
	for i := range t.batch { // what is the same in every packet
		h := make([]byte, headersLen)
		copy(h, []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP})
		copy(h[16:], to.IP)
		binary.BigEndian.PutUint16(h[ipv4.HeaderLen+2:], p.target.Port())
		t.batch[i] = ipv4.Message{Buffers: [][]byte{h, nil}, Addr: to}
	}
	return t, nil
}

func (t *spoofTransmitter) send(exporter int, messages []message, _ time.Time) (int, error) {
	for i, m := range messages {
		h := t.batch[i].Buffers[0]
		copy(h[12:], t.sources[exporter].addr[:])
		binary.BigEndian.PutUint16(h[ipv4.HeaderLen:], t.sources[exporter].port)
		binary.BigEndian.PutUint16(h[2:], uint16(headersLen+len(m.payload)))
		binary.BigEndian.PutUint16(h[ipv4.HeaderLen+4:], uint16(headersLen-ipv4.HeaderLen+len(m.payload)))
		t.batch[i].Buffers[1] = m.payload
	}
	return writeBatch(t.conn, t.batch[:len(messages)])
}

func (t *spoofTransmitter) Close() error { return t.conn.Close() }
