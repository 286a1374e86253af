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

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form"
)

// Limits of one message.
const (
	maxNotices  = 20  // shown in detail, the most severe first
	maxLocals   = 8   // hosts named
	maxListings = 5   // listings named
	maxText     = 400 // characters of one foreign text
)

// A Subject is what is reported once: an offender, or an alert.
type Subject struct {
	Offender      netip.Addr
	Alert, Reason string
}

// Of gives the subject of an event.
func Of(e *event.Event) Subject {
	if e.Kind == event.KindAlert {
		return Subject{e.Offender, e.Alert, e.Reason}
	}
	return Subject{Offender: e.Offender}
}

// A notice is what a message has about one subject.
type notice struct {
	subject Subject
	event   event.Event // the gravest, the first of them
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

// A Message is what is sent at once. The zero value is empty.
type Message struct {
	notices []*notice
	at      map[Subject]int // index in notices
}

// Empty reports whether nothing was added.
func (m *Message) Empty() bool { return len(m.notices) == 0 }

// Subjects gives the subjects, in the order in which they were added.
func (m *Message) Subjects() (list []Subject) {
	for _, n := range m.notices {
		list = append(list, n.subject)
	}
	return list
}

// Add adds an event.
func (m *Message) Add(e *event.Event) {
	s := Of(e)
	if m.at == nil {
		m.at = map[Subject]int{}
	}
	i, ok := m.at[s]
	if !ok {
		i = len(m.notices)
		m.at[s] = i
		m.notices = append(m.notices, &notice{subject: s, event: *e})
	}
	n := m.notices[i]
	n.events++
	if e.Severity > n.event.Severity {
		n.event = *e
	}
	switch {
	case !e.Local.IsValid() || slices.Contains(n.locals, local{e.Local, e.Site}):
	case len(n.locals) < maxLocals:
		n.locals = append(n.locals, local{e.Local, e.Site})
	default:
		n.more++
	}
}

// shown returns the notices that appear in detail, the most severe first, and how many
// are not.
func (m *Message) shown() (list []*notice, more int) {
	list = slices.Clone(m.notices)
	slices.SortStableFunc(list, func(a, b *notice) int { return int(b.event.Severity) - int(a.event.Severity) })
	if len(list) > maxNotices {
		return list[:maxNotices], len(list) - maxNotices
	}
	return list, 0
}

// Title is one line about the whole message.
func (m *Message) Title() string {
	list, _ := m.shown()
	first := &list[0].event
	what := "contact with " + first.Offender.String()
	if first.Kind == event.KindAlert {
		what = "alert " + plain(first.Alert)
	}
	if len(m.notices) > 1 {
		what += fmt.Sprintf(" and %d more", len(m.notices)-1)
	}
	return fmt.Sprintf("flowsnitch %s: %s %s", plain(first.Sensor), first.Severity, what)
}

// Text is the message for people. quote is put around foreign text.
func (m *Message) Text(quote func(string) string) string {
	var b strings.Builder
	list, more := m.shown()
	for _, n := range list {
		n.write(&b, quote)
	}
	if more > 0 {
		fmt.Fprintf(&b, "%d more are not shown here; the hit log has them all.\n", more)
	}
	return b.String()
}

func (n *notice) write(b *strings.Builder, quote func(string) string) {
	e := &n.event
	trigger := strings.TrimSuffix(string(form.AppendText(nil, e, false)), "\n")
	if e.Kind == event.KindAlert {
		fmt.Fprintf(b, "%s alert %s\n", e.Severity, quote(plain(e.Alert)))
	} else {
		fmt.Fprintf(b, "%s contact with %s (score %d)\n", e.Severity, e.Offender, e.Score)
	}
	fmt.Fprintf(b, "Why: %s\n", quote(plain(e.Reason)))
	fmt.Fprintf(b, "Trigger: %s\n", quote(plain(trigger)))
	for i := range e.Indicators[:min(len(e.Indicators), maxListings)] {
		fmt.Fprintf(b, "Evidence: %s\n", quote(evidence(&e.Indicators[i])))
	}
	if len(n.locals) > 0 {
		fmt.Fprintf(b, "Our side: %s\n", n.hosts())
	}
	fmt.Fprintf(b, "Sensor: %s, exporter %s\n", quote(plain(e.Sensor)), exporter(e))
	fmt.Fprintf(b, "What to do: %s\n\n", advice(e))
}

func (n *notice) hosts() string {
	var names []string
	for _, a := range n.locals {
		names = append(names, a.String())
	}
	s := strings.Join(names, ", ")
	if n.more > 0 {
		s += ", and more"
	}
	return fmt.Sprintf("%s (%d events)", s, n.events)
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
	return local{e.Local, e.Site}.String()
}

func alertAdvice(e *event.Event) string {
	switch {
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
	text := "*" + m.Title() + "*\n" + m.Text(func(s string) string {
		return "`" + strings.ReplaceAll(s, "`", "'") + "`"
	})
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	return json.Marshal(map[string]string{"text": escape.Replace(text)})
}

// JSON makes the generic document.
func (m *Message) JSON() ([]byte, error) {
	type offender struct {
		Event  json.RawMessage `json:"event"` // as in the hit log
		Events int             `json:"events"`
		Locals []string        `json:"locals,omitempty"`
		Do     string          `json:"what_to_do"`
	}
	list, more := m.shown()
	doc := struct {
		Title   string     `json:"title"`
		Notices []offender `json:"notices"`
		More    int        `json:"more,omitempty"`
	}{Title: m.Title(), More: more}
	for _, n := range list {
		o := offender{Event: event.AppendJSON(nil, &n.event), Events: n.events, Do: advice(&n.event)}
		for _, a := range n.locals {
			o.Locals = append(o.Locals, a.String())
		}
		doc.Notices = append(doc.Notices, o)
	}
	return json.Marshal(doc)
}
