// Package sequence follows the sequence numbers of one stream of datagrams: what was lost
// on the way, came late or twice, when the exporter restarted, and which numbers no loss
// explains. It learns what an exporter counts, and notices when two processes send behind
// one address. It owns the counters of that, and knows nothing of what the datagrams
// contain. Package decode has a [Tracker] for each stream and calls it once per datagram.
package sequence

import (
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Numbering is what the header of a datagram has about its place in the stream.
type Numbering struct {
	Number  uint32
	Records uint32 // in the datagram, options records included
	Flows   uint32 // in the datagram, options records left out
	Uptime  uint32 // ms; IPFIX has none
	Unknown bool   // there are more records, of unknown templates
}

// A Tracker follows the sequence numbers of one stream. From the first datagram
// on, what was sent is what was decoded, lost and skipped without a template, less what came twice.
// The zero value is one that has seen nothing.
type Tracker struct {
	known  bool
	next   uint32    // expected next, in the unit of the protocol
	uptime uint32    // of the exporter in the last datagram, ms
	at     time.Time // of receipt of that

	lost     uint64 // in units
	estimate uint64 // the part of lost that a restart of ours after a crash made uncertain
	late     uint64 // datagrams that came late; what they filled is lost no more
	repeated uint64 // datagrams that came twice
	resets   uint64 // restarts of the exporter
	unsaid   uint64 // records in sets of unknown templates: known from the next number
	jumps    uint64 // numbers far ahead that no loss explains

	seen  time.Time     // when the last datagram came
	pause time.Duration // until it came
	left  departure
	// rebase is set when the numbers go on from elsewhere, for those who add up.
	rebase bool

	// gaps are the last losses, which a late datagram may fill; newest last.
	gaps []gap
	// behind counts datagrams in a row that went on from each other, behind next:
	// an exporter that began anew.
	behind     int
	behindNext uint32
	// uncertain is set when records of the last message could not be counted.
	uncertain bool
	// stale is set for a sequence that was loaded after a crash.
	stale bool

	units unitVote
	own   ownVote
	ports ports

	// sFlow only: the drops counter of each data source, and their sum.
	sources map[uint64]uint32
	dropped uint64
}

// A departure remembers where the numbers went on before they were far from there.
// When one comes that goes on from it after all, what was in between was not of
// this exporter: a forged datagram, mostly.
type departure struct {
	next         uint32
	lost, unsaid uint64 // that were counted since
	datagrams    int    // that may still come; 0 = nothing is remembered
}

// A gap is a run of numbers that were not seen, from the first to before the last.
type gap struct{ from, to uint32 }

const (
	// restartSlack is how far back uptimes may go before that is a restart, ms:
	// datagrams overtake each other by less.
	restartSlack = 10_000
	// lateWindow is how far back, in units, a number may lie to be a late
	// datagram, and how far from 0 to be one of an exporter that began anew.
	lateWindow = 4096
	// lossLimit is the gap that is not believed when the numbers begin anew.
	lossLimit = 1 << 16
	// maxBehind datagrams in a row behind the others are a restart.
	maxBehind = 3
	// maxGaps is the number of gaps that are remembered.
	maxGaps = 8
	// plausible units may be lost at once, and plausibleRate more for each second in
	// which nothing came: a link at 100 Gbit/s has a million flows a second.
	plausible     = 1 << 24
	plausibleRate = 1 << 22
	// maxAway is the number of datagrams for which a departure is remembered.
	maxAway = 16
)

// From notes the UDP source port of a datagram, before Follow.
func (q *Tracker) From(port uint16) {
	p := &q.ports
	p.turned = false
	if p.states[0].known && p.states[0].port == port {
		return
	}
	state := portState{port: port}
	i := 1
	for i < MaxPorts-1 && (!p.states[i].known || p.states[i].port != port) {
		i++
	}
	if p.states[i].known && p.states[i].port == port {
		state, p.turned = p.states[i], true
		p.turns++
	}
	copy(p.states[1:i+1], p.states[:i])
	p.states[0] = state
}

// Follow takes the number of a datagram. It reports true when source ports take turns
// whose numbers each go on from the last of their own port: those are several processes.
func (q *Tracker) Follow(v flow.Version, n Numbering, received time.Time) (severalProcesses bool) {
	if q.pause = 0; received != q.seen {
		q.pause, q.seen = max(received.Sub(q.seen), 0), received
	}
	if q.left.datagrams > 0 {
		q.left.datagrams--
	}
	own := q.ports.turned && q.ports.goesOn(n.Number, q.next)
	back := q.left.datagrams > 0 && q.comeBack(n.Number)
	if own {
		q.next = n.Number
	}
	if own || back {
		q.uptime, q.at = n.Uptime, received
	}
	lost := q.lost
	restarted := !own && !back && v != flow.IPFIX && q.restarted(n.Uptime, received)
	switch v {
	case flow.V5:
		q.step(n.Number, n.Records, restarted, false)
	case flow.V9:
		q.stepV9(n.Number, n.Records, restarted, n.Unknown)
	case flow.IPFIX:
		q.stepIPFIX(n.Number, n.Records, n.Flows, n.Unknown)
	default:
		q.step(n.Number, 1, restarted, false)
	}
	last := &q.ports.states[0]
	if !last.known {
		q.ports.jump += q.lost - min(lost, q.lost)
	}
	last.known, last.nextByDatagrams, last.nextByRecords = true, n.Number+1, n.Number+n.Records
	return q.ports.own > MaxTurns
}

// ports watches the UDP source ports of a stream. An exporter that restarts takes
// a new one and never sends from the old again; two processes behind one address
// take turns.
type ports struct {
	states [MaxPorts]portState // the last sender first
	turned bool                // the last datagram came from a port that had sent before another did
	turns  int                 // how often that was so
	own    int                 // turns in which the number went on from that of its port only
	jump   uint64              // what was counted as lost when ports first sent
}

const (
	// MaxPorts is the number of ports that are watched: processes behind one address.
	MaxPorts = 8
	// MaxTurns is the number of turns after which a contradiction is taken for two
	// processes rather than a restart.
	MaxTurns = 2
)

// portState is what the last datagram of a port contained.
type portState struct {
	port                           uint16
	known                          bool // it has sent a datagram
	nextByDatagrams, nextByRecords uint32
}

// goesOn reports that the number, which is not the one expected, goes on from the
// last datagram of its own port, before another port sent one.
func (p *ports) goesOn(number, expected uint32) bool {
	last := &p.states[0]
	switch {
	case number != last.nextByDatagrams && number != last.nextByRecords:
		p.own = 0
		return false
	case number == expected:
		return false // means nothing
	}
	p.own++
	return true
}

// leave remembers the expected number when another is far from it. What is counted
// as lost or skipped for it is taken back when the exporter goes on as expected.
func (q *Tracker) leave(number uint32, lost, unsaid uint64) {
	if far := int32(number - q.next); -lateWindow <= far && far <= lateWindow {
		return
	}
	if q.left.datagrams == 0 {
		q.left = departure{next: q.next}
	}
	q.left.lost += lost
	q.left.unsaid += unsaid
	q.left.datagrams = maxAway
}

// comeBack reports whether a number goes on from where the others were before they
// were far away. What had been counted as lost meanwhile is taken back.
func (q *Tracker) comeBack(number uint32) bool {
	if number == q.next || number-q.left.next > lateWindow {
		return false
	}
	l := q.left
	undone := min(l.lost, q.lost)
	q.lost -= undone
	q.ports.jump -= min(q.ports.jump, undone)
	q.estimate = min(q.estimate, q.lost)
	q.unsaid -= min(l.unsaid, q.unsaid)
	if l.lost+l.unsaid > 0 {
		q.jumps++
	}
	q.gaps = slices.DeleteFunc(q.gaps, func(g gap) bool { return g.from-l.next < 1<<31 })
	q.next, q.left, q.rebase, q.behind = l.next, departure{}, true, 0
	return true
}

// explains reports whether so many units may have been lost since the last datagram.
func (q *Tracker) explains(gap int32) bool {
	return int64(gap) <= plausible+int64(q.pause/time.Second)*plausibleRate
}

// step takes the next number of a stream: units is how many units the datagram
// carries, or at least carries where unknown is set. restarted means that the
// exporter's uptime began anew.
func (q *Tracker) step(number, units uint32, restarted, unknown bool) {
	gap := int32(number - q.next)
	switch {
	case !q.known || gap == 0:
	case restarted || q.beganAnew(number, gap):
		q.leave(number, 0, 0)
		q.reset()
	case gap < 0:
		if !q.outOfOrder(number, units) {
			return
		}
		q.reset()
	case !q.explains(gap):
		q.leave(number, 0, 0)
		q.jumps++
		q.rebase = true
		q.gaps = q.gaps[:0]
	case q.uncertain:
		q.leave(number, 0, uint64(gap))
		q.unsaid += uint64(gap)
	default:
		q.leave(number, uint64(gap), 0)
		q.lose(number, uint64(gap))
	}
	q.known, q.uncertain, q.stale, q.behind, q.next = true, unknown, false, 0, number+units
}

// beganAnew distinguishes a restart from a loss and a late datagram by the number alone.
func (q *Tracker) beganAnew(number uint32, gap int32) bool {
	return gap < -lateWindow || gap > lossLimit && number < lateWindow
}

func (q *Tracker) reset() {
	q.resets++
	q.rebase = true
	q.gaps = q.gaps[:0]
}

// lose notes that everything from the expected number to this one is missing.
func (q *Tracker) lose(number uint32, n uint64) {
	q.lost += n
	if q.stale {
		q.estimate += n
	}
	q.remember(gap{q.next, number})
}

func (q *Tracker) remember(g gap) {
	if g.from == g.to {
		return
	}
	if len(q.gaps) >= maxGaps {
		q.gaps = append(q.gaps[:0], q.gaps[1:]...)
	}
	q.gaps = append(q.gaps, g)
}

// outOfOrder takes a datagram behind the others: it is late and fills a gap, or
// came twice. It reports true when it goes on from several before it, all behind:
// then the exporter began anew.
func (q *Tracker) outOfOrder(number, units uint32) (anew bool) {
	if units == 0 || q.fill(number, units) {
		q.late++
		return false
	}
	if number != q.behindNext {
		q.behind = 0
	}
	q.behind++
	q.behindNext = number + units
	if q.behind >= maxBehind && q.behindNext != q.next {
		return true
	}
	q.repeated++
	return false
}

// fill takes the numbers of a late datagram out of the gap that they lie in.
func (q *Tracker) fill(number, units uint32) bool {
	for i, g := range q.gaps {
		if uint64(number-g.from)+uint64(units) > uint64(g.to-g.from) {
			continue
		}
		q.gaps = append(q.gaps[:i], q.gaps[i+1:]...)
		q.remember(gap{g.from, number})
		q.remember(gap{number + units, g.to})
		q.lost -= uint64(units)
		q.estimate = min(q.estimate, q.lost)
		return true
	}
	return false
}

// restarted notes the uptime of the exporter, received at a time, and reports
// whether it began anew. A counter of ms runs over after 49.7 days: then it is
// about as far ahead as time has gone.
func (q *Tracker) restarted(uptime uint32, at time.Time) bool {
	anew := false
	if q.known && uptime < q.uptime {
		if q.uptime-uptime <= restartSlack {
			return false // overtaken by a later one
		}
		elapsed := max(at.Sub(q.at).Milliseconds(), 0)
		anew = int64(uptime-q.uptime) > 2*elapsed+restartSlack
	}
	q.uptime, q.at = uptime, at
	return anew
}

// A unitVote learns what a v9 exporter counts: datagrams, as RFC 3954 5.1 requires, or
// records. A loss can make the wrong reading right once; when the vote turns, what
// was lost since the first number is worked out anew.
type unitVote struct {
	nextByDatagrams, nextByRecords uint32
	countable                      bool // nextByRecords is meaningful
	datagrams, records             int  // how often each has been right where they differ

	first       uint32 // number of the first datagram
	lost        uint64 // before it
	seen, units uint32 // since: datagrams and records
}

// decided is the number of conclusive datagrams after which the unit of a stream is
// taken for granted.
const decided = 3

func (v *unitVote) byRecords() bool { return v.records > v.datagrams }

// begin makes a number the first one.
func (v *unitVote) begin(number uint32, lost uint64) {
	v.first, v.lost, v.seen, v.units = number, lost, 0, 0
}

// see compares a number with both readings.
func (v *unitVote) see(number uint32) {
	asDatagrams, asRecords := number == v.nextByDatagrams, v.countable && number == v.nextByRecords
	switch {
	case v.datagrams+v.records >= decided:
	case asDatagrams && !asRecords:
		v.datagrams++
	case asRecords && !asDatagrams:
		v.records++
	}
}

// missing gives what is lost by the reading in force, up to a number.
func (v *unitVote) missing(number uint32) uint64 {
	seen := v.seen
	if v.byRecords() {
		seen = v.units
	}
	return v.lost + uint64(max(int32(number-v.first-seen), 0))
}

// stepV9 takes the number of a v9 datagram.
func (q *Tracker) stepV9(number, records uint32, restarted, unknown bool) {
	v := &q.units
	if q.known && !restarted {
		before := v.byRecords()
		if v.see(number); v.byRecords() != before {
			q.lost, q.next, q.gaps = v.missing(number), number, q.gaps[:0]
		}
	}
	known := q.known
	if v.byRecords() {
		q.step(number, records, restarted, unknown)
	} else {
		q.step(number, 1, restarted, false)
	}
	if !known || q.rebase {
		v.begin(number, q.lost)
		q.rebase = false
	}
	v.seen++
	v.units += records
	v.nextByDatagrams, v.nextByRecords, v.countable = number+1, number+records, !unknown
}

// An ownVote learns whether an IPFIX exporter numbers a message before it counts
// its records, as RFC 7011 3.1 requires, or after. softflowd does it after, and leaves
// options records out: its messages would look like losses and repetitions.
//
// A loss can look like the second reading, too, until a message comes that only the
// first explains. Then what was lost meanwhile is worked out anew.
type ownVote struct {
	last, lastRecords uint32 // number and records of the message before
	rfc, after        int    // how often each reading has been right where they differ

	// When the second reading was first right: the number expected by the first,
	// the losses until then, and the records seen since.
	expected uint32
	lost     uint64
	seen     uint32
}

// countsOwn returns which reading holds.
func (v *ownVote) countsOwn() bool { return v.after > 0 && v.rfc == 0 }

// stepIPFIX takes the number of an IPFIX message with so many records, of which
// so many are flows.
func (q *Tracker) stepIPFIX(number, records, flows uint32, unknown bool) {
	v := &q.own
	if q.known && !q.uncertain && v.rfc == 0 && v.after < decided {
		q.voteOwn(number, flows)
	}
	v.last, v.lastRecords = number, records
	v.seen += records
	sent := number
	if v.countsOwn() {
		number, records = number-flows, flows
	}
	q.step(number, records, false, unknown)
	if q.rebase {
		v.expected, v.lost, v.seen = sent, q.lost, v.lastRecords
		q.rebase = false
	}
}

// voteOwn compares a number with both readings.
func (q *Tracker) voteOwn(number, flows uint32) {
	v := &q.own
	asRFC, asAfter := number == v.last+v.lastRecords, flows > 0 && number == v.last+flows
	switch {
	case asRFC && !asAfter:
		if v.countsOwn() {
			q.lost = v.lost + uint64(max(int32(number-v.expected-v.seen), 0))
			q.next = number
		}
		v.rfc++
	case asAfter && !asRFC:
		if v.after++; v.after == 1 {
			v.expected, v.lost, v.seen = q.next, q.lost, 0
			q.next = number - flows
		}
	}
}
