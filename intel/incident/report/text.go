package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/report/columns"
)

// Columns is the width of a report as text.
const Columns = columns.Width

// Text writes the report for a terminal or a mail: lines of 80 columns at most.
func (r *Report) Text(w io.Writer) error {
	t := &text{columns.New(w)}
	t.Line(0, "flowsnitch report of "+plain(r.Sensor, 60))
	t.Line(0, r.period())
	t.alive(r)
	t.attention(r)
	t.hosts(r)
	t.fresh(r)
	t.returned(r)
	t.charts(r)
	t.rules(r)
	t.alerts(r)
	t.feeds(r)
	t.silenced(r)
	return t.W.Flush()
}

// A text is a report as text.
type text struct{ *columns.Text }

func (t *text) head(s string) { t.W.WriteString("\n" + strings.ToUpper(s) + "\n") }

func (t *text) alive(r *Report) {
	t.head("Is it alive")
	t.Line(2, r.Alive.verdict())
	for _, l := range r.aliveLines() {
		t.Line(4, l)
	}
}

func (t *text) attention(r *Report) {
	t.head("What needs somebody")
	t.Line(2, r.waiting())
	t.incidents(r, &r.Attention)
	t.Line(2, r.older())
	t.Line(2, r.withheldText())
}

func (t *text) incidents(r *Report, list *List[incident.Incident]) {
	for n := range list.Rows {
		i := &list.Rows[n]
		t.Line(2, fmt.Sprintf("%s %s %s %s", i.Worst, i.Offender, place(i), state(i)))
		t.Line(6, plain(i.Reason, 300))
		t.Line(6, r.what(i))
		t.Line(6, r.seen(i))
	}
	t.Line(2, rest(list.rest(), list.More))
}

func (t *text) hosts(r *Report) {
	t.head("Hosts of ours, those in the worst trouble first")
	if len(r.Hosts.Rows) == 0 {
		t.Line(2, "None had contact with an offender.")
	}
	for n := range r.Hosts.Rows {
		h := &r.Hosts.Rows[n]
		t.Line(2, fmt.Sprintf("%s %s", h.Worst, host(h.Host)))
		facts := fmt.Sprintf("%s, %s, %s out; %s", plural(h.Offenders, "offender"), plural(h.Days, "day"), observe.Size(h.BytesOut), how(h.Way(), false))
		t.Line(6, facts)
		if len(h.Top) > 0 {
			t.Line(6, "worst: "+strings.Trim(fmt.Sprint(h.Top), "[]"))
		}
	}
	t.Line(2, rest(r.Hosts.rest(), r.Hosts.More))
}

func (t *text) fresh(r *Report) {
	t.head("New in this period")
	t.Line(2, r.Figures.fresh())
	t.incidents(r, &r.New)
}

func (t *text) returned(r *Report) {
	t.head("Persistent offenders")
	t.Line(2, r.Figures.returning())
	t.incidents(r, &r.Persistent)
}

// nameColumns is the width of names in tables.
const nameColumns = 24

// charts are histogram, days and places. Their bars have what numbers leave of the line.
func (t *text) charts(r *Report) {
	for _, c := range r.charts() {
		t.head(c.Head)
		t.chart(&c)
	}
}

// chart writes the bars of a chart, and the note below.
func (t *text) chart(c *chart) {
	wide := 0
	for _, b := range c.Bars {
		wide = max(wide, columns.Of(b.text()))
	}
	room := min(20, max(Columns-2-nameColumns-2-wide, 0))
	for _, b := range c.Bars {
		bar := strings.Repeat("#", (b.Width*room+99)/100)
		t.W.WriteString(strings.TrimRight("  "+columns.Cell(b.Name, nameColumns)+" "+columns.Cell(bar, room)+" "+columns.Cut(b.text(), Columns-2-nameColumns-2-room), " ") + "\n")
	}
	t.Line(2, c.Note)
}

// text is a bar in words.
func (b *bar) text() string { return fmt.Sprintf("%d %s", b.Value, b.What) }

func (t *text) alerts(r *Report) {
	t.head("Alerts")
	if len(r.Figures.Alerts) == 0 {
		t.Line(2, noAlert)
	}
	for _, a := range r.Figures.Alerts[:min(len(r.Figures.Alerts), MaxRows)] {
		t.Line(2, fmt.Sprintf("%s %s, %s, last %s", a.Severity, plain(a.Name, 60), times(a.Count), r.minute(a.Last)))
		t.Line(6, plain(a.Reason, 300))
	}
	t.Line(2, rest(len(r.Figures.Alerts)-MaxRows, false))
}

func (t *text) feeds(r *Report) {
	t.head("Feeds")
	if len(r.Figures.Feeds) == 0 {
		t.Line(2, noFeed)
		return
	}
	fmt.Fprintf(t.W, "  %s %9s %9s %9s %9s %9s\n", columns.Cell("feed", nameColumns), "offenders", "only here", "confirmed", "false", "not yet")
	for _, f := range r.Figures.Feeds {
		fmt.Fprintf(t.W, "  %s %9d %9d %9d %9d %9d\n", columns.Cell(plain(f.Feed, 60), nameColumns), f.Offenders, f.Unique, f.Confirmed, f.FalseAlarm, f.NotJudged)
	}
	t.Line(2, feedsNote)
}

func (t *text) silenced(r *Report) {
	t.head("Silenced")
	t.Line(2, r.silenced())
	for n := range r.Silences[:min(len(r.Silences), MaxRows)] {
		t.Line(4, r.Silences[n].line(r))
	}
	t.Line(2, rest(len(r.Silences)-MaxRows, false))
}
