package capture

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// The packets that frames in these tests carry, by hand: "flow" from
// 192.0.2.1:50000 to 192.0.2.2:2055 and from 2001:db8::1 to 2001:db8::2.
const (
	udpHeader  = "c350 0807 000c 0000" // no checksum
	udpFlow    = udpHeader + "666c6f77"
	ip4Flow    = "4500 0020 0001 0000 4011 0000 c0000201 c0000202" + udpFlow
	addresses6 = "20010db8000000000000000000000001 20010db8000000000000000000000002"
	ip6Flow    = "60000000 000c 11 40" + addresses6 + udpFlow
	macs       = "020000000002 020000000001"
)

var (
	source4 = netip.MustParseAddrPort("192.0.2.1:50000")
	source6 = netip.MustParseAddrPort("[2001:db8::1]:50000")
	start   = time.Date(2026, 11, 20, 23, 0, 0, 123456000, time.UTC)
)

// What the formats' drafts say, and the caps of the readers.
const (
	magicMicro     = 0xa1b2c3d4
	magicNano      = 0xa1b23c4d
	magicModified  = 0xa1b2cd34
	blockInterface = 1
	blockPacket    = 2
	blockSimple    = 3
	blockEnhanced  = 6
	blockSection   = 0x0a0d0d0a
	byteOrderMagic = 0x1a2b3c4d
	maxCaptured    = 256 << 10
	maxInterfaces  = 65536
)

// unhex reads hexadecimal digits with spaces between them.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// pcapHeader is a file header of version 2.4.
func pcapHeader(order binary.AppendByteOrder, magic uint32, link int) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(b, 65535)
	return order.AppendUint32(b, uint32(link))
}

// pcapRecord is a record whose frame was original bytes long on the wire.
func pcapRecord(order binary.AppendByteOrder, sec, frac uint32, data []byte, original int) []byte {
	b := order.AppendUint32(nil, sec)
	b = order.AppendUint32(b, frac)
	b = order.AppendUint32(b, uint32(len(data)))
	b = order.AppendUint32(b, uint32(original))
	return append(b, data...)
}

// pcapOf is a little-endian capture of whole frames, one a second.
func pcapOf(link int, frames ...[]byte) []byte {
	b := pcapHeader(binary.LittleEndian, magicMicro, link)
	for i, f := range frames {
		b = append(b, pcapRecord(binary.LittleEndian, uint32(start.Unix())+uint32(i), 123456, f, len(f))...)
	}
	return b
}

// A got is a datagram copied out of a Reader.
type got struct {
	frame   int
	source  netip.AddrPort
	payload string
	time    time.Time
}

// readAll reads a capture to its end or its error.
func readAll(t testing.TB, file []byte) ([]got, Stats, error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file), "x.pcap")
	if err != nil {
		return nil, Stats{}, err
	}
	defer r.Close()
	return drain(t, r)
}

func drain(t testing.TB, r *Reader) (all []got, s Stats, err error) {
	t.Helper()
	for {
		var dg flow.Datagram
		if dg, err = r.Next(); err != nil {
			break
		}
		all = append(all, got{r.Frame(), dg.Source, string(dg.Payload), dg.Received})
	}
	s = r.Stats()
	if sum := s.Datagrams + s.UnknownLink + s.NotIP + s.TCP + s.OtherIP + s.Malformed + s.Cut + s.Fragments; sum != s.Frames {
		t.Errorf("fates add up to %d, frames are %d: %+v", sum, s.Frames, s)
	}
	if s.Datagrams != uint64(len(all)) {
		t.Errorf("%d datagrams given, %d counted", len(all), s.Datagrams)
	}
	if _, again := r.Next(); again != err {
		t.Errorf("Next after %v gives %v", err, again)
	}
	if errors.Is(err, io.EOF) && err != io.EOF {
		t.Errorf("%v is taken for the end of the capture", err)
	}
	return all, s, err
}

// mustReadAll wants a capture without damage.
func mustReadAll(t testing.TB, file []byte) ([]got, Stats) {
	t.Helper()
	all, s, err := readAll(t, file)
	if err != io.EOF {
		t.Fatalf("error %v", err)
	}
	return all, s
}
