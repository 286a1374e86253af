package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/intel/silence"
	"go.uber.org/zap"
)

// ReportPath is where the running instance gives a report, as JSON.
const ReportPath = "/api/v1/report"

// reportTime bounds the making of one report.
const reportTime = 25 * time.Second

// reports makes the report of what happened, when it is asked for and when it is due.
type reports struct {
	cfg      *configs.Config
	source   func(ctx context.Context) (report.Source, error) // with everything that is pending
	findings func() []observe.Finding
	silences func() []silence.Silence
	history  recordedPast
	now      func() time.Time
	post     *reportPost

	making chan struct{} // has room for one at a time
}

func newReports(a *App) *reports {
	r := &reports{cfg: &a.cfg, making: make(chan struct{}, 1), history: a.history, silences: func() []silence.Silence { return a.silences.book.List(true) }, source: func(ctx context.Context) (report.Source, error) {
		s, err := a.incidents.ready()
		if err != nil {
			return nil, err
		}
		a.incidents.freshen(ctx)
		return s, nil
	}, findings: func() []observe.Finding { return a.checks.findings(time.Now()) }, now: a.watch.Now}
	r.post = newReportPost(&a.cfg, r.make, a.watch.Now, a.watch.Unsynced, a.log)
	return r
}

// Start begins to send reports when they are due.
func (r *reports) Start() error { return r.post.start() }

// Stop waits for the mail that is being sent.
func (r *reports) Stop(ctx context.Context) error { return r.post.stop(ctx) }

// Register shows what was sent, and gives reports.
func (r *reports) Register(c *observe.Component) {
	c.Add(observe.Printed("report", r.post.status, printReports), reportCheck(r.post.status),
		observe.Route{Method: http.MethodGet, Path: ReportPath, Role: observe.Local, Handler: http.HandlerFunc(r.serve)})
}

// Takes all keys of reports.
func (r *reports) Takes(_ *configs.Config, key string) bool { return strings.HasPrefix(key, "report.") }

// Reconfigure takes up when reports are sent, to whom and by which server.
func (r *reports) Reconfigure(cfg *configs.Config) error {
	r.post.configure(cfg)
	return nil
}

// ReportQuery gives the parameters of a request for a report.
func ReportQuery(from, until time.Time, maxTLP string) url.Values {
	return url.Values{"since": {from.Format(time.RFC3339)}, "until": {until.Format(time.RFC3339)}, "max-tlp": {maxTLP}}
}

// parseReport reads what ReportQuery gives. What is missing is a report of the last seven days.
func (r *reports) parseReport(q url.Values) (report.Options, error) {
	now := r.now()
	o := report.Options{From: now.AddDate(0, 0, -7), Until: now, MaxTLP: r.post.maxTLP()}
	for name, values := range q {
		if !slices.Contains([]string{"since", "until", "max-tlp"}, name) {
			return o, fmt.Errorf("%q is no parameter; use since, until, max-tlp", name)
		}
		if len(values) != 1 {
			return o, fmt.Errorf("%s: is given more than once", name)
		}
		var err error
		switch name {
		case "since":
			o.From, err = time.Parse(time.RFC3339, values[0])
		case "until":
			o.Until, err = time.Parse(time.RFC3339, values[0])
		default:
			o.MaxTLP = values[0]
		}
		if err != nil {
			return o, fmt.Errorf("%s: must be a time such as 2026-11-30T00:00:00Z", name)
		}
	}
	return o, o.Validate()
}

// make makes a report of what has been committed and what is pending.
func (r *reports) make(ctx context.Context, o report.Options) (*report.Report, error) {
	select {
	case r.making <- struct{}{}:
		defer func() { <-r.making }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	s, err := r.source(ctx)
	if err != nil {
		return nil, err
	}
	o.Sensor, o.Now, o.Findings = r.cfg.Name, r.now().Local(), r.findings()
	if o.Findings == nil {
		o.Findings = []observe.Finding{}
	}
	o.Silences = ReportSilences(r.silences(), o.From, o.Until)
	o.Count = r.count
	return report.Make(ctx, s, o)
}

// ReportSilences gives those silences that were in force in a period.
func ReportSilences(all []silence.Silence, from, until time.Time) (list []report.Silence) {
	for i := range all {
		s := &all[i]
		end := s.Until
		if !s.Removed.IsZero() {
			end = s.Removed
		}
		if !s.Made.Before(until) || !end.After(from) {
			continue
		}
		one := report.Silence{ID: s.ID, What: s.Conditions.String(), Reason: s.Reason, Author: s.Author, Until: end, Events: s.Events}
		if s.Offender.IsValid() && s.Offender.IsSingleIP() {
			one.Offender = s.Offender.Addr()
		}
		list = append(list, one)
	}
	return list
}

// serve answers with a report.
func (r *reports) serve(w http.ResponseWriter, q *http.Request) {
	o, err := r.parseReport(q.URL.Query())
	if err != nil {
		observe.Fail(w, err)
		return
	}
	made, err := r.make(q.Context(), o)
	if err != nil {
		observe.Fail(w, err)
		return
	}
	var b bytes.Buffer
	if err := made.JSON(&b); err != nil {
		observe.Fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = b.WriteTo(w) // the client may be gone
}

// A ReportStatus is what became of the reports that are sent by mail.
type ReportStatus struct {
	Every  string `json:"every,omitempty"`
	Sent   uint64 `json:"sent" name:"reports_total" help:"Reports sent by mail, by result; failed attempts are made again." with:"result=sent"`
	Failed uint64 `json:"failed" name:"reports_total" help:"Reports sent by mail, by result; failed attempts are made again." with:"result=failed"`
	// Missed are those in whose place a later one went out, or is to.
	Missed uint64    `json:"missed" name:"reports_total" help:"Reports sent by mail, by result; failed attempts are made again." with:"result=missed"`
	Last   time.Time `json:"last,omitzero"` // when the last one that was sent was due
	// Due is when the first report was due that has not been sent yet; zero = none is late.
	Due   time.Time `json:"due,omitzero" name:"report_late_seconds" help:"Time since a report was due that has not been sent yet."`
	Error string    `json:"error,omitempty"`
}

// printReports prints one line, if reports are sent.
func printReports(w io.Writer, s ReportStatus, _ bool) {
	if s.Every == "" {
		return
	}
	fmt.Fprintf(w, "report     %s, %d sent by mail%s", s.Every, s.Sent, show.Some(show.Count(s.Failed, "attempts failed"), show.Count(s.Missed, "never sent")))
	if !s.Last.IsZero() {
		fmt.Fprintf(w, ", the last of %s", show.Date(s.Last))
	}
	if !s.Due.IsZero() {
		fmt.Fprintf(w, ", that of %s is late: %s", show.Date(s.Due), s.Error)
	}
	fmt.Fprintln(w)
}

// reportLate is how long a report may not be sent: mail servers make strangers wait.
const reportLate = time.Hour

// reportCheck warns of a report that nobody gets.
func reportCheck(status func() ReportStatus) observe.Check {
	return observe.Check{Name: "report", State: func(now time.Time) observe.Finding {
		s, f := status(), observe.Finding{Text: "no report is late"}
		if late := now.Sub(s.Due); !s.Due.IsZero() && late > reportLate {
			f.AtLeast(observe.Warning)
			f.Text = fmt.Sprintf("the report by mail is late by %s: %s", late.Round(time.Minute), s.Error)
		}
		return f
	}}
}

// announce logs what became of a mail.
func (p *reportPost) announce(due time.Time, err error) {
	if err != nil {
		p.log.Warn("the report could not be sent; it is tried again", zap.Time("due", due), zap.Error(err))
		return
	}
	p.log.Info("report sent", zap.Time("due", due))
}
