package event

import (
	"cmp"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event/jsonline"
)

// JSONVersion is the version of the native form, its "v". Version 1 had the kind under
// "event", the time behind the id, and the export protocol as a number.
const JSONVersion = 2

// MaxLine is the longest line that AppendJSON makes, in bytes, its newline
// included. OSSEC reads 5,887 bytes at once and takes the rest for another event;
// a write of one page is not torn by a reader.
const MaxLine = 4096

// Limits of one line, in bytes as written, escapes included. With texts cut to
// minText and a single indicator, the longest event fits in MaxLine.
const (
	MaxText        = 1024 // reason and ref
	minText        = 16
	MaxDescription = 256
	MaxLabel       = 128              // names that operators give
	MaxName        = jsonline.MaxName // names of feeds, categories and the like
	MaxSilenced    = 8                // ids of silences
	MaxCountry     = 2                // codes of countries
	maxExporters   = 8                // addresses listed
)

// AppendJSON appends e as one line of JSON, newline included, in the form of
// the hit log: fixed order of keys, `integration` first, so that cheap decoders can
// recognise it by its first bytes; empty values left out; `"srcip":` once, because OSSEC
// takes the first.
//
// A line is never longer than [MaxLine]. What does not fit is left out whole: the
// worst indicators first (indicators_total then reports how many there are), and
// if the best alone is too long, texts are cut, marked by an fit.Ellipsis. Of the evidence of
// a rule the histogram and all targets but three go first, then all ports and sources but three
// and the lines for firewalls, then the rest of these lists; left_out is how many entries. Names of
// feeds and categories are reduced to letters, digits, dots, underscores and hyphens.
// Nothing is allocated but room in dst.
func AppendJSON(dst []byte, e *Event) []byte { return fitWhole(dst, e, nativeByFlow) }

// AppendJSONByOffender is [AppendJSON] with the offender as srcip, see [Event.OffenderFirst].
func AppendJSONByOffender(dst []byte, e *Event) []byte { return fitWhole(dst, e, nativeByOffender) }

// fitWhole is [Fit] that leaves out the unknown keys where they have no room.
func fitWhole(dst []byte, e *Event, encode func(dst []byte, e *Event, limit int) []byte) []byte {
	start := len(dst)
	if dst = Fit(dst, e, encode); len(dst)-start > MaxLine && e.Unknown != nil {
		less := *e
		less.Unknown = nil
		return Fit(dst[:start], &less, encode)
	}
	return dst
}

// Fit appends e by encode, with texts cut ever shorter until the line is no longer
// than MaxLine.
func Fit(dst []byte, e *Event, encode func(dst []byte, e *Event, limit int) []byte) []byte {
	start := len(dst)
	for limit := MaxText; ; limit /= 2 {
		dst = encode(dst[:start], e, limit)
		if len(dst)-start <= MaxLine || limit <= minText {
			return dst
		}
	}
}

func nativeByFlow(dst []byte, e *Event, limit int) []byte {
	n := native{Line: jsonline.Line{B: append(dst, '{')}, start: len(dst), limit: limit, foreign: cmp.Or(e.Unknown, &none)}
	n.event(e, e.Ends())
	return n.B
}

func nativeByOffender(dst []byte, e *Event, limit int) []byte {
	n := native{Line: jsonline.Line{B: append(dst, '{')}, start: len(dst), limit: limit, foreign: cmp.Or(e.Unknown, &none)}
	n.event(e, e.OffenderFirst())
	return n.B
}

// native writes the native form of one event.
type native struct {
	jsonline.Line
	start int // where the line begins in b
	limit int // of the long texts
	// foreign are keys that are written as they are.
	foreign *Unknown
}

// none are the unknown keys of an event without any.
var none Unknown

// unknown writes the unknown keys of an object.
func (n *native) unknown(members string) {
	if members != "" {
		n.Key("")
		n.B = append(n.B, members...)
	}
}

func (n *native) size() int { return len(n.B) - n.start }

func (n *native) event(e *Event, ends Ends) {
	n.Name("integration", "flowsnitch")
	n.Time("@timestamp", e.Time) // Splunk looks for it in the first 128 characters
	n.Number("v", JSONVersion)
	n.Name("kind", string(e.Kind)) // a text under "event" breaks readers of ECS
	n.ID("id", e.ID)
	AppendContact(&n.Line, e)
	n.Text("sensor", e.Sensor, MaxLabel)
	if e.Kind != KindAlert {
		n.tuple(e, ends)
	}
	n.Open("flowsnitch", '{')
	n.finding(e)
	if e.Kind != KindAlert {
		n.traffic(e)
	}
	n.origin(e)
	n.translated(e)
	n.Text("community_id", e.CommunityID, MaxName)
	n.Text("intel_version", e.IntelVersion, MaxName)
	n.indicators(e)
	n.unknown(n.foreign.Body)
	n.Close('}')
	n.unknown(n.foreign.Top)
	n.B = append(n.B, "}\n"...)
}

// tuple writes the five fields that OSSEC and Wazuh know by themselves. They
// stand at the top level, where nothing else may.
func (n *native) tuple(e *Event, ends Ends) {
	n.Addr("srcip", ends.Src)
	if e.HasPorts {
		n.Number("srcport", uint64(ends.SrcPort))
	}
	n.Addr("dstip", ends.Dst)
	if e.HasPorts {
		n.Number("dstport", uint64(ends.DstPort))
	}
	if e.HasProtocol {
		n.Key("protocol")
		n.B = append(flow.AppendProtocol(append(n.B, '"'), e.Protocol), '"')
	}
}

// finding writes what was found and how bad it is. The best indicator stands here
// flat, for rule engines that cannot read arrays.
func (n *native) finding(e *Event) {
	alert := e.Kind == KindAlert
	n.Name("alert", e.Alert)
	n.Addr("offender", e.Offender)
	n.Addr("embedded", e.Embedded)
	n.place(e)
	n.Addr("local", e.Local)
	n.Text("site", e.Site, MaxLabel)
	if !alert {
		if e.Offender.IsValid() {
			n.Name("role", e.Role.String())
		}
		n.Name("direction", string(e.Direction))
		n.Name("answered", string(e.Answered))
		AppendCourse(&n.Line, e)
	}
	AppendFold(&n.Line, e)
	n.Word("silenced", e.Silenced, MaxSilenced)
	n.Name("severity", e.Severity.String())
	if !alert || e.Score > 0 {
		n.Number("score", uint64(e.Score))
	}
	n.Text("reason", e.Reason, n.limit)
	if len(e.Indicators) > 0 {
		n.best(&e.Indicators[0])
	}
	if r := e.RaisedBy(); r != nil {
		n.Open("rule", '{')
		appendRule(&n.Line, r, n.limit)
		n.unknown(n.foreign.Rule)
		n.Close('}')
	}
}

// place writes the country and the autonomous system of the offender.
func (n *native) place(e *Event) {
	if e.Country != "" || n.foreign.Geo != "" {
		n.Open("geo", '{')
		n.Word("country", e.Country, MaxCountry)
		n.unknown(n.foreign.Geo)
		n.Close('}')
	}
	if e.HasAS() || n.foreign.AS != "" {
		n.Open("as", '{')
		n.Count("number", uint64(e.ASNumber))
		n.Text("organization", e.ASName, min(n.limit, MaxLabel))
		n.unknown(n.foreign.AS)
		n.Close('}')
	}
}

func (n *native) best(i *Indicator) {
	n.Name("feed", i.Feed)
	n.Name("category", i.Category)
	n.Prefix("indicator", i.Prefix)
	n.Text("ref", i.Ref, n.limit)
	n.Name("tlp", i.TLP)
}

// traffic writes counters and times. The raw counters stand beside scaled ones
// only where they differ from them.
func (n *native) traffic(e *Event) {
	n.Number("flows", e.Flows)
	n.Number("packets", e.Packets)
	n.Number("bytes", e.Bytes)
	if e.Packets != e.PacketsRaw {
		n.Count("packets_raw", e.PacketsRaw)
	}
	if e.Bytes != e.BytesRaw {
		n.Count("bytes_raw", e.BytesRaw)
	}
	n.Count("packets_back", e.PacketsBack)
	n.Count("bytes_back", e.BytesBack)
	if e.TCPFlags&0xff != 0 {
		n.Key("tcp_flags")
		n.B = append(flow.AppendTCPFlags(append(n.B, '"'), e.TCPFlags), '"')
	}
	n.Count("sampling", uint64(e.Sampling))
	n.Text("sampling_from", e.SamplingFrom, MaxLabel)
	n.Time("start", e.Start)
	n.Time("end", e.End)
	n.Name("clock", e.Clock)
}

// origin writes who exported the flow.
func (n *native) origin(e *Event) {
	n.Addr("exporter", e.Exporter)
	n.Text("exporter_name", e.ExporterName, MaxLabel)
	if len(e.Exporters) > 1 || len(e.Exporters) == 1 && e.MoreExporters > 0 {
		n.Open("exporters", '[')
		for _, a := range e.Exporters[:min(len(e.Exporters), maxExporters)] {
			n.Addr("", a)
		}
		n.Close(']')
	}
	if len(e.Exporters) > maxExporters || e.MoreExporters > 0 {
		n.Number("exporters_total", uint64(len(e.Exporters))+uint64(e.MoreExporters))
	}
	n.version(e)
	if e.HasIf {
		n.Number("in_if", uint64(e.InIf))
		n.Number("out_if", uint64(e.OutIf))
	}
}

// version writes the domain and the export protocol.
func (n *native) version(e *Event) {
	if e.Version == 0 {
		return
	}
	n.Number("domain", uint64(e.Domain))
	n.Name("version", ExportProtocol(e.Version))
}

// translated writes the addresses after translation and those of the packet
// within the packet.
func (n *native) translated(e *Event) {
	if e.NATSrc.IsValid() || e.NATDst.IsValid() || e.NATSrcPort != 0 || e.NATDstPort != 0 || n.foreign.NAT != "" {
		n.Open("nat", '{')
		n.Addr("src", e.NATSrc)
		n.Count("src_port", uint64(e.NATSrcPort))
		n.Addr("dst", e.NATDst)
		n.Count("dst_port", uint64(e.NATDstPort))
		n.unknown(n.foreign.NAT)
		n.Close('}')
	}
	if e.InnerSrc.IsValid() || e.InnerDst.IsValid() || n.foreign.Inner != "" {
		n.Open("inner", '{')
		n.Addr("src", e.InnerSrc)
		n.Addr("dst", e.InnerDst)
		n.unknown(n.foreign.Inner)
		n.Close('}')
	}
}

// indicators writes as many listings as fit, at least the best.
func (n *native) indicators(e *Event) {
	list := e.Indicators
	if len(list) == 0 {
		return
	}
	rest := len(`],"indicators_total":18446744073709551615}}` + "\n")
	for _, members := range [...]string{n.foreign.Body, n.foreign.Top} {
		if members != "" {
			rest += len(",") + len(members)
		}
	}
	kept := 0
	n.Open("indicators", '[')
	for i := range list {
		before := len(n.B)
		n.indicator(e, i)
		if kept > 0 && n.size()+rest > MaxLine {
			n.B = n.B[:before]
			break
		}
		kept++
	}
	n.Close(']')
	if total := e.Listings(); uint64(kept) < total {
		n.Number("indicators_total", total)
	}
}

func (n *native) indicator(e *Event, at int) {
	i := &e.Indicators[at]
	n.Open("", '{')
	n.Prefix("prefix", i.Prefix)
	n.Name("feed", i.Feed)
	n.Name("category", i.Category)
	n.Count("score", uint64(i.Score))
	n.Text("ref", i.Ref, n.limit)
	n.Time("first_seen", i.FirstSeen)
	n.Time("last_seen", i.LastSeen)
	n.Time("expires", i.Expires)
	n.Count("port", uint64(i.Port))
	n.Name("tlp", i.TLP)
	n.Text("native_id", i.NativeID, MaxLabel)
	n.Text("description", i.Description, min(n.limit, MaxDescription))
	if at < len(n.foreign.Indicators) {
		n.unknown(n.foreign.Indicators[at])
	}
	n.Close('}')
}

// ExportProtocol gives the protocol of an export as text in every form: a number alone
// would be taken for a NetFlow version where it is one of sFlow. Unknown ones are empty.
func ExportProtocol(v flow.Version) string {
	switch v {
	case flow.V5:
		return "5"
	case flow.V9:
		return "9"
	case flow.IPFIX:
		return "ipfix"
	case flow.SFlow:
		return "sflow5"
	}
	return ""
}

// AppendContact writes which contact an event belongs to.
func AppendContact(l *jsonline.Line, e *Event) {
	if e.Contact == (uuid.UUID{}) {
		return
	}
	l.ID("contact", e.Contact)
	l.Count("seq", uint64(e.Seq))
	l.Flag("last", e.Last)
}

// AppendCourse writes what became of a contact.
func AppendCourse(l *jsonline.Line, e *Event) {
	l.Flag("refused", e.Refused)
	l.Bool("blocked", e.Blocked)
	l.Count("service_port", uint64(e.ServicePort))
	l.Time("contact_first_seen", e.ContactFirstSeen)
	l.Flag("retro", e.Retro)
	l.Count("days", uint64(e.Days))
}

// AppendFold writes how much a folded contact stands for.
func AppendFold(l *jsonline.Line, e *Event) {
	l.Flag("folded", e.Folded)
	l.Count("ports", uint64(e.Ports))
	l.Flag("ports_capped", e.PortsCapped)
	l.Count("hosts", uint64(e.Hosts))
	l.Flag("hosts_capped", e.HostsCapped)
}
