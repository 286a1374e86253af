package forward

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/flowsnitch/flowsnitch/flow"
)

// sendBatch is how many datagrams go into one sendmmsg call.
const sendBatch = 64

// A fate is what became of one message.
type fate uint8

const (
	sent    fate = iota
	full         // no room in the send buffer
	refused      // an earlier datagram met a dead port; this one was not sent
	failed       // anything else
)

// An outbox is the scratch memory for sending batches. Its arrays are made at the
// first use, because most listeners forward nothing.
type outbox struct {
	msgs     []unix.Mmsghdr
	iovs     []unix.Iovec // two for each message: UDP header, payload
	headers  [][8]byte
	controls []sourceControl
	fates    []fate
	origin   []int // message number to place in the batch
	leftover []int // places in the batch that are to go out plainly

	// sendmmsg as a value, with its argument and results.
	call  func(fd uintptr) bool
	chunk []unix.Mmsghdr
	n     int
	errno syscall.Errno
}

// A sourceControl is room for the control message that names a packet's source,
// aligned for its header.
type sourceControl [8]uint64

func (o *outbox) init() {
	if o.msgs != nil {
		return
	}
	o.msgs = make([]unix.Mmsghdr, sendBatch)
	o.iovs = make([]unix.Iovec, 2*sendBatch)
	o.headers = make([][8]byte, sendBatch)
	o.controls = make([]sourceControl, sendBatch)
	o.fates = make([]fate, sendBatch)
	o.origin = make([]int, 0, sendBatch)
	o.leftover = make([]int, 0, sendBatch)
	o.call = o.sendmmsg
}

func (o *outbox) send(t *target, r *route, batch []flow.Datagram) {
	o.init()
	for len(batch) > 0 {
		n := min(len(batch), sendBatch)
		o.sendChunk(t, r, batch[:n])
		batch = batch[n:]
	}
}

// sendChunk sends from the exporters' own addresses what can go that way, and the
// rest from ours.
func (o *outbox) sendChunk(t *target, r *route, batch []flow.Datagram) {
	o.leftover = o.leftover[:0]
	if r.spoof != nil {
		o.sendSpoofed(t, r, batch)
	} else {
		for i := range batch {
			o.leftover = append(o.leftover, i)
		}
	}
	if len(o.leftover) > 0 {
		o.sendPlain(t, r, batch)
	}
}

func (o *outbox) sendSpoofed(t *target, r *route, batch []flow.Datagram) {
	o.origin = o.origin[:0]
	for i := range batch {
		if !canSpoof(batch[i].Source.Addr(), r.to.Addr()) {
			o.leftover = append(o.leftover, i)
			continue
		}
		o.spoofed(len(o.origin), &batch[i], r.to)
		o.origin = append(o.origin, i)
	}
	o.flush(r.spoof, len(o.origin))
	for k, i := range o.origin {
		if o.fates[k] == failed {
			// Too far for this source (127.0.0.0/8 off the machine) or too
			// large for a raw socket: better from our address than not at all.
			o.leftover = append(o.leftover, i)
			continue
		}
		t.count(o.fates[k])
	}
}

func (o *outbox) sendPlain(t *target, r *route, batch []flow.Datagram) {
	for k, i := range o.leftover {
		h := o.message(k, batch[i].Payload)
		h.Iov = &o.iovs[2*k+1]
		h.SetIovlen(1)
		h.Control = nil
		h.SetControllen(0)
	}
	o.flush(r.plain, len(o.leftover))
	for k := range o.leftover {
		t.count(o.fates[k])
		if o.fates[k] == sent {
			t.sourceLost.Add(1)
		}
	}
}

func (t *target) count(f fate) {
	switch f {
	case sent:
		t.sent.Add(1)
	case full:
		t.dropped.Add(1)
	default:
		t.failed.Add(1)
	}
}

// canSpoof wants both ends in one family, and a source that means the same on
// another link.
func canSpoof(src, dst netip.Addr) bool {
	return src.Is4() == dst.Is4() && src.Zone() == ""
}

// message points the k-th message's second piece at the payload.
func (o *outbox) message(k int, payload []byte) *unix.Msghdr {
	o.iovs[2*k+1].Base = unsafe.SliceData(payload)
	o.iovs[2*k+1].SetLen(len(payload))
	return &o.msgs[k].Hdr
}

// spoofed makes the k-th message a UDP packet of our own making, with the source
// address in a control message. The kernel writes the IP header and fragments
// what is too long, which it would not do for an IP header of ours.
func (o *outbox) spoofed(k int, d *flow.Datagram, to netip.AddrPort) {
	o.headers[k] = udpHeader(d.Source, to, d.Payload)
	h := o.message(k, d.Payload)
	o.iovs[2*k].Base = &o.headers[k][0]
	o.iovs[2*k].SetLen(len(o.headers[k]))
	h.Iov = &o.iovs[2*k]
	h.SetIovlen(2)
	h.Control = (*byte)(unsafe.Pointer(&o.controls[k]))
	h.SetControllen(o.controls[k].set(d.Source.Addr()))
}

// set writes IP_PKTINFO or IPV6_PKTINFO and returns the length in use.
func (c *sourceControl) set(src netip.Addr) int {
	head := (*unix.Cmsghdr)(unsafe.Pointer(c))
	info := unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))
	if src.Is4() {
		head.Level, head.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		head.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(info) = unix.Inet4Pktinfo{Spec_dst: src.As4()}
		return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	}
	head.Level, head.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	head.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	*(*unix.Inet6Pktinfo)(info) = unix.Inet6Pktinfo{Addr: src.As16()}
	return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
}

// flush sends the first n messages and sets their fates. Every round settles at
// least one message, so it ends.
func (o *outbox) flush(conn syscall.RawConn, n int) {
	for at := 0; at < n; {
		o.chunk, o.n, o.errno = o.msgs[at:n], 0, unix.EBADF
		_ = conn.Write(o.call) // on a closed socket o.errno stays
		switch o.errno {
		case 0:
			at += o.settle(at, max(o.n, 1), sent)
		case unix.EAGAIN, unix.ENOBUFS:
			at += o.settle(at, n-at, full)
		case unix.ECONNREFUSED:
			at += o.settle(at, 1, refused)
		default:
			at += o.settle(at, 1, failed)
		}
	}
}

func (o *outbox) settle(at, n int, f fate) int {
	for i := range n {
		o.fates[at+i] = f
	}
	return n
}

// sendmmsg always reports that it is done: nobody waits for room.
func (o *outbox) sendmmsg(fd uintptr) bool {
	for {
		n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(&o.chunk[0])), uintptr(len(o.chunk)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			o.n, o.errno = int(n), errno
			return true
		}
	}
}

// nothing is a socket filter that lets nothing in.
var nothing = unix.SockFprog{Len: 1, Filter: &unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}}

// dialSpoofing opens a raw socket that may send from any address. Being connected
// it is only offered packets that the target sends us, and the filter drops
// those: otherwise the kernel would copy all UDP traffic of the machine to it.
func dialSpoofing(to netip.Addr) (*net.IPConn, error) {
	level, option, network := unix.IPPROTO_IP, unix.IP_TRANSPARENT, "ip4:17"
	if to.Is6() {
		level, option, network = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, "ip6:17"
	}
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		failed := c.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), level, option, 1),
				unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &nothing))
		})
		return errors.Join(failed, err)
	}}
	conn, err := d.Dial(network, to.String())
	if err != nil {
		return nil, err
	}
	raw := conn.(*net.IPConn)
	_ = raw.SetWriteBuffer(forwardBuffer) // a smaller one only drops earlier
	return raw, nil
}
