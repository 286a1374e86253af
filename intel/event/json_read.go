package event

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event/jsonline"
)

// MaxJSON is the longest line that ParseJSON reads, in bytes. Lines of ours have at most
// [MaxLine]; what passes them on may add keys.
const MaxJSON = 64 << 10

// ParseJSON reads a line of the native form, in version [JSONVersion], with or without a
// newline, whatever the order of its keys and whoever of [AppendJSON] and
// [AppendJSONByOffender] wrote it. The event shares nothing with line. Errors wrap a
// [*jsonline.Error].
//
// What the line does not have is zero: the writer leaves out what is empty, raw counters
// that equal the scaled ones, zones of addresses, and all that has no room. In a line by
// offender, an offender that is a translated or an inner address stands in place of the
// address that was exported at that end, and stays there. Keys that this version does not know are in
// [Event.Unknown].
func ParseJSON(line []byte) (Event, error) {
	r := reader{Parser: jsonline.Parse(line)}
	if len(line) > MaxJSON {
		r.Fail(MaxJSON, "longer than %d bytes", MaxJSON)
	}
	r.line()
	r.End()
	if err := r.Err(); err != nil {
		return Event{}, fmt.Errorf("not an event: %w", err)
	}
	return r.e, nil
}

// A reader reads the native form.
type reader struct {
	jsonline.Parser
	e       Event
	best    Indicator // of the flat keys
	unknown Unknown
	raw     struct{ packets, bytes bool } // the raw counters were there
	totals  struct{ indicators, exporters uint64 }
}

// line reads all of it, and what follows from several keys together.
func (r *reader) line() {
	var has struct{ integration, version, id, body bool }
	r.members(&r.unknown.Top, func(key string) bool {
		switch key {
		case "integration":
			has.integration = true
			r.constant("flowsnitch")
		case "v":
			has.version = true
			at := r.Next()
			if v := r.Whole(math.MaxUint32); v != JSONVersion {
				r.Fail(at, "version %d, which is not read here: %d is", v, JSONVersion)
			}
		case "id":
			has.id = true
			r.e.ID = r.id()
		case "flowsnitch":
			has.body = true
			r.members(&r.unknown.Body, r.body)
		default:
			return r.top(key)
		}
		return true
	})
	for _, c := range []struct {
		has bool
		key string
	}{{has.integration, "integration"}, {has.version, "v"}, {has.id, "id"}, {has.body, "flowsnitch"}} {
		if !c.has {
			r.Fail(r.Next(), "%s is missing", c.key)
		}
	}
	r.finish()
}

// finish derives what the line has once for several fields, or not at all.
func (r *reader) finish() {
	e := &r.e
	if !r.raw.packets {
		e.PacketsRaw = e.Packets
	}
	if !r.raw.bytes {
		e.BytesRaw = e.Bytes
	}
	if len(e.Indicators) == 0 && r.best != (Indicator{}) {
		e.Indicators = []Indicator{r.best}
	}
	more := func(total uint64, listed int) uint32 {
		return uint32(min(max(total, uint64(listed))-uint64(listed), math.MaxUint32))
	}
	e.MoreIndicators = more(r.totals.indicators, len(e.Indicators))
	e.MoreExporters = more(r.totals.exporters, len(e.Exporters))
	if !r.unknown.Empty() {
		e.Unknown = &r.unknown
	}
	r.restoreEnds()
}

// restoreEnds undoes [Event.OffenderFirst]: a flow whose source is the offender has the
// role of a source.
func (r *reader) restoreEnds() {
	e := &r.e
	if e.Offender.IsValid() && e.Src == e.Offender && !e.Role.IsSrc() {
		e.Src, e.Dst, e.SrcPort, e.DstPort = e.Dst, e.Src, e.DstPort, e.SrcPort
	}
}

// members reads an object whose unknown keys go to a text.
func (r *reader) members(unknown *string, known func(key string) bool) {
	var b []byte
	r.Object(&b, known)
	*unknown = string(b)
}

// top reads a key of the top level.
func (r *reader) top(key string) bool {
	e := &r.e
	switch key {
	case "@timestamp":
		e.Time = r.time()
	case "kind":
		e.Kind = Kind(r.Text())
	case "contact":
		e.Contact = r.id()
	case "seq":
		e.Seq = number32(r)
	case "last":
		e.Last = r.Bool()
	case "sensor":
		e.Sensor = r.Text()
	case "srcip":
		e.Src = r.addr()
	case "srcport":
		e.SrcPort, e.HasPorts = number16(r), true
	case "dstip":
		e.Dst = r.addr()
	case "dstport":
		e.DstPort, e.HasPorts = number16(r), true
	case "protocol":
		e.Protocol, e.HasProtocol = parsed(r, flow.ParseProtocol), true
	default:
		return false
	}
	return true
}

// body reads a key of the object flowsnitch.
func (r *reader) body(key string) bool {
	return r.finding(key) || r.traffic(key) || r.origin(key)
}

func (r *reader) finding(key string) bool {
	e := &r.e
	switch key {
	case "alert":
		e.Alert = r.Text()
	case "offender":
		e.Offender = r.addr()
	case "embedded":
		e.Embedded = r.addr()
	case "geo":
		r.members(&r.unknown.Geo, r.geo)
	case "as":
		r.members(&r.unknown.AS, r.as)
	case "local":
		e.Local = r.addr()
	case "site":
		e.Site = r.Text()
	case "role":
		e.Role = parsed(r, parseRole)
	case "direction":
		e.Direction = Direction(r.Text())
	case "answered":
		e.Answered = Answered(r.Text())
	case "refused":
		e.Refused = r.Bool()
	case "blocked":
		e.Blocked = r.Bool()
	case "service_port":
		e.ServicePort = number16(r)
	case "contact_first_seen":
		e.ContactFirstSeen = r.time()
	case "retro":
		e.Retro = r.Bool()
	case "days":
		e.Days = number32(r)
	case "folded":
		e.Folded = r.Bool()
	case "ports":
		e.Ports = number32(r)
	case "ports_capped":
		e.PortsCapped = r.Bool()
	case "hosts":
		e.Hosts = number32(r)
	case "hosts_capped":
		e.HostsCapped = r.Bool()
	case "silenced":
		e.Silenced = r.Text()
	case "severity":
		e.Severity = parsed(r, parseSeverity)
	case "score":
		e.Score = number8(r)
	case "reason":
		e.Reason = r.Text()
	case "feed":
		r.best.Feed = r.Text()
	case "category":
		r.best.Category = r.Text()
	case "indicator":
		r.best.Prefix = r.prefix()
	case "ref":
		r.best.Ref = r.Text()
	case "tlp":
		r.best.TLP = r.Text()
	case "rule":
		r.rule()
	case "intel_version":
		e.IntelVersion = r.Text()
	case "indicators":
		r.indicators()
	case "indicators_total":
		r.totals.indicators = r.Whole(math.MaxUint64)
	default:
		return false
	}
	return true
}

func (r *reader) traffic(key string) bool {
	e := &r.e
	switch key {
	case "flows":
		e.Flows = r.Whole(math.MaxUint64)
	case "packets":
		e.Packets = r.Whole(math.MaxUint64)
	case "bytes":
		e.Bytes = r.Whole(math.MaxUint64)
	case "packets_raw":
		e.PacketsRaw, r.raw.packets = r.Whole(math.MaxUint64), true
	case "bytes_raw":
		e.BytesRaw, r.raw.bytes = r.Whole(math.MaxUint64), true
	case "packets_back":
		e.PacketsBack = r.Whole(math.MaxUint64)
	case "bytes_back":
		e.BytesBack = r.Whole(math.MaxUint64)
	case "tcp_flags":
		e.TCPFlags = parsed(r, flow.ParseTCPFlags)
	case "sampling":
		e.Sampling = number32(r)
	case "sampling_from":
		e.SamplingFrom = r.Text()
	case "start":
		e.Start = r.time()
	case "end":
		e.End = r.time()
	case "clock":
		e.Clock = r.Text()
	case "community_id":
		e.CommunityID = r.Text()
	default:
		return false
	}
	return true
}

func (r *reader) origin(key string) bool {
	e := &r.e
	switch key {
	case "exporter":
		e.Exporter = r.addr()
	case "exporter_name":
		e.ExporterName = r.Text()
	case "exporters":
		r.Array(func() { e.Exporters = append(e.Exporters, r.addr()) })
	case "exporters_total":
		r.totals.exporters = r.Whole(math.MaxUint64)
	case "domain":
		e.Domain = number32(r)
	case "version":
		e.Version = parsed(r, parseExportProtocol)
	case "in_if":
		e.InIf, e.HasIf = number32(r), true
	case "out_if":
		e.OutIf, e.HasIf = number32(r), true
	case "nat":
		r.members(&r.unknown.NAT, func(key string) bool {
			return r.pair(key, &e.NATSrc, &e.NATDst, &e.NATSrcPort, &e.NATDstPort)
		})
	case "inner":
		r.members(&r.unknown.Inner, func(key string) bool { return r.pair(key, &e.InnerSrc, &e.InnerDst, nil, nil) })
	default:
		return false
	}
	return true
}

func (r *reader) geo(key string) bool {
	if key != "country" {
		return false
	}
	r.e.Country = r.Text()
	return true
}

func (r *reader) as(key string) bool {
	switch key {
	case "number":
		r.e.ASNumber = number32(r)
	case "organization":
		r.e.ASName = r.Text()
	default:
		return false
	}
	return true
}

// pair reads a key of a pair of addresses, with ports where it has them.
func (r *reader) pair(key string, src, dst *netip.Addr, srcPort, dstPort *uint16) bool {
	switch {
	case key == "src":
		*src = r.addr()
	case key == "dst":
		*dst = r.addr()
	case key == "src_port" && srcPort != nil:
		*srcPort = number16(r)
	case key == "dst_port" && dstPort != nil:
		*dstPort = number16(r)
	default:
		return false
	}
	return true
}

func (r *reader) indicators() {
	r.Array(func() {
		var i Indicator
		var unknown string
		r.members(&unknown, func(key string) bool { return r.indicator(&i, key) })
		if unknown != "" {
			for len(r.unknown.Indicators) < len(r.e.Indicators) {
				r.unknown.Indicators = append(r.unknown.Indicators, "")
			}
			r.unknown.Indicators = append(r.unknown.Indicators, unknown)
		}
		r.e.Indicators = append(r.e.Indicators, i)
	})
}

func (r *reader) indicator(i *Indicator, key string) bool {
	switch key {
	case "prefix":
		i.Prefix = r.prefix()
	case "feed":
		i.Feed = r.Text()
	case "category":
		i.Category = r.Text()
	case "score":
		i.Score = number8(r)
	case "ref":
		i.Ref = r.Text()
	case "first_seen":
		i.FirstSeen = r.time()
	case "last_seen":
		i.LastSeen = r.time()
	case "expires":
		i.Expires = r.time()
	case "port":
		i.Port = number16(r)
	case "tlp":
		i.TLP = r.Text()
	case "native_id":
		i.NativeID = r.Text()
	case "description":
		i.Description = r.Text()
	default:
		return false
	}
	return true
}

func number8(r *reader) uint8   { return uint8(r.Whole(math.MaxUint8)) }
func number16(r *reader) uint16 { return uint16(r.Whole(math.MaxUint16)) }
func number32(r *reader) uint32 { return uint32(r.Whole(math.MaxUint32)) }

// parsed reads a text that a function takes.
func parsed[T any](r *reader, parse func(string) (T, bool)) (v T) {
	at := r.Next()
	s := r.Text()
	if r.Err() != nil {
		return v
	}
	v, ok := parse(s)
	if !ok {
		r.Fail(at, "%.64q is not valid", s)
	}
	return v
}

func (r *reader) constant(want string) {
	parsed(r, func(s string) (string, bool) { return s, s == want })
}

// time reads a time of RFC 3339.
func (r *reader) time() time.Time {
	return parsed(r, func(s string) (time.Time, bool) {
		t, err := time.Parse(time.RFC3339Nano, s)
		return t.UTC(), err == nil
	})
}

func (r *reader) addr() netip.Addr {
	return parsed(r, func(s string) (netip.Addr, bool) {
		a, err := netip.ParseAddr(s)
		return a, err == nil && a.Zone() == ""
	})
}

func (r *reader) prefix() netip.Prefix {
	return parsed(r, func(s string) (netip.Prefix, bool) {
		p, err := netip.ParsePrefix(s)
		return p, err == nil
	})
}

// id reads a UUID in the form of RFC 9562 alone.
func (r *reader) id() uuid.UUID {
	return parsed(r, func(s string) (uuid.UUID, bool) {
		id, err := uuid.Parse(s)
		return id, err == nil && len(s) == 36
	})
}

func parseSeverity(s string) (Severity, bool) {
	i := slices.Index(severities[:], s)
	return Severity(max(i, 0)), i >= 0
}

// parseRole reads the words of [flow.Side.String]. Those of tunnels are read as the inner
// packet's: there are no words of their own.
func parseRole(s string) (flow.Side, bool) {
	for side := range flow.SideTunnels {
		if side.String() == s {
			return side, true
		}
	}
	return 0, false
}

func parseExportProtocol(s string) (flow.Version, bool) {
	for _, v := range [...]flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		if ExportProtocol(v) == s {
			return v, true
		}
	}
	return 0, false
}
