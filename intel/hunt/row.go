package hunt

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/jsonline"
)

// Unknown is the direction of a contact of which flows do not show who opened it.
const Unknown event.Direction = "unknown"

// everyone is the host of a row that stands for many contacts.
const everyone = "*"

// A Row is one contact in one file of the history.
type Row struct {
	First, Last time.Time  // whole seconds, UTC
	Outside     netip.Addr // unmapped, as all addresses here
	Inside      netip.Addr // invalid in a folded row
	Protocol    uint8
	Port        uint16 // of the service, of whichever end offers it; 0 = none
	Direction   event.Direction
	Answered    event.Answered
	Refused     bool // the answer was a refusal
	Blocked     bool // a firewall on the way blocked it
	Flows       uint32
	// What we sent and received, multiplied by the sampling rate.
	PacketsOut, PacketsIn, BytesOut, BytesIn uint64
	Sampling                                 uint32     // one of so many packets was seen; 1 = all
	Exporter                                 netip.Addr // invalid = unknown
	Site                                     string
	Folded                                   uint32 // how many contacts it stands for; 0 = for itself
	Hours                                    uint32 // a bit for each hour of the day with traffic, UTC
	Unsynced                                 bool   // our clock was not synchronised
}

var directions = [...]event.Direction{row.Outbound: event.Outbound, row.Inbound: event.Inbound, row.Unknown: Unknown, row.Transit: event.Transit}

// rowOf puts a row of the history into words.
func rowOf(r *row.Row) Row {
	out := Row{
		First: time.Unix(int64(r.First), 0).UTC(), Last: time.Unix(int64(r.Last), 0).UTC(), Outside: r.Outside.Addr().Unmap(),
		Protocol: r.Protocol, Port: r.Port, Direction: Unknown, Answered: Answered(r),
		Refused: r.Flags&row.Refused != 0, Blocked: r.Flags&row.Blocked != 0, Flows: r.Flows,
		PacketsOut: r.PacketsOut, PacketsIn: r.PacketsIn, BytesOut: r.BytesOut, BytesIn: r.BytesIn,
		Sampling: r.Sampling, Exporter: r.Exporter, Site: r.Site, Folded: r.Folded, Hours: r.Hours, Unsynced: r.Flags&row.Unsynchronised != 0,
	}
	if int(r.Direction) < len(directions) {
		out.Direction = directions[r.Direction]
	}
	if !isFolded(r) {
		out.Inside = r.Inside.Addr().Unmap()
	}
	return out
}

// isFolded reports whether a row stands for contacts of many hosts.
func isFolded(r *row.Row) bool { return r.Folded > 0 && r.Inside == flow.Addr6{} }

// Answered reports whether there was an answer, and no only where every packet was seen.
func Answered(r *row.Row) event.Answered {
	back := min(r.PacketsIn, r.PacketsOut) // who opened it has sent something
	switch r.Direction {
	case row.Outbound:
		back = r.PacketsIn
	case row.Inbound:
		back = r.PacketsOut
	}
	refused := r.Flags&row.Refused != 0
	switch {
	case r.Flags&row.Answered != 0, back > 0 && !refused:
		return event.AnsweredYes
	case r.Sampling <= 1:
		return event.AnsweredNo
	}
	return event.AnsweredUnknown
}

// AppendJSON appends a row as a line of JSON, newline included. All keys are there, in this
// order, `first` first; only site, exporter and clock are left out where there is nothing.
// The host of a folded row is "*".
func (r *Row) AppendJSON(dst []byte) []byte {
	l := jsonline.Line{B: append(dst, '{')}
	l.Key("first")
	l.B = append(r.First.AppendFormat(append(l.B, '"'), time.RFC3339), '"')
	l.Key("last")
	l.B = append(r.Last.AppendFormat(append(l.B, '"'), time.RFC3339), '"')
	l.Addr("outside", r.Outside)
	if l.Addr("inside", r.Inside); !r.Inside.IsValid() {
		l.Text("inside", everyone, len(everyone))
	}
	l.Key("protocol")
	l.B = append(flow.AppendProtocol(append(l.B, '"'), r.Protocol), '"')
	l.Number("port", uint64(r.Port))
	l.Name("direction", string(r.Direction))
	l.Name("answered", string(r.Answered))
	l.Bool("refused", r.Refused)
	l.Bool("blocked", r.Blocked)
	l.Number("flows", uint64(r.Flows))
	l.Number("packets_out", r.PacketsOut)
	l.Number("packets_in", r.PacketsIn)
	l.Number("bytes_out", r.BytesOut)
	l.Number("bytes_in", r.BytesIn)
	l.Number("sampling", uint64(r.Sampling))
	l.Number("folded", uint64(r.Folded))
	l.Open("hours", '[')
	for h := range r.EachHour() {
		l.Number("", uint64(h))
	}
	l.Close(']')
	l.Addr("exporter", r.Exporter)
	l.Text("site", r.Site, event.MaxLabel)
	if r.Unsynced {
		l.Name("clock", "unsynced")
	}
	return append(l.B, "}\n"...)
}

// MarshalJSON gives what AppendJSON appends, without the newline.
func (r Row) MarshalJSON() ([]byte, error) {
	b := r.AppendJSON(nil)
	return b[:len(b)-1], nil
}

// EachHour yields the hours of the day with traffic, 0 to 23, UTC.
func (r *Row) EachHour() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for left := r.Hours; left != 0; left &= left - 1 {
			if !yield(bits.TrailingZeros32(left)) {
				return
			}
		}
	}
}

// UnmarshalJSON reads what AppendJSON writes.
func (r *Row) UnmarshalJSON(b []byte) error {
	var in struct {
		First      time.Time       `json:"first"`
		Last       time.Time       `json:"last"`
		Outside    netip.Addr      `json:"outside"`
		Inside     string          `json:"inside"`
		Protocol   string          `json:"protocol"`
		Port       uint16          `json:"port"`
		Direction  event.Direction `json:"direction"`
		Answered   event.Answered  `json:"answered"`
		Refused    bool            `json:"refused"`
		Blocked    bool            `json:"blocked"`
		Flows      uint32          `json:"flows"`
		PacketsOut uint64          `json:"packets_out"`
		PacketsIn  uint64          `json:"packets_in"`
		BytesOut   uint64          `json:"bytes_out"`
		BytesIn    uint64          `json:"bytes_in"`
		Sampling   uint32          `json:"sampling"`
		Folded     uint32          `json:"folded"`
		Hours      []int           `json:"hours"`
		Exporter   netip.Addr      `json:"exporter"`
		Site       string          `json:"site"`
		Clock      string          `json:"clock"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*r = Row{
		First: in.First, Last: in.Last, Outside: in.Outside, Port: in.Port, Direction: in.Direction, Answered: in.Answered,
		Refused: in.Refused, Blocked: in.Blocked, Flows: in.Flows, PacketsOut: in.PacketsOut, PacketsIn: in.PacketsIn,
		BytesOut: in.BytesOut, BytesIn: in.BytesIn, Sampling: in.Sampling, Folded: in.Folded, Exporter: in.Exporter,
		Site: in.Site, Unsynced: in.Clock != "",
	}
	for _, h := range in.Hours {
		r.Hours |= 1 << (h & 31)
	}
	var ok bool
	if r.Protocol, ok = flow.ParseProtocol(in.Protocol); !ok {
		return fmt.Errorf("protocol %q", in.Protocol)
	}
	if in.Inside == everyone {
		return nil
	}
	var err error
	r.Inside, err = netip.ParseAddr(in.Inside)
	return err
}

// Header are the names of the columns of [Row.Fields].
func Header() []string {
	return []string{"first", "last", "outside", "inside", "protocol", "port", "direction", "answered", "refused", "blocked", "flows",
		"packets_out", "packets_in", "bytes_out", "bytes_in", "sampling", "folded", "hours", "exporter", "site", "clock"}
}

// Fields gives a row as texts, in the order of Header: those of the JSON. What an operator
// has named gets an apostrophe where a spreadsheet would take it for a formula.
func (r *Row) Fields() []string {
	inside, exporter, hours, clock := everyone, "", "", ""
	if r.Inside.IsValid() {
		inside = r.Inside.String()
	}
	if r.Exporter.IsValid() {
		exporter = r.Exporter.String()
	}
	for h := range r.EachHour() {
		hours += fmt.Sprintf(" %d", h)
	}
	if r.Unsynced {
		clock = "unsynced"
	}
	return []string{
		r.First.Format(time.RFC3339), r.Last.Format(time.RFC3339), r.Outside.String(), inside, flow.ProtocolName(r.Protocol), fmt.Sprint(r.Port),
		string(r.Direction), string(r.Answered), fmt.Sprint(r.Refused), fmt.Sprint(r.Blocked), fmt.Sprint(r.Flows),
		fmt.Sprint(r.PacketsOut), fmt.Sprint(r.PacketsIn), fmt.Sprint(r.BytesOut), fmt.Sprint(r.BytesIn), fmt.Sprint(r.Sampling),
		fmt.Sprint(r.Folded), strings.TrimPrefix(hours, " "), exporter, fit.Cell(r.Site), clock,
	}
}
