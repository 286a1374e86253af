package syslog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
)

// advise puts what may be done about an error before it.
func advise(err error) error {
	if advice := advice(err); advice != "" {
		return fmt.Errorf("%s: %w", advice, err)
	}
	return err
}

func advice(err error) string {
	if text := tlsfiles.Advice("server", err); text != "" {
		return text
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time, is the server up and reading, does its port speak the transport?"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "server not found, check its name"
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "stopped"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "server not reachable"
	case errors.Is(err, syscall.EMSGSIZE):
		return "datagram too long for the way, lower limit"
	case errors.Is(err, fs.ErrNotExist) && isDial(err):
		return "no such socket, is the daemon running?"
	case errors.Is(err, fs.ErrPermission):
		return "not allowed"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server broke the connection"
	}
	return ""
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
