package sequence

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Unit is what the sequence numbers of a stream count, and so its losses.
type Unit string

// The units. NetFlow v5 counts flows, IPFIX data records (options records
// included), v9 and sFlow datagrams; some v9 exporters count records instead,
// which shows after a few datagrams.
const (
	Flows     Unit = "flows"
	Records   Unit = "records"
	Datagrams Unit = "datagrams"
)

// Unit gives the unit of the losses.
func (q *Tracker) Unit(v flow.Version) Unit {
	switch {
	case v == flow.V5:
		return Flows
	case v == flow.IPFIX, q.units.byRecords():
		return Records
	}
	return Datagrams
}

// A Status is what the sequence numbers of a stream show.
type Status struct {
	// Unit is what Lost and Estimate count.
	Unit Unit   `json:"unit"`
	Lost uint64 `json:"lost" name:"-" show:"some"`
	// Estimate is the part of Lost that fell into a time when we had crashed.
	Estimate uint64 `json:"estimated,omitempty" name:"-" show:"some"`
	Late     uint64 `json:"late,omitempty" name:"-" show:"some"`                    // datagrams that came late: lost no more
	Repeated uint64 `json:"repeated,omitempty" name:"-" show:"some"`                // datagrams that came twice
	Resets   uint64 `json:"resets,omitempty" name:"-" show:"some" words:"restarts"` // restarts of the exporter
	// Jumps are numbers so far ahead that no loss explains them, and those that the
	// exporter did not go on from: forged datagrams, mostly. They are not in Lost.
	Jumps uint64 `json:"jumps,omitempty" name:"-" show:"some" words:"sequence jumps"`
	// Unknown are records in sets of unknown templates. Those of them that waited
	// for their template and were read later are among Records, too.
	Undecoded uint64 `json:"unknown_template_records,omitempty" name:"-" show:"some"`
	// Dropped are packets that an sFlow agent could not sample.
	Dropped uint64 `json:"dropped,omitempty" name:"-" show:"some" words:"packets not sampled by the agent"`
}

// Status reads the counters.
func (q *Tracker) Status(v flow.Version) Status {
	return Status{
		Unit: q.Unit(v), Lost: q.lost, Estimate: q.estimate, Late: q.late, Repeated: q.repeated,
		Resets: q.resets, Jumps: q.jumps, Undecoded: q.unsaid, Dropped: q.dropped,
	}
}

// A State is what goes on from the sequence numbers of a stream after a restart of ours.
type State struct {
	Next      uint32    `json:"next"`
	Uptime    uint32    `json:"uptime,omitempty"`
	At        time.Time `json:"at"`
	Datagrams int       `json:"by_datagrams,omitempty"`
	Records   int       `json:"by_records,omitempty"`
}

// State gives what is to be saved; ok is false for a stream without any number yet.
func (q *Tracker) State() (s State, ok bool) {
	return State{Next: q.next, Uptime: q.uptime, At: q.seen, Datagrams: q.units.datagrams, Records: q.units.records}, q.known
}

// Resume goes on from saved numbers. stale means that datagrams were decoded after
// they were saved, so that the next gap is an estimate.
func (q *Tracker) Resume(s State, stale bool) {
	q.known, q.stale, q.next, q.uptime, q.at, q.seen = true, stale, s.Next, s.Uptime, s.At, s.At
	q.units.datagrams, q.units.records = s.Datagrams, s.Records
	q.units.nextByDatagrams, q.units.nextByRecords = s.Next, s.Next
}

// Turns is the number of times that a source port sent again after another one had sent.
func (q *Tracker) Turns() int { return q.ports.turns }

// Split is called when the ports are followed apart from now on: what the second
// process made look lost is lost no more.
func (q *Tracker) Split() {
	q.lost -= min(q.lost, q.ports.jump)
	q.estimate = min(q.estimate, q.lost)
}

// Inherit goes on where one port was in the numbers of all ports together.
func (q *Tracker) Inherit(from *Tracker, v flow.Version, port uint16) {
	q.units = from.units
	for _, p := range from.ports.states {
		if p.known && p.port == port {
			q.known, q.next = true, p.nextByDatagrams
			if q.Unit(v) != Datagrams {
				q.next = p.nextByRecords
			}
		}
	}
}

// maxSources bounds the sFlow data sources (ports, mostly) of one sub-agent.
const maxSources = 4096

// Drops follows the drops counter of an sFlow data source: packets that the agent
// could not sample. room is asked for the memory of one more source.
func (q *Tracker) Drops(source uint64, drops uint32, room func() bool) {
	last, ok := q.sources[source]
	if !ok && (len(q.sources) >= maxSources || !room()) {
		return
	}
	if q.sources == nil {
		q.sources = make(map[uint64]uint32)
	}
	switch {
	case !ok || drops <= last:
	case drops-last > plausible:
		q.jumps++
	default:
		q.dropped += uint64(drops - last)
	}
	q.sources[source] = drops
}
