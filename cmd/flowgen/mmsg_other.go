//go:build !linux

package main

import (
	"errors"
	"net"
)

// A socket is a UDP socket.
type socket struct{ conn *net.UDPConn }

func newSocket(conn *net.UDPConn) (socket, error) { return socket{conn}, nil }

// A batchSender sends one datagram after the other where sendmmsg does not exist.
type batchSender struct{}

func newBatchSender(int) batchSender { return batchSender{} }

func (batchSender) send(s socket, messages []message) (int, error) {
	for i := range messages {
		if _, err := s.conn.Write(messages[i].payload); err != nil {
			return i, err
		}
	}
	return len(messages), nil
}

// newSpoofTransmitter refuses: other systems want raw packets in other ways.
func newSpoofTransmitter(*plan) (transmitter, error) {
	return nil, errors.New("--spoof works on Linux only")
}
