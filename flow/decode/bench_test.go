package decode_test

import (
	"bytes"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"
	"github.com/netsampler/goflow2/v2/decoders/sflow"
)

// columnSum reads every address once, as a matcher does.
type columnSum uint64

func (c *columnSum) Records(s *decode.Set) {
	n := uint64(0)
	for _, a := range s.V4 {
		n += uint64(a)
	}
	for _, a := range s.V6 {
		n += a.Hi ^ a.Lo
	}
	*c += columnSum(n)
}

// madeData makes the templates of an exporter and one full datagram.
func madeData(b testing.TB, v flow.Version, ipv6 float64) (templates, data []byte, flows int) {
	b.Helper()
	e, err := synth.NewEncoder(synth.Config{Version: v, Boot: exportTime.Add(-uptime)})
	if err != nil {
		b.Fatal(err)
	}
	src, err := noise.NewSource(noise.Config{Seed: 1, IPv6: ipv6})
	if err != nil {
		b.Fatal(err)
	}
	list := make([]synth.Flow, 30)
	for i := range list {
		list[i], _ = src.Next(exportTime)
	}
	templates = e.Templates(nil, exportTime)
	data, flows, err = e.Encode(nil, list, exportTime)
	if err != nil {
		b.Fatal(err)
	}
	return templates, data, flows
}

// BenchmarkDecode reads datagrams up to the columns, and goflow2's decoders read
// the same bytes. ns/flow is what counts.
func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name string
		v    flow.Version
		ipv6 float64
	}{
		{"v5", flow.V5, 0}, {"v9", flow.V9, 0}, {"v9/IPv6", flow.V9, 1}, {"IPFIX", flow.IPFIX, 0}, {"IPFIX/mixed", flow.IPFIX, 0.5}, {"sFlow", flow.SFlow, 0},
	} {
		templates, data, flows := madeData(b, c.v, c.ipv6)
		b.Run(c.name+"/flowsnitch", func(b *testing.B) {
			var sum columnSum
			d := decode.New(decode.NewExporters(decode.DefaultLimits()), &sum)
			dg := flow.Datagram{Source: addrPort("192.0.2.1:5"), Received: exportTime}
			if dg.Payload = templates; len(templates) > 0 {
				d.Decode(&dg)
			}
			dg.Payload = data
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(&dg)
			}
			perFlow(b, flows)
		})
		b.Run(c.name+"/goflow2", func(b *testing.B) {
			ts := netflow.CreateTemplateSystem()
			if len(templates) > 0 {
				goflow2Decode(b, c.v, ts, templates)
			}
			b.ReportAllocs()
			for b.Loop() {
				goflow2Decode(b, c.v, ts, data)
			}
			perFlow(b, flows)
		})
	}
}

// numberColumns are the columns that have been there for long, the rest is what few records have.
const numberColumns = decode.WantEnds | decode.WantPorts | decode.WantProtocol | decode.WantTCPFlags | decode.WantBytes | decode.WantPackets | decode.WantTimes

// columns asks for columns of each set.
type columns struct {
	want decode.Want
	sum  uint64
}

func (a *columns) Records(s *decode.Set) {
	c := s.Columns(a.want)
	a.sum += c.Bytes[0] + c.Packets[s.Len()-1]
}

// BenchmarkColumns reads datagrams up to the columns of numbers, and to all of them; what BenchmarkDecode takes for the
// addresses is part of it.
func BenchmarkColumns(b *testing.B) {
	for _, c := range []struct {
		name string
		v    flow.Version
		ipv6 float64
	}{
		{"v5", flow.V5, 0}, {"v9", flow.V9, 0}, {"v9/IPv6", flow.V9, 1}, {"IPFIX", flow.IPFIX, 0}, {"IPFIX/mixed", flow.IPFIX, 0.5}, {"sFlow", flow.SFlow, 0},
	} {
		templates, data, flows := madeData(b, c.v, c.ipv6)
		for _, want := range []decode.Want{numberColumns, decode.WantAll} {
			b.Run(c.name+map[bool]string{true: "/all"}[want == decode.WantAll], func(b *testing.B) {
				d := decode.New(decode.NewExporters(decode.DefaultLimits()), &columns{want: want})
				dg := flow.Datagram{Source: addrPort("192.0.2.1:5"), Received: exportTime}
				if dg.Payload = templates; len(templates) > 0 {
					d.Decode(&dg)
				}
				dg.Payload = data
				b.ReportAllocs()
				for b.Loop() {
					d.Decode(&dg)
				}
				perFlow(b, flows)
			})
		}
	}
}

func perFlow(b *testing.B, flows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(flows), "ns/flow")
}

func goflow2Decode(b *testing.B, v flow.Version, ts netflow.NetFlowTemplateSystem, p []byte) {
	b.Helper()
	var err error
	switch v {
	case flow.V5:
		var packet netflowlegacy.PacketNetFlowV5
		err = netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(p), &packet)
	case flow.SFlow:
		var packet sflow.Packet
		err = sflow.DecodeMessageVersion(bytes.NewBuffer(p), &packet)
	default:
		var v9 netflow.NFv9Packet
		var ipfix netflow.IPFIXPacket
		err = netflow.DecodeMessageVersion(bytes.NewBuffer(p), ts, &v9, &ipfix)
	}
	if err != nil {
		b.Fatal(err)
	}
}
