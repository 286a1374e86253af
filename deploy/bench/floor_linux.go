package main

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// floorCommand makes this program be the floor.
const floorCommand = "floor"

// floor receives datagrams and does nothing with them, until it is killed: what no
// collector can go below. It reads 64 at a time, as flowsnitch does.
func floor(address string) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	// Without the capability the kernel grants less, to all alike.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return err
	}
	return receive(fd)
}

// A message is struct mmsghdr of recvmmsg(2).
type message struct {
	header unix.Msghdr
	_      uint32 // msg_len: nobody looks at it here
}

func receive(fd int) error {
	const batch, size = 64, 65536
	var messages [batch]message
	var vectors [batch]unix.Iovec
	memory := make([]byte, batch*size)
	for i := range messages {
		vectors[i].Base = &memory[i*size]
		vectors[i].SetLen(size)
		messages[i].header.Iov = &vectors[i]
		messages[i].header.SetIovlen(1)
	}
	for {
		_, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages)), batch, unix.MSG_WAITFORONE, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return errno
		}
	}
}
