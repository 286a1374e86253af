package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture/file"
)

// ethernetHeader has locally administered addresses and room for the EtherType.
var ethernetHeader = [14]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}

// A Writer writes datagrams to a capture: classic pcap, little-endian, times in
// nanoseconds, Ethernet. It is for one goroutine.
type Writer struct {
	w   io.Writer
	buf []byte
	id  uint16 // IPv4 identification
	err error  // of the file header
}

// NewWriter begins a capture on w. The file header is written at once, so that a
// capture without datagrams is one too; if that fails the first Write returns it.
func NewWriter(w io.Writer) *Writer {
	_, err := w.Write(file.Header(linkEthernet))
	return &Writer{w: w, err: err}
}

// Write appends one datagram as a frame from dg.Source to dst at the time
// dg.Received, in one call of the underlying Write and without keeping
// dg.Payload. Both addresses must be IPv4 or both IPv6, the payload must fit in
// one packet (65,507 bytes in IPv4, 65,527 in IPv6; it is never fragmented), and
// the time between 1970 and 2106.
func (w *Writer) Write(dg flow.Datagram, dst netip.AddrPort) error {
	if w.err != nil {
		return w.err
	}
	src := netip.AddrPortFrom(dg.Source.Addr().Unmap(), dg.Source.Port())
	dst = netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	if !src.IsValid() || src.Addr().BitLen() != dst.Addr().BitLen() {
		return fmt.Errorf("cannot write a datagram from %v to %v: two addresses of one family expected", src, dst)
	}
	if most := maxPayload(src.Addr()); len(dg.Payload) > most {
		return fmt.Errorf("cannot write a payload of %d bytes (at most %d allowed)", len(dg.Payload), most)
	}
	if s := dg.Received.Unix(); s < 0 || s > math.MaxUint32 {
		return fmt.Errorf("cannot write the time %v (1970 to 2106 allowed)", dg.Received.Format(time.RFC3339))
	}
	w.buf = w.frame(w.buf[:0], dg, src, dst)
	_, err := w.w.Write(w.buf)
	return err
}

// maxPayload is what the 16-bit lengths leave for the payload of UDP: the one of
// IPv4 counts the IP header too, the one of IPv6 does not.
func maxPayload(a netip.Addr) int {
	if a.Is4() {
		return maxPacket - 20 - 8
	}
	return maxPacket - 8
}

// frame appends the record header and the frame to b.
func (w *Writer) frame(b []byte, dg flow.Datagram, src, dst netip.AddrPort) []byte {
	b = append(b, make([]byte, file.RecordHeader)...)
	b = append(b, ethernetHeader[:12]...)
	if src.Addr().Is4() {
		b = w.ipv4(b, len(dg.Payload), src.Addr(), dst.Addr())
	} else {
		b = ipv6(b, len(dg.Payload), src.Addr(), dst.Addr())
	}
	b = udp(b, dg.Payload, src, dst)
	file.PutRecord(b, dg.Received)
	return b
}

// ipv4 appends the EtherType and an IPv4 header.
func (w *Writer) ipv4(b []byte, payload int, src, dst netip.Addr) []byte {
	w.id++
	b = binary.BigEndian.AppendUint16(b, etherIPv4)
	at := len(b)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(20+8+payload))
	b = binary.BigEndian.AppendUint16(b, w.id)
	b = append(b, 0, 0, 64, flow.ProtocolUDP, 0, 0)
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	binary.BigEndian.PutUint16(b[at+10:], ^fold(addWords(0, b[at:])))
	return b
}

// ipv6 appends the EtherType and an IPv6 header.
func ipv6(b []byte, payload int, src, dst netip.Addr) []byte {
	b = binary.BigEndian.AppendUint16(b, etherIPv6)
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(8+payload))
	b = append(b, flow.ProtocolUDP, 64)
	b = append(b, src.AsSlice()...)
	return append(b, dst.AsSlice()...)
}

// udp appends a UDP header and the payload.
func udp(b, payload []byte, src, dst netip.AddrPort) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, 0, 0)
	b = append(b, payload...)
	sum := udpChecksum(src.Addr(), dst.Addr(), b[at:])
	if sum == 0 {
		sum = 0xffff // 0 would say that there is no checksum
	}
	binary.BigEndian.PutUint16(b[at+6:], sum)
	return b
}
