package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// Columns is the width of a report as text.
const Columns = 80

// Text writes the report for a terminal or a mail: lines of 80 columns at most, but for words
// that are longer.
func (r *Report) Text(w io.Writer) error {
	t := &text{w: bufio.NewWriter(w)}
	t.line(0, "flowsnitch report of "+plain(r.Sensor, 60))
	t.line(0, r.period())
	t.alive(r)
	t.attention(r)
	t.hosts(r)
	t.fresh(r)
	t.returned(r)
	t.charts(r)
	t.alerts(r)
	t.feeds(r)
	t.silenced(r)
	return t.w.Flush()
}

// A text breaks lines.
type text struct{ w *bufio.Writer }

// line writes a text of one paragraph, indented, what continues it two columns more.
func (t *text) line(indent int, s string) {
	pad := strings.Repeat(" ", indent)
	column := 0
	for _, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			t.w.WriteString(pad + word)
			column = indent + n
		case column+1+n > Columns:
			t.w.WriteString("\n" + pad + "  " + word)
			column = indent + 2 + n
		default:
			t.w.WriteString(" " + word)
			column += 1 + n
		}
	}
	t.w.WriteString("\n")
}

func (t *text) head(s string) { t.w.WriteString("\n" + strings.ToUpper(s) + "\n") }

func (t *text) alive(r *Report) {
	t.head("Is it alive")
	t.line(2, r.Alive.verdict())
	for _, l := range r.aliveLines() {
		t.line(4, l)
	}
}

func (t *text) attention(r *Report) {
	t.head("What needs somebody")
	t.line(2, r.waiting())
	t.incidents(r, &r.Attention)
	if s := r.withheldText(); s != "" {
		t.line(2, s)
	}
}

func (t *text) incidents(r *Report, list *List[incident.Incident]) {
	for n := range list.Rows {
		i := &list.Rows[n]
		t.line(2, fmt.Sprintf("%s %s %s %s", i.Worst, i.Offender, place(i), state(i)))
		t.line(6, plain(i.Reason, 300))
		t.line(6, r.what(i))
		t.line(6, r.seen(i))
	}
	t.rest(list.rest(), list.More)
}

func (t *text) rest(n int, more bool) {
	if s := rest(n, more); s != "" {
		t.line(2, s)
	}
}

func (t *text) hosts(r *Report) {
	t.head("Hosts of ours, those in the worst trouble first")
	if len(r.Hosts.Rows) == 0 {
		t.line(2, "None had contact with an offender.")
	}
	for n := range r.Hosts.Rows {
		h := &r.Hosts.Rows[n]
		t.line(2, fmt.Sprintf("%s %s", h.Worst, host(h.Host)))
		facts := fmt.Sprintf("%s, %s, %s out; %s", plural(h.Offenders, "offender"), plural(h.Days, "day"), observe.Size(h.BytesOut), how(h.Way(), false))
		t.line(6, facts)
		if len(h.Top) > 0 {
			t.line(6, "worst: "+strings.Trim(fmt.Sprint(h.Top), "[]"))
		}
	}
	t.rest(r.Hosts.rest(), r.Hosts.More)
}

func (t *text) fresh(r *Report) {
	t.head("New in this period")
	t.line(2, fmt.Sprintf("%s, of %d.", plural(r.Figures.New, "offender"), r.Figures.Offenders))
	t.incidents(r, &r.New)
}

func (t *text) returned(r *Report) {
	t.head("Persistent offenders")
	t.line(2, r.Figures.returning())
	t.incidents(r, &r.Persistent)
}

// charts are histogram, days and places.
func (t *text) charts(r *Report) {
	for _, c := range r.charts() {
		t.head(c.Head)
		for _, b := range c.Bars {
			bar := strings.Repeat("#", (b.Width+4)/5)
			fmt.Fprintf(t.w, "  %-24s %-20s %d %s\n", cut(b.Name), bar, b.Value, b.What)
		}
	}
}

// cut gives a name of 24 characters at most.
func cut(name string) string {
	if runes := []rune(name); len(runes) > 24 {
		return string(runes[:23]) + "…"
	}
	return name
}

func (t *text) alerts(r *Report) {
	if len(r.Figures.Alerts) == 0 {
		return
	}
	t.head("Alerts")
	for _, a := range r.Figures.Alerts[:min(len(r.Figures.Alerts), MaxRows)] {
		t.line(2, fmt.Sprintf("%s %s, %s, last %s", a.Severity, plain(a.Name, 60), times(a.Count), r.minute(a.Last)))
		t.line(6, plain(a.Reason, 300))
	}
}

func (t *text) feeds(r *Report) {
	if len(r.Figures.Feeds) == 0 {
		return
	}
	t.head("Feeds")
	fmt.Fprintf(t.w, "  %-24s %9s %9s %9s %9s %9s\n", "feed", "offenders", "only here", "confirmed", "false", "not yet")
	for _, f := range r.Figures.Feeds {
		fmt.Fprintf(t.w, "  %-24s %9d %9d %9d %9d %9d\n", cut(plain(f.Feed, 60)), f.Offenders, f.Unique, f.Confirmed, f.FalseAlarm, f.NotJudged)
	}
}

func (t *text) silenced(r *Report) {
	t.head("Silenced")
	t.line(2, r.silenced())
}
