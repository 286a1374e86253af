package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// listOptions are the flags of the list.
type listOptions struct {
	config, by, sort, after string
	values                  url.Values // of the filter
	limit                   int
	all, ascending          bool
	asJSON, asCSV           bool
}

// newIncidents makes the command that lists incidents, and groups those about one of them.
func newIncidents() *cobra.Command {
	o := listOptions{values: url.Values{}}
	c := &cobra.Command{
		Use:   "incidents [-c FILE] [FILTER]... [--by host] [--sort ORDER] [--limit N] [--json|--csv]",
		Short: "Show who is in trouble: offenders or your hosts, the worst first; take, close, judge",
		Long: `incidents lists what is known of each offender over time, one incident for each, or with
--by host the same contacts by your hosts. The worst come first: by severity, then those
that a host of yours called and that answered, then by days with contact, then by bytes
sent. The number of hits plays no part: whoever is scanned most is not in the worst
trouble. Incidents that are closed and false alarms are left out, unless --all or --state
asks for them.

It asks the running instance, which first writes what is pending, once in ten seconds at
most; without one it reads the database in the state directory. A filter that can be
repeated, or takes values with commas, chooses what fits one of them; several filters must
all fit. Times are spans before now (7d, 12h), days, or RFC 3339.

Exit codes: 0 done, 1 failed, 2 wrong use. An empty list is no failure.`,
		Example: `  flowsnitch incidents
  flowsnitch incidents --by host
  flowsnitch incidents --severity high --state new --last-after 24h
  flowsnitch incidents --first-before 30d --last-after 24h --sort days
  flowsnitch incidents show 203.0.113.9
  flowsnitch incidents take 203.0.113.9
  flowsnitch incidents false-alarm 203.0.113.9 --allow --for 30d --note "our mail relay"`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if _, err := parsePrefix(args[0]); err == nil {
				return wrongUse(c, "%s takes filters; one incident is '%s show %s', those of a prefix '%s --offender %s'", c.CommandPath(), c.CommandPath(), args[0], c.CommandPath(), args[0])
			}
			return subcommand(c, args)
		},
		RunE: func(c *cobra.Command, _ []string) error {
			q, err := o.query(c)
			if err != nil {
				return err
			}
			return withDesk(c, o.config, func(d desk) error { return o.list(c, d, &q) })
		},
	}
	locateFlag(c, &o.config)
	f := c.Flags()
	for _, field := range incident.Fields() {
		f.Var(&filterFlag{o.values, field.Name, field.Many}, field.Name, fmt.Sprintf("%s, such as `%s`", field.Help, field.Example))
	}
	f.BoolVar(&o.all, "all", false, "closed incidents and false alarms as well")
	f.StringVar(&o.by, "by", "offender", "a row for each `offender` or host")
	f.StringVar(&o.sort, "sort", incident.ByRank.String(), "the greatest first, by `order`: "+sortNames())
	f.BoolVar(&o.ascending, "ascending", false, "the least first")
	f.IntVar(&o.limit, "limit", incident.DefaultLimit, "at most `N` rows; 0 = all")
	f.StringVar(&o.after, "after", "", "go on behind the `place` that the list before ended with")
	f.BoolVar(&o.asJSON, "json", false, "print a JSON object for each row, one a line")
	f.BoolVar(&o.asCSV, "csv", false, "print CSV with a header")
	c.AddCommand(newIncidentsShow())
	c.AddCommand(newIncidentActs()...)
	return c
}

// A filterFlag collects the values of one filter.
type filterFlag struct {
	values url.Values
	name   string
	many   bool
}

// Set adds a value.
func (f *filterFlag) Set(s string) error {
	f.values.Add(f.name, s)
	return nil
}

// String gives the values.
func (f *filterFlag) String() string { return strings.Join(f.values[f.name], ",") }

// Type is the word for a value.
func (f *filterFlag) Type() string { return "value" }

func sortNames() string {
	var names []string
	for _, s := range incident.Sorts() {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

// query makes the question of the command line.
func (o *listOptions) query(c *cobra.Command) (incident.Query, error) {
	switch {
	case o.asJSON && o.asCSV:
		return incident.Query{}, usageError{errors.New("--json and --csv are two forms of the same: name one")}
	case o.by != "offender" && o.by != "host":
		return incident.Query{}, wrongUse(c, "--by: %q; use offender or host", o.by)
	case o.limit < 0:
		return incident.Query{}, usageError{fmt.Errorf("--limit: %d rows; 0 = all", o.limit)}
	case o.all && o.values.Has("state"):
		return incident.Query{}, usageError{errors.New("--all and --state exclude each other: name one")}
	}
	filter, err := incident.ParseFilter(o.values)
	if err != nil {
		return incident.Query{}, usageError{fmt.Errorf("--%w", err)}
	}
	q := incident.Query{Filter: filter, Descending: !o.ascending, After: o.after}
	if q.Sort, err = incident.ParseSort(o.sort); err != nil {
		return q, usageError{fmt.Errorf("--sort: %w", err)}
	}
	if !o.all && len(q.States) == 0 {
		q.States = []incident.State{incident.New, incident.Open, incident.Taken}
	}
	return q, nil
}

// list prints the rows, page by page.
func (o *listOptions) list(c *cobra.Command, d desk, q *incident.Query) error {
	if o.by == "host" {
		return eachPage(c, o, q, d.Hosts, hostForm())
	}
	return eachPage(c, o, q, d.List, incidentForm())
}

// A form is how rows of one kind are printed.
type form[T any] struct {
	none   string // what it means that there is none
	header []string
	fields func(*T) []string
	table  func(rows []T, now time.Time) table
}

// eachPage asks for one page after another, and prints them.
func eachPage[T any](c *cobra.Command, o *listOptions, q *incident.Query, ask func(context.Context, incident.Query) (incident.Page[T], error), f form[T]) error {
	var rows []T
	total, more, next := -1, false, ""
	out := c.OutOrStdout()
	var cells *csv.Writer
	if o.asCSV {
		cells = csv.NewWriter(out)
		_ = cells.Write(f.header) // an error of the output shows at the end
	}
	enc, shown := json.NewEncoder(out), 0
	enc.SetEscapeHTML(false)
	for left := o.limit; ; {
		q.Limit = incident.MaxLimit
		if o.limit > 0 {
			q.Limit = min(left, incident.MaxLimit)
		}
		page, err := ask(c.Context(), *q)
		if err != nil {
			return err
		}
		if total < 0 {
			total, more = page.Total, page.More
		}
		shown += len(page.Rows)
		left -= len(page.Rows)
		next = page.Next
		for i := range page.Rows {
			switch {
			case o.asJSON:
				err = enc.Encode(&page.Rows[i])
			case o.asCSV:
				err = cells.Write(f.fields(&page.Rows[i]))
			default:
				rows = append(rows, page.Rows[i])
			}
			if err != nil {
				return err
			}
		}
		if next == "" || o.limit > 0 && left <= 0 {
			break
		}
		q.After = next
	}
	if cells != nil {
		cells.Flush()
	}
	if !o.asJSON && !o.asCSV {
		printTable(out, f.table(rows, time.Now()))
	}
	o.footer(c.ErrOrStderr(), shown, total, more, next, f.none, q)
	return nil
}

// footer prints what the list leaves out.
func (o *listOptions) footer(w io.Writer, shown, total int, more bool, next, none string, q *incident.Query) {
	hidden := ""
	if !o.all && !o.values.Has("state") {
		hidden = "; closed ones and false alarms are left out (--all)"
	}
	switch {
	case shown == 0 && o.after != "":
		fmt.Fprintln(w, "no more")
	case shown == 0 && len(o.values) == 0:
		fmt.Fprintf(w, "%s%s\n", none, hidden)
	case shown == 0:
		fmt.Fprintf(w, "nothing fits: %s%s\n", q.Filter.String(), hidden)
	case next != "":
		of := ""
		if total > shown && o.after == "" {
			of = fmt.Sprintf(" of %s%d", map[bool]string{true: "more than "}[more], total)
		}
		fmt.Fprintf(w, "%d%s shown%s; there are more: --limit N, or --after %s\n", shown, of, hidden, next)
	}
}

// printTable prints a table as wide as the terminal, or 80 columns where there is none.
func printTable(w io.Writer, t table) { layTable(w, t, widthOf(w), showsColours(w)) }

// widthOf is how many columns a terminal has, 80 where there is none.
func widthOf(w io.Writer) int {
	if f := terminalOf(w); f != nil {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}

// layTable prints a table within so many columns.
func layTable(w io.Writer, t table, columns int, colour bool) {
	if len(t.rows) == 0 {
		return
	}
	for i := range t.columns {
		c := &t.columns[i]
		c.min = max(c.min, len(c.heading))
		if c.max == 0 { // as wide as its cells
			for _, row := range t.rows {
				c.min = max(c.min, row[i].width())
			}
		}
	}
	for i := len(t.columns) - 1; i >= 0; i-- { // a column of nothing
		if !slices.ContainsFunc(t.rows, func(row []line) bool { return row[i].width() > 0 }) {
			t = t.withoutColumn(i)
		}
	}
	heading, rows := t.lay(columns)
	fmt.Fprintln(w, strings.TrimRight(heading.draw(colour), " "))
	for _, r := range rows {
		fmt.Fprintln(w, strings.TrimRight(r.draw(colour), " "))
	}
}
