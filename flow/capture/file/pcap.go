package file

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

// pcapOrder reports the byte order from the magic number; nil if it is none.
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

// newPcap reads the file header, and checks its link type.
func newPcap(src *source, check func(link uint16) error) (*pcapFile, error) {
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
	// The upper half reports the length of a checksum at the end of each frame,
	// which the lengths of IP leave out anyway.
	p.link = uint16(p.order.Uint32(b[20:]))
	if err := check(p.link); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *pcapFile) next(f *Frame) error {
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
	*f = Frame{
		Data: data,
		Link: p.link,
		Time: time.Unix(int64(sec), int64(frac)*p.unit).UTC(),
		Cut:  captured < original,
	}
	return err
}

// Header gives the header of a pcap file: little-endian, times in nanoseconds.
func Header(link uint32) []byte {
	h := binary.LittleEndian.AppendUint32(nil, magicNano)
	h = binary.LittleEndian.AppendUint16(h, 2)
	h = binary.LittleEndian.AppendUint16(h, 4)
	h = append(h, make([]byte, 8)...) // time zone and accuracy: always 0
	h = binary.LittleEndian.AppendUint32(h, maxCaptured)
	return binary.LittleEndian.AppendUint32(h, link)
}

// RecordHeader is the length of a record's header in such a file.
const RecordHeader = 16

// PutRecord writes the header of the record that record is: its bytes behind RecordHeader
// are the frame.
func PutRecord(record []byte, at time.Time) {
	le, n := binary.LittleEndian, uint32(len(record)-RecordHeader)
	le.PutUint32(record, uint32(at.Unix()))
	le.PutUint32(record[4:], uint32(at.Nanosecond()))
	le.PutUint32(record[8:], n)
	le.PutUint32(record[12:], n)
}
