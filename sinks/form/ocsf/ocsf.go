// Package ocsf has the form of the Open Cybersecurity Schema Framework: one event, one line of
// JSON. It owns nothing. Package form chooses it by name.
package ocsf

import (
	"cmp"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/jsonline"
	"github.com/flowsnitch/flowsnitch/sinks/form/words"
	"github.com/google/uuid"
)

// Version is the version of the Open Cybersecurity Schema Framework that
// Append follows.
const Version = "1.5.0"

// Append appends e as a Detection Finding of the Open Cybersecurity Schema
// Framework (class 2004, with the profile osint where there is a listing), one line of JSON, newline included, at most
// [event.MaxLine] bytes; what does not fit is left out as [event.AppendJSON] does, the worst
// indicators first.
//
// A hit, an alert and a canary create a finding, an update updates it, and the last of a
// contact closes it: the finding is the contact. What OCSF has no attribute for stands
// under unmapped.
func Append(dst []byte, e *event.Event) []byte { return event.Fit(dst, e, encodeOCSF) }

func encodeOCSF(dst []byte, e *event.Event, limit int) []byte {
	o := ocsf{Line: jsonline.Line{B: append(dst, '{')}, start: len(dst), limit: limit}
	o.class(e)
	o.metadata(e)
	o.finding(e)
	if e.Kind != event.KindAlert {
		o.evidences(e)
	}
	o.unmapped(e)
	o.osint(e.Indicators)
	o.B = append(o.B, "}\n"...)
	return o.B
}

// ocsf writes the OCSF form of one event.
type ocsf struct {
	jsonline.Line
	start int // where the line begins in b
	limit int // of the long texts
}

func (o *ocsf) class(e *event.Event) {
	const class, create, update, end = 2004, 1, 2, 3
	activity := uint64(create)
	switch {
	case e.Kind == event.KindUpdate && e.Last:
		activity = end
	case e.Kind == event.KindUpdate, e.RaisedBy() != nil && e.Rule.Update:
		activity = update
	}
	o.Number("category_uid", 2)
	o.Number("class_uid", class)
	o.Number("activity_id", activity)
	o.Number("type_uid", class*100+activity)
	o.Number("severity_id", uint64(min(e.Severity, event.Critical))+2) // 2 = low
	o.Millis("time", e.Time)
	o.Text("message", e.Reason, o.limit)
	o.Bool("is_alert", e.Kind == event.KindHit || e.Kind == event.KindAlert)
	if r := e.RaisedBy(); r != nil {
		o.Millis("start_time", r.From)
		o.Millis("end_time", r.To)
	}
	if e.Kind != event.KindAlert || e.Rule != nil {
		o.Number("risk_score", uint64(e.Score))
	}
	if len(e.Indicators) > 0 {
		o.Count("confidence_score", uint64(e.Indicators[0].Score))
		o.Number("confidence_id", confidence(e.Indicators[0].Score))
	}
}

// confidence maps a score to unknown, low, medium and high, at the bounds of
// STIX 2.1, appendix A.
func confidence(score uint8) uint64 {
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
	o.Open("metadata", '{')
	o.Name("version", Version)
	o.Open("product", '{')
	o.Name("name", "flowsnitch")
	o.Name("vendor_name", "flowsnitch")
	o.Close('}')
	if len(e.Indicators) > 0 { // the profile requires its attribute
		o.Open("profiles", '[')
		o.Name("", "osint")
		o.Close(']')
	}
	o.ID("uid", e.ID)
	o.Name("event_code", string(e.Kind))
	o.Text("log_provider", e.Sensor, event.MaxLabel)
	o.Close('}')
}

func (o *ocsf) finding(e *event.Event) {
	o.Open("finding_info", '{')
	o.Key("uid")
	o.B = append(appendFinding(append(o.B, '"'), e, o.limit), '"')
	if r := e.RaisedBy(); r != nil {
		o.analytic(r)
	} else {
		o.Key("title")
		o.B = append(append(append(o.B, '"'), words.Title(e)...), '"')
	}
	o.Open("types", '[')
	o.Name("", words.Signature(e))
	o.Close(']')
	first, last := e.Start, e.End
	if !e.ContactFirstSeen.IsZero() {
		first = e.ContactFirstSeen
	}
	if r := e.RaisedBy(); r != nil {
		first, last = r.From, r.To
	}
	o.Millis("first_seen_time", first)
	o.Millis("last_seen_time", last)
	if len(e.Indicators) > 0 {
		o.Text("src_url", e.Indicators[0].Ref, o.limit)
	}
	o.Close('}')
}

// analytic writes the correlation rule that has raised an alert, and its title as that of
// the finding. Its evidence is unmapped.
func (o *ocsf) analytic(r *event.Rule) {
	o.Text("title", cmp.Or(r.Title, r.Name, "Alert"), min(o.limit, event.MaxDescription))
	o.Open("analytic", '{')
	o.Number("type_id", 1) // rule
	o.Name("type", "Rule")
	o.Name("name", r.Name)
	o.Name("category", r.Type)
	o.Close('}')
}

// appendFinding appends what names the finding: the id of the contact, the rule and its
// group, the alert and whom it is about, or the id of the event.
func appendFinding(dst []byte, e *event.Event, limit int) []byte {
	switch {
	case e.Contact != uuid.UUID{}:
		return jsonline.AppendID(dst, e.Contact)
	case e.RaisedBy() != nil: // what a rule has found in a group is one finding, however it grows
		dst = fit.AppendName(dst, words.Signature(e), event.MaxName)
		for i := range e.Rule.Group[:min(len(e.Rule.Group), event.MaxRuleGroup)] {
			dst = fit.AppendJSON(append(dst, '/'), e.Rule.Group[i].Value, min(limit, event.MaxName))
		}
		return dst
	case !e.Offender.IsValid():
		return jsonline.AppendID(dst, e.ID)
	}
	dst = append(fit.AppendName(dst, signatureOfFinding(e), event.MaxName), '/')
	dst = e.Offender.WithZone("").AppendTo(dst)
	if e.Local.IsValid() {
		dst = e.Local.WithZone("").AppendTo(append(dst, '/'))
	}
	if e.Site != "" {
		dst = fit.AppendName(append(dst, '/'), e.Site, event.MaxName)
	}
	return dst
}

func signatureOfFinding(e *event.Event) string {
	if e.Kind == event.KindHit || e.Kind == event.KindUpdate {
		return "contact"
	}
	return words.Signature(e)
}

func (o *ocsf) evidences(e *event.Event) {
	o.Open("evidences", '[')
	o.Open("", '{')
	src, dst := e.IsEnd()
	o.endpoint("src_endpoint", e, src, e.Src, e.SrcPort)
	o.endpoint("dst_endpoint", e, dst, e.Dst, e.DstPort)
	o.Open("connection_info", '{')
	if e.HasProtocol {
		o.Number("protocol_num", uint64(e.Protocol))
		o.Key("protocol_name")
		o.B = append(flow.AppendProtocol(append(o.B, '"'), e.Protocol), '"')
	}
	direction := ocsfDirection(e.Direction)
	o.Number("direction_id", direction)
	if direction == ocsfOther {
		o.Name("direction", string(e.Direction)) // OCSF looks for the word there
	}
	o.Count("tcp_flags", uint64(e.TCPFlags&0xff))
	o.Text("community_uid", e.CommunityID, event.MaxName)
	o.Close('}')
	o.Close('}')
	o.Close(']')
}

func (o *ocsf) endpoint(key string, e *event.Event, offender bool, a netip.Addr, port uint16) {
	if !a.IsValid() && !e.HasPorts {
		return
	}
	o.Open(key, '{')
	o.Addr("ip", a)
	if e.HasPorts {
		o.Number("port", uint64(port))
	}
	if offender {
		o.place(e)
	}
	o.Close('}')
}

// place writes the country and the autonomous system of the offender.
func (o *ocsf) place(e *event.Event) {
	if e.Country != "" {
		o.Open("location", '{')
		o.Word("country", e.Country, event.MaxCountry)
		o.Close('}')
	}
	if e.HasAS() {
		o.Open("autonomous_system", '{')
		o.Count("number", uint64(e.ASNumber))
		o.Text("name", e.ASName, min(o.limit, event.MaxLabel))
		o.Close('}')
	}
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
	o.Open("unmapped", '{')
	o.Name("alert", e.Alert)
	event.AppendContact(&o.Line, e)
	o.Addr("offender", e.Offender)
	o.Addr("embedded", e.Embedded)
	if src, dst := e.IsEnd(); !src && !dst {
		o.Word("country", e.Country, event.MaxCountry)
		o.Count("as_number", uint64(e.ASNumber))
		o.Text("as_name", e.ASName, min(o.limit, event.MaxLabel))
	}
	o.Word("silenced", e.Silenced, event.MaxSilenced)
	o.Addr("local", e.Local)
	o.Text("site", e.Site, event.MaxLabel)
	if e.Kind != event.KindAlert {
		o.traffic(e)
	}
	event.AppendFold(&o.Line, e)
	if len(e.Indicators) > 0 {
		o.Number("indicators_total", e.Listings())
	}
	o.Addr("exporter", e.Exporter)
	o.Text("exporter_name", e.ExporterName, event.MaxLabel)
	if e.HasIf {
		o.Number("in_if", uint64(e.InIf))
		o.Number("out_if", uint64(e.OutIf))
	}
	o.Addr("nat_src", e.NATSrc)
	o.Count("nat_src_port", uint64(e.NATSrcPort))
	o.Addr("nat_dst", e.NATDst)
	o.Count("nat_dst_port", uint64(e.NATDstPort))
	o.Addr("inner_src", e.InnerSrc)
	o.Addr("inner_dst", e.InnerDst)
	o.Text("intel_version", e.IntelVersion, event.MaxName)
	if r := e.RaisedBy(); r != nil {
		event.AppendRule(&o.Line, r, o.limit)
	}
	o.Close('}')
}

func (o *ocsf) traffic(e *event.Event) {
	if e.Offender.IsValid() {
		o.Name("role", e.Role.String())
	}
	o.Name("direction", string(e.Direction))
	o.Name("answered", string(e.Answered))
	event.AppendCourse(&o.Line, e)
	o.Long("flows", e.Flows)
	o.Long("packets", e.Packets)
	o.Long("bytes", e.Bytes)
	if e.PacketsBack != 0 {
		o.Long("packets_back", e.PacketsBack)
	}
	if e.BytesBack != 0 {
		o.Long("bytes_back", e.BytesBack)
	}
	o.Count("sampling", uint64(e.Sampling))
	o.Name("clock", e.Clock)
	o.Name("version", event.ExportProtocol(e.Version))
}

// osint writes as many listings as fit, at least the best.
func (o *ocsf) osint(list []event.Indicator) {
	if len(list) == 0 {
		return
	}
	const rest = len("]}\n")
	o.Open("osint", '[')
	for i := range list {
		before := len(o.B)
		o.indicator(&list[i])
		if i > 0 && len(o.B)-o.start+rest > event.MaxLine {
			o.B = o.B[:before]
			break
		}
	}
	o.Close(']')
}

func (o *ocsf) indicator(i *event.Indicator) {
	o.Open("", '{')
	o.Number("type_id", 1) // IP address
	if i.Prefix.IsSingleIP() {
		o.Addr("value", i.Prefix.Addr())
	} else {
		o.Prefix("value", i.Prefix)
		o.Prefix("subnet", i.Prefix)
	}
	o.Name("vendor_name", i.Feed)
	o.Text("uid", i.NativeID, event.MaxLabel)
	o.Name("category", i.Category)
	o.Number("confidence_id", confidence(i.Score))
	o.Millis("created_time", i.FirstSeen)
	o.Millis("modified_time", i.LastSeen)
	o.Millis("expiration_time", i.Expires)
	o.Text("src_url", i.Ref, o.limit)
	o.Text("desc", i.Description, min(o.limit, event.MaxDescription))
	if i.TLP != "" {
		words.TLP(&o.Line, "tlp", i.TLP, ' ')
	}
	o.Close('}')
}
