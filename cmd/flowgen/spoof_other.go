//go:build !linux

package main

import "errors"

// newSpoofTransmitter refuses: other systems want raw packets in other ways.
func newSpoofTransmitter(*plan) (transmitter, error) {
	return nil, errors.New("--spoof works on Linux only")
}
