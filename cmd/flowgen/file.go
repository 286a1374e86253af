package main

import (
	"bufio"
	"net/netip"
	"os"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
)

// filePort is the source port of every exporter in a capture; its second process has the
// next one.
const filePort = 40000

// A fileTransmitter writes datagrams to a capture file.
type fileTransmitter struct {
	file    *os.File
	buf     *bufio.Writer
	w       *capture.Writer
	target  netip.AddrPort
	sources []netip.AddrPort // of the sessions
}

// newFileTransmitter creates the file, or empties it.
func newFileTransmitter(p *plan) (*fileTransmitter, error) {
	f, err := os.Create(p.pcap)
	if err != nil {
		return nil, err
	}
	t := &fileTransmitter{file: f, buf: bufio.NewWriter(f), target: p.target}
	for i, a := range p.addresses {
		t.sources = append(t.sources, netip.AddrPortFrom(a, filePort+uint16(p.process(i))))
	}
	t.w = capture.NewWriter(t.buf)
	return t, nil
}

func (t *fileTransmitter) send(exporter int, messages []message, now time.Time) (int, error) {
	for i, m := range messages {
		d := flow.Datagram{Payload: m.payload, Source: t.sources[exporter], Received: now}
		if err := t.w.Write(d, t.target); err != nil {
			return i, err
		}
	}
	return len(messages), nil
}

// Close writes out what is buffered; only then the capture is whole.
func (t *fileTransmitter) Close() error {
	err := t.buf.Flush()
	if e := t.file.Close(); err == nil {
		err = e
	}
	return err
}
