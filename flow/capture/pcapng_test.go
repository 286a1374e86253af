package capture

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// An ng builds a pcapng file block by block.
type ng struct {
	binary.AppendByteOrder
	b []byte
}

// block appends a block whose body is padded to 4 bytes.
func (n *ng) block(kind uint32, body []byte) *ng {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	length := uint32(len(body) + 12)
	n.b = n.AppendUint32(n.AppendUint32(n.b, kind), length)
	n.b = n.AppendUint32(append(n.b, body...), length)
	return n
}

// words is a block body of 32-bit words and then bytes.
func (n *ng) words(rest []byte, w ...uint32) []byte {
	var b []byte
	for _, x := range w {
		b = n.AppendUint32(b, x)
	}
	return append(b, rest...)
}

func (n *ng) section() *ng {
	body := n.AppendUint32(nil, byteOrderMagic)
	body = n.AppendUint16(body, 1)
	body = n.AppendUint16(body, 0)
	return n.block(blockSection, append(body, bytes.Repeat([]byte{0xff}, 8)...))
}

func (n *ng) iface(link uint16, snap uint32, options ...byte) *ng {
	body := n.AppendUint16(nil, link)
	body = n.AppendUint16(body, 0)
	body = n.AppendUint32(body, snap)
	return n.block(blockInterface, append(body, options...))
}

// option is an option of an interface description.
func (n *ng) option(code uint16, value ...byte) []byte {
	b := n.AppendUint16(nil, code)
	b = append(n.AppendUint16(b, uint16(len(value))), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// packet appends an enhanced packet block with a comment.
func (n *ng) packet(iface uint32, ticks uint64, data []byte) *ng {
	d := bytes.Clone(data)
	for len(d)%4 != 0 {
		d = append(d, 0)
	}
	d = append(d, n.option(1, 'h', 'e', 'l', 'l', 'o')...)
	d = append(d, 0, 0, 0, 0)
	return n.block(blockEnhanced, n.words(d, iface, uint32(ticks>>32), uint32(ticks), uint32(len(data)), uint32(len(data))))
}

var orders = []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian}

// TestPcapngInterfaces: each interface has its own link type and clock, one has
// a link type that is not read, and blocks of other kinds stand in between.
func TestPcapngInterfaces(t *testing.T) {
	micro := uint64(start.UnixMicro())
	for _, order := range orders {
		n := &ng{AppendByteOrder: order}
		n.section().block(0xbad, []byte("custom")).
			iface(linkEthernet, 0).
			iface(105, 0).
			iface(linkRaw, 0, n.option(9, 9)...).
			iface(linkSLL, 0, append(n.option(9, 0x80|20), n.option(14, n.AppendUint64(nil, 1000)...)...)...).
			packet(0, micro, unhex(macs+"0800"+ip4Flow)).
			packet(1, micro, unhex("0800")).
			block(5, n.words(nil, 0, 0, 0)). // interface statistics
			packet(2, uint64(start.UnixNano())+7, unhex(ip6Flow+"ee")).
			packet(3, uint64(start.Unix()-1000)<<20|1<<19, unhex("0000 0001 0006 020000000001 0000 0800"+ip4Flow)).
			block(blockSimple, n.words(unhex(macs+"0800"+ip4Flow), 46))
		all, s := mustReadAll(t, n.b)
		half := start.Truncate(time.Second).Add(time.Second / 2)
		want := []got{
			{1, source4, "flow", start},
			{3, source6, "flow", start.Add(7)},
			{4, source4, "flow", half},
			{5, source4, "flow", half}, // no time of its own
		}
		if len(all) != len(want) {
			t.Fatalf("%v: got %v", order, all)
		}
		for i := range want {
			if all[i] != want[i] {
				t.Errorf("%v: got %v, want %v", order, all[i], want[i])
			}
		}
		if s.UnknownLink != 1 || s.Frames != 5 {
			t.Errorf("%v: %+v", order, s)
		}
	}
}

// TestPcapngSections: a section may change the byte order, and forgets the
// interfaces.
func TestPcapngSections(t *testing.T) {
	a := &ng{AppendByteOrder: binary.LittleEndian}
	a.section().iface(linkRaw, 0).packet(0, 1, unhex(ip4Flow))
	b := &ng{AppendByteOrder: binary.BigEndian, b: a.b}
	b.section().iface(linkEthernet, 0).packet(0, 1, unhex(macs+"0800"+ip4Flow))
	if all, _ := mustReadAll(t, b.b); len(all) != 2 {
		t.Errorf("got %v", all)
	}
}

// TestPcapngOldBlocks: the obsolete packet block, and the snap length that a
// simple packet block is cut to.
func TestPcapngOldBlocks(t *testing.T) {
	for _, order := range orders {
		n := &ng{AppendByteOrder: order}
		f := unhex(ip4Flow)
		n.section().iface(linkRaw, 30)
		head := n.AppendUint16(n.AppendUint16(nil, 0), 0xffff) // interface, unknown drops
		n.block(blockPacket, append(head, n.words(f, 0, 5, 32, 32)...))
		n.block(blockSimple, n.words(f[:30], 32))
		all, s := mustReadAll(t, n.b)
		at := time.UnixMicro(5).UTC()
		if len(all) != 2 || all[0] != (got{1, source4, "flow", at}) || all[1] != (got{2, source4, "fl", at}) {
			t.Errorf("%v: got %v", order, all)
		}
		if s.Truncated != 1 {
			t.Errorf("%v: %+v", order, s)
		}
	}
}

func TestClock(t *testing.T) {
	le := binary.LittleEndian
	n := &ng{AppendByteOrder: le}
	for _, c := range []struct {
		name    string
		options []byte
		ticks   uint64
		want    time.Time
	}{
		{"default", nil, 1_500_000, time.Unix(1, 500_000_000)},
		{"seconds", n.option(9, 0), 7, time.Unix(7, 0)},
		{"milliseconds", n.option(9, 3), 1500, time.Unix(1, 500_000_000)},
		{"10^-12", n.option(9, 12), 1_000_000_001_999, time.Unix(1, 1)},
		{"10^-19", n.option(9, 19), 15_000_000_000_000_000_000, time.Unix(1, 500_000_000)},
		{"2^0", n.option(9, 0x80), 7, time.Unix(7, 0)},
		{"2^-10", n.option(9, 0x8a), 1<<10 | 1<<9, time.Unix(1, 500_000_000)},
		{"2^-63", n.option(9, 0xbf), 1<<63 | 1<<61, time.Unix(1, 250_000_000)},
		{"behind it", n.option(14, le.AppendUint64(nil, ^uint64(9))...), 20_000_000, time.Unix(10, 0)},
		{"name first", append(n.option(2, 'e', 't', 'h', '0', '0'), n.option(9, 3)...), 1000, time.Unix(1, 0)},
		{"after the end of options", append(n.option(0), n.option(9, 3)...), 1_000_000, time.Unix(1, 0)},
		{"of a wrong length", n.option(9, 3, 3), 1_000_000, time.Unix(1, 0)},
		{"beyond the block", []byte{9, 0, 200, 0, 3, 0, 0, 0}, 1_000_000, time.Unix(1, 0)},
	} {
		file := (&ng{AppendByteOrder: le}).section().iface(linkRaw, 0, c.options...).packet(0, c.ticks, unhex(ip4Flow))
		if all, _ := mustReadAll(t, file.b); len(all) != 1 || !all[0].time.Equal(c.want) {
			t.Errorf("%s: got %v, want %v", c.name, all, c.want.UTC())
		}
	}
}

func TestBrokenPcapng(t *testing.T) {
	le := binary.LittleEndian
	f := unhex(ip4Flow)
	good := func() *ng { // 28 + 20 bytes, then a block of 80 with a packet of 32
		n := &ng{AppendByteOrder: le}
		return n.section().iface(linkRaw, 0).packet(0, 1, f)
	}
	const second = 28 + 20 + 80 // where a second packet begins
	patch := func(b []byte, at int, v uint32) []byte {
		le.PutUint32(b[at:], v)
		return b
	}
	twice := func() []byte { return good().packet(0, 2, f).b }
	at := "frame 2 at offset 128: "
	for _, c := range []struct {
		name  string
		file  []byte
		count int
		err   string
	}{
		{"section alone", good().b[:28], 0, ""},
		{"half a section header", good().b[:20], 0, "the file ends within a section header, after 8 of 12 bytes"},
		{"byte order", patch(good().b, 8, 0), 0, "section header with byte order 00 00 00 00 (1a 2b 3c 4d expected, either way round)"},
		{"version", patch(good().b, 12, 2), 0, "pcapng version 2.0 is not supported (1.0 expected)"},
		{"section too short", patch(good().b, 4, 16), 0, "a section header of 12 bytes in a block with 0 left: the file is damaged"},
		{"section shorter than its header", patch(good().b, 4, 12), 0, "block length 12 (a multiple of 4 and at least 16 expected): the file is damaged"},
		{"half a block header", twice()[:second+7], 1, at + "the file ends within a block header, after 7 of 8 bytes"},
		{"half a packet", twice()[:second+28+31], 1, at + "the file ends within a packet, after 31 of 32 bytes"},
		{"half a comment", twice()[:second+70], 1, at + "the file ends within a block, after 10 of 16 bytes"},
		{"half a trailer", twice()[:second+79], 1, at + "the file ends within a block, after 3 of 4 bytes"},
		{"block length 0", patch(twice(), second+4, 0), 1, at + "block length 0 (a multiple of 4 and at least 12 expected): the file is damaged"},
		{"block length 81", patch(twice(), second+4, 81), 1, at + "block length 81 (a multiple of 4 and at least 12 expected): the file is damaged"},
		{"block length of 4 GiB", patch(twice(), second+4, 1<<32-4), 1, at + "the file ends within a block, after 20 of 4294967228 bytes"},
		{"block shorter than the packet", patch(twice(), second+4, 60), 1, at + "a packet of 32 bytes in a block with 28 left: the file is damaged"},
		{"lengths differ", patch(twice(), second+76, 84), 1, at + "block of length 80 ends with length 84: the file is damaged"},
		{"packet longer than its block", patch(twice(), second+20, 49), 1, at + "a packet of 49 bytes in a block with 48 left: the file is damaged"},
		{"packet of 4 GiB", patch(twice(), second+20, 1<<32-1), 1, at + "captured length 4294967295 (at most 262144 allowed): the file is damaged"},
		{"unknown interface", patch(twice(), second+8, 1), 1, at + "packet of interface 1, but 1 are described: the file is damaged"},
		{"short packet block", good().block(blockEnhanced, make([]byte, 16)).b, 1, at + "a packet block of 20 bytes in a block with 16 left: the file is damaged"},
		{"simple packet without interface", (&ng{AppendByteOrder: le}).section().block(blockSimple, make([]byte, 4)).b, 0,
			"frame 1 at offset 28: packet of interface 0, but none is described: the file is damaged"},
		{"short interface", good().block(blockInterface, make([]byte, 4)).b, 1, at + "interface description of 4 bytes (at least 8 expected)"},
		{"long interface", good().block(blockInterface, make([]byte, maxCaptured+4)).b, 1, at + "interface description of 262148 bytes (at most 262144 allowed)"},
		{"resolution 10^-20", good().iface(1, 0, good().option(9, 20)...).b, 1, at + "timestamp resolution of 10^-20 s is not supported (10^-19 at most)"},
		{"resolution 2^-64", good().iface(1, 0, good().option(9, 0xc0)...).b, 1, at + "timestamp resolution of 2^-64 s is not supported (2^-63 at most)"},
	} {
		t.Run(c.name, func(t *testing.T) { wantBroken(t, c.file, c.count, c.err) })
	}
}

func TestPcapngInterfaceCap(t *testing.T) {
	n := &ng{AppendByteOrder: binary.LittleEndian}
	n.section()
	for range maxInterfaces {
		n.iface(linkRaw, 0)
	}
	n.packet(maxInterfaces-1, 1, unhex(ip4Flow)).iface(linkRaw, 0)
	wantBroken(t, n.b, 1, "frame 2 at offset 1310828: more than 65536 interfaces in a section")
}
