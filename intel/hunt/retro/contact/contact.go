// Package contact adds up the rows of a contact that the retro-hunt found, over all files of the
// history, and makes the event of them: who called whom, from when until when, on how many
// days. The id of the event is made of the contact and the listed prefix, so that it is the
// same whatever files the rows are in.
package contact

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/hunt"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro/listed"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A ID is whom an event is about, whatever lists it.
type ID struct {
	Outside, Inside flow.Addr6
	Site            string
	Port            uint16
	Protocol        uint8
}

// OfRow gives the contact of a row.
func OfRow(r *row.Row) ID {
	return ID{r.Outside, r.Inside, r.Site, r.Port, r.Protocol}
}

// OfEvent gives the contact of a live hit.
func OfEvent(e *event.Event) ID {
	id := ID{Outside: flow.Addr6Of(e.Offender), Site: e.Site, Port: e.ServicePort, Protocol: e.Protocol}
	if e.Local.IsValid() {
		id.Inside = flow.Addr6Of(e.Local)
	}
	return id
}

// idSpace keeps the ids apart from others that are made of the same bytes.
var idSpace = uuid.MustParse("5fd0a3b2-6f0e-8c1e-9a57-0d3c8f6b2e41")

// EventID makes the id of the event of a contact with what a prefix lists: the same each time,
// whatever files the rows are in. It is of version 8 (RFC 9562, section 5.8).
func EventID(prefix netip.Prefix, c *ID) uuid.UUID {
	b := make([]byte, 0, 64)
	add := func(a flow.Addr6) {
		b = binary.BigEndian.AppendUint64(b, a.Hi)
		b = binary.BigEndian.AppendUint64(b, a.Lo)
	}
	e := listed.Of(prefix, 0, false)
	add(e.Addr)
	b = append(b, e.Bits)
	add(c.Outside)
	add(c.Inside)
	b = append(b, c.Protocol)
	b = binary.BigEndian.AppendUint16(b, c.Port)
	b = append(b, c.Site...)
	return uuid.NewHash(sha256.New(), idSpace, b, 8)
}

// maxExporters is the most exporters that an event lists.
const maxExporters = 8

// A Sum is all rows of one contact with one listed prefix.
type Sum struct {
	Since uint32  // of the listing, in seconds since 1970 UTC
	Row   row.Row // all rows as one

	days      []uint64 // a bit for each day before the base
	answer    event.Answered
	blocked   bool // all rows are
	exporters []netip.Addr
	others    uint32 // exporters beyond maxExporters, which may be counted twice
}

// Add adds a row. base is a second that no row is after, the same for all of them.
func (c *Sum) Add(r *row.Row, base uint32) {
	answer := hunt.Answered(r)
	if c.Row.Flows == 0 && c.Row.Last == 0 {
		c.Row, c.answer, c.blocked = *r, answer, r.Flags&row.Blocked != 0
	} else {
		direction := min(c.Row.Direction, r.Direction) // what we opened is worse
		c.Row.Add(r)
		c.Row.Direction = direction
		c.answer = both(c.answer, answer)
		c.blocked = c.blocked && r.Flags&row.Blocked != 0
	}
	end := r.Last / secondsOfDay
	for day := max(r.First/secondsOfDay, end-min(end, maxDays)); day <= end; day++ {
		c.day(base/secondsOfDay - day)
	}
	if !r.Exporter.IsValid() || slices.Contains(c.exporters, r.Exporter) {
		return
	}
	if len(c.exporters) == maxExporters {
		c.others++
		return
	}
	c.exporters = append(c.exporters, r.Exporter)
}

const secondsOfDay = 24 * 60 * 60

// maxDays bounds the days that are kept apart: ten years.
const maxDays = 3652

// day notes a day, by how long before the base it was.
func (c *Sum) day(before uint32) {
	before = min(before, maxDays)
	for int(before/64) >= len(c.days) {
		c.days = append(c.days, 0)
	}
	c.days[before/64] |= 1 << (before % 64)
}

// both gives what holds for two rows together.
func both(a, b event.Answered) event.Answered {
	switch {
	case a == event.AnsweredYes || b == event.AnsweredYes:
		return event.AnsweredYes
	case a == event.AnsweredNo && b == event.AnsweredNo:
		return event.AnsweredNo
	}
	return event.AnsweredUnknown
}

// ServicePort gives the port at the outside end of a contact, 0 = not known. A contact that
// was opened from outside has its service at ours.
func ServicePort(r *row.Row) uint16 {
	if r.Direction == row.Inbound {
		return 0
	}
	return r.Port
}

// Event makes the event of a contact with what a prefix lists, m being what the table in force
// has of it.
func (c *Sum) Event(id uuid.UUID, prefix netip.Prefix, m lookup.Match, factors *score.Factors, sensor string) event.Event {
	r := &c.Row
	first, last := time.Unix(int64(r.First), 0).UTC(), time.Unix(int64(r.Last), 0).UTC()
	ev := event.Event{
		Kind: event.KindHit, Retro: true, ID: id, Contact: id, Seq: 1, Last: true,
		Time: last, Start: first, End: last, ContactFirstSeen: first, Sensor: sensor,
		Offender: r.Outside.Addr().Unmap(), Embedded: m.Embedded(), Site: r.Site,
		Protocol: r.Protocol, HasProtocol: true, ServicePort: r.Port,
		Answered: c.answer, Blocked: c.blocked, Refused: r.Flags&row.Refused != 0 && c.answer != event.AnsweredYes,
		Flows: uint64(r.Flows), Sampling: r.Sampling, Clock: "ok", IntelVersion: m.Version(),
	}
	for _, i := range m.Indicators() {
		ev.Indicators = append(ev.Indicators, event.Indicator(i))
	}
	if r.Inside != (flow.Addr6{}) {
		ev.Local = r.Inside.Addr().Unmap()
	}
	ev.Folded = r.Folded > 0
	if r.Flags&row.Unsynchronised != 0 {
		ev.Clock = "unsynced"
	}
	if len(c.exporters) > 0 {
		ev.Exporter = c.exporters[0]
	}
	if len(c.exporters) > 1 {
		ev.Exporters, ev.MoreExporters = c.exporters, c.others
	}
	for _, bits := range c.days {
		for ; bits != 0; bits &= bits - 1 {
			ev.Days++
		}
	}
	c.ends(&ev)
	number := factors.Score(score.Base(ev.Indicators), ev.Direction, ev.Answered == event.AnsweredYes, ev.Blocked)
	ev.Score, ev.Severity = number, event.SeverityOf(int(number))
	ev.Reason = fmt.Sprintf("%s; %s listed since %s, contact before%s", score.Reason(&ev), prefix,
		time.Unix(int64(c.Since), 0).UTC().Format("2006-01-02 15:04 UTC"), onDays(ev.Days, first))
	return ev
}

func onDays(n uint32, first time.Time) string {
	if n == 1 {
		return first.Format(", on 2006-01-02")
	}
	return fmt.Sprintf(", on %d days since %s", n, first.Format("2006-01-02"))
}

// ends writes who called whom, and how much went which way.
func (c *Sum) ends(ev *event.Event) {
	r := &c.Row
	ev.Direction = event.Inbound // as the correlator has it while nobody is known to have opened it
	switch r.Direction {
	case row.Outbound:
		ev.Direction = event.Outbound
	case row.Transit:
		ev.Direction = event.Transit
	}
	if ev.Direction == event.Outbound {
		ev.Src, ev.Dst, ev.Role = ev.Local, ev.Offender, flow.SideDst
		ev.Packets, ev.Bytes, ev.PacketsBack, ev.BytesBack = r.PacketsOut, r.BytesOut, r.PacketsIn, r.BytesIn
	} else {
		ev.Src, ev.Dst, ev.Role = ev.Offender, ev.Local, flow.SideSrc
		ev.Packets, ev.Bytes, ev.PacketsBack, ev.BytesBack = r.PacketsIn, r.BytesIn, r.PacketsOut, r.BytesOut
	}
	if r.Sampling == 1 {
		ev.PacketsRaw, ev.BytesRaw = ev.Packets, ev.Bytes
	}
}
