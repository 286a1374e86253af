package correlate

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// hitEvent makes the event of a hit: the flow with its own counts, and what its
// contact makes of it.
func (c *Correlator) hitEvent(ct *contact, s *sight) event.Event {
	ev := c.eventOf(event.KindHit, ct, &s.head, s.blocked)
	forth := s.forth
	forth.flows = 1
	setCounters(&ev, forth, s.back)
	ev.Time = s.received
	ev.TCPFlags = s.head.tcpFlags
	ev.Sampling, ev.SamplingFrom = s.rate, c.scopes.text(s.rateFrom)
	ev.Start, ev.End, ev.Clock = s.start, s.end, clockWord(s.suspect, s.unsynced)
	return ev
}

// updateEvent makes the roll-up of a contact: its first flow, with the totals of all
// flows of either direction.
func (c *Correlator) updateEvent(ct *contact) event.Event {
	first := ct.head.head()
	ev := c.eventOf(event.KindUpdate, ct, &first, !ct.passed)
	way := 1
	if ct.head.role.IsSrc() {
		way = 0
	}
	setCounters(&ev, ct.total[way], ct.total[1-way])
	ev.Time = ct.received.time()
	ev.TCPFlags = ct.tcpFlags
	ev.Sampling, ev.SamplingFrom = ct.rate, c.scopes.text(ct.rateFrom)
	ev.Start, ev.End, ev.Clock = ct.start.time(), ct.end.time(), clockWord(ct.suspect, ct.unsynced)
	return ev
}

// eventOf makes an event of a flow and the judgement of its contact, and remembers
// what it says.
func (c *Correlator) eventOf(k event.Kind, ct *contact, d *head, blocked bool) event.Event {
	key, direction := ct.key(), ct.direction()
	score := weigh(ct.listing.base, c.cfg.Factors.of(direction, ct.answered, blocked))
	ev := event.Event{
		Kind:             k,
		ID:               newID(),
		Sensor:           c.cfg.Sensor,
		Offender:         key.offender,
		Local:            key.local,
		ServicePort:      key.port,
		ContactFirstSeen: ct.born.time(),
		Direction:        direction,
		Answered:         ct.answer(c.now),
		Blocked:          blocked,
		Refused:          ct.refused(),
		Score:            score,
		Severity:         event.SeverityOf(int(score)),
		Indicators:       ct.listing.indicators(),
		IntelVersion:     ct.listing.version,
		Exporters:        ct.exporters(),
		CommunityID:      d.communityID(),
	}
	if ct.in4 != 0 {
		ev.Embedded = flow.Addr4(ct.in4)
	}
	if ct.seq == 0 {
		ct.uuid = newID()
	}
	ct.seq++
	ev.Contact, ev.Seq = ct.uuid, ct.seq
	site, named := key.site, true
	if ct.fold != nil {
		ct.fold.fill(&ev)
		site, named = ct.fold.site, !ct.fold.manySites
	}
	if named {
		ev.Site = c.cfg.Name(site)
	}
	ev.Reason = reasonOf(&ev)
	if ct.packed.fold == ofOverflow {
		ev.Reason += "; with others that found no room"
	}
	d.fill(&ev)
	ct.worst = max(ct.worst, ev.Severity)
	ct.saidAnswered = ct.saidAnswered || ct.answered
	return ev
}

// newID makes the identity of an event.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// fill copies the flow as exported.
func (d *head) fill(ev *event.Event) {
	ev.Src, ev.Dst = d.src, d.dst
	ev.SrcPort, ev.DstPort, ev.HasPorts = d.srcPort, d.dstPort, d.hasPorts
	ev.Protocol, ev.HasProtocol = d.protocol, d.hasProtocol
	ev.Role = d.role
	ev.Exporter = d.exporter
	if d.known != nil {
		ev.ExporterName = d.known.Name
	}
	ev.Domain, ev.Version = d.domain, d.version
	ev.InIf, ev.OutIf, ev.HasIf = d.inIf, d.outIf, d.hasIf
	m := &d.more
	ev.NATSrc, ev.NATDst = m.natSrc, m.natDst
	ev.NATSrcPort, ev.NATDstPort = m.natSrcPort, m.natDstPort
	ev.InnerSrc, ev.InnerDst = m.innerSrc, m.innerDst
}

func setCounters(ev *event.Event, forth, back counters) {
	ev.Flows = sum(forth.flows, back.flows)
	ev.Packets, ev.Bytes = forth.packets, forth.bytes
	ev.PacketsRaw, ev.BytesRaw = forth.packetsRaw, forth.bytesRaw
	ev.PacketsBack, ev.BytesBack = back.packets, back.bytes
}

// exporters gives all exporters that saw the contact, nil when it is only one.
func (c *contact) exporters() []netip.Addr {
	if c.others == nil {
		return nil
	}
	all := []netip.Addr{c.head.exporter.addr()}
	for _, a := range c.others.addrs[:c.others.n] {
		all = append(all, a.addr())
	}
	return all
}

// clockWord says what the times of an event are worth: our own clock comes first.
func clockWord(suspect, unsynced bool) string {
	switch {
	case unsynced:
		return "unsynced"
	case suspect:
		return "suspect"
	}
	return "ok"
}
