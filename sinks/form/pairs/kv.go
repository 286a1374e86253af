package pairs

import (
	"cmp"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form/words"
)

// stampFormat is a time that the pre-decoder of OSSEC takes: it knows no Z.
const stampFormat = "2006-01-02T15:04:05.000-07:00"

// AppendKV appends e as one line of key=value, newline included, at most limit
// bytes:
//
//	hit src=10.0.0.5 spt=51515 dst=203.0.113.9 dpt=443 proto=tcp feed=feodo sev=critical dir=outbound …
//
// The kind and these eight come first, in this order, in every line; a word that is not
// known is "-", a port 0. Where it is the message of a syslog line, the decoder that
// configs/ossec has takes it apart. Further keys have the names of the native form.
//
// Free text comes last and stands in quotes; in it ", \ and = have a backslash before
// them, so that neither a search for key= nor splitting at blanks finds a key there.
func AppendKV(dst []byte, e *event.Event, ends event.Ends, limit int) []byte {
	k := kv{pairs{b: dst, start: len(dst), max: limit, sep: ' ', quote: true, escape: escapeQuoted}}
	k.head(e, ends)
	k.finding(e)
	if e.Kind != event.KindAlert {
		k.traffic(e)
	}
	if r := e.RaisedBy(); r != nil {
		k.rule(r, &kvRule)
		k.count("score", uint64(e.Score))
		k.time("from", r.From)
		k.time("to", r.To)
	}
	k.origin(e)
	k.texts(e)
	return k.line()
}

// AppendStamped is AppendKV behind time, sensor and program, as syslog daemons
// write them into files.
func AppendStamped(dst []byte, e *event.Event, ends event.Ends, limit int) []byte {
	start := len(dst)
	dst = e.Time.UTC().AppendFormat(dst, stampFormat)
	dst = fit.AppendName(append(dst, ' '), cmp.Or(e.Sensor, "-"), event.MaxName)
	dst = append(dst, " flowsnitch: "...)
	return AppendKV(dst, e, ends, limit-(len(dst)-start))
}

var kvRule = ruleKeys{
	name: "rule", kind: "rule_type", count: "count", threshold: "threshold", usual: "usual", failure: "error", update: "doubled",
	interval: "interval", spread: "spread", title: "rule_title", group: "group", sources: "sources", targets: "targets", ports: "service_ports",
}

// kv writes the key=value form of one event.
type kv struct{ pairs }

// head writes what every line has.
func (k *kv) head(e *event.Event, ends event.Ends) {
	k.b = append(fit.AppendName(k.b, string(e.Kind), event.MaxName), ' ')
	if !e.HasPorts {
		ends.SrcPort, ends.DstPort = 0, 0
	}
	k.address("src", ends.Src)
	k.number("spt", uint64(ends.SrcPort))
	k.address("dst", ends.Dst)
	k.number("dpt", uint64(ends.DstPort))
	if e.HasProtocol {
		k.protocol("proto", e.Protocol)
	} else {
		k.word("proto", "")
	}
	feed := ""
	if len(e.Indicators) > 0 {
		feed = e.Indicators[0].Feed
	}
	k.word("feed", feed)
	k.word("sev", e.Severity.String())
	k.word("dir", string(e.Direction))
	k.flag("retro", e.Retro)
	k.count("days", uint64(e.Days))
}

func (k *kv) finding(e *event.Event) {
	k.id("id", e.ID)
	k.time("time", e.Time)
	k.name("alert", e.Alert)
	k.addr("offender", e.Offender)
	k.addr("embedded", e.Embedded)
	k.addr("local", e.Local)
	if e.Kind != event.KindAlert {
		if e.Offender.IsValid() {
			k.name("role", e.Role.String())
		}
		k.name("answered", string(e.Answered))
		k.flag("refused", e.Refused)
		k.word("blocked", yesNo(e.Blocked))
		k.number("score", uint64(e.Score))
	}
	if len(e.Indicators) > 0 {
		best := &e.Indicators[0]
		k.name("category", best.Category)
		k.prefix("indicator", best.Prefix)
		k.name("tlp", best.TLP)
		k.number("listings", e.Listings())
	}
	k.name("silenced", e.Silenced)
	k.name("country", e.Country)
	k.count("as_number", uint64(e.ASNumber))
	k.contact(e, contactKeys{servicePort: "service_port", firstSeen: "contact_first_seen", portsCapped: "ports_capped", hostsCapped: "hosts_capped"})
}

func (k *kv) traffic(e *event.Event) {
	k.number("flows", e.Flows)
	k.number("packets", e.Packets)
	k.number("bytes", e.Bytes)
	k.count("packets_back", e.PacketsBack)
	k.count("bytes_back", e.BytesBack)
	if e.TCPFlags&0xff != 0 {
		k.begin("tcp_flags")
		k.b = flow.AppendTCPFlags(k.b, e.TCPFlags)
		k.end()
	}
	k.count("sampling", uint64(e.Sampling))
	k.time("start", e.Start)
	k.time("end", e.End)
	k.name("clock", e.Clock)
}

// origin writes who exported the flow, and its other addresses.
func (k *kv) origin(e *event.Event) {
	k.addr("exporter", e.Exporter)
	k.name("version", event.ExportProtocol(e.Version))
	if e.HasIf {
		k.number("in_if", uint64(e.InIf))
		k.number("out_if", uint64(e.OutIf))
	}
	k.addr("nat_src", e.NATSrc)
	k.count("nat_src_port", uint64(e.NATSrcPort))
	k.addr("nat_dst", e.NATDst)
	k.count("nat_dst_port", uint64(e.NATDstPort))
	k.addr("inner_src", e.InnerSrc)
	k.addr("inner_dst", e.InnerDst)
}

func (k *kv) texts(e *event.Event) {
	k.text("sensor", e.Sensor, event.MaxLabel)
	k.text("site", e.Site, event.MaxLabel)
	k.text("as_name", e.ASName, event.MaxLabel)
	k.text("exporter_name", e.ExporterName, event.MaxLabel)
	k.text("community_id", e.CommunityID, event.MaxName)
	k.text("intel_version", e.IntelVersion, event.MaxName)
	k.text("reason", e.Reason, words.MaxProse)
	if r := e.RaisedBy(); r != nil {
		k.evidence(r, &kvRule)
	}
	if len(e.Indicators) > 0 {
		best := &e.Indicators[0]
		k.text("native_id", best.NativeID, event.MaxLabel)
		k.text("ref", best.Ref, words.MaxProse)
		k.text("description", best.Description, event.MaxDescription)
	}
}

// word writes a word that is "-" when it is not known.
func (k *kv) word(key, value string) { k.name(key, cmp.Or(value, "-")) }

// address writes an address that is "-" when it is not known.
func (k *kv) address(key string, a netip.Addr) {
	if a.IsValid() {
		k.addr(key, a)
	} else {
		k.word(key, "")
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// escapeQuoted writes a rune within quotes.
func escapeQuoted(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\', '=':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	}
	return appendGlyph(dst, r)
}
