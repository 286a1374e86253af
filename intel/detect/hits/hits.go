package hits

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// Config is what is judged, and how much is remembered.
type Config struct {
	// Text gives the number of a text, see detect.Engine.Text.
	Text func(string) uint32
	// FalseAlarm reports whether the incident of an offender is a false alarm; nil = of none.
	FalseAlarm func(netip.Addr) bool
	// MaxContacts is how many contacts are remembered, each with [ContactBytes].
	MaxContacts int
}

// ContactBytes is about what a contact takes that is remembered, with its place in the map.
const ContactBytes = 120

// Stats are what became of events.
type Stats struct {
	Judged uint64 // made observations of
	// Not judged:
	Alerts, Canaries, Retro, Silenced, FalseAlarms uint64
	Covered                                        uint64 // all of it was in an event that came before
	// Partly are updates of contacts that were not remembered: of their totals one flow counts.
	Partly    uint64
	Forgotten uint64 // contacts that made room for others
	Contacts  int    // remembered
}

// keep is how long a contact is remembered after its last event: a day longer than the
// longest window.
const keep = uint32((rule.MaxTimespan + 24*time.Hour) / time.Second)

// fresh is how old a contact may be, in s, that is not remembered, for its totals to count as
// new: events of the urgent lane of the journal come before older ones of the other.
const fresh = 3600

// totals are those of a contact.
type totals struct {
	seq, at               uint32 // of the event, at in s since 1970
	flows                 uint64
	bytesOut, bytesIn     uint64
	packetsOut, packetsIn uint64
	answered              uint8
}

// Hits belongs to one goroutine.
type Hits struct {
	cfg      Config
	contacts map[uuid.UUID]totals
	swept    uint32
	newest   uint32
	stats    Stats
	buffer   [2]rule.Observation
}

// New makes one that remembers nothing yet.
func New(cfg Config) *Hits {
	return &Hits{cfg: cfg, contacts: make(map[uuid.UUID]totals)}
}

// Stats may be called by the owner only.
func (h *Hits) Stats() Stats {
	s := h.stats
	s.Contacts = len(h.contacts)
	return s
}

// Of gives the observations of an event, none if it is not to be judged. They are valid until
// the next call. There are two when there was no answer before: the flows until then, and the
// answer.
func (h *Hits) Of(e *event.Event) []rule.Observation {
	switch {
	case e.Kind == event.KindAlert:
		h.stats.Alerts++
		return nil
	case e.Kind == event.KindCanary || !e.Offender.IsValid():
		h.stats.Canaries++
		return nil
	case e.Retro:
		h.stats.Retro++
		return nil
	}
	o := of(e, h.cfg.Text)
	was, ok := h.subtract(e, &o)
	if !ok {
		h.stats.Covered++
		return nil
	}
	switch { // behind subtract: when a silence ends, only what is new counts
	case e.Silenced != "":
		h.stats.Silenced++
		return nil
	case h.cfg.FalseAlarm != nil && h.cfg.FalseAlarm(e.Offender):
		h.stats.FalseAlarms++
		return nil
	}
	h.stats.Judged++
	return append(h.untilAnswer(h.buffer[:0], &o, was), o)
}

// untilAnswer takes out of an observation the flows before the answer, if this event is the
// first that has one: an update comes with the answer, and has all tries since the last one.
// The last flow, and the answer itself, which many exporters have as a flow of its own, stay.
func (h *Hits) untilAnswer(list []rule.Observation, o *rule.Observation, was totals) []rule.Observation {
	const last = 2
	if o.Answered != answers[event.AnsweredYes] || was.answered == o.Answered || was.seq == 0 || o.Flows <= last {
		return list
	}
	before := *o
	before.Answered, before.Flows = was.answered, o.Flows-last
	before.BytesOut, before.BytesIn, before.PacketsOut, before.PacketsIn = 0, 0, 0, 0 // sums are not to count twice
	o.Flows, o.Since = last, 0
	return append(list, before)
}

// subtract leaves of the totals what is new since the last event of the contact, and gives
// those of that event; false if nothing is new.
func (h *Hits) subtract(e *event.Event, o *rule.Observation) (was totals, isNew bool) {
	if e.Contact == (uuid.UUID{}) || e.Seq == 0 {
		return was, true // it stands alone
	}
	was, known := h.contacts[e.Contact]
	now := totals{e.Seq, o.Time, o.Flows, o.BytesOut, o.BytesIn, o.PacketsOut, o.PacketsIn, o.Answered}
	switch {
	case known && e.Seq <= was.seq:
		return was, false
	case known:
		o.Since = was.at
		o.Flows, o.BytesOut, o.BytesIn = less(o.Flows, was.flows), less(o.BytesOut, was.bytesOut), less(o.BytesIn, was.bytesIn)
		o.PacketsOut, o.PacketsIn = less(o.PacketsOut, was.packetsOut), less(o.PacketsIn, was.packetsIn)
	case e.Seq == 1:
	case e.ContactFirstSeen.IsZero() || e.Time.Sub(e.ContactFirstSeen) > fresh*time.Second:
		h.stats.Partly++
		o.Flows, o.BytesOut, o.BytesIn, o.PacketsOut, o.PacketsIn = 1, 0, 0, 0, 0
	default:
		o.Since = seconds(e.ContactFirstSeen)
	}
	h.remember(e.Contact, now)
	return was, o.Flows > 0 || o.BytesOut > 0 || o.BytesIn > 0
}

// less is what a total has grown by.
func less(now, was uint64) uint64 { return now - min(was, now) }

// remember notes the totals of a contact. One that has ended is remembered as well: its events
// may come again from the journal.
func (h *Hits) remember(id uuid.UUID, t totals) {
	h.newest = max(h.newest, t.at)
	if _, known := h.contacts[id]; !known && len(h.contacts) >= h.cfg.MaxContacts || h.newest-h.swept > 3600 {
		h.sweep()
	}
	h.contacts[id] = t
}

// sweep forgets contacts that have been silent for long, and when there are too many still, an
// eighth: those that have been silent the longest.
func (h *Hits) sweep() {
	h.swept = h.newest
	for id, t := range h.contacts {
		if h.newest-min(t.at, h.newest) > keep {
			delete(h.contacts, id)
		}
	}
	if len(h.contacts) < h.cfg.MaxContacts {
		return
	}
	times := make([]uint32, 0, len(h.contacts))
	for _, t := range h.contacts {
		times = append(times, t.at)
	}
	slices.Sort(times)
	most := len(times)/8 + 1
	limit := times[most-1]
	for id, t := range h.contacts {
		if t.at <= limit && most > 0 {
			delete(h.contacts, id)
			h.stats.Forgotten++
			most--
		}
	}
}

// of gives the observation of an event, with its totals.
func of(e *event.Event, text func(string) uint32) rule.Observation {
	o := rule.Observation{
		Time: seconds(e.Time), First: seconds(e.Start), Last: seconds(e.End), Outside: flow.Addr6Of(e.Offender),
		Site: text(e.Site), Country: text(e.Country), AS: e.ASNumber, ServicePort: e.ServicePort, Protocol: e.Protocol,
		Direction: directions[e.Direction], Answered: answers[e.Answered], Severity: min(e.Severity, event.Critical), Score: e.Score,
		Blocked: e.Blocked, Refused: e.Refused, Flows: max(e.Flows, 1), Hosts: e.Hosts, Ports: e.Ports,
		BytesOut: e.Bytes, BytesIn: e.BytesBack, PacketsOut: e.Packets, PacketsIn: e.PacketsBack,
	}
	if e.Role.IsSrc() {
		o.BytesOut, o.BytesIn, o.PacketsOut, o.PacketsIn = o.BytesIn, o.BytesOut, o.PacketsIn, o.PacketsOut
	}
	if e.Folded {
		o.Folded = uint64(max(1, e.Hosts, e.Ports))
	}
	if e.Local.IsValid() {
		o.Inside = flow.Addr6Of(e.Local)
	}
	if e.Exporter.IsValid() {
		o.Exporter = flow.Addr6Of(e.Exporter)
	}
	for i := range e.Indicators {
		o.TLP = max(o.TLP, uint8(intel.TLPRank(e.Indicators[i].TLP)))
	}
	if len(e.Indicators) > 0 {
		o.Feed, o.Category = text(e.Indicators[0].Feed), text(e.Indicators[0].Category)
	}
	// Flow times are those of the exporter: they lie before the receipt, and not long.
	if o.Last == 0 || o.Last > o.Time || o.Time-o.Last > 86400 {
		o.Last = o.Time
	}
	if o.First == 0 || o.First > o.Last {
		o.First = o.Last
	}
	return o
}

// The words of the fields, by number.
var (
	directions = words[event.Direction]("direction")
	answers    = words[event.Answered]("answered")
)

// words gives the numbers of the words of a field. What is not among them counts as unknown.
func words[W ~string](field string) map[W]uint8 {
	m := make(map[W]uint8)
	for i, w := range rule.FieldNamed(field, rule.Hits).Words {
		m[W(w)] = uint8(i)
		if w == "unknown" {
			m[""] = uint8(i)
		}
	}
	return m
}

func seconds(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(min(max(t.Unix(), 0), math.MaxUint32))
}
