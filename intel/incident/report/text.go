package report

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// Columns is the width of a report as text.
const Columns = 80

// Text writes the report for a terminal or a mail: lines of 80 columns at most.
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

// line writes a text of one paragraph, indented, what continues it two columns more. A word
// that is longer than a line is broken. An empty text has no line.
func (t *text) line(indent int, s string) {
	if s == "" {
		return
	}
	pad := strings.Repeat(" ", indent)
	column := 0
	for _, word := range strings.Fields(s) {
		for part := range pieces(word, Columns-indent-2) {
			n := columnsOf(part)
			switch {
			case column == 0:
				t.w.WriteString(pad + part)
				column = indent + n
			case column+1+n > Columns:
				t.w.WriteString("\n" + pad + "  " + part)
				column = indent + 2 + n
			default:
				t.w.WriteString(" " + part)
				column += 1 + n
			}
		}
	}
	t.w.WriteString("\n")
}

// pieces gives the parts of a word that have so many columns at most.
func pieces(word string, most int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for columnsOf(word) > most {
			part := cut(word, most)
			if !yield(part) {
				return
			}
			word = word[len(part):]
		}
		yield(word)
	}
}

// columnsOf is how many columns a terminal takes for a text.
func columnsOf(s string) (n int) {
	for _, r := range s {
		n += columnsOfRune(r)
	}
	return n
}

func columnsOfRune(r rune) int {
	switch kind := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case kind == width.EastAsianWide, kind == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut gives the beginning of a text that has so many columns at most.
func cut(s string, most int) string {
	for i, r := range s {
		if most -= columnsOfRune(r); most < 0 {
			return s[:i]
		}
	}
	return s
}

// cell gives a text with so many columns, shortened or filled up.
func cell(s string, columns int) string {
	if columnsOf(s) > columns {
		s = cut(s, columns-1) + fit.Ellipsis
	}
	return s + strings.Repeat(" ", columns-columnsOf(s))
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
	t.line(2, r.older())
	t.line(2, r.withheldText())
}

func (t *text) incidents(r *Report, list *List[incident.Incident]) {
	for n := range list.Rows {
		i := &list.Rows[n]
		t.line(2, fmt.Sprintf("%s %s %s %s", i.Worst, i.Offender, place(i), state(i)))
		t.line(6, plain(i.Reason, 300))
		t.line(6, r.what(i))
		t.line(6, r.seen(i))
	}
	t.line(2, rest(list.rest(), list.More))
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
	t.line(2, rest(r.Hosts.rest(), r.Hosts.More))
}

func (t *text) fresh(r *Report) {
	t.head("New in this period")
	t.line(2, r.Figures.fresh())
	t.incidents(r, &r.New)
}

func (t *text) returned(r *Report) {
	t.head("Persistent offenders")
	t.line(2, r.Figures.returning())
	t.incidents(r, &r.Persistent)
}

// nameColumns is the width of names in tables.
const nameColumns = 24

// charts are histogram, days and places. Their bars have what numbers leave of the line.
func (t *text) charts(r *Report) {
	for _, c := range r.charts() {
		t.head(c.Head)
		wide := 0
		for _, b := range c.Bars {
			wide = max(wide, columnsOf(b.text()))
		}
		room := min(20, max(Columns-2-nameColumns-2-wide, 0))
		for _, b := range c.Bars {
			bar := strings.Repeat("#", (b.Width*room+99)/100)
			t.w.WriteString(strings.TrimRight("  "+cell(b.Name, nameColumns)+" "+cell(bar, room)+" "+cut(b.text(), Columns-2-nameColumns-2-room), " ") + "\n")
		}
		t.line(2, c.Note)
	}
}

// text is a bar in words.
func (b *bar) text() string { return fmt.Sprintf("%d %s", b.Value, b.What) }

func (t *text) alerts(r *Report) {
	t.head("Alerts")
	if len(r.Figures.Alerts) == 0 {
		t.line(2, noAlert)
	}
	for _, a := range r.Figures.Alerts[:min(len(r.Figures.Alerts), MaxRows)] {
		t.line(2, fmt.Sprintf("%s %s, %s, last %s", a.Severity, plain(a.Name, 60), times(a.Count), r.minute(a.Last)))
		t.line(6, plain(a.Reason, 300))
	}
	t.line(2, rest(len(r.Figures.Alerts)-MaxRows, false))
}

func (t *text) feeds(r *Report) {
	t.head("Feeds")
	if len(r.Figures.Feeds) == 0 {
		t.line(2, noFeed)
		return
	}
	fmt.Fprintf(t.w, "  %s %9s %9s %9s %9s %9s\n", cell("feed", nameColumns), "offenders", "only here", "confirmed", "false", "not yet")
	for _, f := range r.Figures.Feeds {
		fmt.Fprintf(t.w, "  %s %9d %9d %9d %9d %9d\n", cell(plain(f.Feed, 60), nameColumns), f.Offenders, f.Unique, f.Confirmed, f.FalseAlarm, f.NotJudged)
	}
	t.line(2, feedsNote)
}

func (t *text) silenced(r *Report) {
	t.head("Silenced")
	t.line(2, r.silenced())
	for n := range r.Silences[:min(len(r.Silences), MaxRows)] {
		t.line(4, r.Silences[n].line(r))
	}
	t.line(2, rest(len(r.Silences)-MaxRows, false))
}
