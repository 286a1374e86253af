package sinks

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// ocsfVersion is the version of the Open Cybersecurity Schema Framework that
// AppendOCSF follows.
const ocsfVersion = "1.5.0"

// AppendOCSF appends e as a Detection Finding of the Open Cybersecurity Schema
// Framework (class 2004, with the profile osint where there is a listing), one line of JSON, newline included, at most
// [MaxLine] bytes; what does not fit is left out as [AppendNative] does, the worst
// indicators first.
//
// A hit, an alert and a canary create a finding, an update updates it, and the last of a
// contact closes it: the finding is the contact. What OCSF has no attribute for stands
// under unmapped.
func AppendOCSF(dst []byte, e *event.Event) []byte { return fit(dst, e, encodeOCSF) }

func encodeOCSF(dst []byte, e *event.Event, limit int) []byte {
	o := ocsf{line: line{b: append(dst, '{')}, start: len(dst), limit: limit}
	o.class(e)
	o.metadata(e)
	o.finding(e)
	if e.Kind != event.KindAlert {
		o.evidences(e)
	}
	o.unmapped(e)
	o.osint(e.Indicators)
	o.b = append(o.b, "}\n"...)
	return o.b
}

// ocsf writes the OCSF form of one event.
type ocsf struct {
	line
	start int // where the line begins in b
	limit int // of the long texts
}

func (o *ocsf) class(e *event.Event) {
	const class, create, update, end = 2004, 1, 2, 3
	activity := uint64(create)
	switch {
	case e.Kind == event.KindUpdate && e.Last:
		activity = end
	case e.Kind == event.KindUpdate:
		activity = update
	}
	o.number("category_uid", 2)
	o.number("class_uid", class)
	o.number("activity_id", activity)
	o.number("type_uid", class*100+activity)
	o.number("severity_id", uint64(min(e.Severity, event.Critical))+2) // 2 = low
	o.millis("time", e.Time)
	o.text("message", e.Reason, o.limit)
	o.bool("is_alert", e.Kind == event.KindHit || e.Kind == event.KindAlert)
	if e.Kind != event.KindAlert {
		o.number("risk_score", uint64(e.Score))
	}
	if len(e.Indicators) > 0 {
		o.count("confidence_score", uint64(e.Indicators[0].Score))
		o.number("confidence_id", ocsfConfidence(e.Indicators[0].Score))
	}
}

// ocsfConfidence maps a score to unknown, low, medium and high, at the bounds of
// STIX 2.1, appendix A.
func ocsfConfidence(score uint8) uint64 {
	switch {
	case score == 0:
		return 0
	case score < 30:
		return 1
	case score < 70:
		return 2
	}
	return 3
}

func (o *ocsf) metadata(e *event.Event) {
	o.open("metadata", '{')
	o.name("version", ocsfVersion)
	o.open("product", '{')
	o.name("name", "flowsnitch")
	o.name("vendor_name", "flowsnitch")
	o.close('}')
	if len(e.Indicators) > 0 { // the profile requires its attribute
		o.open("profiles", '[')
		o.name("", "osint")
		o.close(']')
	}
	o.id("uid", e.ID)
	o.name("event_code", string(e.Kind))
	o.text("log_provider", e.Sensor, maxLabel)
	o.close('}')
}

func (o *ocsf) finding(e *event.Event) {
	o.open("finding_info", '{')
	o.key("uid")
	o.b = append(appendFinding(append(o.b, '"'), e), '"')
	o.key("title")
	o.b = append(append(append(o.b, '"'), title(e.Kind)...), '"')
	o.open("types", '[')
	o.name("", signature(e))
	o.close(']')
	first := e.Start
	if !e.ContactFirstSeen.IsZero() {
		first = e.ContactFirstSeen
	}
	o.millis("first_seen_time", first)
	o.millis("last_seen_time", e.End)
	if len(e.Indicators) > 0 {
		o.text("src_url", e.Indicators[0].Ref, o.limit)
	}
	o.close('}')
}

// appendFinding appends what names the finding: the id of the contact, the alert and whom
// it is about, or the id of the event.
func appendFinding(dst []byte, e *event.Event) []byte {
	switch {
	case e.Contact != uuid.UUID{}:
		return appendID(dst, e.Contact)
	case !e.Offender.IsValid():
		return appendID(dst, e.ID)
	}
	dst = append(appendName(dst, signatureOfFinding(e), maxName), '/')
	dst = e.Offender.WithZone("").AppendTo(dst)
	if e.Local.IsValid() {
		dst = e.Local.WithZone("").AppendTo(append(dst, '/'))
	}
	return dst
}

func signatureOfFinding(e *event.Event) string {
	if e.Kind == event.KindHit || e.Kind == event.KindUpdate {
		return "contact"
	}
	return signature(e)
}

func (o *ocsf) evidences(e *event.Event) {
	o.open("evidences", '[')
	o.open("", '{')
	o.endpoint("src_endpoint", e.Src, e.SrcPort, e.HasPorts)
	o.endpoint("dst_endpoint", e.Dst, e.DstPort, e.HasPorts)
	o.open("connection_info", '{')
	if e.HasProtocol {
		o.number("protocol_num", uint64(e.Protocol))
		o.key("protocol_name")
		o.b = append(appendProtocol(append(o.b, '"'), e.Protocol), '"')
	}
	direction := ocsfDirection(e.Direction)
	o.number("direction_id", direction)
	if direction == ocsfOther {
		o.name("direction", string(e.Direction)) // OCSF looks for the word there
	}
	o.count("tcp_flags", uint64(e.TCPFlags&0xff))
	o.text("community_uid", e.CommunityID, maxName)
	o.close('}')
	o.close('}')
	o.close(']')
}

func (o *ocsf) endpoint(key string, a netip.Addr, port uint16, hasPort bool) {
	if !a.IsValid() && !hasPort {
		return
	}
	o.open(key, '{')
	o.addr("ip", a)
	if hasPort {
		o.number("port", uint64(port))
	}
	o.close('}')
}

// ocsfDirection gives inbound, outbound, lateral, other or unknown.
func ocsfDirection(d event.Direction) uint64 {
	switch d {
	case event.Inbound:
		return 1
	case event.Outbound:
		return 2
	case event.Internal:
		return 3
	case event.Transit:
		return ocsfOther
	}
	return 0
}

// ocsfOther stands where OCSF has no number and the word is in the sibling of the key.
const ocsfOther = 99

// unmapped writes what OCSF has no attribute for, with the names of the native form.
func (o *ocsf) unmapped(e *event.Event) {
	o.open("unmapped", '{')
	o.name("alert", e.Alert)
	o.contact(e)
	o.addr("offender", e.Offender)
	o.addr("embedded", e.Embedded)
	o.addr("local", e.Local)
	if e.Kind != event.KindAlert {
		o.traffic(e)
	}
	o.fold(e)
	if len(e.Indicators) > 0 {
		o.number("indicators_total", uint64(len(e.Indicators)))
	}
	o.addr("exporter", e.Exporter)
	o.text("exporter_name", e.ExporterName, maxLabel)
	if e.HasIf {
		o.number("in_if", uint64(e.InIf))
		o.number("out_if", uint64(e.OutIf))
	}
	o.addr("nat_src", e.NATSrc)
	o.count("nat_src_port", uint64(e.NATSrcPort))
	o.addr("nat_dst", e.NATDst)
	o.count("nat_dst_port", uint64(e.NATDstPort))
	o.addr("inner_src", e.InnerSrc)
	o.addr("inner_dst", e.InnerDst)
	o.text("intel_version", e.IntelVersion, maxName)
	o.close('}')
}

func (o *ocsf) traffic(e *event.Event) {
	if e.Offender.IsValid() {
		o.name("role", e.Role.String())
	}
	o.name("direction", string(e.Direction))
	o.name("answered", string(e.Answered))
	o.course(e)
	o.long("flows", e.Flows)
	o.long("packets", e.Packets)
	o.long("bytes", e.Bytes)
	if e.PacketsBack != 0 {
		o.long("packets_back", e.PacketsBack)
	}
	if e.BytesBack != 0 {
		o.long("bytes_back", e.BytesBack)
	}
	o.count("sampling", uint64(e.Sampling))
	o.name("clock", e.Clock)
	o.name("version", exportProtocol(e.Version))
}

// osint writes as many listings as fit, at least the best.
func (o *ocsf) osint(list []event.Indicator) {
	if len(list) == 0 {
		return
	}
	const rest = len("]}\n")
	o.open("osint", '[')
	for i := range list {
		before := len(o.b)
		o.indicator(&list[i])
		if i > 0 && len(o.b)-o.start+rest > MaxLine {
			o.b = o.b[:before]
			break
		}
	}
	o.close(']')
}

func (o *ocsf) indicator(i *event.Indicator) {
	o.open("", '{')
	o.number("type_id", 1) // IP address
	if i.Prefix.IsSingleIP() {
		o.addr("value", i.Prefix.Addr())
	} else {
		o.prefix("value", i.Prefix)
		o.prefix("subnet", i.Prefix)
	}
	o.name("vendor_name", i.Feed)
	o.text("uid", i.NativeID, maxLabel)
	o.name("category", i.Category)
	o.number("confidence_id", ocsfConfidence(i.Score))
	o.millis("created_time", i.FirstSeen)
	o.millis("modified_time", i.LastSeen)
	o.millis("expiration_time", i.Expires)
	o.text("src_url", i.Ref, o.limit)
	o.text("desc", i.Description, min(o.limit, maxDescription))
	if i.TLP != "" {
		o.tlp("tlp", i.TLP, ' ')
	}
	o.close('}')
}
