package pairs

import (
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form/words"
	"github.com/google/uuid"
)

// AppendCEF appends e in ArcSight's Common Event Format, version 0, as one line with
// its newline, at most limit bytes:
//
//	CEF:0|flowsnitch|flowsnitch|1.2.0|c2|Blacklist hit|10|rt=1795215600123 src=10.0.0.5 spt=51515 …
//
// The version is the release of the program. The signature id is the category of the best listing, or the name of an alert. The
// keys are those of the CEF dictionary, whose in is from source to destination; what it
// has no key for stands in the custom strings and numbers, each with its label, and
// what is rare under keys that begin with flowsnitch. In values \ and = have a backslash before
// them and newlines are \n, so that no text can begin a key.
func AppendCEF(dst []byte, e *event.Event, release string, limit int) []byte {
	c := cef{pairs{b: dst, start: len(dst), max: limit, sep: ' ', escape: escapeCEF}}
	c.b = fit.AppendName(append(c.b, "CEF:0|flowsnitch|flowsnitch|"...), release, event.MaxName)
	c.b = fit.AppendName(append(c.b, '|'), words.Signature(e), event.MaxName)
	c.b = append(appendTitle(append(c.b, '|'), e), '|')
	c.b = append(append(c.b, cefSeverity(e.Severity)...), '|')
	c.millis("rt", e.Time)
	if e.Kind != event.KindAlert {
		c.flow(e)
	}
	c.finding(e)
	if e.Kind != event.KindAlert {
		c.traffic(e)
	}
	if r := e.RaisedBy(); r != nil {
		c.rule(r, &cefRule)
		c.count("cn1Label=score cn1", uint64(e.Score))
		c.millis("start", r.From)
		c.millis("end", r.To)
	}
	c.origin(e)
	if r := e.RaisedBy(); r != nil {
		c.evidence(r, &cefRule)
	}
	return c.line()
}

// What a rule has counted is cnt, as flows are.
var cefRule = ruleKeys{
	name: "flowsnitchRule", kind: "flowsnitchRuleType", count: "cnt", threshold: "flowsnitchThreshold", usual: "flowsnitchUsual", failure: "flowsnitchError",
	update: "flowsnitchDoubled", interval: "flowsnitchInterval", spread: "flowsnitchSpread", title: "flowsnitchRuleTitle", group: "flowsnitchGroup",
	sources: "flowsnitchSources", targets: "flowsnitchTargets", ports: "flowsnitchServicePorts",
}

// appendTitle appends the name of the header: for an alert of a rule the title of the rule,
// in which a bar is a blank, because many readers know no escapes there.
func appendTitle(dst []byte, e *event.Event) []byte {
	r := e.RaisedBy()
	if r == nil || r.Title == "" {
		return append(dst, words.Title(e)...)
	}
	return fit.AppendCut(dst, r.Title, event.MaxLabel, func(dst []byte, r rune) []byte {
		switch r {
		case '|':
			return append(dst, ' ')
		case '\\':
			return append(dst, `\\`...)
		}
		return appendGlyph(dst, r)
	})
}

// cef writes the extension of one event.
type cef struct{ pairs }

// flow writes the ends. The dictionary has other keys for IPv6.
func (c *cef) flow(e *event.Event) {
	if e.Src.Is4() {
		c.addr("src", e.Src)
	} else {
		c.addr("c6a2Label=Source IPv6 Address c6a2", e.Src)
	}
	if e.Dst.Is4() {
		c.addr("dst", e.Dst)
	} else {
		c.addr("c6a3Label=Destination IPv6 Address c6a3", e.Dst)
	}
	if e.HasPorts {
		c.number("spt", uint64(e.SrcPort))
		c.number("dpt", uint64(e.DstPort))
	}
	if e.HasProtocol {
		c.protocol("proto", e.Protocol)
	}
	switch e.Direction {
	case event.Inbound:
		c.number("deviceDirection", 0)
	case event.Outbound:
		c.number("deviceDirection", 1)
	}
	if e.Blocked {
		c.name("act", "blocked")
	}
}

func (c *cef) finding(e *event.Event) {
	c.id("externalId", e.ID)
	c.name("cat", string(e.Kind))
	if len(e.Indicators) > 0 {
		best := &e.Indicators[0]
		c.name("cs1Label=feed cs1", best.Feed)
		c.prefix("cs2Label=indicator cs2", best.Prefix)
	}
	c.addr("cs3Label=offender cs3", e.Offender)
	if e.Kind != event.KindAlert {
		c.number("cn1Label=score cn1", uint64(e.Score))
		c.name("cs4Label=answered cs4", string(e.Answered))
	}
	c.contact(e)
	c.text("msg", e.Reason, words.MaxProse)
	if len(e.Indicators) > 0 {
		c.text("cs5Label=reference cs5", e.Indicators[0].Ref, words.MaxProse)
	}
}

// contact writes which contact an event belongs to and what became of it.
func (c *cef) contact(e *event.Event) {
	if e.Contact != (uuid.UUID{}) {
		c.id("flexString1Label=contact flexString1", e.Contact)
		c.number("flexNumber1Label=seq flexNumber1", uint64(e.Seq))
	}
	if e.ServicePort != 0 {
		c.number("flexNumber2Label=service port flexNumber2", uint64(e.ServicePort))
	}
	if ms := e.ContactFirstSeen.UnixMilli(); ms > 0 {
		c.millis("deviceCustomDate1Label=contact first seen deviceCustomDate1", e.ContactFirstSeen)
	}
	c.flag("flowsnitchRetro", e.Retro)
	c.count("flowsnitchDays", uint64(e.Days))
	c.flag("flowsnitchLast", e.Last)
	c.flag("flowsnitchRefused", e.Refused)
	c.flag("flowsnitchFolded", e.Folded)
	c.count("flowsnitchPorts", uint64(e.Ports))
	c.flag("flowsnitchPortsCapped", e.PortsCapped)
	c.count("flowsnitchHosts", uint64(e.Hosts))
	c.flag("flowsnitchHostsCapped", e.HostsCapped)
	c.addr("flowsnitchEmbedded", e.Embedded)
	c.name("flowsnitchSilenced", e.Silenced)
	c.name("flowsnitchCountry", e.Country)
	c.count("flowsnitchASNumber", uint64(e.ASNumber))
}

// traffic writes counters, times and the addresses after translation, which the
// dictionary knows for IPv4 only.
func (c *cef) traffic(e *event.Event) {
	c.number("cnt", e.Flows)
	c.number("in", e.Bytes) // from source to destination, as in the dictionary
	c.count("out", e.BytesBack)
	c.number("cn2Label=packets cn2", e.Packets)
	c.count("cn3Label=packets back cn3", e.PacketsBack)
	c.millis("start", e.Start)
	c.millis("end", e.End)
	if e.NATSrc.Is4() {
		c.addr("sourceTranslatedAddress", e.NATSrc)
		c.count("sourceTranslatedPort", uint64(e.NATSrcPort))
	}
	if e.NATDst.Is4() {
		c.addr("destinationTranslatedAddress", e.NATDst)
		c.count("destinationTranslatedPort", uint64(e.NATDstPort))
	}
}

// origin writes the exporter, which is the device of CEF, and the sensor.
func (c *cef) origin(e *event.Event) {
	if e.Exporter.Is4() {
		c.addr("dvc", e.Exporter)
	} else {
		c.addr("c6a1Label=Device IPv6 Address c6a1", e.Exporter)
	}
	c.text("dvchost", e.ExporterName, event.MaxLabel)
	c.name("flowsnitchVersion", event.ExportProtocol(e.Version))
	c.text("deviceExternalId", e.Sensor, event.MaxLabel)
	c.text("flowsnitchSite", e.Site, event.MaxLabel)
	c.text("flowsnitchASName", e.ASName, event.MaxLabel)
	if len(e.Indicators) > 0 {
		c.text("cs6Label=description cs6", e.Indicators[0].Description, event.MaxDescription)
	}
}

// cefSeverity maps a severity to the scale of CEF and LEEF, 0 to 10.
func cefSeverity(s event.Severity) string {
	return [...]string{"3", "5", "8", "10"}[min(s, event.Critical)]
}

// escapeCEF writes a rune within a value of the extension.
func escapeCEF(dst []byte, r rune) []byte {
	switch r {
	case '\\', '=':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	}
	return appendGlyph(dst, r)
}
