// Package pairs has the forms that are a line of key=value: CEF, LEEF, and our own for syslog
// and OSSEC. It owns the escapes and the room of a line: a pair that does not fit is left out
// whole, the least important first. Package form chooses among them.
package pairs

import (
	"net/netip"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/jsonline"
	"github.com/google/uuid"
)

// pairs is a line of key=value that is being appended. A key whose value is empty
// is left out, and so is a pair for which no room is left: the forms begin with what
// matters most.
type pairs struct {
	b      []byte
	start  int  // where the line begins in b
	max    int  // length of the line, its newline included
	mark   int  // where the pair begins that is being written
	sep    byte // stands between two pairs
	due    bool // a separator comes before the next pair
	quote  bool // free text stands in quotes
	escape func([]byte, rune) []byte
}

// begin begins a pair.
func (p *pairs) begin(key string) {
	p.mark = len(p.b)
	if p.due {
		p.b = append(p.b, p.sep)
	}
	p.b = append(append(p.b, key...), '=')
}

// end ends a pair and takes it back where it is too long.
func (p *pairs) end() {
	if p.room() < 0 {
		p.b = p.b[:p.mark]
		return
	}
	p.due = true
}

// room is what is left for the line, without its newline.
func (p *pairs) room() int { return p.max - 1 - (len(p.b) - p.start) }

// line ends the line and gives all that was appended.
func (p *pairs) line() []byte { return append(p.b, '\n') }

// text writes foreign or free text, cut to what fits.
func (p *pairs) text(key, value string, limit int) {
	if value == "" {
		return
	}
	p.begin(key)
	if !p.quote {
		p.b = fit.AppendCut(p.b, value, min(limit, p.room()), p.escape)
	} else {
		p.b = append(p.b, '"')
		p.b = append(fit.AppendCut(p.b, value, min(limit, p.room()-1), p.escape), '"')
	}
	p.end()
}

// name writes a word that must need no escape.
func (p *pairs) name(key, value string) {
	if value == "" {
		return
	}
	p.begin(key)
	p.b = fit.AppendName(p.b, value, event.MaxName)
	p.end()
}

// number writes a number, 0 as well.
func (p *pairs) number(key string, value uint64) {
	p.begin(key)
	p.b = strconv.AppendUint(p.b, value, 10)
	p.end()
}

// count writes a number that is absent when 0.
func (p *pairs) count(key string, value uint64) {
	if value != 0 {
		p.number(key, value)
	}
}

// flag writes yes, and nothing for no.
func (p *pairs) flag(key string, set bool) {
	if set {
		p.name(key, "yes")
	}
}

// addr writes an address without its zone.
func (p *pairs) addr(key string, a netip.Addr) {
	if !a.IsValid() {
		return
	}
	p.begin(key)
	p.b = a.WithZone("").AppendTo(p.b)
	p.end()
}

func (p *pairs) prefix(key string, prefix netip.Prefix) {
	if !prefix.IsValid() {
		return
	}
	p.begin(key)
	p.b = prefix.AppendTo(p.b)
	p.end()
}

func (p *pairs) protocol(key string, protocol uint8) {
	p.begin(key)
	p.b = flow.AppendProtocol(p.b, protocol)
	p.end()
}

func (p *pairs) id(key string, id [16]byte) {
	p.begin(key)
	p.b = jsonline.AppendID(p.b, id)
	p.end()
}

// time writes a time in RFC 3339; one that it cannot express counts as absent.
func (p *pairs) time(key string, t time.Time) {
	t = t.UTC()
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return
	}
	p.begin(key)
	p.b = t.AppendFormat(p.b, jsonline.TimeFormat)
	p.end()
}

// millis writes a time as milliseconds since 1970; one before that counts as
// absent.
func (p *pairs) millis(key string, t time.Time) {
	if ms := t.UnixMilli(); ms > 0 {
		p.number(key, uint64(ms))
	}
}

// contactKeys are the keys of a contact that the forms spell each in its own way.
type contactKeys struct{ servicePort, firstSeen, portsCapped, hostsCapped string }

// contact writes which contact an event belongs to, and how much a folded one stands for.
func (p *pairs) contact(e *event.Event, keys contactKeys) {
	if e.Contact != (uuid.UUID{}) {
		p.id("contact", e.Contact)
		p.number("seq", uint64(e.Seq))
		p.flag("last", e.Last)
	}
	p.count(keys.servicePort, uint64(e.ServicePort))
	p.time(keys.firstSeen, e.ContactFirstSeen)
	p.flag("folded", e.Folded)
	p.count("ports", uint64(e.Ports))
	p.flag(keys.portsCapped, e.PortsCapped)
	p.count("hosts", uint64(e.Hosts))
	p.flag(keys.hostsCapped, e.HostsCapped)
}

// ruleKeys are the keys of an alert of a rule, as each form spells them.
type ruleKeys struct {
	name, kind, count, threshold, usual, failure, update, interval, spread string
	title, group, sources, targets, ports                                  string
}

// rule writes what a rule has counted.
func (p *pairs) rule(r *event.Rule, keys *ruleKeys) {
	p.name(keys.name, r.Name)
	p.name(keys.kind, r.Type)
	p.number(keys.count, r.Count)
	p.count(keys.threshold, r.Threshold)
	p.count(keys.usual, r.Usual)
	p.decimal(keys.failure, r.Error)
	p.flag(keys.update, r.Update)
	p.decimal(keys.interval, r.Interval.Seconds())
	p.decimal(keys.spread, r.Spread)
}

// maxList bounds a list within one value, in bytes.
const maxList = 256

// evidence writes what the group of a rule is and who was in it. What has no room in a value
// is left out, the least frequent first.
func (p *pairs) evidence(r *event.Rule, keys *ruleKeys) {
	p.text(keys.title, r.Title, event.MaxLabel)
	l := p.list(keys.group, len(r.Group))
	for i := 0; l.next(i, event.MaxRuleGroup); i++ {
		p.b = append(fit.AppendName(p.b, r.Group[i].Field, event.MaxName), ' ')
		p.b = fit.AppendCut(p.b, r.Group[i].Value, event.MaxName, p.escape)
	}
	p.shares(keys.sources, r.Sources)
	p.shares(keys.targets, r.Targets)
	l = p.list(keys.ports, len(r.Ports))
	for i := 0; l.next(i, event.MaxRulePorts); i++ {
		p.b = strconv.AppendUint(p.b, uint64(r.Ports[i].Port), 10)
	}
}

// shares writes values with their counts: 198.51.100.7 (8), 203.0.113.9 (7).
func (p *pairs) shares(key string, list []event.RuleShare) {
	l := p.list(key, len(list))
	for i := 0; l.next(i, event.MaxRuleShares); i++ {
		p.b = fit.AppendCut(p.b, list[i].Value, event.MaxName, p.escape)
		p.b = append(strconv.AppendUint(append(p.b, " ("...), list[i].Count, 10), ')')
	}
}

// An items is a value that is a list.
type items struct {
	p           *pairs
	n           int
	begin, last int // where the list and its last item begin
}

// list begins a value of n items.
func (p *pairs) list(key string, n int) items {
	if n == 0 {
		return items{}
	}
	p.begin(key)
	if p.quote {
		p.b = append(p.b, '"')
	}
	return items{p: p, n: n, begin: len(p.b), last: len(p.b)}
}

// next ends the item before the ith, and reports whether that is to be written. At the end it
// ends the value.
func (l *items) next(i, most int) bool {
	if l.n == 0 {
		return false
	}
	p := l.p
	full := len(p.b)-l.begin > maxList
	if full {
		p.b = p.b[:l.last]
	}
	if !full && i < min(l.n, most) {
		l.last = len(p.b)
		if i > 0 {
			p.b = append(p.b, ", "...)
		}
		return true
	}
	if p.quote {
		p.b = append(p.b, '"')
	}
	p.end()
	return false
}

// decimal writes a number with four decimals that is absent when 0.
func (p *pairs) decimal(key string, value float64) {
	if !(value > 0) {
		return
	}
	p.begin(key)
	p.b = strconv.AppendFloat(p.b, min(value, jsonline.MaxDecimal), 'f', 4, 64)
	p.end()
}

// appendGlyph appends what can be seen: white space of every kind as a blank, a
// character without a glyph as U+FFFD.
func appendGlyph(dst []byte, r rune) []byte {
	switch {
	case unicode.IsSpace(r):
		return append(dst, ' ')
	case unicode.IsPrint(r):
		return utf8.AppendRune(dst, r)
	}
	return utf8.AppendRune(dst, utf8.RuneError)
}
