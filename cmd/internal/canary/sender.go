package canary

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// The observation domains of canaries: no device uses them, so that their sequence
// numbers are apart from those of an exporter behind the same address.
const (
	// DomainTest is that of the first listener of a self-test; the others follow.
	DomainTest = 0xCA9A0000
	// DomainCommand is that of the command.
	DomainCommand = 0xCA9AFFFF
)

// domainV5 is what v5 can say of a domain: the engine ID, no slot of a device.
const domainV5 = 0xff

// IsDomain reports whether an observation domain of a version (v5, v9, ipfix, sflow) is
// one of canaries.
func IsDomain(version string, d uint32) bool {
	return DomainTest <= d && d <= DomainCommand || version == "v5" && d == domainV5
}

// A Sender is an exporter of canaries to one address. It is for one goroutine.
type Sender struct {
	encoder *synth.Encoder
	conn    net.Conn
	buf     []byte
}

// Dial makes a sender to host:port. Nothing is sent yet.
func Dial(to string, v flow.Version, domain uint32) (*Sender, error) {
	if v == flow.V5 {
		domain = domainV5
	}
	e, err := synth.NewEncoder(synth.Config{Version: v, Domain: domain})
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("udp", to)
	if err != nil {
		return nil, err
	}
	return &Sender{encoder: e, conn: conn}, nil
}

// Source gives the address that the datagrams come from.
func (s *Sender) Source() netip.Addr { return addrOf(s.conn.LocalAddr()) }

// To gives the address that they go to.
func (s *Sender) To() string { return s.conn.RemoteAddr().String() }

func addrOf(a net.Addr) netip.Addr {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// New makes a canary of now: its time has the resolution that a flow carries.
func New(token uint16) event.Canary {
	return event.Canary{Sent: time.Now().Truncate(time.Microsecond), Token: token}
}

// Send sends one canary in one datagram, templates included. An error may be of an
// earlier one: that nobody listens there is known only when the answer is back.
func (s *Sender) Send(c event.Canary) (err error) {
	s.buf, err = s.encoder.EncodeAlone(s.buf[:0], []synth.Flow{flowOf(c)}, c.Sent)
	if err != nil {
		return err
	}
	if _, err := s.conn.Write(s.buf); err != nil {
		return fmt.Errorf("canary to %s: %w", s.To(), err)
	}
	return nil
}

// Close closes the socket.
func (s *Sender) Close() error { return s.conn.Close() }

// canaryBytes is the length of the packet that the flow claims to be.
const canaryBytes = 128

func flowOf(c event.Canary) synth.Flow {
	source, target := event.CanaryEnds()
	code := c.Code()
	return synth.Flow{
		Src: source, Dst: target, SrcPort: code.SrcPort, DstPort: code.DstPort,
		Protocol: event.CanaryProtocol, Packets: event.CanaryPackets, Bytes: canaryBytes,
		InIf: uint32(code.InIf), OutIf: uint32(code.OutIf), Start: c.Sent, End: c.Sent,
	}
}

// refusalWait is how long a refusal by the other host may take. A firewall that drops
// without a word proves nothing, and neither does success.
const refusalWait = 300 * time.Millisecond

// Refused waits a little for the word of the network that nobody listens there.
func (s *Sender) Refused() error {
	if err := s.conn.SetReadDeadline(time.Now().Add(refusalWait)); err != nil {
		return err
	}
	var b [1]byte
	if _, err := s.conn.Read(b[:]); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("canary to %s: %w", s.To(), err)
	}
	return nil
}
