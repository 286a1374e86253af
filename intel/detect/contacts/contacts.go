package contacts

import (
	"math/bits"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/hunt"
)

// Of gives the observation of a row that was received in an hour, whose beginning is in s
// since 1970 UTC. text gives the number of the name of a site, see detect.Engine.Text.
func Of(r *row.Row, hour uint32, text func(string) uint32) rule.Observation {
	o := rule.Observation{
		Time: hour, First: r.First, Last: r.Last, Outside: r.Outside, Inside: r.Inside, Site: text(r.Site),
		ServicePort: r.Port, Protocol: r.Protocol, Direction: r.Direction, Answered: answers[hunt.Answered(r)],
		Blocked: r.Flags&row.Blocked != 0, Refused: r.Flags&row.Refused != 0,
		Flows: uint64(r.Flows), Folded: uint64(r.Folded),
		BytesOut: r.BytesOut, BytesIn: r.BytesIn, PacketsOut: r.PacketsOut, PacketsIn: r.PacketsIn,
	}
	if r.Exporter.IsValid() {
		o.Exporter = flow.Addr6Of(r.Exporter)
	}
	return o
}

// answers are the words of the field answered, by number.
var answers = map[event.Answered]uint8{event.AnsweredNo: 0, event.AnsweredYes: 1, event.AnsweredUnknown: 2}

// hours are hours of a file: bit n is the n-th after its first.
type hours uint64

// hoursOf gives those of a row of a file from first to last, which are numbers of hours since
// 1970; day are the hours of the day with traffic. A row that has none of the hours of its file,
// by the clock of its exporter, is of the first. What is a day or more after the first has the same
// hour of the day, and is taken for the earlier one.
func hoursOf(day, first, last uint32) (h hours) {
	for n := first; n <= last && n-first < 24; n++ {
		if day&(1<<(n%24)) != 0 {
			h |= 1 << (n - first)
		}
	}
	return max(h, 1)
}

func (h hours) count() int { return bits.OnesCount64(uint64(h)) }

// spread gives what a row has in each of its hours, as if its flows were spread evenly: the
// first flow is in the first hour and the last one in the last. The observation is changed.
func (h hours) spread(o *rule.Observation, first uint32, add func(hour uint32, o *rule.Observation)) {
	whole, n := *o, uint64(h.count())
	for i := range n {
		at := first + uint32(bits.TrailingZeros64(uint64(h)))
		h &= h - 1
		o.Time = at * hour
		switch {
		case n == 1:
		case i == 0:
			o.First, o.Last = whole.First, whole.First
		case i == n-1:
			o.First, o.Last = whole.Last, whole.Last
		default:
			o.First, o.Last = o.Time, o.Time
		}
		o.Flows, o.Folded = part(whole.Flows, n, i), part(whole.Folded, n, i)
		o.BytesOut, o.BytesIn = part(whole.BytesOut, n, i), part(whole.BytesIn, n, i)
		o.PacketsOut, o.PacketsIn = part(whole.PacketsOut, n, i), part(whole.PacketsIn, n, i)
		add(at, o)
	}
}

// hour is in s.
const hour = 3600

// part is the i-th of n nearly equal parts of a number, the greater ones first.
func part(of, n, i uint64) uint64 {
	if i < of%n {
		return of/n + 1
	}
	return of / n
}
