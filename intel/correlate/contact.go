package correlate

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// A contactKey names a contact: offender, site and local address, protocol and service
// port. The site is part of it because two sites may use the same private addresses.
type contactKey struct {
	offender, local netip.Addr
	port            uint16
	site            uint16 // see flow.Exporter
	protocol        uint8
	hasProtocol     bool
	fold            foldKind // when it stands for many: of the rest only offender and site are set
}

// A contact is what is known of one conversation with an offender. Times of its life
// are readings of the correlator's own clock.
type contact struct {
	packed     packedKey
	id         uint64        // never used twice
	sameHash   *contact      // the next with the same hash of its key
	prev, next *contact      // its place among those of its rank, by last use
	due        time.Duration // of the next update, when it waits for one
	place      int32         // in the queue of updates; -1 = waits for none
	seq        uint32        // number of the last event

	first, last time.Duration
	born        packedTime // receipt of the first datagram
	received    packedTime // of the last one
	start, end  packedTime // of the flows
	uuid        uuid.UUID  // of its events, made with the first of them
	head        packedHead // the first flow

	listing *listing
	port    uint16 // of the offender, for which listing was asked

	us        homes
	initiator party
	known     bool    // initiator is known, not taken for granted
	seen      [2]bool // by direction: something other than a refusal
	refusals  [2]bool // by direction: a reset or an ICMP unreachable
	answered  bool
	twoSided  bool   // the local end sent something other than a refusal
	passed    bool   // at least one flow was not blocked
	sampled   bool   // a rate other than 1 was in force, or none is known
	rateFrom  uint16 // what the last rate was announced for, in scopeTexts

	fold     *fold    // nil = it stands for itself
	foldable foldable // as it is counted, see account

	// What the last events said.
	saidAnswered bool
	worst        event.Severity
	rank         event.Severity // worst when it was used last

	tcpFlags uint16
	suspect  bool
	unsynced bool
	rate     uint32           // the last one
	in4      uint32           // the IPv4 address in the offender that is listed; 0 = none
	total    [2]counters      // from the offender, from the local end
	others   *packedExporters // nil when only one exporter has seen it
}

// key gives the name of the contact.
func (c *contact) key() contactKey { return c.packed.key() }

// The most exporters that are listed for a contact.
const maxExporters = 8

// wayOf gives the index of the direction in which p sends.
func wayOf(p party) int {
	if p == offender {
		return 0
	}
	return 1
}

// see takes in what one flow tells of the conversation: who opened it, whether it
// passed and whether there was an answer.
func (c *contact) see(e *ends, s *sight) {
	c.learnInitiator(e)
	c.sampled = c.sampled || s.rate != 1
	way, back := wayOf(e.sender), s.back.any()
	c.twoSided = c.twoSided || !e.oneSided(back)
	if s.blocked {
		return // what was dropped answers nobody
	}
	c.passed = true
	c.seen[way] = c.seen[way] || !e.refusal
	c.refusals[way] = c.refusals[way] || e.refusal
	c.refusals[1-way] = c.refusals[1-way] || back && e.backRefusal
	c.answered = c.answered || c.seen[0] && c.seen[1] || e.isAnswer(back)
}

// isAnswer reports whether the flow by itself shows that both ends talk; back tells
// that it counts the way back too. A refusal is no answer, whoever sends it.
func (e *ends) isAnswer(back bool) bool {
	if back && !e.backRefusal && (!e.refusal || e.initiator == e.sender) {
		return true
	}
	if e.refusal {
		return false
	}
	if e.initiator != nobody && e.initiator != e.sender {
		return true
	}
	return e.sender == offender && e.tcpFlags&tcpACK != 0
}

// oneSided reports whether the flow shows nothing that the local end has sent but refusals:
// then all that it says may be forged by the offender, or in its name; back tells that it
// counts the way back too.
func (e *ends) oneSided(back bool) bool {
	if e.sender == local {
		return e.refusal
	}
	return !back || e.backRefusal
}

// learnInitiator keeps the best knowledge of who opened the contact: what is known
// replaces what was taken for granted, and that our own end did is never unlearned.
func (c *contact) learnInitiator(e *ends) {
	switch {
	case e.initiator != nobody && (!c.known || e.initiator == c.us.ours()):
		c.initiator, c.known = e.initiator, true
	case c.initiator == nobody:
		c.initiator = e.opener()
	}
}

// opener gives the initiator, where it is not known the one that is taken for it: the
// sender, but not of our refusal. What refuses us may be the echo of forged packets.
func (e *ends) opener() party {
	switch {
	case e.initiator != nobody:
		return e.initiator
	case e.refuses() == local:
		return offender
	}
	return e.sender
}

// refused reports whether refusals are all that came back.
func (c *contact) refused() bool {
	switch {
	case c.answered:
		return false
	case c.known:
		return c.refusals[wayOf(c.initiator.other())]
	}
	return c.refusals[0] || c.refusals[1]
}

// direction gives the direction seen from the home networks.
func (c *contact) direction() event.Direction { return c.us.direction(c.initiator) }

// answer gives the answer as it can be told at the time now: that there was none
// only when every packet was seen, and it was refused or the first interval is over.
func (c *contact) answer(now time.Duration) event.Answered {
	switch {
	case c.answered:
		return event.AnsweredYes
	case !c.sampled && (c.refused() || now-c.first >= firstUpdate):
		return event.AnsweredNo
	}
	return event.AnsweredUnknown
}

// score gives the score as things stand.
func (c *contact) score(f *Factors) uint8 {
	return weigh(c.listing.base, f.of(c.direction(), c.answered, !c.passed))
}

// count adds what the flow adds to the totals, and reports whether that is anything.
func (c *contact) count(s *sight, added [2]counters) bool {
	changed := added != [2]counters{}
	for way := range c.total {
		c.total[way].add(added[way])
	}
	if flags := c.tcpFlags | s.head.tcpFlags; flags != c.tcpFlags {
		c.tcpFlags, changed = flags, true
	}
	c.rate, c.rateFrom = s.rate, s.rateFrom
	c.suspect = c.suspect || s.suspect
	c.unsynced = c.unsynced || s.unsynced
	c.span(packTime(s.start), packTime(s.end))
	return changed
}

// span widens the time from the start of the first to the end of the last flow.
func (c *contact) span(start, end packedTime) {
	if start != 0 && (c.start == 0 || start < c.start) {
		c.start = start
	}
	if end != 0 && (c.end == 0 || end > c.end) {
		c.end = end
	}
}

// addExporter lists one more exporter. added tells that it was not yet listed, full
// that there is no room for it.
func (c *contact) addExporter(exporter netip.Addr) (added, full bool) {
	a := pack(exporter)
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
