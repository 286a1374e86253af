package main

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket is a UDP socket with its way past the net package.
type socket struct {
	conn *net.UDPConn
	raw  syscall.RawConn
}

func newSocket(conn *net.UDPConn) (socket, error) {
	raw, err := conn.SyscallConn()
	return socket{conn, raw}, err
}

// An mmsghdr is struct mmsghdr of sendmmsg(2). Go pads it as C does.
type mmsghdr struct {
	hdr  unix.Msghdr
	sent uint32 // bytes
}

// A batchSender sends many datagrams with one system call.
type batchSender struct {
	hdrs []mmsghdr
	iovs []unix.Iovec
	call *mmsgCall
}

// An mmsgCall is one call in flight: RawConn.Write takes a function, and a
// function made anew for every call would be an allocation.
type mmsgCall struct {
	hdrs []mmsghdr // those to send
	sent int
	err  error
	run  func(fd uintptr) bool
}

// newBatchSender makes room for n messages.
func newBatchSender(n int) batchSender {
	b := batchSender{hdrs: make([]mmsghdr, n), iovs: make([]unix.Iovec, n), call: new(mmsgCall)}
	for i := range b.hdrs {
		b.hdrs[i].hdr.Iov = &b.iovs[i]
		b.hdrs[i].hdr.SetIovlen(1)
	}
	b.call.run = b.call.sendmmsg
	return b
}

// send returns how many messages went out; when that is none, why.
func (b batchSender) send(s socket, messages []message) (int, error) {
	for i := range messages {
		b.iovs[i].Base = unsafe.SliceData(messages[i].payload)
		b.iovs[i].SetLen(len(messages[i].payload))
	}
	b.call.hdrs = b.hdrs[:len(messages)]
	if err := s.raw.Write(b.call.run); err != nil {
		return 0, err
	}
	return b.call.sent, b.call.err
}

// sendmmsg makes the system call; false means that the socket is full and that
// there is something to wait for.
func (c *mmsgCall) sendmmsg(fd uintptr) bool {
	n, errno := sendmmsg(fd, c.hdrs)
	c.sent, c.err = n, nil
	if errno != 0 {
		c.sent, c.err = 0, errno
	}
	return errno != unix.EAGAIN
}

// sendmmsg sends the messages until one fails; an error is reported only when it was
// the first.
func sendmmsg(fd uintptr, hdrs []mmsghdr) (int, syscall.Errno) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(hdrs))), uintptr(len(hdrs)), 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}
