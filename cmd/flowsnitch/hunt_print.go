package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/hunt"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
	"golang.org/x/term"
)

// A huntPrinter prints rows in the form of the command line, and the progress of a long
// search. It belongs to one goroutine.
type huntPrinter struct {
	w     *bufio.Writer
	json  bool
	csv   *csv.Writer // nil = another form
	table *huntTable  // nil = another form
	shown *progress
	buf   []byte
}

func newHuntPrinter(out, errOut io.Writer, o *huntOptions) *huntPrinter {
	p := &huntPrinter{w: bufio.NewWriterSize(out, 1<<16), json: o.asJSON, shown: newProgress(errOut)}
	terminal := terminalOf(out)
	switch {
	case o.asCSV:
		p.csv = csv.NewWriter(p.w)
		_ = p.csv.Write(hunt.Header()) // an error of the output shows at the end
	case !o.asJSON && terminal != nil:
		columns, _, _ := term.GetSize(int(terminal.Fd())) // 0 = it is not known
		p.table = &huntTable{total: columns, colour: showsColours(out)}
	}
	return p
}

// line prints a row that comes as JSON.
func (p *huntPrinter) line(line []byte) error {
	if p.json {
		_, err := p.w.Write(line)
		return err
	}
	row := make([]hunt.Row, 1)
	if err := json.Unmarshal(line, &row[0]); err != nil {
		return fmt.Errorf("not an answer of flowsnitch: %w", err)
	}
	return p.rows(row)
}

// rows prints rows.
func (p *huntPrinter) rows(rows []hunt.Row) error {
	for i := range rows {
		if err := p.row(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *huntPrinter) row(r *hunt.Row) error {
	switch {
	case p.json:
		p.buf = r.AppendJSON(p.buf[:0])
		_, err := p.w.Write(p.buf)
		return err
	case p.csv != nil:
		return p.csv.Write(r.Fields())
	case p.table != nil:
		if p.table.add(r) {
			return p.flush()
		}
		return nil
	}
	fields := r.Fields()
	for i, f := range fields {
		if fields[i] = show.Printable(f); f == "" {
			fields[i] = "-"
		}
	}
	_, err := p.w.WriteString(strings.Join(fields, "\t") + "\n")
	return err
}

// flush prints what is held back.
func (p *huntPrinter) flush() error {
	p.shown.clear()
	if p.csv != nil {
		p.csv.Flush()
	}
	if p.table != nil {
		p.table.print(p.w)
	}
	return p.w.Flush()
}

// progress shows how far a long search has come, and the rows until now.
func (p *huntPrinter) progress(n hunt.Progress) {
	_ = p.flush() // the error stays, and comes with the next row
	p.shown.show("searched %d of %d files, %s", n.Files, n.Of, observe.Size(uint64(n.Bytes)))
}

// A huntTable is the rows for a terminal. Its columns become wider where rows need it, and
// no address is ever cut.
type huntTable struct {
	total  int // columns of the terminal; 0 = there is no end
	colour bool
	table  table
	shown  string // the heading that was printed last
}

// held is how many rows share their widths at least.
const held = 200

// add takes a row, and reports whether it is time to print.
func (t *huntTable) add(r *hunt.Row) bool {
	if t.table.columns == nil {
		t.table.columns = []column{
			{heading: "last"}, {heading: "host"}, {heading: ""}, {heading: "outside"}, {heading: "service"}, {heading: "answer", rank: 1},
			{heading: "flows", right: true, rank: 2}, {heading: "sent", right: true, rank: 3}, {heading: "received", right: true, rank: 4},
			{heading: "first", rank: 5}, {heading: "site", rank: 6}, {heading: "exporter", rank: 7},
		}
	}
	host := "*"
	if r.Inside.IsValid() {
		host = r.Inside.String()
	} else {
		host += fmt.Sprintf(" (%s)", count(r.Folded, "contact", "contacts"))
	}
	exporter := ""
	if r.Exporter.IsValid() {
		exporter = r.Exporter.String()
	}
	t.table.rows = append(t.table.rows, []line{
		plain(show.Day(r.Last)), {{host, strong}}, plain(arrowOf(r.Direction)), {{r.Outside.String(), strong}}, plain(serviceOf(r)), {answerOf(r)},
		plainf("%d", r.Flows), plain(observe.Size(r.BytesOut)), plain(observe.Size(r.BytesIn)),
		plain(show.Day(r.First)), plain(r.Site), plain(exporter),
	})
	return len(t.table.rows) >= held
}

// arrowOf shows who began, our host on the left.
func arrowOf(d event.Direction) string {
	switch d {
	case event.Outbound:
		return "->"
	case event.Inbound:
		return "<-"
	case event.Transit:
		return "<>"
	}
	return "--"
}

func serviceOf(r *hunt.Row) string {
	if r.Port == 0 {
		return flow.ProtocolName(r.Protocol)
	}
	return fmt.Sprintf("%d/%s", r.Port, flow.ProtocolName(r.Protocol))
}

func answerOf(r *hunt.Row) piece {
	switch {
	case r.Blocked:
		return piece{"blocked", normal}
	case r.Refused && r.Answered != event.AnsweredYes:
		return piece{"refused", normal}
	case r.Answered == event.AnsweredYes:
		return piece{"yes", caution}
	case r.Answered == event.AnsweredNo:
		return piece{"no", normal}
	}
	return piece{"?", normal}
}

// print prints the rows, below a heading where it is another one than before.
func (t *huntTable) print(w io.Writer) {
	if len(t.table.rows) == 0 {
		return
	}
	for i := range t.table.columns {
		c := &t.table.columns[i]
		need := 0
		for _, row := range t.table.rows {
			need = max(need, row[i].width())
		}
		if need > 0 || c.min > 0 {
			c.min = max(c.min, need, len(c.heading))
		}
	}
	shown := t.table
	for i := len(shown.columns) - 1; i >= 0; i-- { // a column of nothing
		if shown.columns[i].min == 0 {
			shown = shown.withoutColumn(i)
		}
	}
	heading, rows := shown.lay(t.total)
	if text := heading.String(); text != t.shown {
		fmt.Fprintln(w, heading.draw(t.colour))
		t.shown = text
	}
	for _, r := range rows {
		fmt.Fprintln(w, r.draw(t.colour))
	}
	t.table.rows = t.table.rows[:0]
}

// withoutColumn gives a table without a column.
func (t table) withoutColumn(i int) table {
	out := table{columns: slices.Delete(slices.Clone(t.columns), i, i+1)}
	for _, row := range t.rows {
		out.rows = append(out.rows, slices.Delete(slices.Clone(row), i, i+1))
	}
	return out
}

// count prints a number with its noun.
func count[N int | int64 | uint32 | uint64](n N, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// printHuntSummary prints what was found, and what of it is to be known.
func printHuntSummary(w io.Writer, s *hunt.Summary, q *question.Question) {
	if s.Note != "" {
		fmt.Fprintln(w, show.Printable(s.Note))
	}
	if s.Ours > 0 {
		fmt.Fprintf(w, "%d of what was looked for is in home, and so is never an address outside\n", s.Ours)
	}
	for _, b := range s.Bad {
		fmt.Fprintf(w, "damaged, so that contacts may be missing: %s: %s\n", show.Printable(b.File), show.Printable(b.Error))
	}
	if s.BadMore > 0 {
		fmt.Fprintf(w, "and %s; 'flowsnitch history list' names all\n", count(s.BadMore, "more damaged file", "more damaged files"))
	}
	if s.LostFlows > 0 {
		fmt.Fprintf(w, "the history lost %s in that time (its tables were full): contacts may be missing\n", count(s.LostFlows, "flow", "flows"))
	}
	if s.FoldedFlows > 0 && len(q.Hosts) > 0 {
		fmt.Fprintf(w, "%s in that time: those rows have no host\n", count(s.FoldedFlows, "flow of scans was folded", "flows of scans were folded"))
	}
	if s.Beside > 0 {
		fmt.Fprintf(w, "%s for scans folded from %s, which may include this host or port; without --host and --port they are shown\n",
			count(s.Beside, "row stands", "rows stand"), count(s.BesideContacts, "contact", "contacts"))
	}
	if s.Rows > 0 {
		more := ""
		if s.HostsMore {
			more = "more than "
		}
		fmt.Fprintf(w, "%s, %s%s of yours, %s to %s; %s, %s sent, %s received\n", count(s.Rows, "row", "rows"), more, count(s.Hosts, "host", "hosts"), show.Day(s.First), show.Day(s.Last),
			count(s.Flows, "flow", "flows"), observe.Size(s.BytesOut), observe.Size(s.BytesIn))
	}
	if s.Folded > 0 {
		fmt.Fprintf(w, "a host * is a scan in one row: %s in these\n", count(s.Folded, "contact", "contacts"))
	}
	switch {
	case s.Limited:
		fmt.Fprintf(w, "these are the newest; there may be more (--limit %d)\n", q.Limit)
	case s.Rows > 0:
	case s.Conclusive(q):
		fmt.Fprintln(w, "nothing found")
	case s.Began.IsZero():
		fmt.Fprintln(w, "cannot say: there is no history")
	default:
		fmt.Fprintln(w, "nothing found, but that is no answer: see the lines above and the time of the history")
	}
	if s.Began.IsZero() {
		return
	}
	again := ""
	if !s.Again.IsZero() {
		again = fmt.Sprintf("\nwhat came after that is still in memory: a hunt from %s on includes it", show.Day(s.Again))
	}
	fmt.Fprintf(w, "history from %s, complete until %s; searched %s, %s, in %.1f s%s\n", show.Date(s.Began), show.Date(s.Until), count(s.Files, "file", "files"), observe.Size(uint64(s.Bytes)), s.Seconds, again)
}
