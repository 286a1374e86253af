package notice

import (
	"fmt"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form"
)

// maxKeyPart bounds the names in a key, in bytes, so that what they are followed by is in it.
const maxKeyPart = 90

// A View is what a template can show of a message. All texts are of one line, at most
// 400 characters long and without control characters, but hostile otherwise: what they mean
// to the reader of the document is the template's business.
type View struct {
	Title    string // one line about all of it
	Sensor   string
	Severity string // the worst: low, medium, high or critical
	Notices  []Notice
	More     int    // offenders and alerts that are not named
	Rest     string // the same in words; empty = all are named
	Page     string // address of the web page; empty = none

	// Topic and RoutingKey are those of the configuration.
	Topic, RoutingKey string
}

// A Notice is one offender or alert.
type Notice struct {
	News     string // why it is reported now
	Alert    string // name of an alert; empty = contact with an offender
	Offender string // address; of an alert the one that it is about, or empty
	Severity string
	Score    uint8
	Reason   string
	Trigger  string   // the flow, in one line
	Evidence []string // who lists it, at most 5; of an alert of a rule also whom it has seen, at most 4
	Hidden   string   // "2 listings not shown (TLP)", or empty
	Place    string   // country and AS, or empty
	Hosts    string   // of ours, or empty
	Sensor   string
	Exporter string // address, or "none"
	Do       string // what to do
	Take     string // the command that takes the incident; empty for alerts
	Silence  string // the command that silences it; empty for alerts
	Link     string // the incident on the page, or empty
	Key      string // the same for all notices of one offender or alert, at most 255 bytes
	Events   int
	Time     time.Time
}

// View shows the most severe subjects, at most most of them, which must be at least 1.
func (m *Message) View(most int) View {
	list, more := m.shown(most)
	v := View{Title: m.Title(), More: more, Page: m.Page}
	if more > 0 {
		v.Rest = fmt.Sprintf("%d more are not named here; `flowsnitch incidents` and the hit log have them all.", more)
	}
	for _, n := range list {
		v.Notices = append(v.Notices, m.view(n))
	}
	if len(list) > 0 {
		v.Sensor, v.Severity = plain(list[0].event.Sensor), list[0].event.Severity.String()
	}
	return v
}

// Single gives the view with one notice of it, for services that take one at a time, and
// with none for those that are not named.
func (v View) Single(i int) View {
	if i >= len(v.Notices) {
		v.Notices = nil
		v.Title = fmt.Sprintf("flowsnitch %s: %d more offenders and alerts", v.Sensor, v.More)
		return v
	}
	n := v.Notices[i]
	v.Notices, v.More, v.Rest, v.Severity = []Notice{n}, 0, "", n.Severity
	what := "contact with " + n.Offender
	if n.Alert != "" {
		what = "alert " + n.Alert
	}
	v.Title = fmt.Sprintf("flowsnitch %s: %s %s", n.Sensor, n.Severity, what)
	return v
}

func (m *Message) view(n *notice) Notice {
	e := &n.event
	v := Notice{
		News: n.news, Severity: e.Severity.String(), Score: e.Score, Reason: plain(e.Reason), Hosts: n.hosts(),
		Trigger: plain(strings.TrimSuffix(string(form.AppendText(nil, e, false)), "\n")),
		Sensor:  plain(e.Sensor), Exporter: exporter(e), Do: advice(e), Events: n.events, Time: e.Time,
	}
	if e.Offender.IsValid() {
		v.Offender = e.Offender.String()
	}
	for i := range e.Indicators[:min(len(e.Indicators), maxListings)] {
		v.Evidence = append(v.Evidence, evidence(&e.Indicators[i]))
	}
	r := e.RaisedBy()
	if r != nil {
		v.Evidence = append(v.Evidence, ruleEvidence(r)...)
	}
	v.Place = place(e)
	if n.hidden > 0 {
		v.Hidden = fmt.Sprintf("%d %s not shown (TLP)", n.hidden, plural(n.hidden, "listing", "listings"))
	}
	v.Key = "flowsnitch/" + fit.Cut(v.Sensor, maxKeyPart) + "/" + v.Offender
	if e.Kind == event.KindAlert {
		v.Alert = plain(e.Alert)
		v.Key += "/" + fit.Cut(v.Alert, maxKeyPart)
		switch {
		case r != nil:
			v.Key += "/" + fit.Cut(groupOf(r), maxKeyPart)
		case n.hidden > 0 && e.Local.IsValid(): // the group may name listings
			v.Key += "/" + e.Local.String()
		}
	} else {
		v.Take = "flowsnitch incidents take " + v.Offender
		v.Silence = "flowsnitch silence add --offender " + v.Offender + " --for 7d --reason TEXT"
		if m.Page != "" {
			v.Link = m.Page + "/incidents/" + v.Offender
		}
	}
	return v
}

// place gives the country and the AS of the offender, as far as they are known.
func place(e *event.Event) string {
	var parts []string
	if e.Country != "" {
		parts = append(parts, plain(e.Country))
	}
	if e.HasAS() {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("AS%d %s", e.ASNumber, plain(e.ASName))))
	}
	return fit.Cut(strings.Join(parts, ", "), 200)
}

func plural(n uint64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
