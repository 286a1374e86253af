package decode_test

import (
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

// numbered makes a datagram with one unit and a sequence number.
func numbered(v flow.Version, number uint32) []byte {
	switch v {
	case flow.V5:
		return v5(number, 1)
	case flow.SFlow:
		p := make([]byte, 28)
		copy(p, u32(5, 1))
		copy(p[8:], ip("192.0.2.9"))
		copy(p[16:], u32(number, uptime))
		return p
	}
	return message(v, number, pairTemplate(v), set(300, pairAB))
}

// TestForgedNumber: a datagram far ahead or far behind, from the exporter's port or
// another one, is no loss when the exporter goes on as before; real losses are counted
// exactly before and after.
func TestForgedNumber(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		for _, c := range []struct {
			name   string
			forged []uint32 // beyond the expected number
			port   string
		}{
			{"half of all", []uint32{0x7fffff00}, "6000"},
			{"half of all, own port", []uint32{0x7fffff00}, "5000"},
			{"a million", []uint32{1_000_000}, "6000"},
			{"a million, own port", []uint32{1_000_000}, "5000"},
			{"5,000", []uint32{5000}, "5000"},
			{"three in a row", []uint32{100_000_000, 100_000_001, 100_000_002}, "5000"},
			{"three apart", []uint32{1_000_000, 8_000_000, 1_500_000_000}, "5000"},
			{"far behind", []uint32{0xfff00000}, "5000"},
			{"behind, then ahead", []uint32{0xfff00000, 9_000_000}, "6000"},
		} {
			t.Run(v.String()+"/"+c.name, func(t *testing.T) {
				b := newBench(t)
				seq := uint32(10_000_000)
				legit := func(n int) {
					for range n {
						b.now = b.now.Add(10 * time.Millisecond)
						b.at("192.0.2.1:5000", numbered(v, seq))
						seq++
					}
				}
				legit(20)
				seq += 7
				legit(5)
				for _, ahead := range c.forged {
					b.at("192.0.2.1:"+c.port, numbered(v, seq+ahead))
				}
				legit(20)
				seq += 50
				legit(20)
				var lost, jumps uint64
				for _, s := range b.x.Snapshot()[0].Streams {
					lost += s.Lost
					jumps += s.Jumps + s.Resets
				}
				if lost != 57 || jumps == 0 {
					t.Errorf("lost %d, want 57; %d jumps and resets", lost, jumps)
				}
			})
		}
	}
}

// TestLongOutage: a gap that the time explains is a loss in full, one that it does not
// is a jump.
func TestLongOutage(t *testing.T) {
	for _, c := range []struct {
		name        string
		pause       time.Duration
		gap         uint32
		lost, jumps uint64
	}{
		{"a burst", 0, 10_000_000, 10_000_000, 0},
		{"a minute at 1,000,000 a second", time.Minute, 60_000_000, 60_000_000, 0},
		{"an hour at 500,000 a second", time.Hour, 1_800_000_000, 1_800_000_000, 0},
		{"2,000,000,000 in a second", time.Second, 2_000_000_000, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.send(v5(1000, 1))
			b.now = b.now.Add(c.pause)
			next := 1001 + c.gap
			b.send(v5(next, 1), v5(next+1, 1), v5(next+4, 1))
			want := sequence.Status{Unit: sequence.Flows, Lost: c.lost + 2, Jumps: c.jumps}
			if got := b.stream().Status; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if l := b.x.Stats().Lost; l.Jumps != c.jumps || l.Flows != c.lost+2 {
				t.Errorf("in all: %+v", l)
			}
		})
	}
}
