//go:build !linux

package udp

import (
	"errors"

	"golang.org/x/sys/unix"
)

// sharePort refuses: these systems let several sockets share a port, but give
// every datagram to one of them.
func sharePort(int) error {
	return errors.New("sockets: more than one on an address needs Linux")
}

func setReceiveBuffer(fd, want int) (granted int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, want) // read back below
	granted, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return granted
}

func (s *Socket) shut() error { return errors.ErrUnsupported }

func (s *Socket) discard() uint64 { return 0 }

func (s *Socket) kernelDrops() (uint32, bool) { return 0, false }

func (s *Socket) steer(int) error { return errors.ErrUnsupported }
