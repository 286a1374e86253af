package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Lengths of the headers of a spoofed datagram, and its source port, that of the
// exporter's second process being the next one.
const (
	ipHeaderLen = 20
	headersLen  = ipHeaderLen + 8
	spoofPort   = 40000
)

// A spoofTransmitter writes whole IPv4 packets through one raw socket, so that
// they can come from any address. The kernel fills in the IP checksum; that of UDP
// may be 0 in IPv4.
type spoofTransmitter struct {
	fd      int
	sources []spoofSource // of the sessions
	to      unix.RawSockaddrInet4
	hdrs    []mmsghdr
	iovs    [][2]unix.Iovec // headers, payload
	headers [][headersLen]byte
}

type spoofSource struct {
	addr [4]byte
	port uint16
}

func newSpoofTransmitter(p *plan) (transmitter, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, fmt.Errorf("--spoof needs a raw socket (root or CAP_NET_RAW): %w", os.NewSyscallError("socket", err))
	}
	n := p.batch + 1
	t := &spoofTransmitter{fd: fd, to: unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: p.target.Addr().As4()},
		hdrs: make([]mmsghdr, n), iovs: make([][2]unix.Iovec, n), headers: make([][headersLen]byte, n)}
	for i, a := range p.addresses {
		t.sources = append(t.sources, spoofSource{a.As4(), spoofPort + uint16(p.process(i))})
	}
	for i := range t.hdrs {
		t.link(i, p.target.Port())
	}
	return t, nil
}

// link prepares what is the same in every packet of slot i.
func (t *spoofTransmitter) link(i int, port uint16) {
	h := &t.headers[i]
	copy(h[:], []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP})
	copy(h[16:], t.to.Addr[:])
	binary.BigEndian.PutUint16(h[ipHeaderLen+2:], port)

	t.iovs[i][0].Base = &h[0]
	t.iovs[i][0].SetLen(headersLen)
	m := &t.hdrs[i].hdr
	m.Name, m.Namelen = (*byte)(unsafe.Pointer(&t.to)), unix.SizeofSockaddrInet4
	m.Iov = &t.iovs[i][0]
	m.SetIovlen(2)
}

func (t *spoofTransmitter) send(exporter int, messages []message, _ time.Time) (int, error) {
	for i, m := range messages {
		h := &t.headers[i]
		copy(h[12:], t.sources[exporter].addr[:])
		binary.BigEndian.PutUint16(h[ipHeaderLen:], t.sources[exporter].port)
		binary.BigEndian.PutUint16(h[2:], uint16(headersLen+len(m.payload)))
		binary.BigEndian.PutUint16(h[ipHeaderLen+4:], uint16(headersLen-ipHeaderLen+len(m.payload)))
		t.iovs[i][1].Base = unsafe.SliceData(m.payload)
		t.iovs[i][1].SetLen(len(m.payload))
	}
	n, errno := sendmmsg(uintptr(t.fd), t.hdrs[:len(messages)])
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

func (t *spoofTransmitter) Close() error { return unix.Close(t.fd) }
