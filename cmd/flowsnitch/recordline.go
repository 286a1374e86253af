package main

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A recordLine is a flow record as `decode` prints it. The keys are those of the
// reference captures that collectors are compared with: null means that the
// record has none, keys further down are left out then.
type recordLine struct {
	N            int         `json:"n"`
	Packet       int         `json:"pkt"`
	Version      any         `json:"ver"`
	Exporter     netip.Addr  `json:"exporter"`
	ExporterPort uint16      `json:"exporter_port"`
	Domain       uint32      `json:"domain"`
	Src          *netip.Addr `json:"src"`
	Dst          *netip.Addr `json:"dst"`
	SrcPort      *uint16     `json:"sport"`
	DstPort      *uint16     `json:"dport"`
	Protocol     *uint8      `json:"proto"`
	Bytes        *uint64     `json:"bytes"`
	Packets      *uint64     `json:"packets"`
	TCPFlags     *uint16     `json:"tcp_flags"`
	Start        *int64      `json:"start_ms"`
	End          *int64      `json:"end_ms"`
	PostNATSrc   *netip.Addr `json:"post_nat_src"`
	PostNATDst   *netip.Addr `json:"post_nat_dst"`

	Template       *uint16      `json:"template,omitempty"`
	Agent          *netip.Addr  `json:"agent,omitempty"`
	Sampling       *uint32      `json:"sampling,omitempty"`
	BytesIE        uint16       `json:"bytes_ie,omitempty"`
	PacketsIE      uint16       `json:"packets_ie,omitempty"`
	PostNATSrcPort *uint16      `json:"post_nat_sport,omitempty"`
	PostNATDstPort *uint16      `json:"post_nat_dport,omitempty"`
	Inner          *innerLine   `json:"inner,omitempty"`
	RevBytes       *uint64      `json:"rev_bytes,omitempty"`
	RevPackets     *uint64      `json:"rev_packets,omitempty"`
	RevTCPFlags    *uint16      `json:"rev_tcp_flags,omitempty"`
	RespBytes      *uint64      `json:"resp_bytes,omitempty"`
	RespPackets    *uint64      `json:"resp_packets,omitempty"`
	InIf           *uint32      `json:"in_if,omitempty"`
	OutIf          *uint32      `json:"out_if,omitempty"`
	SrcAS          *uint32      `json:"src_as,omitempty"`
	DstAS          *uint32      `json:"dst_as,omitempty"`
	Direction      *uint8       `json:"direction,omitempty"`
	NATEvent       *uint8       `json:"nat_event,omitempty"`
	FirewallEvent  *uint8       `json:"fw_event,omitempty"`
	Forwarding     *uint8       `json:"forwarding_status,omitempty"`
	ICMPTypeCode   *uint16      `json:"icmp_type_code,omitempty"`
	FlowEndReason  *uint8       `json:"flow_end_reason,omitempty"`
	DropReason     *uint32      `json:"drop_reason,omitempty"`
	FrameSize      *uint32      `json:"frame_size,omitempty"`
	HeaderProtocol *uint8       `json:"header_protocol,omitempty"`
	FromSection    uint16       `json:"from_section,omitempty"`
	OtherAddresses []netip.Addr `json:"other_addrs,omitempty"`
	PENs           []uint32     `json:"pens,omitempty"`
}

// An innerLine is the second address pair of a record.
type innerLine struct {
	Src      *netip.Addr `json:"src"`
	Dst      *netip.Addr `json:"dst"`
	SrcPort  *uint16     `json:"sport"`
	DstPort  *uint16     `json:"dport"`
	Protocol *uint8      `json:"proto"`
}

// appendRecordLine appends the n-th record, found in a frame of a capture, as one
// line of JSON.
func appendRecordLine(dst []byte, n, frame int, r *flow.Record) []byte {
	l := recordLine{
		N: n, Packet: frame, Version: versionValue(r.Exporter.Version),
		Exporter: r.Exporter.Addr, ExporterPort: r.Exporter.Port, Domain: r.Exporter.Domain,
		Src: addrOrNil(r.Src), Dst: addrOrNil(r.Dst),
		PostNATSrc: addrOrNil(r.PostNATSrc), PostNATDst: addrOrNil(r.PostNATDst),
		Start: msOrNil(r.Start), End: msOrNil(r.End),
		Agent: addrOrNil(r.Exporter.Agent), FromSection: r.FromSection,
		OtherAddresses: r.Other, PENs: r.PENs,
	}
	l.numbers(r)
	l.details(r)
	b, err := json.Marshal(&l)
	if err != nil {
		panic(err) // only numbers and addresses: cannot be
	}
	return append(append(dst, b...), '\n')
}

func (l *recordLine) numbers(r *flow.Record) {
	l.SrcPort = ifHas(r, flow.HasSrcPort, r.SrcPort)
	l.DstPort = ifHas(r, flow.HasDstPort, r.DstPort)
	l.Protocol = ifHas(r, flow.HasProtocol, r.Protocol)
	l.Bytes = ifHas(r, flow.HasBytes, r.Bytes)
	l.Packets = ifHas(r, flow.HasPackets, r.Packets)
	l.TCPFlags = ifHas(r, flow.HasTCPFlags, r.TCPFlags)
	l.Sampling = ifHas(r, flow.HasSampling, r.Sampling)
	l.RevBytes = ifHas(r, flow.HasRevBytes, r.RevBytes)
	l.RevPackets = ifHas(r, flow.HasRevPackets, r.RevPackets)
	l.RevTCPFlags = ifHas(r, flow.HasRevTCPFlags, r.RevTCPFlags)
	l.RespBytes = ifHas(r, flow.HasRespBytes, r.RespBytes)
	l.RespPackets = ifHas(r, flow.HasRespPackets, r.RespPackets)
	l.PostNATSrcPort = ifHas(r, flow.HasPostNATPorts, r.PostNATSrcPort)
	l.PostNATDstPort = ifHas(r, flow.HasPostNATPorts, r.PostNATDstPort)
	if r.BytesIE != 1 && r.Has&flow.HasBytes != 0 {
		l.BytesIE = r.BytesIE
	}
	if r.PacketsIE != 2 && r.Has&flow.HasPackets != 0 {
		l.PacketsIE = r.PacketsIE
	}
}

func (l *recordLine) details(r *flow.Record) {
	if r.Template != 0 {
		l.Template = &r.Template
	}
	if r.InnerSrc.IsValid() || r.InnerDst.IsValid() {
		l.Inner = &innerLine{
			Src: addrOrNil(r.InnerSrc), Dst: addrOrNil(r.InnerDst),
			SrcPort:  ifHas(r, flow.HasInnerPorts, r.InnerSrcPort),
			DstPort:  ifHas(r, flow.HasInnerPorts, r.InnerDstPort),
			Protocol: ifHas(r, flow.HasInnerProtocol, r.InnerProtocol),
		}
	}
	l.InIf = ifHas(r, flow.HasInIf, r.InIf)
	l.OutIf = ifHas(r, flow.HasOutIf, r.OutIf)
	l.SrcAS = ifHas(r, flow.HasSrcAS, r.SrcAS)
	l.DstAS = ifHas(r, flow.HasDstAS, r.DstAS)
	l.Direction = ifHas(r, flow.HasDirection, r.Direction)
	l.NATEvent = ifHas(r, flow.HasNATEvent, r.NATEvent)
	l.FirewallEvent = ifHas(r, flow.HasFirewallEvent, r.FirewallEvent)
	l.Forwarding = ifHas(r, flow.HasForwarding, r.Forwarding)
	l.ICMPTypeCode = ifHas(r, flow.HasICMP, r.ICMPTypeCode)
	l.FlowEndReason = ifHas(r, flow.HasFlowEndReason, r.FlowEndReason)
	l.DropReason = ifHas(r, flow.HasDropReason, r.DropReason)
	l.FrameSize = ifHas(r, flow.HasFrameSize, r.FrameSize)
	l.HeaderProtocol = ifHas(r, flow.HasHeaderProtocol, r.HeaderProtocol)
}

// versionValue is the number on the wire; sFlow's own 5 would be taken for v5.
func versionValue(v flow.Version) any {
	if v == flow.SFlow {
		return "sflow5"
	}
	return int(v)
}

func ifHas[T any](r *flow.Record, has flow.Fields, v T) *T {
	if r.Has&has == 0 {
		return nil
	}
	return &v
}

func addrOrNil(a netip.Addr) *netip.Addr {
	if !a.IsValid() {
		return nil
	}
	return &a
}

func msOrNil(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}
