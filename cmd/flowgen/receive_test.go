package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"
	"github.com/netsampler/goflow2/v2/decoders/sflow"
)

// A received is one datagram as it came in.
type received struct {
	payload []byte
	from    netip.AddrPort
}

// A collector gathers datagrams on a loopback socket.
type collector struct {
	conn *net.UDPConn
	got  chan received
}

func listen(t *testing.T) *collector {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	c := &collector{conn: conn, got: make(chan received, 10000)}
	go c.read()
	t.Cleanup(func() { conn.Close() })
	return c
}

func (c *collector) read() {
	buf := make([]byte, 65536)
	for {
		n, from, err := c.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		c.got <- received{bytes.Clone(buf[:n]), from}
	}
}

func (c *collector) addr() string { return c.conn.LocalAddr().String() }

// take waits for n datagrams; the deadline only catches a hang.
func (c *collector) take(t *testing.T, n uint64) []received {
	t.Helper()
	list := make([]received, 0, n)
	timeout := time.After(time.Minute)
	for uint64(len(list)) < n {
		select {
		case r := <-c.got:
			list = append(list, r)
		case <-timeout:
			t.Fatalf("%d datagrams of %d came within 10 s", len(list), n)
		}
	}
	return list
}

// flowgen runs the command and reads its JSON summary.
func flowgen(t *testing.T, ctx context.Context, args ...string) summary {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, append(args, "--json"), &stdout, &stderr); code != exitDone {
		t.Fatalf("flowgen %q: exit code %d: %s", args, code, &stderr)
	}
	var s summary
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil {
		t.Fatalf("summary %q: %v", &stdout, err)
	}
	return s
}

// A reader counts what a datagram holds, with goflow2's decoders.
type reader struct{ templates netflow.NetFlowTemplateSystem }

func newReader() reader { return reader{netflow.CreateTemplateSystem()} }

// A content is what a datagram holds.
type content struct {
	sequence                uint32
	flows, options, schemas int
}

// step is what the datagram adds to the sequence number of its protocol.
func (c content) step(v flow.Version) uint32 {
	switch v {
	case flow.V5:
		return uint32(c.flows)
	case flow.IPFIX:
		return uint32(c.flows + c.options)
	}
	return 1
}

func (r reader) read(t *testing.T, d []byte) content {
	t.Helper()
	v, _ := flow.Detect(d)
	switch v {
	case flow.V5:
		var p netflowlegacy.PacketNetFlowV5
		check(t, netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(d), &p))
		return content{sequence: p.FlowSequence, flows: len(p.Records)}
	case flow.SFlow:
		var p sflow.Packet
		check(t, sflow.DecodeMessageVersion(bytes.NewBuffer(d), &p))
		return content{sequence: p.SequenceNumber, flows: len(p.Samples)}
	}
	var v9 netflow.NFv9Packet
	var ipfix netflow.IPFIXPacket
	check(t, netflow.DecodeMessageVersion(bytes.NewBuffer(d), r.templates, &v9, &ipfix))
	c := content{sequence: v9.SequenceNumber + ipfix.SequenceNumber}
	for _, set := range append(v9.FlowSets, ipfix.FlowSets...) {
		switch set := set.(type) {
		case netflow.DataFlowSet:
			c.flows += len(set.Records)
		case netflow.OptionsDataFlowSet:
			c.options += len(set.Records)
		case netflow.TemplateFlowSet:
			c.schemas += len(set.Records)
		}
	}
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// isTemplates tells a template datagram by its first set.
func isTemplates(d []byte) bool {
	v, _ := flow.Detect(d)
	switch v {
	case flow.V9:
		return binary.BigEndian.Uint16(d[20:]) == 0
	case flow.IPFIX:
		return binary.BigEndian.Uint16(d[16:]) == 2
	}
	return false
}
