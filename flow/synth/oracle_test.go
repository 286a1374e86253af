package synth_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"
	"github.com/netsampler/goflow2/v2/decoders/sflow"
)

// A seen is a datagram as decoders that are not ours read it.
type seen struct {
	sequence, domain uint32
	at               time.Time // of the header
	uptime           uint32
	count            int // as in the header; 0 for IPFIX
	flows            []synth.Flow
	sampling         uint32 // told in this datagram
	options          int    // options data records
	templates        int
}

// An oracle reads what one exporter sends, in order.
type oracle struct {
	version   flow.Version
	templates netflow.NetFlowTemplateSystem
}

func newOracle(v flow.Version) *oracle {
	return &oracle{version: v, templates: netflow.CreateTemplateSystem()}
}

func (o *oracle) decode(t *testing.T, d []byte) seen {
	t.Helper()
	if v, ok := flow.Detect(d); !ok || v != o.version {
		t.Fatalf("datagram looks like %v, want %v", v, o.version)
	}
	var s seen
	var err error
	switch o.version {
	case flow.V5:
		s, err = decodeV5(d)
	case flow.SFlow:
		s, err = decodeSFlow(t, d)
	default:
		s, err = o.decodeSets(t, d)
	}
	if err != nil {
		t.Fatalf("%v datagram of %d bytes: %v", o.version, len(d), err)
	}
	return s
}

func decodeV5(d []byte) (seen, error) {
	var p netflowlegacy.PacketNetFlowV5
	err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(d), &p)
	s := seen{
		sequence: p.FlowSequence, domain: uint32(p.EngineId), uptime: p.SysUptime, count: int(p.Count),
		at: time.Unix(int64(p.UnixSecs), int64(p.UnixNSecs)).UTC(),
	}
	if p.SamplingInterval != 0 {
		s.sampling = uint32(p.SamplingInterval & 0x3fff)
	}
	for _, r := range p.Records {
		s.flows = append(s.flows, synth.Flow{
			Src: flow.Addr4(uint32(r.SrcAddr)), Dst: flow.Addr4(uint32(r.DstAddr)),
			SrcPort: r.SrcPort, DstPort: r.DstPort, Protocol: r.Proto,
			Bytes: uint64(r.DOctets), Packets: uint64(r.DPkts), TCPFlags: uint16(r.TCPFlags),
			Start: s.age(r.First), End: s.age(r.Last), InIf: uint32(r.Input), OutIf: uint32(r.Output),
		})
	}
	return s, err
}

// age is the time of a flow told as sysUptime: export time minus signed age.
func (s *seen) age(switched uint32) time.Time {
	return s.at.Add(-time.Duration(int32(s.uptime-switched)) * time.Millisecond)
}

func (o *oracle) decodeSets(t *testing.T, d []byte) (seen, error) {
	var v9 netflow.NFv9Packet
	var ipfix netflow.IPFIXPacket
	err := netflow.DecodeMessageVersion(bytes.NewBuffer(d), o.templates, &v9, &ipfix)
	s := seen{sequence: v9.SequenceNumber, domain: v9.SourceId, uptime: v9.SystemUptime, count: int(v9.Count),
		at: time.Unix(int64(v9.UnixSeconds), 0).UTC()}
	sets := v9.FlowSets
	if o.version == flow.IPFIX {
		s = seen{sequence: ipfix.SequenceNumber, domain: ipfix.ObservationDomainId, at: time.Unix(int64(ipfix.ExportTime), 0).UTC()}
		sets = ipfix.FlowSets
		if int(ipfix.Length) != len(d) {
			t.Errorf("IPFIX length %d, datagram %d bytes", ipfix.Length, len(d))
		}
	}
	for _, set := range sets {
		s.readSet(t, set)
	}
	return s, err
}

func (s *seen) readSet(t *testing.T, set any) {
	switch set := set.(type) {
	case netflow.TemplateFlowSet:
		s.templates += len(set.Records)
	case netflow.NFv9OptionsTemplateFlowSet:
		s.templates += len(set.Records)
	case netflow.IPFIXOptionsTemplateFlowSet:
		s.templates += len(set.Records)
	case netflow.OptionsDataFlowSet:
		s.options += len(set.Records)
		s.readSampling(t, set.Records)
	case netflow.DataFlowSet:
		for _, r := range set.Records {
			s.flows = append(s.flows, s.readRecord(t, r.Values))
		}
	default:
		t.Errorf("unexpected set %T", set)
	}
}

func (s *seen) readSampling(t *testing.T, records []netflow.OptionsDataRecord) {
	v := map[uint16]uint64{}
	for _, f := range records[0].OptionsValues {
		v[f.Type] = number(f)
	}
	switch {
	case v[34] != 0 && v[35] == 1:
		s.sampling = uint32(v[34])
	case v[305] != 0 && v[304] == 1:
		s.sampling = uint32((v[305] + v[306]) / v[305])
	default:
		t.Errorf("options data %v tell no sampling", v)
	}
	if scope := number(records[0].ScopesValues[0]); scope != uint64(s.domain) {
		t.Errorf("options data for scope %d, domain is %d", scope, s.domain)
	}
}

func number(f netflow.DataField) (n uint64) {
	for _, b := range f.Value.([]byte) {
		n = n<<8 | uint64(b)
	}
	return n
}

func (s *seen) readRecord(t *testing.T, values []netflow.DataField) (f synth.Flow) {
	for _, v := range values {
		n := number(v)
		if v.PenProvided {
			readReverse(t, &f, v, n)
			continue
		}
		addr, _ := netip.AddrFromSlice(v.Value.([]byte))
		switch v.Type {
		case 8, 27:
			f.Src = addr
		case 12, 28:
			f.Dst = addr
		case 225, 281:
			f.PostNATSrc = addr
		case 226, 282:
			f.PostNATDst = addr
		case 7:
			f.SrcPort = uint16(n)
		case 11:
			f.DstPort = uint16(n)
		case 227:
			f.PostNATSrcPort = uint16(n)
		case 228:
			f.PostNATDstPort = uint16(n)
		case 4:
			f.Protocol = uint8(n)
		case 6:
			f.TCPFlags = uint16(n)
		case 1, 85:
			f.Bytes = n
		case 2, 86:
			f.Packets = n
		case 10:
			f.InIf = uint32(n)
		case 14:
			f.OutIf = uint32(n)
		case 22:
			f.Start = s.age(uint32(n))
		case 21:
			f.End = s.age(uint32(n))
		case 152:
			f.Start = time.UnixMilli(int64(n)).UTC()
		case 153:
			f.End = time.UnixMilli(int64(n)).UTC()
		case 15, 62, 5, 16, 17, 9, 13, 29, 30:
			if n != 0 {
				t.Errorf("element %d is %d, want 0", v.Type, n)
			}
		default:
			t.Errorf("unexpected element %d", v.Type)
		}
	}
	return f
}

func readReverse(t *testing.T, f *synth.Flow, v netflow.DataField, n uint64) {
	switch {
	case v.Pen != 29305:
		t.Errorf("enterprise number %d, want 29305", v.Pen)
	case v.Type&0x7fff == 1, v.Type&0x7fff == 85:
		f.RevBytes = n
	case v.Type&0x7fff == 2, v.Type&0x7fff == 86:
		f.RevPackets = n
	case v.Type&0x7fff == 6:
		f.RevTCPFlags = uint16(n)
	default:
		t.Errorf("unexpected reverse element %d", v.Type&0x7fff)
	}
}

// decodeSFlow reads the sampled packets with gopacket, checksums included.
func decodeSFlow(t *testing.T, d []byte) (seen, error) {
	var p sflow.Packet
	err := sflow.DecodeMessageVersion(bytes.NewBuffer(d), &p)
	s := seen{sequence: p.SequenceNumber, domain: p.SubAgentId, uptime: p.Uptime, count: int(p.SamplesCount)}
	for _, x := range p.Samples {
		sample, ok := x.(sflow.FlowSample)
		if !ok || len(sample.Records) != 1 {
			t.Fatalf("sample %T with %d records", x, len(sample.Records))
		}
		s.sampling = sample.SamplingRate
		head := sample.Records[0].Data.(sflow.SampledHeader)
		f := readFrame(t, head)
		f.InIf, f.OutIf = sample.Input, sample.Output
		s.flows = append(s.flows, f)
	}
	return s, err
}

func readFrame(t *testing.T, head sflow.SampledHeader) synth.Flow {
	raw := bytes.Clone(head.HeaderData[:head.OriginalLength])
	// What the sample leaves out of the packet is zeros.
	raw = append(raw, make([]byte, int(head.FrameLength)-int(head.Stripped)-len(raw))...)
	p := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.Default)
	f := synth.Flow{Bytes: uint64(head.FrameLength), Packets: 1}
	checkSums(t, p)
	var length int
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		f.Src, _ = netip.AddrFromSlice(ip.SrcIP.To4())
		f.Dst, _ = netip.AddrFromSlice(ip.DstIP.To4())
		f.Protocol, length = uint8(ip.Protocol), int(ip.Length)
	case *layers.IPv6:
		f.Src, _ = netip.AddrFromSlice(ip.SrcIP)
		f.Dst, _ = netip.AddrFromSlice(ip.DstIP)
		f.Protocol, length = uint8(ip.NextHeader), int(ip.Length)+40
	}
	if want := int(head.FrameLength) - 14 - 4; length != want {
		t.Errorf("IP packet of %d bytes in a frame of %d, want %d", length, head.FrameLength, want)
	}
	readTransport(&f, p)
	return f
}

func checkSums(t *testing.T, p gopacket.Packet) {
	for _, l := range p.Layers() {
		if l, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := l.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Errorf("checksums: %v, mismatches %v", err, bad)
	}
}

func readTransport(f *synth.Flow, p gopacket.Packet) {
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.TCP:
			f.SrcPort, f.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
			f.TCPFlags = uint16(l.Contents[12]&0xf)<<8 | uint16(l.Contents[13])
		case *layers.UDP:
			f.SrcPort, f.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
		case *layers.ICMPv4:
			f.DstPort = uint16(l.TypeCode)
		case *layers.ICMPv6:
			f.DstPort = uint16(l.TypeCode)
		}
	}
}
