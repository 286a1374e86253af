// Package notice is what people get: several events in one message, the most severe first,
// with the evidence and what to do. It owns the words and their bounds, and takes everything out
// of foreign text that must not reach people. Package webhook fills a message and sends it.
package notice

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// Limits of one message.
const (
	maxNotices  = 20  // shown in detail, the most severe first
	maxLocals   = 8   // hosts named
	maxListings = 5   // listings named
	maxText     = 400 // characters of one foreign text
)

// A Subject is what is reported once: an offender, or an alert with its reason; of an alert of
// a rule with its group, for the reason has numbers that grow.
type Subject struct {
	Offender      netip.Addr
	Alert, Reason string
}

// Of gives the subject of an event.
func Of(e *event.Event) Subject {
	if r := e.RaisedBy(); r != nil {
		return Subject{e.Offender, e.Alert, groupOf(r)}
	}
	if e.Kind == event.KindAlert {
		return Subject{e.Offender, e.Alert, e.Reason}
	}
	return Subject{Offender: e.Offender}
}

// A notice is what a message has about one subject.
type notice struct {
	subject Subject
	event   event.Event // the gravest, the first of them; without the listings that may not leave
	news    string      // why it is reported
	hidden  uint64      // listings of it that may not leave
	events  int
	locals  []local
	more    int // locals not named
}

// A local is a host of ours.
type local struct {
	addr netip.Addr
	site string // empty = none
}

// String gives the address, and the site where it has one.
func (l local) String() string {
	if l.site == "" {
		return l.addr.String()
	}
	return l.addr.String() + " at " + plain(l.site)
}

// A Message is what is sent at once. It names the most severe subjects, and counts the
// others, so that a storm takes little room. The zero value is empty.
type Message struct {
	// MaxTLP is the rank of the most restricted label that may leave, see [intel.TLPRank].
	MaxTLP int
	// Page is the address of the web page for links, without a slash at the end; empty = none.
	Page string

	notices []*notice           // the most severe of all, at most maxNotices
	at      map[Subject]*notice // nil = counted only
	order   []Subject
	events  int
	beyond  int // events of subjects that were only counted, see Count
}

// Empty reports whether nothing was added.
func (m *Message) Empty() bool { return len(m.at) == 0 }

// Has reports whether the message is about a subject.
func (m *Message) Has(s Subject) bool {
	_, ok := m.at[s]
	return ok
}

// Subjects gives all subjects, in the order in which they were added.
func (m *Message) Subjects() []Subject { return m.order }

// Named is how many subjects can be named.
func (m *Message) Named() int { return len(m.notices) }

// Unnamed is how many subjects cannot; beyond some thousand it counts their events.
func (m *Message) Unnamed() int { return len(m.order) + m.beyond - len(m.notices) }

// Count counts an event whose subject finds no room any more.
func (m *Message) Count() {
	m.events++
	m.beyond++
}

// Events is how many events were added.
func (m *Message) Events() int { return m.events }

// Add adds an event, and why it is reported. The event is copied as far as it is needed.
func (m *Message) Add(e *event.Event, news string) {
	m.events++
	s := Of(e)
	if m.at == nil {
		m.at = map[Subject]*notice{}
	}
	n, known := m.at[s]
	if !known {
		m.order = append(m.order, s)
		m.at[s] = nil
	}
	if n == nil {
		if n = m.room(s, e); n == nil {
			return
		}
		n.news = news
	}
	n.events++
	if n.event.Kind == "" || e.Severity > n.event.Severity {
		n.event, n.hidden = share(e, m.MaxTLP)
		n.news = news
	}
	switch {
	case !e.Local.IsValid() || slices.Contains(n.locals, local{e.Local, e.Site}):
	case len(n.locals) < maxLocals:
		n.locals = append(n.locals, local{e.Local, e.Site})
	default:
		n.more++
	}
}

// room makes a notice, which may take the place of a less severe one; nil = there is none.
func (m *Message) room(s Subject, e *event.Event) *notice {
	n := &notice{subject: s}
	if len(m.notices) < maxNotices {
		m.notices = append(m.notices, n)
	} else {
		least := len(m.notices) - 1
		for i := least; i >= 0; i-- {
			if m.notices[i].event.Severity < m.notices[least].event.Severity {
				least = i
			}
		}
		if m.notices[least].event.Severity >= e.Severity {
			return nil
		}
		m.at[m.notices[least].subject] = nil
		m.notices = append(slices.Delete(m.notices, least, least+1), n)
	}
	m.at[s] = n
	return n
}

// share copies an event without the listings that may not leave, and without what was made of
// them. hidden is how many there were.
func share(e *event.Event, most int) (out event.Event, hidden uint64) {
	out = *e
	out.Indicators = slices.DeleteFunc(slices.Clone(e.Indicators), func(i event.Indicator) bool { return intel.TLPRank(i.TLP) > most })
	out.Exporters = slices.Clone(e.Exporters)
	hidden = uint64(len(e.Indicators) - len(out.Indicators))
	if e.Rule != nil && intel.TLPRank(e.Rule.TLP) > most {
		hidden++ // at least: the evidence does not have the listings
	}
	if hidden == 0 {
		return out, 0
	}
	out.Unknown, out.Rule = nil, nil
	out.Reason = "listed; the reason names listings that may not be shown"
	if e.Kind == event.KindAlert {
		out.Reason = "the reason names listings that may not be shown; see `flowsnitch status` and the hit log"
	} else if words := howItIs(e); words != "" {
		out.Reason = "listed; " + words
	}
	return out, hidden
}

// howItIs is the part of a reason that is not about listings.
func howItIs(e *event.Event) string {
	words := []string{string(e.Direction)}
	switch {
	case e.Blocked:
		words = append(words, "blocked")
	case e.Refused:
		words = append(words, "refused")
	case e.Answered == event.AnsweredYes:
		words = append(words, "answered")
	case e.Answered == event.AnsweredNo:
		words = append(words, "not answered")
	}
	return strings.Trim(strings.Join(words, ", "), ", ")
}

// shown returns the notices that appear in detail, the most severe first, at most most, and
// how many subjects are not among them.
func (m *Message) shown(most int) (list []*notice, more int) {
	list = slices.Clone(m.notices)
	slices.SortStableFunc(list, func(a, b *notice) int { return int(b.event.Severity) - int(a.event.Severity) })
	list = list[:min(len(list), most)]
	return list, len(m.order) + m.beyond - len(list)
}

// Title is one line about the whole message.
func (m *Message) Title() string {
	list, more := m.shown(1)
	first := &list[0].event
	what := "contact with " + first.Offender.String()
	if first.Kind == event.KindAlert {
		what = "alert " + plain(first.Alert)
	}
	if more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("flowsnitch %s: %s %s", plain(first.Sensor), first.Severity, what)
}

// Text is the message for people. quote is put around foreign text.
func (m *Message) Text(quote func(string) string) string {
	var b strings.Builder
	v := m.View(maxNotices)
	for i := range v.Notices {
		v.Notices[i].write(&b, quote)
	}
	if v.More > 0 {
		b.WriteString(v.Rest + "\n")
	}
	return b.String()
}

func (n *Notice) write(b *strings.Builder, quote func(string) string) {
	if n.Alert != "" {
		fmt.Fprintf(b, "%s alert %s\n", n.Severity, quote(n.Alert))
	} else {
		fmt.Fprintf(b, "%s contact with %s (score %d): %s\n", n.Severity, n.Offender, n.Score, n.News)
	}
	fmt.Fprintf(b, "Why: %s\n", quote(n.Reason))
	fmt.Fprintf(b, "Trigger: %s\n", quote(n.Trigger))
	for _, line := range n.Evidence {
		fmt.Fprintf(b, "Evidence: %s\n", quote(line))
	}
	if n.Hidden != "" {
		fmt.Fprintf(b, "Evidence: %s\n", n.Hidden)
	}
	if n.Place != "" {
		fmt.Fprintf(b, "Belongs to: %s\n", quote(n.Place))
	}
	if n.Hosts != "" {
		fmt.Fprintf(b, "Our side: %s\n", quote(n.Hosts))
	}
	fmt.Fprintf(b, "Sensor: %s, exporter %s\n", quote(n.Sensor), n.Exporter)
	fmt.Fprintf(b, "What to do: %s\n", n.Do)
	if n.Take != "" {
		fmt.Fprintf(b, "Take it: `%s`\nSilence it: `%s`\n", n.Take, n.Silence)
	}
	if n.Link != "" {
		fmt.Fprintf(b, "Page: %s\n", n.Link)
	}
	b.WriteString("\n")
}

func (n *notice) hosts() string {
	if len(n.locals) == 0 {
		return ""
	}
	var names []string
	for _, a := range n.locals {
		names = append(names, a.String())
	}
	s := strings.Join(names, ", ")
	if n.more > 0 {
		s += ", and more"
	}
	return fmt.Sprintf("%s (%d %s)", s, n.events, plural(uint64(n.events), "event", "events"))
}

func exporter(e *event.Event) string {
	if !e.Exporter.IsValid() {
		return "none"
	}
	return e.Exporter.String()
}

// evidence lists who lists what since when.
func evidence(i *event.Indicator) string {
	s := fmt.Sprintf("%s by %s (%d)", i.Prefix, plain(i.Feed), i.Score)
	if i.Category != "" {
		s += ", " + plain(i.Category)
	}
	if !i.FirstSeen.IsZero() {
		s += ", since " + i.FirstSeen.UTC().Format("2006-01-02")
	}
	for _, text := range []string{i.Ref, i.Description} {
		if text != "" {
			s += ", " + plain(text)
		}
	}
	return s
}

// advice is what to do now.
func advice(e *event.Event) string {
	look := fmt.Sprintf("`flowsnitch lookup %s` shows all listings.", e.Offender)
	switch {
	case e.Kind == event.KindAlert:
		return alertAdvice(e)
	case e.Direction == event.Outbound && e.Blocked:
		return fmt.Sprintf("The border dropped it, but %s tried: look for what did on that host. %s", host(e), look)
	case e.Direction == event.Outbound || e.Direction == event.Internal:
		return fmt.Sprintf("Find what talks on %s, take the host off the network if nothing explains it, block %s at the border. %s", host(e), e.Offender, look)
	case e.Direction == event.Inbound && e.Answered == event.AnsweredYes:
		return fmt.Sprintf("%s answered: read its logs of that time, close the service to the world or block %s at the border. %s", host(e), e.Offender, look)
	case e.Direction == event.Inbound:
		return fmt.Sprintf("Nothing is known to have answered; block %s at the border. %s", e.Offender, look)
	}
	return fmt.Sprintf("Neither end is ours: inform the customer or neighbour it belongs to. %s", look)
}

func host(e *event.Event) string {
	if !e.Local.IsValid() {
		return "our host"
	}
	return e.Local.String() // the site is named elsewhere: advice stands without quotes
}

func alertAdvice(e *event.Event) string {
	r := e.RaisedBy()
	switch {
	case r != nil:
		return ruleAdvice(e, r)
	case strings.Contains(e.Alert, "own_address"):
		return "One of our own addresses is listed: look for a compromised host behind it, then ask the feed to remove it."
	case strings.Contains(e.Alert, "quarantine"):
		return "One entry of a feed matches an absurd share of all flows; what it sends us without an answer is one contact for now. If the entry is wrong, put it on the allow list; if it is right, block it."
	case strings.Contains(e.Alert, "feed"):
		return "The last good copy stays in use. `flowsnitch intel status` has the reason, `flowsnitch intel accept` takes the new one."
	}
	return "See `flowsnitch status` and the log."
}

// plain takes everything out of a foreign text that is not to be seen, and cuts it.
func plain(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxText {
			return b.String() + "…"
		}
		switch {
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Slack makes the document of Slack's and Mattermost's incoming webhooks. In code
// neither takes anything for a mention or a link; Slack wants &, < and > escaped
// everywhere.
func (m *Message) Slack() ([]byte, error) {
	text := Code(m.Title()) + "\n" + m.Text(Code)
	return json.Marshal(map[string]string{"text": EscapeSlack(text)})
}

// Code gives a text as code, in which Slack, Mattermost and markdown see no mention, link or
// format.
func Code(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }

// EscapeSlack escapes what Slack requires to be escaped everywhere: mentions and links begin with <.
func EscapeSlack(s string) string { return slackEscapes.Replace(s) }

var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// JSON makes the generic document.
func (m *Message) JSON() ([]byte, error) {
	type offender struct {
		Event   json.RawMessage `json:"event"` // as in the hit log
		News    string          `json:"news,omitempty"`
		Hidden  uint64          `json:"listings_not_shown,omitempty"` // for their TLP
		Events  int             `json:"events"`
		Locals  []string        `json:"locals,omitempty"`
		Do      string          `json:"what_to_do"`
		Take    string          `json:"take,omitempty"`
		Silence string          `json:"silence,omitempty"`
		Link    string          `json:"link,omitempty"`
	}
	list, more := m.shown(maxNotices)
	doc := struct {
		Title   string     `json:"title"`
		Notices []offender `json:"notices"`
		More    int        `json:"more,omitempty"`
	}{Title: m.Title(), More: more}
	for _, n := range list {
		v := m.view(n)
		o := offender{
			Event: event.AppendJSON(nil, &n.event), News: n.news, Hidden: n.hidden, Events: n.events,
			Do: v.Do, Take: v.Take, Silence: v.Silence, Link: v.Link,
		}
		for _, a := range n.locals {
			o.Locals = append(o.Locals, a.String())
		}
		doc.Notices = append(doc.Notices, o)
	}
	return json.Marshal(doc)
}
