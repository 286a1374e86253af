package sinks

import (
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// lineVersion is the version of the native form, its "v". Version 1 had the kind under
// "event", the time behind the id, and the export protocol as a number.
const lineVersion = 2

// MaxLine is the longest line that AppendNative makes, in bytes, its newline
// included. OSSEC reads 5,887 bytes at once and takes the rest for another event;
// a write of one page is not torn by a reader.
const MaxLine = 4096

// Limits of one line, in bytes as written, escapes included. With texts cut to
// minText and a single indicator, the longest event fits in MaxLine.
const (
	maxText        = 1024 // reason and ref
	minText        = 64
	maxDescription = 256
	maxLabel       = 128 // names that operators give
	maxName        = 64  // names of feeds, categories and the like
	maxExporters   = 8   // addresses listed
)

// AppendNative appends e as one line of JSON, newline included, in the form of
// the hit log: fixed order of keys, `integration` first, so that cheap decoders can
// tell it by its first bytes; empty values left out; `"srcip":` once, because OSSEC
// takes the first.
//
// A line is never longer than [MaxLine]. What does not fit is left out whole: the
// worst indicators first (indicators_total then tells how many there are), and
// if the best alone is too long, texts are cut, marked by an ellipsis. Names of
// feeds and categories are reduced to letters, digits, dots, underscores and hyphens.
// Nothing is allocated but room in dst.
func AppendNative(dst []byte, e *event.Event) []byte { return fit(dst, e, nativeByFlow) }

// appendNativeByOffender is AppendNative with the offender as srcip, see
// [Options.AlertIP].
func appendNativeByOffender(dst []byte, e *event.Event) []byte { return fit(dst, e, nativeByOffender) }

// fit appends e by encode, with texts cut ever shorter until the line is no longer
// than MaxLine.
func fit(dst []byte, e *event.Event, encode func(dst []byte, e *event.Event, limit int) []byte) []byte {
	start := len(dst)
	for limit := maxText; ; limit /= 2 {
		dst = encode(dst[:start], e, limit)
		if len(dst)-start <= MaxLine || limit <= minText {
			return dst
		}
	}
}

func nativeByFlow(dst []byte, e *event.Event, limit int) []byte {
	n := native{line: line{b: append(dst, '{')}, start: len(dst), limit: limit}
	n.event(e, flowEnds(e))
	return n.b
}

func nativeByOffender(dst []byte, e *event.Event, limit int) []byte {
	n := native{line: line{b: append(dst, '{')}, start: len(dst), limit: limit}
	n.event(e, offenderFirst(e))
	return n.b
}

// native writes the native form of one event.
type native struct {
	line
	start int // where the line begins in b
	limit int // of the long texts
}

func (n *native) size() int { return len(n.b) - n.start }

func (n *native) event(e *event.Event, ends ends) {
	n.name("integration", "flowsnitch")
	n.time("@timestamp", e.Time) // Splunk looks for it in the first 128 characters
	n.number("v", lineVersion)
	n.name("kind", string(e.Kind)) // a text under "event" breaks readers of ECS
	n.id("id", e.ID)
	n.contact(e)
	n.text("sensor", e.Sensor, maxLabel)
	if e.Kind != event.KindAlert {
		n.tuple(e, ends)
	}
	n.open("flowsnitch", '{')
	n.finding(e)
	if e.Kind != event.KindAlert {
		n.traffic(e)
	}
	n.origin(e)
	n.translated(e)
	n.text("community_id", e.CommunityID, maxName)
	n.text("intel_version", e.IntelVersion, maxName)
	n.indicators(e.Indicators)
	n.b = append(n.b, "}}\n"...)
}

// tuple writes the five fields that OSSEC and Wazuh know by themselves. They
// stand at the top level, where nothing else may.
func (n *native) tuple(e *event.Event, ends ends) {
	n.addr("srcip", ends.src)
	if e.HasPorts {
		n.number("srcport", uint64(ends.srcPort))
	}
	n.addr("dstip", ends.dst)
	if e.HasPorts {
		n.number("dstport", uint64(ends.dstPort))
	}
	if e.HasProtocol {
		n.key("protocol")
		n.b = append(appendProtocol(append(n.b, '"'), e.Protocol), '"')
	}
}

// finding writes what was found and how bad it is. The best indicator stands here
// flat, for rule engines that cannot read arrays.
func (n *native) finding(e *event.Event) {
	alert := e.Kind == event.KindAlert
	n.name("alert", e.Alert)
	n.addr("offender", e.Offender)
	n.addr("embedded", e.Embedded)
	n.addr("local", e.Local)
	if !alert {
		if e.Offender.IsValid() {
			n.name("role", e.Role.String())
		}
		n.name("direction", string(e.Direction))
		n.name("answered", string(e.Answered))
		n.course(e)
	}
	n.fold(e)
	n.name("severity", e.Severity.String())
	if !alert || e.Score > 0 {
		n.number("score", uint64(e.Score))
	}
	n.text("reason", e.Reason, n.limit)
	if len(e.Indicators) > 0 {
		n.best(&e.Indicators[0])
	}
}

func (n *native) best(i *event.Indicator) {
	n.name("feed", i.Feed)
	n.name("category", i.Category)
	n.prefix("indicator", i.Prefix)
	n.text("ref", i.Ref, n.limit)
	n.name("tlp", i.TLP)
}

// traffic writes counters and times. The raw counters stand beside scaled ones
// only where they differ from them.
func (n *native) traffic(e *event.Event) {
	n.number("flows", e.Flows)
	n.number("packets", e.Packets)
	n.number("bytes", e.Bytes)
	if e.Packets != e.PacketsRaw {
		n.count("packets_raw", e.PacketsRaw)
	}
	if e.Bytes != e.BytesRaw {
		n.count("bytes_raw", e.BytesRaw)
	}
	n.count("packets_back", e.PacketsBack)
	n.count("bytes_back", e.BytesBack)
	if e.TCPFlags&0xff != 0 {
		n.key("tcp_flags")
		n.b = append(appendFlags(append(n.b, '"'), e.TCPFlags), '"')
	}
	n.count("sampling", uint64(e.Sampling))
	n.text("sampling_from", e.SamplingFrom, maxLabel)
	n.time("start", e.Start)
	n.time("end", e.End)
	n.name("clock", e.Clock)
}

// origin writes who exported the flow.
func (n *native) origin(e *event.Event) {
	n.addr("exporter", e.Exporter)
	n.text("exporter_name", e.ExporterName, maxLabel)
	if len(e.Exporters) > 1 {
		n.open("exporters", '[')
		for _, a := range e.Exporters[:min(len(e.Exporters), maxExporters)] {
			n.addr("", a)
		}
		n.close(']')
	}
	if len(e.Exporters) > maxExporters {
		n.number("exporters_total", uint64(len(e.Exporters)))
	}
	n.version(e)
	if e.HasIf {
		n.number("in_if", uint64(e.InIf))
		n.number("out_if", uint64(e.OutIf))
	}
}

// version writes the domain and the export protocol.
func (n *native) version(e *event.Event) {
	if e.Version == 0 {
		return
	}
	n.number("domain", uint64(e.Domain))
	n.name("version", exportProtocol(e.Version))
}

// translated writes the addresses after translation and those of the packet
// within the packet.
func (n *native) translated(e *event.Event) {
	if e.NATSrc.IsValid() || e.NATDst.IsValid() || e.NATSrcPort != 0 || e.NATDstPort != 0 {
		n.open("nat", '{')
		n.addr("src", e.NATSrc)
		n.count("src_port", uint64(e.NATSrcPort))
		n.addr("dst", e.NATDst)
		n.count("dst_port", uint64(e.NATDstPort))
		n.close('}')
	}
	if e.InnerSrc.IsValid() || e.InnerDst.IsValid() {
		n.open("inner", '{')
		n.addr("src", e.InnerSrc)
		n.addr("dst", e.InnerDst)
		n.close('}')
	}
}

// indicators writes as many listings as fit, at least the best.
func (n *native) indicators(list []event.Indicator) {
	if len(list) == 0 {
		return
	}
	const rest = len(`],"indicators_total":18446744073709551615}}` + "\n")
	kept := 0
	n.open("indicators", '[')
	for i := range list {
		before := len(n.b)
		n.indicator(&list[i])
		if kept > 0 && n.size()+rest > MaxLine {
			n.b = n.b[:before]
			break
		}
		kept++
	}
	n.close(']')
	if kept < len(list) {
		n.number("indicators_total", uint64(len(list)))
	}
}

func (n *native) indicator(i *event.Indicator) {
	n.open("", '{')
	n.prefix("prefix", i.Prefix)
	n.name("feed", i.Feed)
	n.name("category", i.Category)
	n.count("score", uint64(i.Score))
	n.text("ref", i.Ref, n.limit)
	n.time("first_seen", i.FirstSeen)
	n.time("last_seen", i.LastSeen)
	n.time("expires", i.Expires)
	n.count("port", uint64(i.Port))
	n.name("tlp", i.TLP)
	n.text("native_id", i.NativeID, maxLabel)
	n.text("description", i.Description, min(n.limit, maxDescription))
	n.close('}')
}
