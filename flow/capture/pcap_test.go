package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestPcapVariants(t *testing.T) {
	f := unhex(ip4Flow)
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, c := range []struct {
			name  string
			magic uint32
			frac  uint32
			time  time.Time
		}{
			{"micro", magicMicro, 123456, start},
			{"nano", magicNano, 123456789, start.Add(789)},
			{"modified", magicModified, 123456, start},
		} {
			t.Run(c.name+" "+order.String(), func(t *testing.T) {
				file := pcapHeader(order, c.magic, linkRaw)
				for range 2 {
					r := pcapRecord(order, uint32(start.Unix()), c.frac, f, len(f))
					if c.magic == magicModified {
						r = append(append(bytes.Clone(r[:16]), 0, 0, 0, 2, 8, 0, 0, 0), r[16:]...)
					}
					file = append(file, r...)
				}
				all, _ := mustReadAll(t, file)
				want := got{2, source4, "flow", c.time}
				if len(all) != 2 || all[1] != want {
					t.Errorf("got %v, want the last as %v", all, want)
				}
			})
		}
	}
}

func TestPcapTimeAfter2038(t *testing.T) {
	f := unhex(ip4Flow)
	file := append(pcapHeader(binary.LittleEndian, magicMicro, linkRaw), pcapRecord(binary.LittleEndian, 1<<32-1, 0, f, len(f))...)
	if all, _ := mustReadAll(t, file); all[0].time.Year() != 2106 {
		t.Errorf("got %v", all)
	}
}

// TestPcapLinkTypeWithFCS: the upper half of the field is none of the type.
func TestPcapLinkTypeWithFCS(t *testing.T) {
	f := unhex(macs + "0800" + ip4Flow + "01020304")
	if all, _ := mustReadAll(t, pcapOf(0x24000001, f)); len(all) != 1 || all[0].payload != "flow" {
		t.Errorf("got %v", all)
	}
}

// zipped is b as gzip.
func zipped(b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(b)
	w.Close()
	return z.Bytes()
}

func TestGzip(t *testing.T) {
	plain := pcapOf(linkRaw, unhex(ip4Flow), unhex(ip6Flow))
	z := zipped(plain)
	if all, _ := mustReadAll(t, z); len(all) != 2 {
		t.Errorf("got %v", all)
	}
	both := append(zipped(plain[:50]), zipped(plain[50:])...)
	if all, _ := mustReadAll(t, both); len(all) != 2 {
		t.Errorf("two members: got %v", all)
	}
	z[len(z)-5] ^= 1
	if all, _, err := readAll(t, z); len(all) != 2 || !errors.Is(err, gzip.ErrChecksum) {
		t.Errorf("wrong checksum: got %v, error %v", all, err)
	}
}

// TestBroken lists what can be wrong with a file, how many datagrams come before
// it shows, and the words for it.
func TestBroken(t *testing.T) {
	f := unhex(ip4Flow)
	two := pcapOf(linkRaw, f, f) // records at 24 and 72, end at 120
	lie := func(captured uint32) []byte {
		b := bytes.Clone(two)
		binary.LittleEndian.PutUint32(b[72+8:], captured)
		return b
	}
	version := bytes.Clone(two)
	version[6] = 3
	for _, c := range []struct {
		name  string
		file  []byte
		count int
		err   string
	}{
		{"empty", nil, 0, "empty file (pcap or pcapng expected)"},
		{"text", []byte("hello, world"), 0, "not a capture file (pcap or pcapng expected, first bytes 68 65 6c 6c)"},
		{"two bytes", []byte("hi"), 0, "not a capture file (pcap or pcapng expected, first bytes 68 69)"},
		{"gzip of text", zipped([]byte("hello")), 0, "not a capture file (pcap or pcapng expected, first bytes within gzip 68 65 6c 6c)"},
		{"gzip of nothing", zipped(nil), 0, "empty file (pcap or pcapng expected)"},
		{"gzip of gzip", zipped(zipped(two)), 0, "not a capture file (pcap or pcapng expected, first bytes within gzip 1f 8b 08 00)"},
		{"half a gzip header", []byte{0x1f, 0x8b, 8}, 0, "damaged gzip file: the file ends early"},
		{"damaged gzip header", append([]byte{0x1f, 0x8b, 9}, make([]byte, 20)...), 0, "damaged gzip file: gzip: invalid header"},
		{"gzip header alone", zipped(two)[:10], 0, "cannot read: the file ends early"},
		{"half a file header", two[:23], 0, "the file ends within the pcap file header, after 23 of 24 bytes"},
		{"version", version, 0, "pcap version 2.3 is not supported (2.4 expected)"},
		{"link type", pcapOf(105, f), 0, "link type 105 is not supported (supported: 0 NULL, 1 ETHERNET, 9 PPP, 12, 14 and 101 RAW, 50 PPP_HDLC, " +
			"51 PPP_ETHER, 104 C_HDLC, 108 LOOP, 113 LINUX_SLL, 228 IPV4, 229 IPV6, 276 LINUX_SLL2)"},
		{"header alone", two[:24], 0, ""},
		{"half a record header", two[:24+7], 0, "frame 1 at offset 24: the file ends within a record header, after 7 of 16 bytes"},
		{"half a record", two[:119], 1, "frame 2 at offset 72: the file ends within a packet, after 31 of 32 bytes"},
		{"record without data", two[:72+16], 1, "frame 2 at offset 72: the file ends within a packet, after 0 of 32 bytes"},
		{"gzip of half a record", zipped(two[:119]), 1, "frame 2 at offset 72: the file ends within a packet, after 31 of 32 bytes"},
		{"length beyond the file", lie(maxCaptured), 1, "frame 2 at offset 72: the file ends within a packet, after 32 of 262144 bytes"},
		{"length beyond the cap", lie(maxCaptured + 1), 1, "frame 2 at offset 72: captured length 262145 (at most 262144 allowed): the file is damaged"},
		{"length of 4 GiB", lie(1<<32 - 1), 1, "frame 2 at offset 72: captured length 4294967295 (at most 262144 allowed): the file is damaged"},
	} {
		t.Run(c.name, func(t *testing.T) { wantBroken(t, c.file, c.count, c.err) })
	}
}

// wantBroken reads a file that gives count datagrams and then the error; an
// empty one stands for the regular end.
func wantBroken(t *testing.T, file []byte, count int, want string) {
	t.Helper()
	all, _, err := readAll(t, file)
	if len(all) != count {
		t.Errorf("got %v, want %d datagrams", all, count)
	}
	if want == "" {
		if err != io.EOF {
			t.Errorf("error %v, want EOF", err)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) || err.Error() != "x.pcap: "+want {
		t.Errorf("error\n %v, want\n x.pcap: %s", err, want)
	}
	if strings.Contains(want, "the file ends") && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v is no unexpected EOF", err)
	}
}

// TestCutAnywhere ends a file at every byte: no datagram that is whole is lost.
func TestCutAnywhere(t *testing.T) {
	whole := pcapOf(linkRaw, unhex(ip4Flow), unhex(ip6Flow))
	for n := 24; n < len(whole); n++ {
		all, _, err := readAll(t, whole[:n])
		want := 0
		if n >= 24+16+32 {
			want = 1
		}
		atEnd := n == 24 || n == 24+16+32
		if len(all) != want || (err == io.EOF) != atEnd {
			t.Errorf("cut at %d: %d datagrams, %v", n, len(all), err)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "two.pcap")
	if err := os.WriteFile(path, pcapOf(linkRaw, unhex(ip4Flow), unhex(ip4Flow)), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Frame() != 0 {
		t.Errorf("frame %d before the first", r.Frame())
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, fs.ErrClosed) || strings.Count(err.Error(), path) != 1 {
		t.Errorf("Next after Close: %v", err)
	}
	for _, wrong := range []string{filepath.Join(dir, "none.pcap"), dir} {
		_, err := Open(wrong)
		if err == nil || !strings.HasPrefix(err.Error(), wrong+": ") || strings.Count(err.Error(), wrong) != 1 {
			t.Errorf("Open(%s): %v", wrong, err)
		}
	}
	if _, err := Open(filepath.Join(dir, "none.pcap")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// TestReadErrors: an error of the file system is no end of the file.
func TestReadErrors(t *testing.T) {
	bad := errors.New("bad sector")
	file := pcapOf(linkRaw, unhex(ip4Flow))
	for n := range len(file) + 1 {
		in := io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(bad))
		r, err := NewReader(in, "x.pcap")
		if err == nil {
			_, _, err = drain(t, r)
		}
		if !errors.Is(err, bad) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// TestShortReads: the file may come in pieces.
func TestShortReads(t *testing.T) {
	r, err := NewReader(iotest.OneByteReader(bytes.NewReader(pcapOf(linkRaw, unhex(ip4Flow)))), "x.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if all, _, err := drain(t, r); len(all) != 1 || err != io.EOF {
		t.Errorf("got %v, %v", all, err)
	}
}

// TestNoAllocation: a frame costs no memory, wanted or not.
func TestNoAllocation(t *testing.T) {
	file := pcapHeader(binary.LittleEndian, magicMicro, 1)
	for range 2000 {
		for _, s := range []string{macs + "0800" + ip4Flow, macs + "86dd" + ip6Flow, macs + "0806"} {
			f := unhex(s)
			file = append(file, pcapRecord(binary.LittleEndian, 1, 0, f, len(f))...)
		}
	}
	r, err := NewReader(bytes.NewReader(file), "x.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, err = r.Next() }); n != 0 || err != nil {
		t.Errorf("%v allocations a datagram, error %v", n, err)
	}
}
