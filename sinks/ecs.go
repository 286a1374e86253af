package sinks

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// ecsVersion is the version of the Elastic Common Schema that AppendECS follows.
const ecsVersion = "8.11.0"

// AppendECS appends e in the Elastic Common Schema as one line of JSON, newline
// included, at most [MaxLine] bytes; what does not fit is left out as [AppendNative]
// does, the worst indicators first.
//
// Hits and alerts are of event.kind alert, updates and canaries of kind event, so that
// a contact raises one alert however often it is reported. event.severity is 21, 47,
// 73 or 99, which Elastic's own rules read as low to critical; event.risk_score is the
// score. The best indicator is threat.indicator, each of them an element of
// threat.enrichments. What ECS has no field for stands under flowsnitch.
func AppendECS(dst []byte, e *event.Event) []byte { return fit(dst, e, encodeECS) }

func encodeECS(dst []byte, e *event.Event, limit int) []byte {
	x := ecs{line: line{b: append(dst, '{')}, start: len(dst), limit: limit}
	x.time("@timestamp", e.Time)
	x.open("ecs", '{')
	x.name("version", ecsVersion)
	x.close('}')
	x.text("message", e.Reason, x.limit)
	x.event(e)
	if e.Kind != event.KindAlert {
		x.endpoint("source", e.Src, e.SrcPort, e.HasPorts, e.NATSrc, e.NATSrcPort, e.Packets, e.Bytes)
		x.endpoint("destination", e.Dst, e.DstPort, e.HasPorts, e.NATDst, e.NATDstPort, e.PacketsBack, e.BytesBack)
		x.network(e)
	}
	x.observer(e)
	x.related(e)
	x.own(e)
	x.threat(e)
	x.b = append(x.b, "}\n"...)
	return x.b
}

// ecs writes the ECS form of one event.
type ecs struct {
	line
	start int // where the line begins in b
	limit int // of the long texts
}

func (x *ecs) event(e *event.Event) {
	x.open("event", '{')
	kind, dataset := ecsKind(e.Kind)
	x.name("kind", kind)
	x.classify(e)
	x.name("action", string(e.Kind))
	if e.Kind == event.KindAlert {
		x.name("code", e.Alert)
	}
	x.name("module", "flowsnitch")
	x.name("dataset", dataset)
	x.id("id", e.ID)
	x.number("severity", ecsSeverity(e.Severity))
	x.number("risk_score", uint64(e.Score))
	x.text("reason", e.Reason, x.limit)
	if len(e.Indicators) > 0 {
		x.text("reference", e.Indicators[0].Ref, x.limit)
	}
	x.time("start", e.Start)
	x.time("end", e.End)
	if d := e.End.Sub(e.Start); !e.Start.IsZero() && !e.End.IsZero() && d >= 0 {
		x.number("duration", uint64(d.Nanoseconds()))
	}
	x.close('}')
}

// classify writes event.category and event.type. A canary has neither: detection rules
// go by the category, and it is no detection.
func (x *ecs) classify(e *event.Event) {
	if e.Kind == event.KindCanary {
		return
	}
	x.open("category", '[')
	if e.Kind != event.KindAlert {
		x.name("", "network")
	}
	x.name("", "intrusion_detection")
	x.close(']')
	x.open("type", '[')
	if e.Kind != event.KindAlert {
		x.name("", "connection")
	}
	if e.Kind != event.KindAlert && e.Blocked {
		x.name("", "denied")
	} else {
		x.name("", "info")
	}
	x.close(']')
}

// ecsKind gives event.kind and event.dataset.
func ecsKind(k event.Kind) (kind, dataset string) {
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

// ecsSeverity gives the numbers that stand for the severities in Elastic Security.
func ecsSeverity(s event.Severity) uint64 {
	return [...]uint64{21, 47, 73, 99}[min(s, event.Critical)]
}

// endpoint writes source or destination.
func (x *ecs) endpoint(key string, a netip.Addr, port uint16, hasPort bool, nat netip.Addr, natPort uint16, packets, bytes uint64) {
	x.open(key, '{')
	x.addr("ip", a)
	if hasPort {
		x.number("port", uint64(port))
	}
	if nat.IsValid() || natPort != 0 {
		x.open("nat", '{')
		x.addr("ip", nat)
		x.count("port", uint64(natPort))
		x.close('}')
	}
	x.long("packets", packets)
	x.long("bytes", bytes)
	x.close('}')
}

func (x *ecs) network(e *event.Event) {
	x.open("network", '{')
	if e.HasProtocol {
		x.key("transport")
		x.b = append(appendProtocol(append(x.b, '"'), e.Protocol), '"')
		x.key("iana_number") // a keyword in ECS
		x.b = append(strconv.AppendUint(append(x.b, '"'), uint64(e.Protocol), 10), '"')
	}
	switch {
	case e.Src.Is4():
		x.name("type", "ipv4")
	case e.Src.Is6():
		x.name("type", "ipv6")
	}
	direction := string(e.Direction)
	if e.Direction == event.Transit {
		direction = "external"
	}
	x.name("direction", direction)
	x.text("community_id", e.CommunityID, maxName)
	x.long("packets", e.Packets+e.PacketsBack)
	x.long("bytes", e.Bytes+e.BytesBack)
	x.close('}')
}

// observer writes the exporter: it saw the flow.
func (x *ecs) observer(e *event.Event) {
	if !e.Exporter.IsValid() {
		return
	}
	x.open("observer", '{')
	x.open("ip", '[')
	x.addr("", e.Exporter)
	x.close(']')
	x.text("name", e.ExporterName, min(x.limit, maxLabel))
	if e.HasIf {
		x.ifIndex("ingress", e.InIf)
		x.ifIndex("egress", e.OutIf)
	}
	x.close('}')
}

func (x *ecs) ifIndex(key string, index uint32) {
	x.open(key, '{')
	x.open("interface", '{')
	x.key("id")
	x.b = append(strconv.AppendUint(append(x.b, '"'), uint64(index), 10), '"')
	x.close('}')
	x.close('}')
}

// related lists every address of the event once, except the exporter's.
func (x *ecs) related(e *event.Event) {
	all := [...]netip.Addr{e.Src, e.Dst, e.NATSrc, e.NATDst, e.InnerSrc, e.InnerDst, e.Offender, e.Local}
	open := false
	for i, a := range all {
		if !a.IsValid() || slices.Contains(all[:i], a) {
			continue
		}
		if !open {
			x.open("related", '{')
			x.open("ip", '[')
			open = true
		}
		x.addr("", a)
	}
	if open {
		x.close(']')
		x.close('}')
	}
}

// own writes what ECS has no field for.
func (x *ecs) own(e *event.Event) {
	x.open("flowsnitch", '{')
	x.contact(e)
	x.text("sensor", e.Sensor, min(x.limit, maxLabel))
	x.name("severity", e.Severity.String())
	x.addr("offender", e.Offender)
	x.addr("embedded", e.Embedded)
	x.addr("local", e.Local)
	if e.Kind != event.KindAlert {
		if e.Offender.IsValid() {
			x.name("role", e.Role.String())
		}
		x.name("answered", string(e.Answered))
		x.course(e)
		x.long("flows", e.Flows)
		x.count("sampling", uint64(e.Sampling))
		x.name("clock", e.Clock)
		x.name("version", exportProtocol(e.Version))
	}
	x.fold(e)
	if len(e.Indicators) > 0 {
		x.name("category", e.Indicators[0].Category)
		x.prefix("indicator", e.Indicators[0].Prefix)
		x.number("indicators_total", uint64(len(e.Indicators)))
	}
	if e.InnerSrc.IsValid() || e.InnerDst.IsValid() {
		x.open("inner", '{')
		x.addr("src", e.InnerSrc)
		x.addr("dst", e.InnerDst)
		x.close('}')
	}
	x.text("intel_version", e.IntelVersion, maxName)
	x.close('}')
}

// threat writes the best indicator, and all that fit as enrichments: at least one.
func (x *ecs) threat(e *event.Event) {
	if len(e.Indicators) == 0 {
		return
	}
	best := &e.Indicators[0]
	x.open("threat", '{')
	if best.Feed != "" {
		x.open("feed", '{')
		x.name("name", best.Feed)
		x.close('}')
	}
	x.indicator(best, true)
	const rest = len("]}}\n")
	x.open("enrichments", '[')
	for i := range e.Indicators {
		before := len(x.b)
		x.enrichment(e, &e.Indicators[i])
		if i > 0 && len(x.b)-x.start+rest > MaxLine {
			x.b = x.b[:before]
			break
		}
	}
	x.close(']')
	x.close('}')
}

// enrichment writes one listing and what in the event it matched.
func (x *ecs) enrichment(e *event.Event, i *event.Indicator) {
	x.open("", '{')
	x.indicator(i, false)
	x.open("matched", '{')
	x.addr("atomic", e.Offender)
	if e.Kind != event.KindAlert && e.Offender.IsValid() {
		x.name("field", ecsField[min(int(e.Role), len(ecsField)-1)])
	}
	x.name("type", "indicator_match_rule")
	x.time("occurred", e.Time)
	x.close('}')
	x.close('}')
}

// ecsField names the field in which the offender stands, by its role.
var ecsField = [...]string{
	"source.ip", "destination.ip", "source.nat.ip", "destination.nat.ip",
	"flowsnitch.inner.src", "flowsnitch.inner.dst", "related.ip",
}

// indicator writes a listing. ECS knows single addresses: a wider prefix is the
// indicator's name only. The enrichments do without the feed's description, for room.
func (x *ecs) indicator(i *event.Indicator, full bool) {
	x.open("indicator", '{')
	switch {
	case i.Prefix.Addr().Is4():
		x.name("type", "ipv4-addr")
	case i.Prefix.Addr().Is6():
		x.name("type", "ipv6-addr")
	}
	if i.Prefix.IsSingleIP() {
		x.addr("ip", i.Prefix.Addr())
	}
	x.prefix("name", i.Prefix)
	x.count("port", uint64(i.Port))
	x.name("provider", i.Feed)
	x.key("confidence")
	x.b = append(append(append(x.b, '"'), ecsConfidence(i.Score)...), '"')
	x.time("first_seen", i.FirstSeen)
	x.time("last_seen", i.LastSeen)
	x.text("reference", i.Ref, x.limit)
	if full {
		x.text("description", i.Description, min(x.limit, maxDescription))
	}
	if i.TLP != "" {
		x.open("marking", '{')
		x.tlp("tlp", i.TLP, '+')
		x.close('}')
	}
	x.close('}')
}

// ecsConfidence maps a score to the words of ECS, at the bounds of STIX 2.1,
// appendix A. A score of 0 says nothing.
func ecsConfidence(score uint8) string {
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

// tlp writes a label of the Traffic Light Protocol in capitals; join stands between
// the words of AMBER+STRICT.
func (l *line) tlp(key, label string, join byte) {
	l.key(key)
	l.b = append(l.b, '"')
	start := len(l.b)
	l.b = appendName(l.b, label, maxName)
	for i, c := range l.b[start:] {
		switch {
		case label[i] == '+':
			l.b[start+i] = join
		case 'a' <= c && c <= 'z':
			l.b[start+i] = c - 'a' + 'A'
		}
	}
	l.b = append(l.b, '"')
}
