// Package ecs has the form of the Elastic Common Schema: one event, one line of JSON. It owns
// nothing. Package form chooses it by name.
package ecs

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/jsonline"
	"github.com/flowsnitch/flowsnitch/sinks/form/words"
)

// Version is the version of the Elastic Common Schema that Append follows.
const Version = "8.11.0"

// Append appends e in the Elastic Common Schema as one line of JSON, newline
// included, at most [event.MaxLine] bytes; what does not fit is left out as [event.AppendJSON]
// does, the worst indicators first.
//
// Hits and alerts are of event.kind alert, updates and canaries of kind event, so that
// a contact raises one alert however often it is reported. event.severity is 21, 47,
// 73 or 99, which Elastic's own rules read as low to critical; event.risk_score is the
// score. The best indicator is threat.indicator, each of them an element of
// threat.enrichments. What ECS has no field for stands under flowsnitch.
func Append(dst []byte, e *event.Event) []byte { return event.Fit(dst, e, encodeECS) }

func encodeECS(dst []byte, e *event.Event, limit int) []byte {
	x := ecs{Line: jsonline.Line{B: append(dst, '{')}, start: len(dst), limit: limit}
	x.Time("@timestamp", e.Time)
	x.Open("ecs", '{')
	x.Name("version", Version)
	x.Close('}')
	x.Text("message", e.Reason, x.limit)
	x.event(e)
	if e.Kind != event.KindAlert {
		src, dst := e.IsEnd()
		x.endpoint("source", e, src, e.Src, e.SrcPort, e.NATSrc, e.NATSrcPort, e.Packets, e.Bytes)
		x.endpoint("destination", e, dst, e.Dst, e.DstPort, e.NATDst, e.NATDstPort, e.PacketsBack, e.BytesBack)
		x.network(e)
	}
	x.observer(e)
	x.rule(e)
	x.related(e)
	x.own(e)
	x.threat(e)
	x.B = append(x.B, "}\n"...)
	return x.B
}

// ecs writes the ECS form of one event.
type ecs struct {
	jsonline.Line
	start int // where the line begins in b
	limit int // of the long texts
}

func (x *ecs) event(e *event.Event) {
	x.Open("event", '{')
	kind, dataset := kindOf(e.Kind)
	x.Name("kind", kind)
	x.classify(e)
	x.Name("action", string(e.Kind))
	if e.Kind == event.KindAlert {
		x.Name("code", e.Alert)
	}
	x.Name("module", "flowsnitch")
	x.Name("dataset", dataset)
	x.ID("id", e.ID)
	x.Number("severity", severity(e.Severity))
	x.Number("risk_score", uint64(e.Score))
	x.Text("reason", e.Reason, x.limit)
	if len(e.Indicators) > 0 {
		x.Text("reference", e.Indicators[0].Ref, x.limit)
	}
	start, end := e.Start, e.End
	if r := e.RaisedBy(); r != nil {
		start, end = r.From, r.To
	}
	x.Time("start", start)
	x.Time("end", end)
	if d := end.Sub(start); !start.IsZero() && !end.IsZero() && d >= 0 {
		x.Number("duration", uint64(d.Nanoseconds()))
	}
	x.Close('}')
}

// classify writes event.category and event.type. A canary has neither: detection rules
// go by the category, and it is no detection.
func (x *ecs) classify(e *event.Event) {
	if e.Kind == event.KindCanary {
		return
	}
	x.Open("category", '[')
	if e.Kind != event.KindAlert {
		x.Name("", "network")
	}
	x.Name("", "intrusion_detection")
	x.Close(']')
	x.Open("type", '[')
	if e.Kind != event.KindAlert {
		x.Name("", "connection")
	}
	if e.Kind != event.KindAlert && e.Blocked {
		x.Name("", "denied")
	} else {
		x.Name("", "info")
	}
	x.Close(']')
}

// kindOf gives event.kind and event.dataset.
func kindOf(k event.Kind) (kind, dataset string) {
	switch k {
	case event.KindHit:
		return "alert", "flowsnitch.hit"
	case event.KindAlert:
		return "alert", "flowsnitch.alert"
	case event.KindCanary:
		return "event", "flowsnitch.canary"
	}
	return "event", "flowsnitch.hit"
}

// severity gives the numbers that stand for the severities in Elastic Security.
func severity(s event.Severity) uint64 {
	return [...]uint64{21, 47, 73, 99}[min(s, event.Critical)]
}

// endpoint writes source or destination.
func (x *ecs) endpoint(key string, e *event.Event, offender bool, a netip.Addr, port uint16, nat netip.Addr, natPort uint16, packets, bytes uint64) {
	x.Open(key, '{')
	x.Addr("ip", a)
	if offender {
		x.place(e)
	}
	if e.HasPorts {
		x.Number("port", uint64(port))
	}
	if nat.IsValid() || natPort != 0 {
		x.Open("nat", '{')
		x.Addr("ip", nat)
		x.Count("port", uint64(natPort))
		x.Close('}')
	}
	x.Long("packets", packets)
	x.Long("bytes", bytes)
	x.Close('}')
}

// place writes the country and the autonomous system of the offender.
func (x *ecs) place(e *event.Event) {
	if e.Country != "" {
		x.Open("geo", '{')
		x.Word("country_iso_code", e.Country, event.MaxCountry)
		x.Close('}')
	}
	if e.HasAS() {
		x.Open("as", '{')
		x.Count("number", uint64(e.ASNumber))
		if e.ASName != "" {
			x.Open("organization", '{')
			x.Text("name", e.ASName, min(x.limit/2, event.MaxLabel))
			x.Close('}')
		}
		x.Close('}')
	}
}

func (x *ecs) network(e *event.Event) {
	x.Open("network", '{')
	if e.HasProtocol {
		x.Key("transport")
		x.B = append(flow.AppendProtocol(append(x.B, '"'), e.Protocol), '"')
		x.Key("iana_number") // a keyword in ECS
		x.B = append(strconv.AppendUint(append(x.B, '"'), uint64(e.Protocol), 10), '"')
	}
	switch {
	case e.Src.Is4():
		x.Name("type", "ipv4")
	case e.Src.Is6():
		x.Name("type", "ipv6")
	}
	direction := string(e.Direction)
	if e.Direction == event.Transit {
		direction = "external"
	}
	x.Name("direction", direction)
	x.Text("community_id", e.CommunityID, event.MaxName)
	x.Long("packets", e.Packets+e.PacketsBack)
	x.Long("bytes", e.Bytes+e.BytesBack)
	x.Close('}')
}

// observer writes the exporter: it saw the flow.
func (x *ecs) observer(e *event.Event) {
	if !e.Exporter.IsValid() {
		return
	}
	x.Open("observer", '{')
	x.Open("ip", '[')
	x.Addr("", e.Exporter)
	x.Close(']')
	x.Text("name", e.ExporterName, min(x.limit, event.MaxLabel))
	if e.HasIf {
		x.ifIndex("ingress", e.InIf)
		x.ifIndex("egress", e.OutIf)
	}
	x.Close('}')
}

func (x *ecs) ifIndex(key string, index uint32) {
	x.Open(key, '{')
	x.Open("interface", '{')
	x.Key("id")
	x.B = append(strconv.AppendUint(append(x.B, '"'), uint64(index), 10), '"')
	x.Close('}')
	x.Close('}')
}

// rule writes the correlation rule that has raised an alert. Its evidence is among what ECS
// has no field for.
func (x *ecs) rule(e *event.Event) {
	r := e.RaisedBy()
	if r == nil {
		return
	}
	x.Open("rule", '{')
	x.Name("name", r.Name)
	x.Text("description", r.Title, min(x.limit, event.MaxDescription))
	x.Name("category", r.Type)
	x.Name("ruleset", "flowsnitch")
	x.Close('}')
}

// related lists every address of the event once, except the exporter's: of an alert of a rule
// the most frequent sources and targets, too, as far as there is room.
func (x *ecs) related(e *event.Event) {
	var room [8 + 2*event.MaxRuleShares]netip.Addr
	all := append(room[:0], e.Src, e.Dst, e.NATSrc, e.NATDst, e.InnerSrc, e.InnerDst, e.Offender, e.Local)
	if r := e.RaisedBy(); r != nil {
		for _, list := range [...][]event.RuleShare{r.Sources, r.Targets} {
			for _, s := range list[:min(len(list), event.MaxRuleShares, x.limit/32)] {
				if a, err := netip.ParseAddr(s.Value); err == nil {
					all = append(all, a.Unmap().WithZone(""))
				}
			}
		}
	}
	open := false
	for i, a := range all {
		if !a.IsValid() || slices.Contains(all[:i], a) {
			continue
		}
		if !open {
			x.Open("related", '{')
			x.Open("ip", '[')
			open = true
		}
		x.Addr("", a)
	}
	if open {
		x.Close(']')
		x.Close('}')
	}
}

// own writes what ECS has no field for.
func (x *ecs) own(e *event.Event) {
	x.Open("flowsnitch", '{')
	event.AppendContact(&x.Line, e)
	x.Text("sensor", e.Sensor, min(x.limit, event.MaxLabel))
	x.Name("severity", e.Severity.String())
	x.Addr("offender", e.Offender)
	x.Addr("embedded", e.Embedded)
	if src, dst := e.IsEnd(); !src && !dst {
		x.place(e) // no end has it
	}
	x.Word("silenced", e.Silenced, event.MaxSilenced)
	x.Addr("local", e.Local)
	x.Text("site", e.Site, min(x.limit/2, event.MaxLabel))
	if e.Kind != event.KindAlert {
		if e.Offender.IsValid() {
			x.Name("role", e.Role.String())
		}
		x.Name("answered", string(e.Answered))
		event.AppendCourse(&x.Line, e)
		x.Long("flows", e.Flows)
		x.Count("sampling", uint64(e.Sampling))
		x.Name("clock", e.Clock)
		x.Name("version", event.ExportProtocol(e.Version))
	}
	event.AppendFold(&x.Line, e)
	if len(e.Indicators) > 0 {
		x.Name("category", e.Indicators[0].Category)
		x.Prefix("indicator", e.Indicators[0].Prefix)
		x.Number("indicators_total", e.Listings())
	}
	if e.InnerSrc.IsValid() || e.InnerDst.IsValid() {
		x.Open("inner", '{')
		x.Addr("src", e.InnerSrc)
		x.Addr("dst", e.InnerDst)
		x.Close('}')
	}
	x.Text("intel_version", e.IntelVersion, event.MaxName)
	if r := e.RaisedBy(); r != nil {
		event.AppendRule(&x.Line, r, x.limit)
	}
	x.Close('}')
}

// threat writes the best indicator, and all that fit as enrichments: at least one.
func (x *ecs) threat(e *event.Event) {
	if len(e.Indicators) == 0 {
		return
	}
	best := &e.Indicators[0]
	x.Open("threat", '{')
	if best.Feed != "" {
		x.Open("feed", '{')
		x.Name("name", best.Feed)
		x.Close('}')
	}
	x.indicator(best, true)
	const rest = len("]}}\n")
	x.Open("enrichments", '[')
	for i := range e.Indicators {
		before := len(x.B)
		x.enrichment(e, &e.Indicators[i])
		if i > 0 && len(x.B)-x.start+rest > event.MaxLine {
			x.B = x.B[:before]
			break
		}
	}
	x.Close(']')
	x.Close('}')
}

// enrichment writes one listing and what in the event it matched.
func (x *ecs) enrichment(e *event.Event, i *event.Indicator) {
	x.Open("", '{')
	x.indicator(i, false)
	x.Open("matched", '{')
	x.Addr("atomic", e.Offender)
	if e.Kind != event.KindAlert && e.Offender.IsValid() {
		x.Name("field", ecsField[min(int(e.Role), len(ecsField)-1)])
	}
	x.Name("type", "indicator_match_rule")
	x.Time("occurred", e.Time)
	x.Close('}')
	x.Close('}')
}

// ecsField names the field in which the offender stands, by its role.
var ecsField = [...]string{
	"source.ip", "destination.ip", "source.nat.ip", "destination.nat.ip",
	"flowsnitch.inner.src", "flowsnitch.inner.dst", "related.ip",
}

// indicator writes a listing. ECS knows single addresses: a wider prefix is the
// indicator's name only. The enrichments do without the feed's description, for room.
func (x *ecs) indicator(i *event.Indicator, full bool) {
	x.Open("indicator", '{')
	switch {
	case i.Prefix.Addr().Is4():
		x.Name("type", "ipv4-addr")
	case i.Prefix.Addr().Is6():
		x.Name("type", "ipv6-addr")
	}
	if i.Prefix.IsSingleIP() {
		x.Addr("ip", i.Prefix.Addr())
	}
	x.Prefix("name", i.Prefix)
	x.Count("port", uint64(i.Port))
	x.Name("provider", i.Feed)
	x.Key("confidence")
	x.B = append(append(append(x.B, '"'), confidence(i.Score)...), '"')
	x.Time("first_seen", i.FirstSeen)
	x.Time("last_seen", i.LastSeen)
	x.Text("reference", i.Ref, x.limit)
	if full {
		x.Text("description", i.Description, min(x.limit, event.MaxDescription))
	}
	if i.TLP != "" {
		x.Open("marking", '{')
		words.TLP(&x.Line, "tlp", i.TLP, '+')
		x.Close('}')
	}
	x.Close('}')
}

// confidence maps a score to the words of ECS, at the bounds of STIX 2.1,
// appendix A. A score of 0 means not given.
func confidence(score uint8) string {
	switch {
	case score == 0:
		return "Not Specified"
	case score < 30:
		return "Low"
	case score < 70:
		return "Medium"
	}
	return "High"
}
