package capture

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestWriterFrame compares a frame byte by byte with one made by hand.
func TestWriterFrame(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	dg := flow.Datagram{Payload: []byte("flow"), Source: source4, Received: start.Add(789)}
	if err := w.Write(dg, netip.MustParseAddrPort("192.0.2.2:2055")); err != nil {
		t.Fatal(err)
	}
	want := unhex(`4d3cb2a1 0200 0400 00000000 00000000 00000400 01000000
		f0d0006b 15cd5b07 2e000000 2e000000` + macs + `0800
		4500 0020 0001 0000 4011 f6c8 c0000201 c0000202 c350 0807 000c da96 666c6f77`)
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("got\n% x, want\n% x", out.Bytes(), want)
	}
}

func TestWriterRoundTrip(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	var want []got
	for _, c := range []struct {
		src, dst string
		size     int
	}{
		{"192.0.2.1:50000", "192.0.2.2:2055", 0},
		{"192.0.2.1:50000", "192.0.2.2:2055", 1},
		{"192.0.2.1:0", "192.0.2.2:65535", 1464},
		{"192.0.2.1:50000", "192.0.2.2:2055", 65507},
		{"[::ffff:192.0.2.1]:50000", "192.0.2.2:2055", 5},
		{"[2001:db8::1]:50000", "[2001:db8::2]:4739", 0},
		{"[2001:db8::1]:50000", "[2001:db8::2]:4739", 65527},
	} {
		src := netip.MustParseAddrPort(c.src)
		payload := bytes.Repeat([]byte{0xa5}, c.size)
		at := start.Add(time.Duration(len(want)))
		if err := w.Write(flow.Datagram{Payload: payload, Source: src, Received: at}, netip.MustParseAddrPort(c.dst)); err != nil {
			t.Fatal(err)
		}
		want = append(want, got{len(want) + 1, netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), string(payload), at})
	}
	all, s := mustReadAll(t, out.Bytes())
	if len(all) != len(want) {
		t.Fatalf("got %d datagrams, want %d", len(all), len(want))
	}
	for i := range want {
		if all[i] != want[i] {
			t.Errorf("datagram %d differs", i)
		}
	}
	if wantStats := (Stats{Frames: uint64(len(want)), Datagrams: uint64(len(want))}); s != wantStats {
		t.Errorf("got %+v, want no checksum wrong", s)
	}
}

// TestWriterChecksums writes every sum there is, 0 among them, which is sent as
// ffff.
func TestWriterChecksums(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	dst := netip.MustParseAddrPort("192.0.2.2:2055")
	for i := range 1 << 16 {
		if err := w.Write(flow.Datagram{Payload: []byte{byte(i >> 8), byte(i)}, Source: source4, Received: start}, dst); err != nil {
			t.Fatal(err)
		}
	}
	if _, s := mustReadAll(t, out.Bytes()); s.Datagrams != 1<<16 || s.BadChecksum+s.Unchecked != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestWriterEmpty(t *testing.T) {
	var out bytes.Buffer
	NewWriter(&out)
	if all, _ := mustReadAll(t, out.Bytes()); len(all) != 0 {
		t.Errorf("got %v", all)
	}
}

func TestWriterErrors(t *testing.T) {
	dst := netip.MustParseAddrPort("192.0.2.2:2055")
	good := flow.Datagram{Source: source4, Received: start}
	for _, c := range []struct {
		name string
		dg   flow.Datagram
		dst  netip.AddrPort
		want string
	}{
		{"no source", flow.Datagram{Received: start}, dst, "cannot write a datagram from invalid AddrPort to 192.0.2.2:2055: two addresses of one family expected"},
		{"no destination", good, netip.AddrPort{}, "cannot write a datagram from 192.0.2.1:50000 to invalid AddrPort: two addresses of one family expected"},
		{"two families", good, source6, "cannot write a datagram from 192.0.2.1:50000 to [2001:db8::1]:50000: two addresses of one family expected"},
		{"too long", flow.Datagram{Payload: make([]byte, 65508), Source: source4, Received: start}, dst, "cannot write a payload of 65508 bytes (at most 65507 allowed)"},
		{"no time", flow.Datagram{Source: source4}, dst, "cannot write the time 0001-01-01T00:00:00Z (1970 to 2106 allowed)"},
	} {
		var out bytes.Buffer
		w := NewWriter(&out)
		if err := w.Write(c.dg, c.dst); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if out.Len() != 24 {
			t.Errorf("%s: %d bytes written", c.name, out.Len())
		}
	}
	full, closed := io.Pipe()
	full.Close()
	if err := NewWriter(closed).Write(good, dst); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error of the file header: %v", err)
	}
}
