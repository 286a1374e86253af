package capture

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A piece is a fragment of a test: bytes from..to of the UDP datagram.
type piece struct {
	from, to int
	id       uint16
	sec      int  // after start
	last     bool // no more fragments
}

// datagramOf is a UDP datagram of n bytes, without a checksum, whose payload
// tells its own places.
func datagramOf(n int) []byte {
	b := unhex("c350 0807 0000 0000")
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	for len(b) < n {
		b = append(b, byte(len(b)/8))
	}
	return b
}

// fragment4 and fragment6 cut a piece out of a datagram.
func fragment4(d []byte, p piece) []byte {
	f := uint16(p.from / 8)
	if !p.last {
		f |= 0x2000
	}
	b := unhex("4500 0000 0000 0000 4011 0000 c0000201 c0000202")
	binary.BigEndian.PutUint16(b[2:], uint16(20+p.to-p.from))
	binary.BigEndian.PutUint16(b[4:], p.id)
	binary.BigEndian.PutUint16(b[6:], f)
	return append(b, d[p.from:p.to]...)
}

func fragment6(d []byte, p piece) []byte {
	f := uint16(p.from)
	if !p.last {
		f |= 1
	}
	return unhex(v6("2c", fmt.Sprintf("1100 %04x 0000%04x", f, p.id)+hex.EncodeToString(d[p.from:p.to])))
}

func TestReassembly(t *testing.T) {
	d := datagramOf(40)
	for _, c := range []struct {
		name   string
		pieces []piece
		frames []int // that complete a datagram
		want   Stats // but for Frames, Datagrams and Unchecked
	}{
		{"in order", []piece{{0, 16, 1, 0, false}, {16, 32, 1, 0, false}, {32, 40, 1, 0, true}}, []int{3}, Stats{Fragments: 2, Reassembled: 1}},
		{"last first", []piece{{32, 40, 1, 0, true}, {16, 32, 1, 0, false}, {0, 16, 1, 0, false}}, []int{3}, Stats{Fragments: 2, Reassembled: 1}},
		{"middle last", []piece{{32, 40, 1, 0, true}, {0, 16, 1, 0, false}, {16, 32, 1, 0, false}}, []int{3}, Stats{Fragments: 2, Reassembled: 1}},
		{"two at once", []piece{{0, 16, 1, 0, false}, {0, 16, 2, 0, false}, {16, 40, 2, 0, true}, {16, 40, 1, 0, true}}, []int{3, 4}, Stats{Fragments: 2, Reassembled: 2}},
		{"the same id again", []piece{{0, 16, 1, 0, false}, {16, 40, 1, 0, true}, {0, 16, 1, 0, false}, {16, 40, 1, 0, true}}, []int{2, 4}, Stats{Fragments: 2, Reassembled: 2}},
		{"duplicates", []piece{{0, 16, 1, 0, false}, {0, 16, 1, 0, false}, {32, 40, 1, 0, true}, {32, 40, 1, 0, true}, {16, 32, 1, 0, false}}, []int{5}, Stats{Fragments: 4, Reassembled: 1, Duplicates: 2}},
		{"without an end", []piece{{0, 16, 1, 0, false}, {16, 32, 1, 0, false}}, nil, Stats{Fragments: 2, Waiting: 1}},
		{"with a hole", []piece{{0, 16, 1, 0, false}, {32, 40, 1, 0, true}}, nil, Stats{Fragments: 2, Waiting: 1}},
		{"overlap", []piece{{0, 16, 1, 0, false}, {8, 32, 1, 0, false}, {32, 40, 1, 0, true}, {16, 32, 1, 0, false}}, nil, Stats{Fragments: 4, Overlapping: 1}},
		{"overlap from behind", []piece{{16, 32, 1, 0, false}, {0, 24, 1, 0, false}}, nil, Stats{Fragments: 2, Overlapping: 1}},
		{"overlap within", []piece{{0, 32, 1, 0, false}, {8, 16, 1, 0, false}}, nil, Stats{Fragments: 2, Overlapping: 1}},
		{"overlap around", []piece{{8, 16, 1, 0, false}, {0, 24, 1, 0, false}}, nil, Stats{Fragments: 2, Overlapping: 1}},
		{"two ends", []piece{{16, 24, 1, 0, true}, {32, 40, 1, 0, true}}, nil, Stats{Fragments: 2, Overlapping: 1}},
		{"an end before what is there", []piece{{24, 32, 1, 0, false}, {8, 16, 1, 0, true}}, nil, Stats{Fragments: 2, Overlapping: 1}},
		{"more after the end", []piece{{16, 24, 1, 0, true}, {24, 32, 1, 0, false}}, nil, Stats{Fragments: 2, Overlapping: 1}},
		{"overlap, and the id again after its time", []piece{{0, 16, 1, 0, false}, {8, 24, 1, 0, false}, {0, 16, 1, 31, false}, {16, 40, 1, 31, true}}, []int{4}, Stats{Fragments: 3, Overlapping: 1, Reassembled: 1}},
		{"within 30 s", []piece{{0, 16, 1, 0, false}, {16, 40, 1, 30, true}}, []int{2}, Stats{Fragments: 1, Reassembled: 1}},
		{"after 30 s", []piece{{0, 16, 1, 0, false}, {16, 40, 1, 31, true}}, nil, Stats{Fragments: 2, Expired: 1, Waiting: 1}},
		{"time goes back a little", []piece{{0, 16, 1, 60, false}, {16, 40, 1, 59, true}}, []int{2}, Stats{Fragments: 1, Reassembled: 1}},
		{"time goes back far", []piece{{0, 16, 1, 60, false}, {16, 40, 1, 0, true}}, nil, Stats{Fragments: 2, Expired: 1, Waiting: 1}},
		{"not a multiple of 8", []piece{{0, 15, 1, 0, false}, {16, 40, 1, 0, true}}, nil, Stats{Malformed: 1, Fragments: 1, Waiting: 1}},
		{"empty", []piece{{8, 8, 1, 0, false}}, nil, Stats{Malformed: 1}},
	} {
		for v, fragment := range map[string]func([]byte, piece) []byte{"v4": fragment4, "v6": fragment6} {
			t.Run(c.name+" "+v, func(t *testing.T) {
				file := pcapHeader(binary.LittleEndian, magicMicro, linkRaw)
				for _, p := range c.pieces {
					f := fragment(d, p)
					file = append(file, pcapRecord(binary.LittleEndian, uint32(start.Unix())+uint32(p.sec), 123456, f, len(f))...)
				}
				all, s := mustReadAll(t, file)
				var frames []int
				for _, g := range all {
					frames = append(frames, g.frame)
					sec := time.Duration(c.pieces[g.frame-1].sec) * time.Second
					if g.payload != string(d[8:]) || !g.time.Equal(start.Add(sec)) {
						t.Errorf("frame %d: payload % x at %v", g.frame, g.payload, g.time)
					}
				}
				if fmt.Sprint(frames) != fmt.Sprint(c.frames) {
					t.Errorf("completed in frames %v, want %v", frames, c.frames)
				}
				c.want.Frames, c.want.Datagrams, c.want.Unchecked = uint64(len(c.pieces)), uint64(len(c.frames)), uint64(len(c.frames))
				if s != c.want {
					t.Errorf("got %+v, want %+v", s, c.want)
				}
			})
		}
	}
}

// TestReassemblyContentDiffers: the same place with other bytes is an overlap.
func TestReassemblyContentDiffers(t *testing.T) {
	d := datagramOf(40)
	a := fragment4(d, piece{0, 16, 1, 0, false})
	b := bytes.Clone(a)
	b[30] ^= 1
	_, s := mustReadAll(t, pcapOf(linkRaw, a, b))
	if want := (Stats{Frames: 2, Fragments: 2, Overlapping: 1}); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

// TestReassemblyProtocols: what tells packets apart, and what they turn out to be.
func TestReassemblyProtocols(t *testing.T) {
	half := func(next, place, rest string) []byte { return unhex(v6("2c", next+"00"+place+"00000001"+rest)) }
	for _, c := range []struct {
		name   string
		frames [][]byte
		want   Stats
	}{
		{"options, then UDP", [][]byte{half("3c", "0001", "1100000000000000"), half("3c", "0008", udpFlow)},
			Stats{Frames: 2, Datagrams: 1, Unchecked: 1, Fragments: 1, Reassembled: 1}},
		{"options, then TCP", [][]byte{half("3c", "0001", "0600000000000000"), half("3c", "0008", udpFlow)},
			Stats{Frames: 2, TCP: 1, Fragments: 1, Reassembled: 1}},
		{"a fragment of a fragment", [][]byte{half("2c", "0001", "1100000100000001"), half("2c", "0008", udpFlow)},
			Stats{Frames: 2, Malformed: 1, Fragments: 1, Reassembled: 1}},
		{"UDP header too short", [][]byte{half("3c", "0001", "1100000000000000"), half("3c", "0008", "c3500807")},
			Stats{Frames: 2, Malformed: 1, Fragments: 1, Reassembled: 1}},
		{"beyond 65,535 bytes", [][]byte{half("11", "fff8", udpFlow)},
			Stats{Frames: 1, Malformed: 1}},
		{"bytes missing", [][]byte{half("11", "0001", udpFlow)[:50]},
			Stats{Frames: 1, Malformed: 1}},
		{"IPv4 keeps protocols apart", [][]byte{
			unhex("4500 001c 0001 2000 4011 0000 c0000201 c0000202" + "c350 0807 0008 0000"),
			unhex("4500 001c 0001 0001 4033 0000 c0000201 c0000202" + "1104000000000001")},
			Stats{Frames: 2, Fragments: 2, Waiting: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, s := mustReadAll(t, pcapOf(linkRaw, c.frames...)); s != c.want {
				t.Errorf("got %+v, want %+v", s, c.want)
			}
		})
	}
}

// TestReassemblyCap begins more packets than are kept: the oldest goes.
func TestReassemblyCap(t *testing.T) {
	d := datagramOf(40)
	var frames [][]byte
	for id := range uint16(maxPending + 1) {
		frames = append(frames, fragment4(d, piece{0, 16, id, 0, false}))
	}
	frames = append(frames, fragment4(d, piece{16, 40, 1, 0, true}), fragment4(d, piece{16, 40, 0, 0, true}))
	file := pcapHeader(binary.LittleEndian, magicMicro, linkRaw)
	for _, f := range frames {
		file = append(file, pcapRecord(binary.LittleEndian, 1, 0, f, len(f))...)
	}
	all, s := mustReadAll(t, file)
	if len(all) != 1 || all[0].frame != maxPending+2 {
		t.Errorf("got %v, want the datagram of id 1", all)
	}
	want := Stats{Frames: maxPending + 3, Datagrams: 1, Unchecked: 1, Fragments: maxPending + 2, Reassembled: 1, Waiting: maxPending, Evicted: 1}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

// TestReassemblyRandom cuts datagrams of all sizes anywhere, shuffles and
// repeats the pieces of several of them, and wants every one back.
func TestReassemblyRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		file := pcapHeader(binary.LittleEndian, magicMicro, linkRaw)
		var frames [][]byte
		want := map[string]int{}
		for id := range uint16(8) {
			d := datagramOf(17 + rnd.IntN([]int{100, 1000, 65000}[rnd.IntN(3)]))
			rnd.Shuffle(len(d)-8, func(i, j int) { d[8+i], d[8+j] = d[8+j], d[8+i] })
			want[string(d[8:])]++
			for from := 0; from < len(d); {
				to := min(from+8*(1+rnd.IntN(1+len(d)/16)), len(d))
				if from == 0 {
					to = min(to, (len(d)-1)&^7) // at least two pieces
				}
				p := piece{from, to, id, 0, to == len(d)}
				f := fragment4(d, p)
				if round%2 == 1 {
					f = fragment6(d, p)
				}
				frames, from = append(frames, f), to
			}
		}
		rnd.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
		for _, f := range frames {
			file = append(file, pcapRecord(binary.LittleEndian, 1, 0, f, len(f))...)
		}
		all, s := mustReadAll(t, file)
		for _, g := range all {
			want[g.payload]--
		}
		for p, n := range want {
			if n != 0 {
				t.Errorf("round %d: payload of %d bytes is off by %d: %+v", round, len(p), n, s)
			}
		}
	}
}
