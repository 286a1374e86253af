package syslog

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/google/uuid"
)

const (
	maxHost  = 128 // RFC 5424 allows 255, which would leave little for the rest
	maxKind  = 8
	maxValue = 40 // of a value of structured data, about
	// step is the grain of the limits for which forms are made.
	step = 32
)

// An encoder makes messages. It belongs to one goroutine.
type encoder struct {
	cfg      Config
	priority int // of facility, without severity
	host     string
	pid      string
	forms    map[int]form.Form // by limit, at most MaxLine/step of them
	body     []byte            // scratch
	short    uint64            // messages that had to be made shorter
}

// newEncoder makes an encoder; cfg must be valid and filled.
func newEncoder(cfg Config) *encoder {
	host, _ := os.Hostname()
	return &encoder{
		cfg:      cfg,
		priority: 8 * slices.Index(facilities, cfg.Facility),
		host:     host,
		pid:      strconv.Itoa(os.Getpid()),
		forms:    map[int]form.Form{},
	}
}

// append appends the message for an event, without framing: one line, no newline.
func (e *encoder) append(dst []byte, ev *event.Event) []byte {
	start := len(dst)
	dst = append(strconv.AppendInt(append(dst, '<'), int64(e.priority+severity(ev.Severity)), 10), '>')
	if e.cfg.Protocol == RFC5424 {
		dst = e.header5424(dst, ev)
	} else {
		dst = e.header3164(dst, ev)
	}
	if e.cfg.CEE {
		dst = append(dst, "@cee: "...)
	}
	return e.message(dst, ev, e.cfg.Limit-(len(dst)-start))
}

// severity maps to RFC 5424, section 6.2.1: critical, warning, notice and
// informational.
func severity(s event.Severity) int {
	return [...]int{6, 5, 4, 2}[min(s, event.Critical)]
}

// header5424 appends VERSION to STRUCTURED-DATA and a blank (RFC 5424, section 6).
func (e *encoder) header5424(dst []byte, ev *event.Event) []byte {
	dst = append(dst, "1 "...)
	if t := ev.Time.UTC(); t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		dst = append(dst, '-')
	} else {
		dst = t.AppendFormat(dst, "2006-01-02T15:04:05.000000Z07:00")
	}
	dst = e.hostname(append(dst, ' '), ev)
	if e.cfg.Format == form.LEEF || e.cfg.Format == form.LEEF1 {
		dst = append(dst, " - "...) // QRadar expects none
	} else {
		dst = append(append(append(dst, ' '), e.cfg.AppName...), ' ')
	}
	dst = append(append(dst, e.pid...), ' ')
	dst = append(word(dst, cmp.Or(string(ev.Kind), "-"), maxKind), ' ')
	return append(e.structured(dst, ev), ' ')
}

// header3164 appends TIMESTAMP, HOSTNAME and TAG (RFC 3164, section 4.1). CEF and LEEF
// have no tag: their receivers look for the form at its place. A local socket is for
// what syslog(3) writes, always a tag and never a host name.
func (e *encoder) header3164(dst []byte, ev *event.Event) []byte {
	t := ev.Time
	if t.IsZero() {
		t = time.Now()
	}
	dst = append(t.Local().AppendFormat(dst, time.Stamp), ' ')
	if e.cfg.Transport != Unix {
		dst = append(e.hostname(dst, ev), ' ')
		if !e.cfg.isTagged() {
			return dst
		}
	}
	dst = append(append(dst, e.cfg.AppName...), '[')
	return append(append(dst, e.pid...), "]: "...)
}

func (e *encoder) hostname(dst []byte, ev *event.Event) []byte {
	return word(dst, cmp.Or(e.cfg.Hostname, ev.Sensor, e.host, "-"), maxHost)
}

// word appends s with a hyphen for each byte that names of hosts do not have: other
// ASCII characters mean something to some parsers.
func word(dst []byte, s string, limit int) []byte {
	for i := range min(len(s), limit) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_') {
			c = '-'
		}
		dst = append(dst, c)
	}
	return dst
}

// structured appends structured data, RFC 5424 section 6.3.
func (e *encoder) structured(dst []byte, ev *event.Event) []byte {
	if e.cfg.EnterpriseID == 0 {
		return append(dst, '-')
	}
	dst = append(dst, "[flowsnitch@"...)
	dst = strconv.AppendUint(dst, uint64(e.cfg.EnterpriseID), 10)
	dst = param(dst, "id", ev.ID.String())
	dst = param(dst, "severity", ev.Severity.String())
	dst = param(dst, "score", strconv.Itoa(int(ev.Score)))
	if ev.Offender.IsValid() {
		dst = param(dst, "offender", ev.Offender.WithZone("").String())
	}
	if len(ev.Indicators) > 0 {
		dst = param(dst, "feed", ev.Indicators[0].Feed)
		dst = param(dst, "category", ev.Indicators[0].Category)
	}
	return append(dst, ']')
}

// param appends a parameter. In its value ", \ and ] are escaped (section 6.3.3); what
// cannot be seen is a blank.
func param(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, ' '), name...), `="`...)
	end := len(dst) + maxValue
	for _, r := range value {
		switch {
		case r == '"' || r == '\\' || r == ']':
			dst = append(dst, '\\')
		case !unicode.IsPrint(r):
			r = ' '
		}
		if dst = utf8.AppendRune(dst, r); len(dst) >= end {
			break
		}
	}
	return append(dst, '"')
}

// message appends the event in its form, in at most room bytes.
func (e *encoder) message(dst []byte, ev *event.Event, room int) []byte {
	if e.cfg.isJSON() {
		return e.json(dst, ev, room)
	}
	// The forms leave out what does not fit. A header of 3164 or 5424 leaves them the
	// 480 bytes that they need.
	form := e.form(room)
	e.body = form.Append(e.body[:0], ev)
	return append(dst, bytes.TrimSuffix(e.body, []byte("\n"))...)
}

// form gives the form for a room, newline not counted.
func (e *encoder) form(room int) form.Form {
	limit := min(room+1, event.MaxLine)
	limit -= limit % step
	form, ok := e.forms[limit]
	if !ok {
		var err error
		if form, err = e.cfg.form(limit); err != nil {
			panic(fmt.Sprintf("syslog: a form of %d bytes: %v", limit, err)) // cfg was checked and no header is that long
		}
		e.forms[limit] = form
	}
	return form
}

// json appends a form of JSON, or a shorter one if that is too long.
func (e *encoder) json(dst []byte, ev *event.Event, room int) []byte {
	form := e.form(event.MaxLine)
	e.body = form.Append(e.body[:0], ev)
	for i := 0; i < len(shorter) && len(e.body)-1 > room; i++ {
		if i == 0 {
			e.short++
		}
		less := shorter[i](ev)
		e.body = form.Append(e.body[:0], &less)
	}
	return append(dst, bytes.TrimSuffix(e.body, []byte("\n"))...)
}

// shorter are the ways to make an event shorter, the mildest first. What the last one
// leaves fits behind every header.
var shorter = []func(*event.Event) event.Event{withoutProse, essence, identity, least}

// withoutProse gives an event with its best indicator alone and short texts.
func withoutProse(e *event.Event) event.Event {
	less := *e
	less.Exporters, less.InnerSrc, less.InnerDst = nil, netip.Addr{}, netip.Addr{}
	less.Reason, less.ExporterName = fit.Cut(e.Reason, 100), fit.Cut(e.ExporterName, 32)
	less.ASName = fit.Cut(e.ASName, 32)
	less.Rule = withoutLists(e.Rule)
	less.Sensor, less.CommunityID, less.IntelVersion = fit.Cut(e.Sensor, 32), fit.Cut(e.CommunityID, 40), ""
	if len(e.Indicators) > 0 {
		best := e.Indicators[0]
		best.Description, best.NativeID, best.Ref = "", fit.Cut(best.NativeID, 32), ""
		less.Indicators = []event.Indicator{best}
	}
	return less
}

// withoutLists gives what a rule has counted, without whom it has seen.
func withoutLists(r *event.Rule) *event.Rule {
	if r == nil {
		return nil
	}
	less := *r
	left := uint64(r.LeftOut) + uint64(len(r.Sources)+len(r.Targets)+len(r.Ports)+len(r.Histogram)+len(r.Stop))
	less.Sources, less.Targets, less.Ports, less.Histogram, less.Stop = nil, nil, nil, nil, nil
	less.Title, less.LeftOut = "", uint32(min(left, math.MaxUint32))
	return &less
}

// essence gives what happened, between whom and how bad it is.
func essence(e *event.Event) event.Event {
	less := identity(e)
	less.Sensor, less.Local, less.Site, less.Direction, less.Answered, less.Blocked = fit.Cut(e.Sensor, 16), e.Local, fit.Cut(e.Site, 16), e.Direction, e.Answered, e.Blocked
	less.Silenced, less.Country, less.ASNumber = fit.Cut(e.Silenced, 16), fit.Cut(e.Country, 2), e.ASNumber
	less.Flows, less.Packets, less.Bytes = e.Flows, e.Packets, e.Bytes
	less.PacketsRaw, less.BytesRaw = e.Packets, e.Bytes
	return less
}

// identity gives what leads to the whole event, wherever else it was sent.
func identity(e *event.Event) event.Event {
	less := event.Event{
		Kind: e.Kind, ID: e.ID, Time: e.Time, Alert: fit.Cut(e.Alert, 32), Contact: e.Contact, Seq: e.Seq, Last: e.Last,
		Src: e.Src, Dst: e.Dst, SrcPort: e.SrcPort, DstPort: e.DstPort, HasPorts: e.HasPorts,
		Protocol: e.Protocol, HasProtocol: e.HasProtocol,
		Offender: e.Offender, Role: e.Role, Severity: e.Severity, Score: e.Score,
	}
	if len(e.Indicators) > 0 {
		best := &e.Indicators[0]
		less.Indicators = []event.Indicator{{Feed: fit.Cut(best.Feed, 16), Category: fit.Cut(best.Category, 16)}}
	}
	return less
}

// least is identity without the contact.
func least(e *event.Event) event.Event {
	less := identity(e)
	less.Contact, less.Seq, less.Last = uuid.UUID{}, 0, false
	return less
}
