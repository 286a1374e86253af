package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// A reportForm is how a report is written.
type reportForm struct {
	since, until, maxTLP string
	html, csv            string // a file, a directory
	json                 bool
}

// newReport makes the command that reports what happened.
func newReport() *cobra.Command {
	var file string
	var o reportForm
	c := &cobra.Command{
		Use:   "report [--since TIME] [--until TIME] [--html FILE | --csv DIR | --json]",
		Short: "Report what happened: for the desk, and for the boss",
		Long: `report prints what happened in a period, from the incidents that are kept: whether
flowsnitch saw anything at all, what needs somebody, which hosts of yours are in trouble,
who is new, who came back, what rules have found, alerts, what the feeds were good for, and what was silenced.

Times are a span before now (7d, 12h), a day (2026-11-01) or RFC 3339. What only listings
of TLP amber or red know is left out and counted, unless --max-tlp allows it.

It asks the running instance, or reads the database in its state directory. 'report' in the
configuration sends the same by mail, each day, week or month.`,
		Example: `  flowsnitch report
  flowsnitch report --since 2026-10-01 --until 2026-11-01 --html october.html
  flowsnitch report --since 30d --csv november/`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c, file) },
	}
	locateFlag(c, &file)
	f := c.Flags()
	f.StringVar(&o.since, "since", "7d", "`time` from which on")
	f.StringVar(&o.until, "until", "", "`time` before which (default now)")
	f.StringVar(&o.html, "html", "", "write one HTML `file`, which prints on A4 and needs nothing else; - is standard output")
	f.StringVar(&o.csv, "csv", "", "write tables as CSV files into a `directory`, which is made if it is missing")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.StringVar(&o.maxTLP, "max-tlp", "", "most restricted `label` of the Traffic Light Protocol that may be shown: "+strings.Join(report.TLPs, ", ")+" (default report.max_tlp of the configuration)")
	return c
}

func (o *reportForm) run(c *cobra.Command, file string) error {
	if o.html != "" && o.csv != "" || o.json && o.html+o.csv != "" {
		return usageError{errors.New("--html, --csv and --json are forms of the same: name one")}
	}
	cfg, from, err := locate(c, file)
	if err != nil {
		return err
	}
	about, err := o.options(&cfg, time.Now())
	if err != nil {
		return usageError{err}
	}
	var made *report.Report
	answered, err := from.ask(c, cfg.StateDir, databaseHolds, func() (err error) {
		made, err = askReport(c.Context(), cfg.StateDir, &about)
		return err
	})
	if !answered {
		made, err = localReport(c.Context(), &cfg, about)
	}
	if err != nil {
		return err
	}
	return o.write(c, made)
}

// options reads the flags.
func (o *reportForm) options(cfg *configs.Config, now time.Time) (report.Options, error) {
	a := report.Options{Sensor: cfg.Name, Until: now, Now: now, MaxTLP: cfg.Report.MaxTLP}
	if o.maxTLP != "" {
		a.MaxTLP = o.maxTLP
	}
	var err error
	if a.From, err = incident.ParseTime(o.since, now); err != nil {
		return a, fmt.Errorf("--since: %w", err)
	}
	if o.until != "" {
		if a.Until, err = incident.ParseTime(o.until, now); err != nil {
			return a, fmt.Errorf("--until: %w", err)
		}
	}
	if err := a.Validate(); err != nil {
		return a, fmt.Errorf("--%w", err)
	}
	return a, nil
}

// askReport asks the running instance.
func askReport(ctx context.Context, stateDir string, o *report.Options) (*report.Report, error) {
	q := app.ReportQuery(o.From, o.Until, o.MaxTLP)
	answer, err := web.Stream(ctx, stateDir, http.MethodGet, app.ReportPath+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	r, err := report.Read(answer, time.Local)
	if err != nil {
		err = fmt.Errorf("%s: not the answer of a flowsnitch: %w", stateDir, err)
	}
	return r, err
}

// localReport makes a report of the database without an instance.
func localReport(ctx context.Context, cfg *configs.Config, o report.Options) (*report.Report, error) {
	d, err := openDesk(ctx, cfg, true)
	if err != nil {
		return nil, err
	}
	if book, err := app.ReadSilences(cfg); err == nil { // without them the report is still worth it
		o.Silences = app.ReportSilences(book.List(true), o.From, o.Until)
	}
	if past, err := app.OpenHistory(cfg.StateDir, ""); err == nil { // likewise
		o.Count = app.CountAttempts(past, cfg)
	}
	r, err := report.Make(ctx, d.Store, o)
	return r, errors.Join(err, d.close(ctx))
}

// write writes the report as the flags have it.
func (o *reportForm) write(c *cobra.Command, r *report.Report) error {
	switch {
	case o.html == "-":
		return r.HTML(c.OutOrStdout())
	case o.html != "":
		return disk.ReplaceBy(disk.OS{}, o.html, 0o640, r.HTML)
	case o.csv != "":
		if err := os.MkdirAll(o.csv, 0o750); err != nil {
			return err
		}
		return r.Tables(func(name string) (io.WriteCloser, error) {
			return os.OpenFile(filepath.Join(o.csv, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
		})
	case o.json:
		return r.JSON(c.OutOrStdout())
	}
	return r.Text(c.OutOrStdout())
}
