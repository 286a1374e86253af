package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Listen opens cfg.Sockets sockets on cfg.Listen. The sockets receive into their
// kernel buffers from now on. On an error nothing stays open.
//
// The error wraps the system's own (syscall.EADDRINUSE and so on) and states what
// the operator can do. An address that another process shares with SO_REUSEPORT
// counts as in use: the kernel would silently split the exporters between the two.
func Listen(cfg Config) (sockets []*Socket, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	at, err := parseListen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	if err := claim(cfg, at); err != nil {
		return nil, explain(cfg.Listen, err)
	}
	for range cfg.Sockets {
		s, err := open(cfg, at)
		if err != nil {
			closeAll(sockets)
			return nil, explain(cfg.Listen, err)
		}
		sockets = append(sockets, s)
		at.port = s.LocalAddr().Port() // port 0 was resolved by the first
	}
	steered := len(sockets) > 1 && sockets[0].steer(len(sockets)) == nil
	for _, s := range sockets {
		s.steered = steered
	}
	return sockets, nil
}

// claim makes sure that several sockets may be opened at all: that the system
// can, and that nobody else is there, which a bind with SO_REUSEPORT would hide.
func claim(cfg Config, at endpoint) error {
	if cfg.Sockets == 1 || at.port == 0 {
		return nil
	}
	probe, err := net.ListenPacket(at.network, at.String())
	if err != nil {
		return err
	}
	return probe.Close()
}

// open makes one socket. Its options are set before it is bound, so that the very
// first datagram finds the buffer that was asked for.
func open(cfg Config, at endpoint) (*Socket, error) {
	var granted int
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var optErr error
		err := c.Control(func(fd uintptr) {
			if cfg.Sockets > 1 {
				optErr = sharePort(int(fd))
			}
			granted = setReceiveBuffer(int(fd), cfg.ReceiveBuffer)
		})
		return errors.Join(err, optErr)
	}}
	pc, err := lc.ListenPacket(context.Background(), at.network, at.String())
	if err != nil {
		return nil, err
	}
	s, err := newSocket(pc.(*net.UDPConn), cfg.Batch)
	if err != nil {
		pc.Close()
		return nil, err
	}
	s.configured, s.granted = cfg.ReceiveBuffer, granted
	s.SetAllow(cfg.Allow)
	return s, nil
}

func closeAll(sockets []*Socket) {
	for _, s := range sockets {
		s.Close()
	}
}

// explain puts what the operator can do behind the system's terse word.
func explain(listen string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = `port in use by another process; choose another with listen: [{udp: ":PORT"}], or stop the process that "ss -lunp" names`
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		hint = "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE, choose one from 1024 up"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "no interface of this machine has that address"
	default:
		return fmt.Errorf("listen udp %s: %w", listen, err)
	}
	return fmt.Errorf("listen udp %s: %s (%w)", listen, hint, rootCause(err))
}

// rootCause strips the layers of package net, which repeat the address.
func rootCause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}
