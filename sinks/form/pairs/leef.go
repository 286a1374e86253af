package pairs

import (
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form/words"
)

// leefTime is the pattern of the times in LEEF, in the notation of Java.
const leefTime = "yyyy-MM-dd'T'HH:mm:ss.SSSX"

// AppendLEEF appends e in QRadar's Log Event Extended Format, as one
// line with its newline, at most limit bytes:
//
//	LEEF:2.0|flowsnitch|flowsnitch|1.2.0|c2|^|cat=hit^sev=10^src=10.0.0.5^srcPort=51515^…
//
// The version is the release of the program. With a tab as the separator it is version 1.0
// of the format, else 2.0. The separator is ^ because syslog daemons rewrite tabs. LEEF knows no escapes: in
// values ^ and white space of every kind are blanks, so that no text can begin a key.
func AppendLEEF(dst []byte, e *event.Event, sep byte, release string, limit int) []byte {
	l := leef{pairs{b: dst, start: len(dst), max: limit, sep: sep, escape: escapeLEEF}}
	version := "2.0"
	if sep == '\t' {
		version = "1.0"
	}
	l.b = append(append(append(l.b, "LEEF:"...), version...), "|flowsnitch|flowsnitch|"...)
	l.b = append(fit.AppendName(l.b, release, event.MaxName), '|')
	l.b = append(fit.AppendName(l.b, words.Signature(e), event.MaxName), '|')
	if sep != '\t' {
		l.b = append(l.b, sep, '|')
	}
	l.head(e)
	if e.Kind != event.KindAlert {
		l.flow(e)
	}
	l.finding(e)
	if r := e.RaisedBy(); r != nil {
		l.rule(r, &leefRule)
		l.count("score", uint64(e.Score))
		l.time("from", r.From)
		l.time("to", r.To)
	}
	l.origin(e)
	return l.line()
}

var leefRule = ruleKeys{
	name: "rule", kind: "ruleType", count: "count", threshold: "threshold", usual: "usual", failure: "error", update: "doubled",
	interval: "interval", spread: "spread", title: "ruleTitle", group: "group", sources: "sources", targets: "targets", ports: "servicePorts",
}

// leef writes the attributes of one event.
type leef struct{ pairs }

func (l *leef) head(e *event.Event) {
	l.name("cat", string(e.Kind))
	l.begin("sev")
	l.b = append(l.b, cefSeverity(e.Severity)...)
	l.end()
	if !e.Time.IsZero() {
		l.time("devTime", e.Time)
		l.begin("devTimeFormat")
		l.b = append(l.b, leefTime...)
		l.end()
	}
}

func (l *leef) flow(e *event.Event) {
	l.addr("src", e.Src)
	l.addr("dst", e.Dst)
	if e.HasPorts {
		l.number("srcPort", uint64(e.SrcPort))
		l.number("dstPort", uint64(e.DstPort))
	}
	if e.HasProtocol {
		l.protocol("proto", e.Protocol)
	}
	l.name("direction", string(e.Direction))
	l.name("answered", string(e.Answered))
	l.flag("retro", e.Retro)
	l.count("days", uint64(e.Days))
	l.flag("refused", e.Refused)
	l.name("blocked", yesNo(e.Blocked))
	l.number("score", uint64(e.Score))
	l.number("flows", e.Flows)
	l.number("srcPackets", e.Packets)
	l.number("srcBytes", e.Bytes)
	l.count("dstPackets", e.PacketsBack)
	l.count("dstBytes", e.BytesBack)
	l.addr("srcPostNAT", e.NATSrc)
	l.count("srcPostNATPort", uint64(e.NATSrcPort))
	l.addr("dstPostNAT", e.NATDst)
	l.count("dstPostNATPort", uint64(e.NATDstPort))
}

func (l *leef) finding(e *event.Event) {
	l.id("id", e.ID)
	l.addr("offender", e.Offender)
	l.addr("embedded", e.Embedded)
	l.addr("local", e.Local)
	if len(e.Indicators) > 0 {
		best := &e.Indicators[0]
		l.name("feed", best.Feed)
		l.name("category", best.Category)
		l.prefix("indicator", best.Prefix)
	}
	l.name("silenced", e.Silenced)
	l.name("country", e.Country)
	l.count("asNumber", uint64(e.ASNumber))
	l.contact(e, contactKeys{servicePort: "servicePort", firstSeen: "contactFirstSeen", portsCapped: "portsCapped", hostsCapped: "hostsCapped"})
}

func (l *leef) origin(e *event.Event) {
	l.addr("exporter", e.Exporter)
	l.text("exporterName", e.ExporterName, event.MaxLabel)
	l.name("version", event.ExportProtocol(e.Version))
	l.text("sensor", e.Sensor, event.MaxLabel)
	l.text("site", e.Site, event.MaxLabel)
	l.text("asName", e.ASName, event.MaxLabel)
	l.text("msg", e.Reason, words.MaxProse)
	if r := e.RaisedBy(); r != nil {
		l.evidence(r, &leefRule)
	}
	if len(e.Indicators) > 0 {
		best := &e.Indicators[0]
		l.text("reference", best.Ref, words.MaxProse)
		l.text("description", best.Description, event.MaxDescription)
	}
}

// escapeLEEF writes a rune within a value.
func escapeLEEF(dst []byte, r rune) []byte {
	if r == '^' {
		return append(dst, ' ')
	}
	return appendGlyph(dst, r)
}
