package capture

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// v4 and v6 are packets with their lengths right.
func v4(options, proto, rest string) string {
	o, n := unhex(options), len(unhex(rest))
	b := unhex("4500 0000 0001 0000 40" + proto + "0000 c0000201 c0000202")
	b[0] += byte(len(o) / 4)
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(o)+n))
	return hex.EncodeToString(b) + options + rest
}

func v6(next, rest string) string {
	b := unhex("60000000 0000" + next + "40" + addresses6)
	binary.BigEndian.PutUint16(b[4:], uint16(len(unhex(rest))))
	return hex.EncodeToString(b) + rest
}

func TestIPHeaders(t *testing.T) {
	ah := "1104 0000 00000001 00000001 000102030405060708090a0b" // 24 bytes
	for _, c := range []struct {
		name, packet string
		want         Stats // but for Frames and Datagrams
		payload      string
	}{
		{"options", v4("01010101 94040000", "11", udpFlow), Stats{Unchecked: 1}, "flow"},
		{"all options", v4(strings.Repeat("01", 40), "11", udpFlow), Stats{Unchecked: 1}, "flow"},
		{"authentication header", v4("", "33", ah+udpFlow), Stats{Unchecked: 1}, "flow"},
		{"don't fragment", "4500 0020 0001 4000 4011 0000 c0000201 c0000202" + udpFlow, Stats{Unchecked: 1}, "flow"},
		{"length 0", "4500 0000 0001 0000 4011 0000 c0000201 c0000202" + udpFlow, Stats{Unchecked: 1}, "flow"},
		{"hop-by-hop", v6("00", "1100010400000000"+udpFlow), Stats{Unchecked: 1}, "flow"},
		{"destination options of 16 bytes", v6("3c", "1101010c000000000000000000000000"+udpFlow), Stats{Unchecked: 1}, "flow"},
		{"routing header at its end", v6("2b", "1100000000000000"+udpFlow), Stats{Unchecked: 1}, "flow"},
		{"authentication header v6", v6("33", ah+udpFlow), Stats{Unchecked: 1}, "flow"},
		{"atomic fragment", v6("2c", "1100 0000 00000007"+udpFlow), Stats{Unchecked: 1}, "flow"},
		{"all of them", v6("00", "2b00010400000000"+"3c00000000000000"+"2c00010400000000"+"33000000 00000007"+ah+udpFlow), Stats{Unchecked: 1}, "flow"},
		{"length 0 v6", "60000000 0000 11 40" + addresses6 + udpFlow, Stats{Unchecked: 1}, "flow"},
		{"no payload", v4("", "11", "c350 0807 0008 0000"), Stats{Unchecked: 1}, ""},
		{"UDP length 0", v4("", "11", "c350 0807 0000 0000 666c6f77"), Stats{Unchecked: 1}, "flow"},
		{"UDP shorter than IP", v4("", "11", "c350 0807 000a 0000 666c6f77"), Stats{Unchecked: 1}, "fl"},
		{"UDP longer than IP", v4("", "11", "c350 0807 000d 0000 666c6f77"), Stats{Unchecked: 1, Truncated: 1}, "flow"},
		{"UDP longer than IP, with padding", v4("", "11", "c350 0807 000d 0000 666c6f77") + "eeee", Stats{Unchecked: 1, Truncated: 1}, "flow"},
		{"IP longer than the frame", "4500 0030 0001 0000 4011 0000 c0000201 c0000202 c350 0807 001c 0000 666c6f77", Stats{Unchecked: 1, Truncated: 1}, "flow"},
		{"IP longer than the frame, UDP not", "4500 0030 0001 0000 4011 0000 c0000201 c0000202" + udpFlow, Stats{Unchecked: 1}, "flow"},
		// da96: summed by hand over the pseudo-header, header and "flow".
		{"right checksum", v4("", "11", "c350 0807 000c da96 666c6f77"), Stats{}, "flow"},
		{"wrong checksum", v4("", "11", "c350 0807 000c da97 666c6f77"), Stats{BadChecksum: 1}, "flow"},
		{"checksum with segments left", v6("2b", "1100000100000000"+"c350 0807 000c 0001 666c6f77"), Stats{Unchecked: 1}, "flow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Frames, c.want.Datagrams = 1, 1
			all, s := mustReadAll(t, pcapOf(linkRaw, unhex(c.packet)))
			if len(all) != 1 || all[0].payload != c.payload || all[0].source.Port() != 50000 {
				t.Errorf("got %v, want %q", all, c.payload)
			}
			if s != c.want {
				t.Errorf("got %+v, want %+v", s, c.want)
			}
		})
	}
}

func TestMappedSource(t *testing.T) {
	p := "60000000 000c 11 40 00000000000000000000ffffc0000201 00000000000000000000ffffc0000202" + udpFlow
	all, _ := mustReadAll(t, pcapOf(linkRaw, unhex(p)))
	if len(all) != 1 || all[0].source != source4 {
		t.Errorf("got %v, want source %v", all, source4)
	}
}

// TestSnapLength cuts a frame at every length.
func TestSnapLength(t *testing.T) {
	for _, c := range []struct {
		name, frame string
		headers     int
	}{
		{"v4", macs + "0800" + ip4Flow, 14 + 20 + 8},
		{"v6", macs + "86dd" + ip6Flow, 14 + 40 + 8},
	} {
		whole := unhex(c.frame)
		for n := range whole {
			file := append(pcapHeader(binary.LittleEndian, magicMicro, 1),
				pcapRecord(binary.LittleEndian, 1, 0, whole[:n], len(whole))...)
			all, s := mustReadAll(t, file)
			if n < c.headers {
				if len(all) != 0 || s != (Stats{Frames: 1, Cut: 1}) {
					t.Errorf("%s cut at %d: got %v, %+v", c.name, n, all, s)
				}
				continue
			}
			want := string(whole[c.headers:n])
			if len(all) != 1 || all[0].payload != want || s.Truncated != 1 || s.Unchecked != 1 {
				t.Errorf("%s cut at %d: got %v, %+v, want %q", c.name, n, all, s, want)
			}
		}
	}
}
