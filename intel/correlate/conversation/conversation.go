package conversation

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/packed"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A Conversation is what the flows between an offender and a local end have shown: who
// opened it, whether it was answered, what it has counted, and who has seen it.
type Conversation struct {
	born       packed.Time      // receipt of the first datagram
	received   packed.Time      // of the last one
	start, end packed.Time      // of the flows
	head       packedHead       // the first flow
	total      [2]Counters      // by direction, see Party
	others     *packedExporters // nil when only one exporter has seen it

	tcpFlags  uint16
	us        Ours
	initiator Party
	known     bool    // initiator is known, not taken for granted
	seen      [2]bool // by direction: something other than a refusal
	refusals  [2]bool // by direction: a reset or an ICMP unreachable

	Answered bool
	TwoSided bool // the local end sent something other than a refusal
	Passed   bool // at least one flow was not blocked

	sampled  bool // a rate other than 1 was in force, or none is known
	suspect  bool
	unsynced bool
}

// New begins a conversation with its first flow, which See and Count do not yet know.
func New(s *Sight, us Ours) Conversation {
	return Conversation{head: s.head.pack(), born: packed.TimeOf(s.received), us: us}
}

// See takes in what one flow shows of the conversation: who opened it, whether it
// passed and whether there was an answer.
func (c *Conversation) See(s *Sight) {
	c.received = packed.TimeOf(s.received)
	c.learnInitiator(&s.Ends)
	c.sampled = c.sampled || s.Rate != 1
	way, back := s.Sender.Way(), s.Back.Any()
	c.TwoSided = c.TwoSided || !s.oneSided(back)
	if s.Blocked {
		return // what was dropped answers nobody
	}
	c.Passed = true
	c.seen[way] = c.seen[way] || !s.refusal
	c.refusals[way] = c.refusals[way] || s.refusal
	c.refusals[1-way] = c.refusals[1-way] || back && s.backRefusal
	c.Answered = c.Answered || c.seen[0] && c.seen[1] || s.isAnswer(back)
}

// learnInitiator keeps the best knowledge of who opened the conversation: what is known
// replaces what was taken for granted, and that our own end did is never unlearned.
func (c *Conversation) learnInitiator(e *Ends) {
	switch {
	case e.Initiator != Nobody && (!c.known || e.Initiator == c.us.end()):
		c.initiator, c.known = e.Initiator, true
	case c.initiator == Nobody:
		c.initiator = e.opener()
	}
}

// Refused reports whether refusals are all that came back.
func (c *Conversation) Refused() bool {
	switch {
	case c.Answered:
		return false
	case c.known:
		return c.refusals[c.initiator.other().Way()]
	}
	return c.refusals[0] || c.refusals[1]
}

// Direction gives the direction seen from the home networks.
func (c *Conversation) Direction() event.Direction { return c.us.direction(c.initiator) }

// Count adds what a flow adds to the totals, and its exporter to the list. changed reports
// whether that is anything new, noRoom that the exporter finds no room in the list.
func (c *Conversation) Count(s *Sight, added [2]Counters) (changed, noRoom bool) {
	changed = added != [2]Counters{}
	for way := range c.total {
		c.total[way].Add(added[way])
	}
	if flags := c.tcpFlags | s.head.tcpFlags; flags != c.tcpFlags {
		c.tcpFlags, changed = flags, true
	}
	c.suspect = c.suspect || s.Suspect
	c.unsynced = c.unsynced || s.Unsynced
	c.span(packed.TimeOf(s.start), packed.TimeOf(s.end))
	isNew, noRoom := c.addExporter(s.head.exporter)
	return changed || isNew, noRoom
}

// span widens the time from the start of the first to the end of the last flow.
func (c *Conversation) span(start, end packed.Time) {
	if start != 0 && (c.start == 0 || start < c.start) {
		c.start = start
	}
	if end != 0 && (c.end == 0 || end > c.end) {
		c.end = end
	}
}

// maxExporters is the most exporters that are listed for a conversation.
const maxExporters = 8

// A packedExporters are further exporters, after that of the head.
type packedExporters struct {
	addrs [maxExporters - 1]packed.Addr
	n     uint8
}

// addExporter lists one more exporter. added means that it was not yet listed, full
// that there is no room for it.
func (c *Conversation) addExporter(exporter netip.Addr) (added, full bool) {
	a := packed.Of(exporter)
	if a == c.head.exporter {
		return false, false
	}
	if c.others == nil {
		c.others = new(packedExporters)
	}
	o := c.others
	for _, known := range o.addrs[:o.n] {
		if a == known {
			return false, false
		}
	}
	if int(o.n) == len(o.addrs) {
		return false, true
	}
	o.addrs[o.n] = a
	o.n++
	return true, false
}

// exporters gives all exporters that saw the conversation, nil when it is only one.
func (c *Conversation) exporters() []netip.Addr {
	if c.others == nil {
		return nil
	}
	all := []netip.Addr{c.head.exporter.Addr()}
	for _, a := range c.others.addrs[:c.others.n] {
		all = append(all, a.Addr())
	}
	return all
}

// Judge writes into an event what is known of the conversation. settled means that an
// answer would have been seen by now: only then, and when every packet was seen, does the
// event report that there was none.
func (c *Conversation) Judge(ev *event.Event, settled bool) {
	ev.ContactFirstSeen = c.born.Time()
	ev.Direction, ev.Refused, ev.Exporters = c.Direction(), c.Refused(), c.exporters()
	switch {
	case c.Answered:
		ev.Answered = event.AnsweredYes
	case !c.sampled && (ev.Refused || settled):
		ev.Answered = event.AnsweredNo
	default:
		ev.Answered = event.AnsweredUnknown
	}
}

// Fill writes the first flow into an event, with the totals of all flows of either
// direction, but no sampling rate.
func (c *Conversation) Fill(ev *event.Event) {
	way := Local.Way()
	if c.head.role.IsSrc() {
		way = Offender.Way()
	}
	setCounters(ev, c.total[way], c.total[1-way])
	ev.Time = c.received.Time()
	ev.TCPFlags = c.tcpFlags
	ev.Start, ev.End, ev.Clock = c.start.Time(), c.end.Time(), clockWord(c.suspect, c.unsynced)
	first := c.head.unpack()
	first.fill(ev)
}

func setCounters(ev *event.Event, forth, back Counters) {
	ev.Flows = flow.Sum(forth.Flows, back.Flows)
	ev.Packets, ev.Bytes = forth.Packets, forth.Bytes
	ev.PacketsRaw, ev.BytesRaw = forth.PacketsRaw, forth.BytesRaw
	ev.PacketsBack, ev.BytesBack = back.Packets, back.Bytes
}

// clockWord returns what the times of an event are worth: our own clock comes first.
func clockWord(suspect, unsynced bool) string {
	switch {
	case unsynced:
		return "unsynced"
	case suspect:
		return "suspect"
	}
	return "ok"
}
