package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The blocks of pcapng that are read; every other is passed over.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete, still found
	blockSimple    = 3
	blockEnhanced  = 6
)

const (
	byteOrderMagic = 0x1a2b3c4d
	// maxInterfaces is the most interfaces of one section that are kept.
	maxInterfaces = 65536
)

// A pcapngFile reads the block format: sections, each with its own byte order
// and its own interfaces, each of those with its own link type and clock.
type pcapngFile struct {
	src    *source
	order  binary.ByteOrder
	ifaces []iface
	last   time.Time // of the frame before
}

// An iface is what an interface description block has.
type iface struct {
	link  uint16
	snap  uint32 // 0: no limit
	clock clock
}

// A block is the head of one block; left counts the bytes of its body, without
// the length at its end, that are still to be read.
type block struct {
	kind  uint32
	total uint32
	left  int64
}

// isPcapng reports whether a file that begins with b is of this format. The
// number is the same in both byte orders.
func isPcapng(b []byte) bool {
	return len(b) >= 4 && binary.BigEndian.Uint32(b) == blockSection
}

// newPcapng reads the header of the first section.
func newPcapng(src *source) (*pcapngFile, error) {
	p := &pcapngFile{src: src, order: binary.LittleEndian}
	b, err := p.head()
	if err != nil {
		return nil, err
	}
	return p, p.body(&b, nil)
}

// next reads blocks until one is a packet.
func (p *pcapngFile) next(f *Frame) error {
	for {
		b, err := p.head()
		if err != nil {
			return err
		}
		if err := p.body(&b, f); err != nil {
			return err
		}
		if b.kind == blockEnhanced || b.kind == blockPacket || b.kind == blockSimple {
			return nil
		}
	}
}

// head reads type and length of a block. The byte order of a section, in which
// its length is written, shows only behind them.
func (p *pcapngFile) head() (block, error) {
	h, err := p.src.begin(8, "a block header")
	if err != nil {
		return block{}, err
	}
	b := block{kind: p.order.Uint32(h)}
	used := int64(8)
	if b.kind == blockSection {
		if err := p.byteOrder(); err != nil {
			return b, err
		}
		used = 12
	}
	b.total = p.order.Uint32(h[4:])
	b.left = int64(b.total) - used - 4
	if b.left < 0 || b.total%4 != 0 {
		return b, fmt.Errorf("block length %d (a multiple of 4 and at least %d expected): the file is damaged", b.total, used+4)
	}
	return b, nil
}

// byteOrder reads the byte order of the section that begins.
func (p *pcapngFile) byteOrder() error {
	m, err := p.src.word("a section header")
	if err != nil {
		return err
	}
	switch uint32(byteOrderMagic) {
	case binary.LittleEndian.Uint32(m):
		p.order = binary.LittleEndian
	case binary.BigEndian.Uint32(m):
		p.order = binary.BigEndian
	default:
		return fmt.Errorf("section header with byte order % x (1a 2b 3c 4d expected, either way round)", m)
	}
	return nil
}

// body reads what a block holds, a packet into f, and passes over the rest.
func (p *pcapngFile) body(b *block, f *Frame) (err error) {
	switch b.kind {
	case blockSection:
		err = p.section(b)
	case blockInterface:
		err = p.describe(b)
	case blockEnhanced, blockPacket:
		err = p.packet(b, f)
	case blockSimple:
		err = p.simple(b, f)
	}
	if err != nil {
		return err
	}
	return p.end(b)
}

// take reads n bytes of a block's body.
func (p *pcapngFile) take(b *block, n int, what string) ([]byte, error) {
	if int64(n) > b.left {
		return nil, fmt.Errorf("%s of %d bytes in a block with %d left: the file is damaged", what, n, b.left)
	}
	b.left -= int64(n)
	return p.src.need(n, what)
}

// end passes over the rest of a block and checks the length at its end, which
// repeats the one at its head. The bytes of a packet in the source's buffer
// survive it.
func (p *pcapngFile) end(b *block) error {
	if err := p.src.skip(b.left, "a block"); err != nil {
		return err
	}
	t, err := p.src.word("a block")
	if err != nil {
		return err
	}
	if again := p.order.Uint32(t); again != b.total {
		return fmt.Errorf("block of length %d ends with length %d: the file is damaged", b.total, again)
	}
	return nil
}

// section reads the rest of a section header, and forgets the interfaces of the
// section before.
func (p *pcapngFile) section(b *block) error {
	h, err := p.take(b, 12, "a section header")
	if err != nil {
		return err
	}
	// 1.2 was written by mistake and is 1.0.
	if major, minor := p.order.Uint16(h), p.order.Uint16(h[2:]); major != 1 || minor != 0 && minor != 2 {
		return fmt.Errorf("pcapng version %d.%d is not supported (1.0 expected)", major, minor)
	}
	p.ifaces = p.ifaces[:0]
	return nil
}

// describe reads an interface description.
func (p *pcapngFile) describe(b *block) error {
	if len(p.ifaces) == maxInterfaces {
		return fmt.Errorf("more than %d interfaces in a section", maxInterfaces)
	}
	if b.left > maxCaptured {
		return fmt.Errorf("interface description of %d bytes (at most %d allowed)", b.left, maxCaptured)
	}
	if b.left < 8 {
		return fmt.Errorf("interface description of %d bytes (at least 8 expected)", b.left)
	}
	h, err := p.take(b, int(b.left), "an interface description")
	if err != nil {
		return err
	}
	i := iface{link: p.order.Uint16(h), snap: p.order.Uint32(h[4:]), clock: clock{unit: 1e6}}
	if err := i.clock.options(h[8:], p.order); err != nil {
		return err
	}
	p.ifaces = append(p.ifaces, i)
	return nil
}

// packet reads an enhanced packet block, or the older packet block, which
// differs in 16 bits for the interface and 16 for a drop count.
func (p *pcapngFile) packet(b *block, f *Frame) error {
	h, err := p.take(b, 20, "a packet block")
	if err != nil {
		return err
	}
	id := p.order.Uint32(h)
	if b.kind == blockPacket {
		id = uint32(p.order.Uint16(h))
	}
	if uint64(id) >= uint64(len(p.ifaces)) {
		return fmt.Errorf("packet of interface %d, but %d are described: the file is damaged", id, len(p.ifaces))
	}
	i := p.ifaces[id]
	ticks := uint64(p.order.Uint32(h[4:]))<<32 | uint64(p.order.Uint32(h[8:]))
	captured, original := p.order.Uint32(h[12:]), p.order.Uint32(h[16:])
	p.last = i.clock.at(ticks)
	return p.data(b, f, i.link, captured, original)
}

// simple reads a simple packet block: interface 0, no time, and a captured
// length that is to be concluded from the snap length.
func (p *pcapngFile) simple(b *block, f *Frame) error {
	h, err := p.take(b, 4, "a packet block")
	if err != nil {
		return err
	}
	if len(p.ifaces) == 0 {
		return errors.New("packet of interface 0, but none is described: the file is damaged")
	}
	original := p.order.Uint32(h)
	captured := original
	if snap := p.ifaces[0].snap; snap != 0 {
		captured = min(captured, snap)
	}
	return p.data(b, f, p.ifaces[0].link, captured, original)
}

// data reads the packet of a block.
func (p *pcapngFile) data(b *block, f *Frame, link uint16, captured, original uint32) error {
	if captured > maxCaptured {
		return fmt.Errorf("captured length %d (at most %d allowed): the file is damaged", captured, maxCaptured)
	}
	data, err := p.take(b, int(captured), "a packet")
	*f = Frame{Data: data, Link: link, Time: p.last, Cut: captured < original}
	return err
}
