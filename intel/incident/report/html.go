package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// HTML writes the report as one file that needs nothing else: no request, no script. It
// prints on A4.
func (r *Report) HTML(w io.Writer) error {
	return page.Execute(w, r.view())
}

// A view is what the page shows, in words. The template escapes them.
type view struct {
	Sensor, Period, Verdict, Waiting, WithheldText string
	New, Returning, Silenced, Made, MaxTLP         string
	Older, NoAlert, NoFeed, FeedsNote              string

	Alive      *Alive
	AliveLines []string

	Attention, Fresh, Persistent section
	Hosts                        []hostView
	MoreHosts                    string
	Charts                       []chart
	Rules                        []ruleView
	NoRule, MoreRules            string
	Alerts                       []alertView
	MoreAlerts, MoreSilences     string
	Silences                     []string
	Feeds                        []Feed
}

// A section is a list of incidents.
type section struct {
	Rows []incidentView
	More string
}

type incidentView struct{ Severity, Offender, Place, State, Reason, What, Seen string }

type hostView struct {
	Severity, Host, How, Out, Top string
	Offenders, Days               int
}

type ruleView struct {
	Severity, Head, Reason string
	Lines, Stop            []string
	Charts                 []chart
}

type alertView struct{ Severity, Name, Often, Last, Reason string }

// A chart has bars, of which the widest has a width of 100.
type chart struct {
	Head string
	Bars []bar
	Note string // below it; empty = none
}

type bar struct {
	Name, What string
	Value      uint64
	Width      int
}

func (r *Report) view() *view {
	f := &r.Figures
	v := &view{
		Sensor: plain(r.Sensor, 60), Period: r.period(), Verdict: r.Alive.verdict(), Waiting: r.waiting(), WithheldText: r.withheldText(),
		New: f.fresh(), Returning: f.returning(), Silenced: r.silenced(),
		Made: r.minute(r.Made), MaxTLP: r.MaxTLP, Alive: &r.Alive, AliveLines: r.aliveLines(),
		Attention: r.section(&r.Attention), Fresh: r.section(&r.New), Persistent: r.section(&r.Persistent), MoreHosts: rest(r.Hosts.rest(), r.Hosts.More),
		Charts: r.charts(), Older: r.older(), NoAlert: noAlert, NoFeed: noFeed, FeedsNote: feedsNote,
		MoreAlerts: rest(len(f.Alerts)-MaxRows, false), MoreSilences: rest(len(r.Silences)-MaxRows, false),
	}
	for i := range r.Hosts.Rows {
		h := &r.Hosts.Rows[i]
		v.Hosts = append(v.Hosts, hostView{h.Worst.String(), host(h.Host), how(h.Way(), false), observe.Size(h.BytesOut), strings.Trim(fmt.Sprint(h.Top), "[]"), h.Offenders, h.Days})
	}
	v.NoRule, v.MoreRules = noRule, rest(r.restOfRules(), false)
	for n := range r.Rules[:min(len(r.Rules), MaxRows)] {
		a := &r.Rules[n]
		v.Rules = append(v.Rules, ruleView{a.Severity, a.head(r), a.reason(), a.lines(r), a.stop(), a.charts()})
	}
	for _, a := range f.Alerts[:min(len(f.Alerts), MaxRows)] {
		v.Alerts = append(v.Alerts, alertView{a.Severity, plain(a.Name, 60), times(a.Count), r.minute(a.Last), plain(a.Reason, 300)})
	}
	for n := range r.Silences[:min(len(r.Silences), MaxRows)] {
		v.Silences = append(v.Silences, r.Silences[n].line(r))
	}
	for _, s := range f.Feeds {
		s.Feed = plain(s.Feed, 60)
		v.Feeds = append(v.Feeds, s)
	}
	return v
}

func (r *Report) section(list *List[incident.Incident]) section {
	s := section{More: rest(list.rest(), list.More)}
	for n := range list.Rows {
		i := &list.Rows[n]
		s.Rows = append(s.Rows, incidentView{i.Worst.String(), i.Offender.String(), place(i), state(i), plain(i.Reason, 300), r.what(i), r.seen(i)})
	}
	return s
}

// charts are the figures that text and HTML show with bars.
func (r *Report) charts() []chart {
	f := &r.Figures
	attempts := chart{Head: "Flows of each offender"}
	for _, b := range f.Attempts {
		if b.Offenders == 0 {
			continue
		}
		attempts.add(b.flows(), uint64(b.Offenders), things(b.Offenders, "offender"))
	}
	days := chart{Head: "Busiest days (UTC)", Note: r.daysNote()}
	for _, d := range busiest(f.Days) {
		days.add(d.Day, d.Flows, things(d.Flows, "flow")+", "+plural(d.Offenders, "offender"))
	}
	charts := []chart{attempts, days, placesChart("Countries", f.Countries), placesChart("Networks", f.Networks)}
	shown := charts[:0]
	for _, c := range charts {
		if len(c.Bars) > 0 {
			c.scale()
			shown = append(shown, c)
		}
	}
	return shown
}

// placesChart is empty where no database of networks knows anything.
func placesChart(head string, list []Place) chart {
	c := chart{Head: head}
	if len(list) == 0 || len(list) == 1 && list[0].name() == unknown {
		return c
	}
	for _, p := range list[:min(len(list), maxPlaces)] {
		c.add(p.name(), uint64(p.Offenders), things(p.Offenders, "offender")+", "+plural(p.Flows, "flow"))
	}
	return c
}

func (c *chart) add(name string, value uint64, what string) {
	c.Bars = append(c.Bars, bar{Name: name, Value: value, What: what})
}

// scale gives the widest bar a width of 100, and each that is not 0 at least 1.
func (c *chart) scale() {
	most := uint64(0)
	for _, b := range c.Bars {
		most = max(most, b.Value)
	}
	for i := range c.Bars {
		b := &c.Bars[i]
		if b.Value > 0 {
			b.Width = max(int(float64(b.Value)/float64(most)*100), 1)
		}
	}
}
