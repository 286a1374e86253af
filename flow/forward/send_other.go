//go:build !linux

package forward

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/flowsnitch/flowsnitch/flow"
)

// An outbox sends one datagram at a time.
type outbox struct{}

func (o *outbox) send(t *target, r *route, batch []flow.Datagram) {
	for i := range batch {
		err := error(unix.EBADF)
		_ = r.plain.Write(func(fd uintptr) bool { // on a closed socket err stays
			err = unix.Send(int(fd), batch[i].Payload, unix.MSG_DONTWAIT)
			return true
		})
		switch err {
		case nil:
			t.sent.Add(1)
			t.sourceLost.Add(1)
		case unix.EAGAIN, unix.ENOBUFS:
			t.dropped.Add(1)
		default:
			t.failed.Add(1)
		}
	}
}

func dialSpoofing(netip.Addr) (*net.IPConn, error) { return nil, errors.ErrUnsupported }
