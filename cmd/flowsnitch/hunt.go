package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/past/imports"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/hunt"
	"github.com/flowsnitch/flowsnitch/intel/hunt/question"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// Exit codes of hunt beside those of wrong use.
const (
	huntFound   = 0
	huntNothing = 1
	huntUnknown = lookupUnknown
)

// huntOptions are the flags of the command.
type huntOptions struct {
	config, imported, dir, feed, since, until string
	hosts, ports                              []string
	limit                                     int
	asJSON, asCSV, force                      bool
}

// newHunt makes the command that searches the history of contacts.
func newHunt() *cobra.Command {
	var o huntOptions
	c := &cobra.Command{
		Use:   "hunt [-c FILE] [--since 30d] [--until TIME] [--host ADDR]... [--port N]... ADDR|PREFIX|FILE|-...",
		Short: "Show which of your hosts were in contact with an address, and when",
		Long: `hunt searches the history of contacts: every contact of your hosts with addresses outside,
not only those that were listed. It looks for addresses and prefixes, for all entries of a
file or of standard input ("-") in any format that 'flowsnitch intel parse' reads, or with
--feed for those of a feed. With --host alone it shows what that host was in contact with.

It asks the running instance, which first writes what it still holds in memory, once a
minute at most; without one it reads the state directory. Either way the summary on
standard error ends with the time up to which the answer is complete. --import
NAME searches what 'flowsnitch history import' has made, --dir any other folder of history
files.

Rows come newest first: one for each contact (addresses, protocol, port, exporter, site,
who opened it) in one file of the history, which covers minutes at first and a day later.
On a terminal they are a table: the arrow shows who began (-> your host, <- the address
outside, -- not known, <> neither end is yours). In a pipe they are lines of fields separated by tabs,
those of --csv in the same order. A host "*" is a scan that was folded into one row.

Exit codes: 0 found, 1 nothing found, 2 wrong use, 3 cannot say: there is no history of
that time, a file is damaged, flows were lost, the instance does not answer, or only
folded rows may include the host or port.`,
		Example: `  flowsnitch hunt 203.0.113.9
  flowsnitch hunt 203.0.113.0/24 2001:db8:bad::/48 --since 7d --port 443
  flowsnitch hunt indicators.csv --csv > contacts.csv
  flowsnitch hunt --feed feodo --since 30d --json | jq -r .inside | sort | uniq -c
  flowsnitch hunt --host 10.0.0.5 --since 2026-11-29 --until 2026-11-29`,
		RunE: func(c *cobra.Command, args []string) error {
			q, err := o.question(c, args, time.Now())
			if err != nil {
				return err
			}
			cfg, from, err := locate(c, o.config)
			if err != nil {
				return err
			}
			return o.hunt(c, &cfg, &from, &q)
		},
	}
	locateFlag(c, &o.config)
	f := c.Flags()
	f.StringVar(&o.feed, "feed", "", "look for the entries in force of a feed, by its `name`")
	f.StringVar(&o.since, "since", "", "contacts since a `time`: 30d, 12h, 2026-11-01 (local time), or RFC 3339; default: all that is kept")
	f.StringVar(&o.until, "until", "", "contacts until a `time`, a day as a whole; default: now")
	f.StringArrayVar(&o.hosts, "host", nil, "only this host or network of yours, an `address` or prefix; may be repeated")
	f.StringArrayVar(&o.ports, "port", nil, "only this `port` of the service; may be repeated")
	f.IntVar(&o.limit, "limit", 0, "the newest `N` rows; 0 = all")
	f.BoolVar(&o.asJSON, "json", false, "print a JSON object for each row, one a line")
	f.BoolVar(&o.asCSV, "csv", false, "print CSV with a header")
	f.StringVar(&o.imported, "import", "", "search the imported history of this `name`")
	f.StringVar(&o.dir, "dir", "", "search the history files in a `folder`, without an instance")
	f.BoolVar(&o.force, "force", false, "allow prefixes shorter than /8 (IPv6: /16) and those of home networks")
	return c
}

// question makes the question of the command line.
func (o *huntOptions) question(c *cobra.Command, args []string, now time.Time) (q question.Question, err error) {
	switch {
	case o.asJSON && o.asCSV:
		return q, usageError{errors.New("--json and --csv are two forms of the same: name one")}
	case o.dir != "" && o.imported != "":
		return q, usageError{errors.New("--dir and --import are two places: name one")}
	case o.feed != "" && len(args) > 0:
		return q, usageError{errors.New("name addresses or lists, or a feed with --feed, not both")}
	case o.limit < 0:
		return q, usageError{fmt.Errorf("--limit: %d rows; 0 = all", o.limit)}
	case len(args) == 0 && o.feed == "" && len(o.hosts) == 0:
		return q, wrongUse(c, "%s needs an address, a prefix, a list, or --feed or --host", c.CommandPath())
	}
	q = question.Question{Feed: o.feed, Limit: o.limit, Import: o.imported, Force: o.force}
	if q.Since, err = parseTime("--since", o.since, now, false); err == nil {
		q.Until, err = parseTime("--until", o.until, now, true)
	}
	for _, s := range o.hosts {
		p, e := parsePrefix(s)
		if e != nil && err == nil {
			err = usageError{fmt.Errorf("--host: %w", e)}
		}
		q.Hosts = append(q.Hosts, p)
	}
	for s := range strings.SplitSeq(strings.Join(o.ports, ","), ",") {
		n, e := strconv.ParseUint(s, 10, 16)
		if len(o.ports) > 0 && e != nil && err == nil {
			err = usageError{fmt.Errorf("--port: %q is no port, 0 to 65535", s)}
		}
		if len(o.ports) > 0 {
			q.Ports = append(q.Ports, uint16(n))
		}
	}
	if err != nil {
		return q, err
	}
	q.Ranges, err = readWanted(c, args)
	if len(args) == 0 && o.feed == "" {
		q.Ranges = span.All()
	}
	return q, err
}

// readWanted gives the addresses of arguments, each an address, a prefix, a file or "-".
func readWanted(c *cobra.Command, args []string) ([]span.Range, error) {
	var prefixes []netip.Prefix
	var lists []span.Range
	for _, arg := range args {
		p, err := parsePrefix(arg)
		if err == nil {
			prefixes = append(prefixes, p)
			continue
		}
		if _, e := os.Stat(arg); e != nil && arg != "-" {
			return nil, usageError{fmt.Errorf("%w; nor is it a file", err)}
		}
		list, err := readIndicators(c, arg)
		if err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", arg, err)}
		}
		lists = append(lists, list...)
	}
	return span.Join(append(lists, span.OfAll(prefixes)...)), nil
}

// readIndicators reads a list, and reports on standard error what of it could not be read.
func readIndicators(c *cobra.Command, path string) ([]span.Range, error) {
	var in io.Reader = c.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, causeOf(err)
		}
		defer f.Close()
		in = f
	}
	list, report, err := question.ReadList(in)
	if report.Rejected+report.RejectedParts > 0 {
		printReport(c.ErrOrStderr(), &report)
	}
	if pathErr := causeOf(err); pathErr != nil {
		return nil, pathErr // a folder
	}
	return list, nil
}

// parseTime reads a time of the command line, which a span before now is as well. A day ends
// with its last second.
func parseTime(flag, s string, now time.Time, end bool) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, ok := parseSpan(s); ok {
		return now.Add(-d).Truncate(time.Second), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		t, err := time.ParseInLocation(layout, s, time.Local)
		if err != nil {
			continue
		}
		if end && layout == time.DateOnly {
			t = t.AddDate(0, 0, 1).Add(-time.Second)
		}
		return t, nil
	}
	return time.Time{}, usageError{fmt.Errorf("%s: %q is no time; use a span such as 30d or 12h, a day such as 2026-11-01, or 2026-11-01T13:00:00Z", flag, s)}
}

// parseSpan reads a duration, also in days and weeks.
func parseSpan(s string) (time.Duration, bool) {
	days := map[byte]int{'d': 1, 'w': 7}[s[len(s)-1]]
	if days > 0 {
		n, err := strconv.Atoi(s[:len(s)-1])
		return time.Duration(n*days) * 24 * time.Hour, err == nil && n >= 0 && n < 10_000
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// hunt asks and prints the answer.
func (o *huntOptions) hunt(c *cobra.Command, cfg *configs.Config, from *origin, q *question.Question) error {
	p := newHuntPrinter(c.OutOrStdout(), c.ErrOrStderr(), o)
	sum, err := o.ask(c, cfg, from, q, p)
	if e := p.flush(); err == nil {
		err = e
	}
	if usage := (usageError{}); errors.As(err, &usage) {
		return err
	}
	if out, ok := c.OutOrStdout().(*output); ok && out.failure() != nil {
		return unanswered{out.failure()}
	}
	if c.Context().Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil && sum.Began.IsZero() {
		return unanswered{err}
	}
	printHuntSummary(c.ErrOrStderr(), &sum, q)
	if o.dir == "" && o.imported == "" {
		namedImports(c.ErrOrStderr(), imports.Folder(filepath.Join(cfg.StateDir, app.HistoryDir)))
	}
	switch {
	case err != nil:
		return unanswered{fmt.Errorf("this is not all: %w", err)}
	case sum.Rows > 0:
		return nil
	case !sum.Conclusive(q):
		return verdict(huntUnknown)
	}
	return verdict(huntNothing)
}

// namedImports names the imports that were not searched, of those that we may see.
func namedImports(w io.Writer, folder string) {
	entries, _ := os.ReadDir(folder)
	var names []string
	for _, e := range entries {
		if imports.CheckName(e.Name()) == nil && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) > 0 {
		fmt.Fprintf(w, "not searched: imports %s (--import NAME)\n", strings.Join(names, ", "))
	}
}

// ask asks the running instance, or searches the folder itself.
func (o *huntOptions) ask(c *cobra.Command, cfg *configs.Config, from *origin, q *question.Question, p *huntPrinter) (hunt.Summary, error) {
	var until, again time.Time
	if o.dir == "" {
		if most := app.MaxHuntRanges(cfg); len(q.Ranges) > most {
			fmt.Fprintf(c.ErrOrStderr(), "%d addresses and ranges are more than a running instance takes (%d): its files are read here\n", len(q.Ranges), most)
			small := *q
			small.Ranges, small.Limit, small.Force = q.Ranges[:1], 1, true
			sum, err := askHunt(c.Context(), cfg.StateDir, &small, func([]byte) error { return nil }, func(hunt.Progress) {})
			if err != nil && !errors.Is(err, web.ErrNotRunning) {
				return sum, err
			}
			until, again = sum.Until, sum.Again
		} else {
			var sum hunt.Summary
			answered, err := from.ask(c, cfg.StateDir, stateHas, func() (err error) {
				sum, err = askHunt(c.Context(), cfg.StateDir, q, p.line, p.progress)
				return err
			})
			if bad := web.BadRequestError(""); errors.As(err, &bad) {
				err = usageError{err}
			}
			if answered {
				return sum, err
			}
		}
	}
	sum, err := o.search(c, cfg, q, p)
	if !until.IsZero() {
		sum.Until, sum.Again = until, again
	}
	return sum, err
}

// search searches a folder.
func (o *huntOptions) search(c *cobra.Command, cfg *configs.Config, q *question.Question, p *huntPrinter) (sum hunt.Summary, err error) {
	if q.Feed != "" {
		table, _, err := buildTable(c, cfg, nil)
		if err == nil {
			q.Ranges, err = app.FeedRanges(table, q.Feed)
		}
		if err != nil {
			return sum, usageError{err}
		}
	}
	q.Embedding = intel.NewEmbedding(cfg.NAT64)
	ours, err := q.Check(span.OfAll(cfg.AllHome()))
	if err != nil {
		return sum, usageError{err}
	}
	var in *folder.Folder
	if o.dir != "" {
		if info, err := os.Stat(o.dir); err != nil || !info.IsDir() {
			return sum, usageError{fmt.Errorf("--dir: %s is no folder that can be read", o.dir)}
		}
		in = folder.Open(disk.OS{}, o.dir)
	} else if in, err = app.OpenHistory(cfg.StateDir, o.imported); err != nil {
		return sum, usageError{err}
	}
	sum, err = hunt.Search(c.Context(), in, q, p.rows, func(done, total int, bytes int64) {
		p.progress(hunt.Progress{Files: done, Of: total, Bytes: bytes})
	})
	sum.Ours = ours
	return sum, err
}

// askHunt asks the running instance of a state directory.
func askHunt(ctx context.Context, stateDir string, q *question.Question, row func([]byte) error, progress func(hunt.Progress)) (hunt.Summary, error) {
	body, w := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, err := q.WriteTo(w)
		w.CloseWithError(err)
	}()
	defer func() {
		body.Close()
		<-sent // the question is the caller's again
	}()
	answer, err := web.Stream(ctx, stateDir, "POST", "/hunt", body)
	if err != nil {
		return hunt.Summary{}, err
	}
	defer answer.Close()
	return hunt.ReadAnswer(readAhead(ctx, answer), row, progress)
}

// ahead is how much of an answer is held for an output that is slower, such as a pager: an
// instance ends a hunt whose answer is not read.
const ahead = 16 << 20

// readAhead reads on while nobody reads, as far as there is room.
func readAhead(ctx context.Context, r io.Reader) io.Reader {
	out := &aheadReader{chunks: make(chan []byte, ahead/(64<<10))}
	go func() {
		defer close(out.chunks)
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Read(buf)
			select {
			case out.chunks <- slices.Clone(buf[:n]):
			case <-ctx.Done():
				out.err = ctx.Err()
				return
			}
			if err != nil {
				out.err = err
				return
			}
		}
	}()
	return out
}

type aheadReader struct {
	chunks chan []byte
	chunk  []byte
	err    error // once chunks is closed
}

// Read reads what is there.
func (a *aheadReader) Read(b []byte) (int, error) {
	for len(a.chunk) == 0 {
		chunk, more := <-a.chunks
		if !more {
			return 0, a.err
		}
		a.chunk = chunk
	}
	n := copy(b, a.chunk)
	a.chunk = a.chunk[n:]
	return n, nil
}
