//go:build linux && (integration || soak)

package instance

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// A Sender is an exporter of v9 that sends again and again. Its flows go from 10.0.0.5 to
// the addresses of 62.0.0.0/24, one after the other, so that each of them may be a hit.
type Sender struct {
	conn net.Conn
	enc  *synth.Encoder
	last byte
}

// NewSender makes a sender to host:port with a source ID.
func NewSender(t testing.TB, to string, domain uint32) *Sender {
	t.Helper()
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	enc, err := synth.NewEncoder(synth.Config{Version: flow.V9, Domain: domain})
	if err != nil {
		t.Fatal(err)
	}
	return &Sender{conn: conn, enc: enc}
}

// Data gives the datagrams of the template and of one flow.
func (s *Sender) Data(now time.Time) [][]byte {
	return append([][]byte{s.enc.Templates(nil, now)}, s.Bare(now)...)
}

// Bare is Data without the template.
func (s *Sender) Bare(now time.Time) [][]byte {
	s.last++
	f := synth.Flow{Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.AddrFrom4([4]byte{62, 0, 0, s.last}), SrcPort: 40000, DstPort: 443, Protocol: 6, Packets: 5, Bytes: 500}
	data, _, err := s.enc.Encode(nil, []synth.Flow{f}, now)
	if err != nil {
		panic(err) // the flow is ours
	}
	return [][]byte{data}
}

// Every sends datagrams until the function that it returns is called, or the test ends.
// It does not mind that nobody listens.
func (s *Sender) Every(t testing.TB, pause time.Duration, datagrams func(time.Time) [][]byte) (stop func()) {
	t.Helper()
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			for _, b := range datagrams(time.Now()) {
				_, _ = s.conn.Write(b)
			}
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		close(end)
		<-done
	})
	t.Cleanup(stop)
	return stop
}
