package capture

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// FuzzReader reads any bytes: it must come to an end, within its bounds, and
// account for every frame (drain checks the sums).
func FuzzReader(f *testing.F) {
	d := datagramOf(40)
	frames := [][]byte{
		unhex(ip4Flow), unhex(ip6Flow),
		unhex(v6("00", "2b00010400000000"+"3c00000000000000"+"2c00010400000000"+udpFlow)),
		fragment4(d, piece{0, 16, 1, 0, false}), fragment4(d, piece{16, 40, 1, 0, true}),
		fragment6(d, piece{16, 40, 1, 0, true}), fragment6(d, piece{0, 16, 1, 0, false}),
	}
	f.Add(pcapOf(linkRaw, frames...))
	f.Add(zipped(pcapOf(linkRaw, frames[:2]...)))
	f.Add(pcapOf(linkEthernet,
		unhex(macs+"88a8 0064 8100 0065 0800"+ip4Flow),
		unhex(macs+"8847 00064040 00065140"+ip6Flow),
		unhex(macs+"8864 1100 0001 0022 0021"+ip4Flow),
		unhex(macs+"0028 aaaa03 000000 0800"+ip4Flow)))
	f.Add(pcapOf(linkSLL, unhex("0000 0001 0006 020000000001 0000 0800"+ip4Flow)))
	f.Add(pcapOf(linkSLL2, unhex("0800 0000 00000002 0001 00 06 0200000000010000"+ip4Flow)))
	f.Add(pcapOf(linkNull, unhex("02000000"+ip4Flow), unhex("0000001e"+ip6Flow)))
	f.Add(pcapOf(linkPPP, unhex("ff03 0021"+ip4Flow), unhex("57"+ip6Flow)))
	for _, order := range orders {
		f.Add(append(pcapHeader(order, magicNano, linkRaw), pcapRecord(order, 1, 2, frames[0], 32)...))
		n := &ng{AppendByteOrder: order}
		n.section().iface(linkRaw, 0, n.option(9, 0x80|20)...).iface(linkEthernet, 40).
			packet(0, 1<<40, frames[0]).
			packet(1, 5, unhex(macs+"0800"+ip4Flow)).
			block(blockSimple, n.words(frames[1], uint32(len(frames[1]))))
		f.Add(n.b)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		all, s, err := readAll(t, file)
		if err == nil {
			t.Error("no end")
		}
		for _, g := range all {
			if len(g.payload) > maxCaptured || !g.source.IsValid() || g.source.Addr().Is4In6() || g.frame < 1 || uint64(g.frame) > s.Frames {
				t.Errorf("datagram of %d bytes from %v in frame %d", len(g.payload), g.source, g.frame)
			}
		}
		if s.Waiting > maxPending {
			t.Errorf("%d packets waiting", s.Waiting)
		}
	})
}

// FuzzReassembly compares with the plainest way to do it: one byte after the
// other, in a map. Each 3 bytes of the input are a fragment of a packet of
// 64 bytes: where, how long, and which of two packets it is of.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 2, 0, 2, 8, 0})
	f.Add([]byte{0, 2, 1, 1, 2, 1, 3, 8, 1})
	f.Add([]byte{4, 8, 0, 0, 2, 1, 2, 8, 1, 0, 4, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		d := datagramOf(64)
		var r reassembler
		models := map[byte]*model{}
		for ; len(in) >= 3; in = in[3:] {
			from, id := int(in[0]%8)*8, in[2]%2
			to := min(from+int(in[1]%8+1)*8, 64)
			p, _ := readIPv4(fragment4(d, piece{from, to, uint16(id), 0, to == 64}))
			if from == 0 && to == 64 {
				continue // no fragment
			}
			m := models[id]
			if m == nil {
				m = &model{have: map[int]bool{}, seen: map[part]bool{}}
				models[id] = m
			}
			whole := m.add(part{from, to})
			what := r.add(&p, time.Unix(1, 0))
			if (what == isUDP) != whole {
				t.Fatalf("%d-%d of %d: finding %d, want whole %v", from, to, id, what, whole)
			}
			if whole {
				delete(models, id)
				if !bytes.Equal(p.data, d) || int(binary.BigEndian.Uint16(p.data[4:])) != len(d) {
					t.Fatalf("got % x", p.data)
				}
			}
		}
	})
}

// A model holds a packet of 64 bytes as a set of bytes.
type model struct {
	have    map[int]bool
	seen    map[part]bool
	spoiled bool
}

// add tells whether the packet is whole now.
func (m *model) add(p part) bool {
	if m.spoiled || m.seen[p] {
		return false
	}
	m.seen[p] = true
	for i := p.from; i < p.to; i++ {
		m.spoiled = m.spoiled || m.have[i]
		m.have[i] = true
	}
	return !m.spoiled && len(m.have) == 64
}
