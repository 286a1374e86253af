package decode

import (
	"encoding/binary"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Unit says what the sequence numbers of a stream count, and so its losses.
type Unit string

// The units. NetFlow v5 counts flows, IPFIX data records (options records
// included), v9 and sFlow datagrams; some v9 exporters count records instead,
// which shows after a few datagrams.
const (
	UnitFlows     Unit = "flows"
	UnitRecords   Unit = "records"
	UnitDatagrams Unit = "datagrams"
)

// A sequence follows the sequence numbers of one stream.
type sequence struct {
	known  bool
	next   uint32 // expected next, in the unit of the protocol
	uptime uint32 // of the last datagram, ms

	lost     uint64 // in units
	estimate uint64 // the part of lost that a restart of ours after a crash made uncertain
	late     uint64 // datagrams that came late or twice
	resets   uint64 // restarts of the exporter
	unsaid   uint64 // records in sets of unknown templates (IPFIX: told by the next message)

	// v9 only: what the next number would be if records were counted, and how
	// often each reading has been right where they differ.
	nextByRecords         uint32
	byDatagrams, byRecord int
	// uncertain is set when records of the last message could not be counted.
	uncertain bool
	// stale is set for a sequence that was loaded after a crash.
	stale bool

	// sFlow only: the drops counter of each data source, and their sum.
	sources map[uint64]uint32
	dropped uint64
}

// restartSlack is how far back uptimes may go before that is a restart, ms:
// datagrams overtake each other by less.
const restartSlack = 10_000

// lateWindow is how far back, in units, a number may lie to be a late datagram
// rather than a restart of an exporter that tells no uptime.
const lateWindow = 4096

// decided is the number of telling datagrams after which the unit of a v9 stream
// is taken for granted.
const decided = 3

// step takes the next number of a stream: units is how many units the datagram
// carries. restarted tells that the exporter's uptime began anew.
func (q *sequence) step(number, units uint32, restarted bool) {
	next := number + units
	switch gap := int32(number - q.next); {
	case !q.known || q.uncertain:
		if q.known && gap > 0 {
			q.unsaid += uint64(gap)
		}
	case restarted || gap < -lateWindow || gap < 0 && number == 0:
		q.resets++
	case gap < 0:
		q.late++
		q.lost -= min(q.lost, uint64(units))
		return
	case gap > 0:
		q.lost += uint64(gap)
		if q.stale {
			q.estimate += uint64(gap)
		}
	}
	q.known, q.uncertain, q.stale, q.next = true, false, false, next
}

// restarted notes the uptime of the exporter and tells whether it began anew.
func (q *sequence) restarted(uptime uint32) bool {
	back := q.known && int32(uptime-q.uptime) < -restartSlack
	if !q.known || back || int32(uptime-q.uptime) > 0 {
		q.uptime = uptime
	}
	return back
}

// unit gives the unit of the losses.
func (s *stream) unit() Unit {
	switch s.key.version {
	case flow.V5:
		return UnitFlows
	case flow.IPFIX:
		return UnitRecords
	case flow.V9:
		if s.seq.byRecord > s.seq.byDatagrams {
			return UnitRecords
		}
	}
	return UnitDatagrams
}

// sequenceV5 follows flow_sequence: the flows sent before this datagram. count are
// those that are in it: where the header tells more, the next number shows them
// as lost.
func (d *Decoder) sequenceV5(s *stream, number uint32, count int, dg *flow.Datagram) {
	restarted := s.seq.restarted(binary.BigEndian.Uint32(dg.Payload[4:]))
	s.seq.step(number, uint32(count), restarted)
}

// sequenceSFlow follows the datagram number of a sub-agent.
func (d *Decoder) sequenceSFlow(s *stream, number uint32, dg *flow.Datagram) {
	uptime := uint32(0)
	if at := sflowUptimeAt(dg.Payload); at+4 <= len(dg.Payload) {
		uptime = binary.BigEndian.Uint32(dg.Payload[at:])
	}
	s.seq.step(number, 1, s.seq.restarted(uptime))
}

// sflowUptimeAt gives the place of the uptime, behind an agent address of 4 or 16
// bytes.
func sflowUptimeAt(b []byte) int {
	if b[7] == 2 {
		return 32
	}
	return 20
}

// sequenceMessage follows the numbers of v9 and IPFIX.
func (d *Decoder) sequenceMessage(m *message, number uint32, unknown bool) {
	q := &m.stream.seq
	if m.ver == 10 {
		q.step(number, uint32(m.records), false)
		q.uncertain = unknown
		return
	}
	restarted := q.restarted(m.uptime)
	q.vote(number, restarted)
	units := uint32(1)
	if q.byRecord > q.byDatagrams {
		units = uint32(m.records)
		q.step(number, units, restarted)
		q.uncertain = unknown
	} else {
		q.step(number, units, restarted)
	}
	q.nextByRecords = number + uint32(m.records)
	if unknown {
		q.nextByRecords = number // says nothing
	}
}

// vote learns whether a v9 stream counts datagrams, as RFC 3954 5.1 says, or
// records. While that is open, a number that either reading expects is no loss.
func (q *sequence) vote(number uint32, restarted bool) {
	if !q.known || restarted || q.byDatagrams+q.byRecord >= decided {
		return
	}
	asDatagrams, asRecords := number == q.next, number == q.nextByRecords
	switch {
	case asDatagrams && !asRecords:
		q.byDatagrams++
	case asRecords && !asDatagrams:
		q.byRecord++
		q.next = number
	}
}

// drops follows the drops counter of an sFlow data source: packets that the agent
// could not sample.
func (q *sequence) drops(source uint64, drops uint32) {
	if q.sources == nil {
		q.sources = make(map[uint64]uint32)
	}
	last, ok := q.sources[source]
	if !ok && len(q.sources) >= maxSources {
		return
	}
	if ok && drops > last {
		q.dropped += uint64(drops - last)
	}
	q.sources[source] = drops
}

// maxSources bounds the sFlow data sources (ports, mostly) of one sub-agent.
const maxSources = 4096
