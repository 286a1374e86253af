package form

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form/words"
)

// maxTextFeeds is how many feeds a line names.
const maxTextFeeds = 8

// The colours of a terminal (ECMA-48, select graphic rendition).
const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

// AppendText appends e as one line for people, newline included:
//
//	2026-06-07 12:38:20  10.0.0.5:51515 -> 203.0.113.9:443 (TCP) high  feodo, otx https://…
//
// The time is local. An offender that is neither end but a translated or inner
// address stands behind the ends in brackets, and after the protocol the site, if there is
// one; updates, and hits before the listing, have their totals, alerts begin with ALERT. With colour, severities are coloured and the offender is bold.
// Foreign text is stripped of everything that a terminal would obey.
func AppendText(dst []byte, e *event.Event, colour bool) []byte {
	t := prose{b: dst, colour: colour, offender: e.Offender}
	t.b = e.Time.Local().AppendFormat(t.b, "2006-01-02 15:04:05")
	t.put("  ")
	if e.Kind == event.KindAlert {
		t.alert(e)
	} else {
		t.contact(e)
	}
	t.place(e)
	t.listings(e.Indicators)
	if e.Silenced != "" {
		t.put("  ")
		t.paint(cyan, "silenced")
		t.put(" by ")
		t.b = fit.AppendName(t.b, e.Silenced, event.MaxName)
	}
	t.put("\n")
	return t.b
}

// prose writes the text form of one event.
type prose struct {
	b        []byte
	colour   bool
	offender netip.Addr
}

func (t *prose) put(s string) { t.b = append(t.b, s...) }

func (t *prose) number(n uint64) { t.b = strconv.AppendUint(t.b, n, 10) }

func (t *prose) contact(e *event.Event) {
	ports := e.HasPorts && e.Protocol != flow.ProtocolICMP && e.Protocol != flow.ProtocolICMPv6
	t.end(e.Src, e.SrcPort, ports)
	t.put(" -> ")
	t.end(e.Dst, e.DstPort, ports)
	if e.Offender.IsValid() && e.Offender != e.Src && e.Offender != e.Dst {
		t.put(" [")
		t.put(e.Role.String())
		t.put(" ")
		t.address(e.Offender)
		t.put("]")
	}
	if e.HasProtocol {
		t.protocol(e.Protocol)
	}
	if e.Site != "" { // two sites may use the same addresses
		t.put(" at ")
		t.b = fit.AppendName(t.b, e.Site, event.MaxName)
	}
	t.put(" ")
	t.severity(e.Severity)
	switch e.Kind {
	case event.KindHit:
		if e.Retro {
			t.past(e)
		}
	case event.KindUpdate:
		t.totals(e)
	case event.KindCanary:
		t.put(" ")
		t.paint(cyan, "canary")
	}
}

func (t *prose) alert(e *event.Event) {
	t.paint(bold, "ALERT")
	t.put(" ")
	t.severity(e.Severity)
	t.put(" ")
	t.b = fit.AppendName(t.b, e.Alert, event.MaxName)
	if e.Offender.IsValid() {
		t.put(" ")
		t.address(e.Offender)
	}
	if e.Reason != "" {
		t.put("  ")
		t.b = fit.AppendPlain(t.b, e.Reason, words.MaxProse)
	}
}

// past marks a hit that happened before the listing, and reports when it began.
func (t *prose) past(e *event.Event) {
	t.put(" ")
	t.paint(cyan, "before the listing")
	t.put(": since ")
	t.b = e.Start.Local().AppendFormat(t.b, "2006-01-02 15:04:05")
	t.put(", on ")
	t.number(uint64(e.Days))
	t.put(" day")
	if e.Days != 1 {
		t.put("s")
	}
	t.put(", ")
	t.counts(e)
}

// totals marks an update and reports what the contact has come to.
func (t *prose) totals(e *event.Event) {
	t.put(" ")
	t.paint(cyan, "update")
	t.put(": ")
	t.counts(e)
}

// counts writes how much a contact was, and what became of it.
func (t *prose) counts(e *event.Event) {
	t.number(e.Flows)
	t.put(" flows, ")
	t.number(e.Packets + e.PacketsBack)
	t.put(" packets, ")
	t.number(e.Bytes + e.BytesBack)
	t.put(" bytes")
	switch {
	case e.Answered == event.AnsweredYes:
		t.put(", answered")
	case e.Refused:
		t.put(", refused")
	}
	if e.Folded {
		t.several(e.Ports, e.PortsCapped, " port")
		t.several(e.Hosts, e.HostsCapped, " host")
	}
}

// several writes how many ports or hosts a folded contact stands for.
func (t *prose) several(n uint32, more bool, of string) {
	t.put(", ")
	if more {
		t.put("more than ")
	}
	t.number(uint64(n))
	t.put(of)
	if n != 1 || more {
		t.put("s")
	}
}

// end writes one end of a flow, "-" when it has no address. Before a port, an
// IPv6 address stands in brackets.
func (t *prose) end(a netip.Addr, port uint16, hasPort bool) {
	switch {
	case !a.IsValid():
		t.put("-")
		return
	case hasPort && a.Is6():
		t.put("[")
		t.address(a)
		t.put("]")
	default:
		t.address(a)
	}
	if hasPort {
		t.put(":")
		t.number(uint64(port))
	}
}

// address writes an address, bold if it is the offender's.
func (t *prose) address(a netip.Addr) {
	shine := t.colour && a == t.offender
	if shine {
		t.put(bold)
	}
	t.b = a.WithZone("").AppendTo(t.b)
	if shine {
		t.put(reset)
	}
}

// protocol writes the keyword in capitals.
func (t *prose) protocol(p uint8) {
	t.put(" (")
	start := len(t.b)
	t.b = flow.AppendProtocol(t.b, p)
	for i, c := range t.b[start:] {
		if 'a' <= c && c <= 'z' {
			t.b[start+i] = c - 'a' + 'A'
		}
	}
	t.put(")")
}

func (t *prose) severity(s event.Severity) {
	switch {
	case s >= event.High:
		t.paint(red, s.String())
	case s == event.Medium:
		t.paint(yellow, s.String())
	default:
		t.put(s.String())
	}
}

// place writes the country and the autonomous system of the offender.
func (t *prose) place(e *event.Event) {
	if e.Country == "" && !e.HasAS() {
		return
	}
	sep := "  "
	if e.Country != "" {
		t.put(sep)
		t.b = fit.AppendName(t.b, e.Country, event.MaxName)
		sep = " "
	}
	if e.ASNumber != 0 {
		t.put(sep)
		t.put("AS")
		t.number(uint64(e.ASNumber))
		sep = " "
	}
	if e.ASName != "" {
		t.put(sep)
		t.b = fit.AppendPlain(t.b, e.ASName, event.MaxLabel)
	}
}

// listings writes the feeds, each once, and where to read about the best listing.
func (t *prose) listings(list []event.Indicator) {
	if len(list) == 0 {
		return
	}
	t.put("  ")
	var names [maxTextFeeds]string
	seen := names[:0]
	for i := range list {
		feed := list[i].Feed
		if feed == "" || slices.Contains(seen, feed) {
			continue
		}
		if len(seen) > 0 {
			t.put(", ")
		}
		if len(seen) == maxTextFeeds {
			t.put(fit.Ellipsis)
			break
		}
		seen = append(seen, feed)
		t.b = fit.AppendName(t.b, feed, event.MaxName)
	}
	if ref := list[0].Ref; ref != "" {
		t.put(" ")
		t.b = fit.AppendPlain(t.b, ref, words.MaxProse)
	}
}

// paint writes a word in a colour, where colours are on.
func (t *prose) paint(colour, word string) {
	if !t.colour {
		t.put(word)
		return
	}
	t.put(colour)
	t.put(word)
	t.put(reset)
}
