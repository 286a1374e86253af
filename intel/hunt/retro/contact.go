package retro

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

// A contactID is whom an event is about, whatever lists it.
type contactID struct {
	outside, inside flow.Addr6
	site            string
	port            uint16
	protocol        uint8
}

func contactOfRow(r *row.Row) contactID {
	return contactID{r.Outside, r.Inside, r.Site, r.Port, r.Protocol}
}

// contactOf gives the contact of a live hit.
func contactOf(e *event.Event) contactID {
	id := contactID{outside: flow.Addr6Of(e.Offender), site: e.Site, port: e.ServicePort, protocol: e.Protocol}
	if e.Local.IsValid() {
		id.inside = flow.Addr6Of(e.Local)
	}
	return id
}

// idSpace keeps the ids apart from others that are made of the same bytes.
var idSpace = uuid.MustParse("5fd0a3b2-6f0e-8c1e-9a57-0d3c8f6b2e41")

// eventID makes the id of the event of a contact with what a prefix lists: the same each time,
// whatever files the rows are in. It is of version 8 (RFC 9562, section 5.8).
func eventID(prefix netip.Prefix, c *contactID) uuid.UUID {
	b := make([]byte, 0, 64)
	add := func(a flow.Addr6) {
		b = binary.BigEndian.AppendUint64(b, a.Hi)
		b = binary.BigEndian.AppendUint64(b, a.Lo)
	}
	e := listed.Of(prefix, 0, false)
	add(e.Addr)
	b = append(b, e.Bits)
	add(c.outside)
	add(c.inside)
	b = append(b, c.protocol)
	b = binary.BigEndian.AppendUint16(b, c.port)
	b = append(b, c.site...)
	return uuid.NewHash(sha256.New(), idSpace, b, 8)
}

// maxExporters is the most exporters that an event lists.
const maxExporters = 8

// A contact is all rows of one contact with one listed prefix.
type contact struct {
	since     uint32 // of the listing
	sum       row.Row
	days      []uint64 // a bit for each day before the base
	answer    event.Answered
	blocked   bool // all rows are
	exporters []netip.Addr
	others    uint32 // exporters beyond maxExporters, which may be counted twice
}

// add adds a row. base is a second that no row is after, the same for all of them.
func (c *contact) add(r *row.Row, base uint32) {
	answer := hunt.Answered(r)
	if c.sum.Flows == 0 && c.sum.Last == 0 {
		c.sum, c.answer, c.blocked = *r, answer, r.Flags&row.Blocked != 0
	} else {
		direction := min(c.sum.Direction, r.Direction) // what we opened is worse
		c.sum.Add(r)
		c.sum.Direction = direction
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

// maxDays bounds the days that are told apart: ten years.
const maxDays = 3652

// day notes a day, by how long before the base it was.
func (c *contact) day(before uint32) {
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

// servicePort gives the port at the outside end of a contact, 0 = not known. A contact that
// was opened from outside has its service at ours.
func servicePort(r *row.Row) uint16 {
	if r.Direction == row.Inbound {
		return 0
	}
	return r.Port
}

// event makes the event of a contact, with what the table in force has of it.
func (h *Hunter) event(id uuid.UUID, c *contact, prefix netip.Prefix, m lookup.Match) event.Event {
	r := &c.sum
	first, last := time.Unix(int64(r.First), 0).UTC(), time.Unix(int64(r.Last), 0).UTC()
	ev := event.Event{
		Kind: event.KindHit, Retro: true, ID: id, Contact: id, Seq: 1, Last: true,
		Time: last, Start: first, End: last, ContactFirstSeen: first, Sensor: h.cfg.Sensor,
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
	number := h.cfg.Factors.Score(score.Base(ev.Indicators), ev.Direction, ev.Answered == event.AnsweredYes, ev.Blocked)
	ev.Score, ev.Severity = number, event.SeverityOf(int(number))
	ev.Reason = fmt.Sprintf("%s; %s listed since %s, contact before%s", score.Reason(&ev), prefix,
		time.Unix(int64(c.since), 0).UTC().Format("2006-01-02 15:04 UTC"), onDays(ev.Days, first))
	return ev
}

func onDays(n uint32, first time.Time) string {
	if n == 1 {
		return first.Format(", on 2006-01-02")
	}
	return fmt.Sprintf(", on %d days since %s", n, first.Format("2006-01-02"))
}

// ends writes who called whom, and how much went which way.
func (c *contact) ends(ev *event.Event) {
	r := &c.sum
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
