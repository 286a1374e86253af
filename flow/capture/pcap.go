package capture

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The magic numbers of pcap, as read in the byte order of the writer.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // Kuznetzov's libpcap: longer record headers
)

// A pcapFile reads the classic format: one header, then records, all of one
// link type and in the byte order of the machine that wrote them.
type pcapFile struct {
	src    *source
	order  binary.ByteOrder
	unit   int64 // nanoseconds of one unit of the fraction of a second
	header int   // length of a record header
	link   uint16
}

// isPcap reports whether a file that begins with b is of this format.
func isPcap(b []byte) bool { return pcapOrder(b) != nil }

// pcapOrder tells the byte order from the magic number; nil if it is none.
func pcapOrder(b []byte) binary.ByteOrder {
	if len(b) < 4 {
		return nil
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(b) {
		case magicMicro, magicNano, magicModified:
			return order
		}
	}
	return nil
}

// newPcap reads the file header.
func newPcap(src *source) (*pcapFile, error) {
	b, err := src.need(24, "the pcap file header")
	if err != nil {
		return nil, err
	}
	p := &pcapFile{src: src, order: pcapOrder(b), unit: 1000, header: 16}
	switch p.order.Uint32(b) {
	case magicNano:
		p.unit = 1
	case magicModified:
		p.header = 24
	}
	if major, minor := p.order.Uint16(b[4:]), p.order.Uint16(b[6:]); major != 2 || minor != 4 {
		return nil, fmt.Errorf("pcap version %d.%d is not supported (2.4 expected)", major, minor)
	}
	// The upper half tells the length of a checksum at the end of each frame,
	// which the lengths of IP leave out anyway.
	p.link = uint16(p.order.Uint32(b[20:]))
	if !knownLink(p.link) {
		return nil, fmt.Errorf("link type %d is not supported (supported: %s)", p.link, linkNames())
	}
	return p, nil
}

func (p *pcapFile) next(f *frame) error {
	h, err := p.src.begin(p.header, "a record header")
	if err != nil {
		return err
	}
	sec, frac := p.order.Uint32(h), p.order.Uint32(h[4:])
	captured, original := p.order.Uint32(h[8:]), p.order.Uint32(h[12:])
	if captured > maxCaptured {
		return fmt.Errorf("captured length %d (at most %d allowed): the file is damaged", captured, maxCaptured)
	}
	data, err := p.src.need(int(captured), "a packet")
	*f = frame{
		data: data,
		link: p.link,
		time: time.Unix(int64(sec), int64(frac)*p.unit).UTC(),
		cut:  captured < original,
	}
	return err
}
