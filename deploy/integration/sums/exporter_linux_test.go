//go:build integration || soak

package sums

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
)

const (
	// allowed are the senders that the collectors here listen to.
	allowed = `"127.0.0.0/25"`
	// stranger is a loopback address that they do not listen to.
	stranger = "127.0.0.200"
)

// perDatagram is how many flows every datagram of a version carries. What counts
// datagrams has the same number, so that losses of several exporters can be added.
var perDatagram = map[flow.Version]int{flow.V5: 20, flow.V9: 6, flow.IPFIX: 20, flow.SFlow: 6}

// An exporter is a sending device that knows what it has sent. Its socket is not
// connected: then nobody tells it that a collector is away, and it goes on sending, as
// routers do.
type exporter struct {
	version flow.Version
	addr    netip.Addr
	to      netip.AddrPort
	conn    *net.UDPConn
	enc     *synth.Encoder
	ring    [][]byte
	next    int

	sent    uint64 // datagrams
	skipped uint64 // datagrams that used up their sequence number, but were not sent
	flows   uint64 // in both of them
}

// newExporter makes an exporter with an address of its own.
func newExporter(t *testing.T, v flow.Version, addr string, to netip.AddrPort) *exporter {
	t.Helper()
	e := &exporter{version: v, addr: netip.MustParseAddr(addr), to: to}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(e.addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	e.conn = conn
	e.enc, err = synth.NewEncoder(synth.Config{Version: v, Domain: 7, Agent: e.addr, MaxFlows: perDatagram[v]})
	if err != nil {
		t.Fatal(err)
	}
	e.fill(t)
	return e
}

// fill prepares the datagrams that are sent again and again, and rewinds the encoder.
func (e *exporter) fill(t *testing.T) {
	t.Helper()
	src, err := noise.NewSource(noise.Config{Seed: uint64(e.addr.As4()[3])})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	cfg := synth.Config{Version: e.version, Domain: 7, Agent: e.addr, MaxFlows: perDatagram[e.version], Boot: now.Add(-time.Hour)}
	enc, err := synth.NewEncoder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 16 {
		flows := make([]synth.Flow, perDatagram[e.version])
		for i := range flows {
			flows[i], _ = src.Next(now)
		}
		d, n, err := enc.Encode(nil, flows, now)
		if err != nil || n != len(flows) {
			t.Fatalf("%d of %d flows in a datagram: %v", n, len(flows), err)
		}
		e.ring = append(e.ring, d)
	}
	if e.enc, err = synth.NewEncoder(cfg); err != nil {
		t.Fatal(err)
	}
}

// announce sends the templates, where the protocol has any.
func (e *exporter) announce(t *testing.T) {
	t.Helper()
	if d := e.enc.Templates(nil, time.Now()); d != nil {
		e.write(t, d)
	}
}

// send sends n datagrams as fast as it can.
func (e *exporter) send(t *testing.T, n int) {
	t.Helper()
	for range n {
		e.write(t, e.datagram())
	}
}

// skip loses n datagrams on the way.
func (e *exporter) skip(n int) {
	for range n {
		e.datagram()
		e.skipped++
	}
}

// datagram makes the next datagram.
func (e *exporter) datagram() []byte {
	d := e.ring[e.next]
	e.next = (e.next + 1) % len(e.ring)
	e.enc.Restamp(d, time.Now())
	e.flows += e.perDatagram()
	return d
}

func (e *exporter) perDatagram() uint64 { return uint64(perDatagram[e.version]) }

func (e *exporter) write(t *testing.T, d []byte) {
	t.Helper()
	if _, err := e.conn.WriteToUDPAddrPort(d, e.to); err != nil {
		t.Errorf("exporter %s: %v", e.addr, err)
		return
	}
	e.sent++
}

// check compares what the collector knows of the exporter with what it sent.
func (e *exporter) check(t *testing.T, st status) {
	t.Helper()
	s := e.find(t, st)
	unit := map[flow.Version]uint64{flow.V5: 1, flow.IPFIX: 1, flow.V9: e.perDatagram(), flow.SFlow: e.perDatagram()}[e.version]
	if got := s.Records + s.Lost*unit + s.Undecoded; got != e.flows {
		t.Errorf("exporter %s, %v: sent %d flows, not %d = %d decoded + %d lost x %d + %d unsaid",
			e.addr, e.version, e.flows, got, s.Records, s.Lost, unit, s.Undecoded)
	}
	if lost := s.Lost * unit / e.perDatagram(); s.Datagrams+lost != e.sent+e.skipped {
		t.Errorf("exporter %s, %v: sent %d datagrams and lost %d on the way, %d were received and %d told as lost",
			e.addr, e.version, e.sent, e.skipped, s.Datagrams, lost)
	}
	if s.Late+s.Repeated+s.Resets+s.Estimate != 0 {
		t.Errorf("exporter %s, %v: %d late, %d repeated, %d resets, %d estimated, want none",
			e.addr, e.version, s.Late, s.Repeated, s.Resets, s.Estimate)
	}
}

// find gives the exporter's only stream in a status.
func (e *exporter) find(t *testing.T, st status) decode.StreamStatus {
	t.Helper()
	i := slices.IndexFunc(st.Exporters.List, func(x decode.ExporterStatus) bool { return x.Address == e.addr })
	if i < 0 || len(st.Exporters.List[i].Streams) != 1 {
		t.Fatalf("exporter %s is not in the status with one stream: %+v", e.addr, st.Exporters.List)
	}
	return st.Exporters.List[i].Streams[0]
}

// A fleet is several exporters that send at the same time.
type fleet []*exporter

// newFleet makes n exporters of each version.
func newFleet(t *testing.T, n int, to netip.AddrPort) (f fleet) {
	t.Helper()
	addr := netip.MustParseAddr("127.0.0.10")
	for range n {
		for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
			f = append(f, newExporter(t, v, addr.String(), to))
			addr = addr.Next()
		}
	}
	return f
}

// each lets all exporters do the same at once and waits for them.
func (f fleet) each(do func(e *exporter)) {
	var all sync.WaitGroup
	for _, e := range f {
		all.Go(func() { do(e) })
	}
	all.Wait()
}

// sent is how many datagrams all of them have sent.
func (f fleet) sent() (n uint64) {
	for _, e := range f {
		n += e.sent
	}
	return n
}

// begin announces all templates and sends a little, each once the buffers are empty, so
// that nothing of it can get lost.
func (f fleet) begin(t *testing.T, c *collector) {
	t.Helper()
	for _, e := range f {
		e.announce(t)
		c.settle(t, f.sent())
		e.send(t, 1)
		c.settle(t, f.sent())
	}
}

// trickle ends a run: one exporter after the other sends a datagram into empty buffers,
// whose sequence number tells what was lost before.
func (f fleet) trickle(t *testing.T, c *collector) {
	t.Helper()
	c.settle(t, f.sent())
	for _, e := range f {
		e.send(t, 1)
		c.settle(t, f.sent())
	}
}
