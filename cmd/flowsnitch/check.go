package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// exitUnknown is the exit code of check for a question that cannot be asked; the others
// are those of the states.
const exitUnknown = 3

// A verdict ends the program with its exit code, after all has been printed.
type verdict int

func (v verdict) Error() string { return "" }

// checkFlags are the flags of 'check'.
type checkFlags struct {
	file              string
	web               webFlags
	warning, critical []string
	timeout           seconds
	verbose           int
}

// newCheck makes the monitoring plugin.
func newCheck() *cobra.Command {
	f := checkFlags{timeout: seconds(10 * time.Second)}
	c := &cobra.Command{
		Use:   "check [--config FILE | --url URL] [-w RANGE] [-c RANGE] [CHECK]...",
		Short: "Check the running instance, as a monitoring plugin",
		Long: `check is a plugin for Nagios, Icinga and the like: one line with performance data, more
lines with -v, exit code 0 (ok), 1 (warning), 2 (critical) or 3 (unknown: wrong
use). It reads the state of the running instance over its control socket, or with --url
over HTTP. An instance that does not respond is critical. The checks run in the instance
every ten seconds; 'flowsnitch status' and its log have the same results.

Checks, all of them by default:
  canary     seconds since the self-test came to the listener or sink that is furthest behind
  clock      0, or 1 when the wall clock cannot be trusted
  exporters  seconds that the quietest exporter has been silent; its own limit is three times
             the pause that it makes three times a day, at least health.silence, or
             exporters.silence of the configuration; senders that are refused; full tables
  feeds      seconds since the oldest feed was confirmed; feeds that are older than two of
             their intervals, missing or held back; entries in quarantine; a full set; databases
             of countries and AS that cannot be used or are older than 60 days
  history    contacts that are lost; files that cannot be written, are damaged or wait to be merged;
             searches after a listing that fail or wait
  loss       percent lost in the last two minutes: kernel, network, hit queue; what could
             not be decoded; contacts that had to make room
  sinks      seconds that a sink has not delivered; what it has lost; targets of forward
             that do not get their copies
  spool      percent of the journal that is full; what it has dropped; a disk that fails
  templates  data sets of the last two minutes that have no template; templates that found
             no room
  workers    seconds since the slowest loop has last turned

With -w and -c the value of a check is judged by ranges of your own: 10 (alert above 10
or below 0), 10: (below 10), ~:10 (above 10), 10:20 (outside), @10:20 (inside). What is bad
for another reason, as a disk that fails, stays so.`,
		Example: `  flowsnitch check
  flowsnitch check loss -w 0.5 -c 5
  flowsnitch check -w loss=0.5 -w exporters=120 -c exporters=600
  flowsnitch check --url http://127.0.0.1:8055 canary sinks`,
		ValidArgs: []string{"canary", "clock", "exporters", "feeds", "history", "loss", "sinks", "spool", "templates", "workers"},
		Args:      cobra.ArbitraryArgs,
		RunE:      func(c *cobra.Command, args []string) error { return runCheck(c, &f, args) },
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return sayVerdict(c.OutOrStdout(), exitUnknown, flagError(c, err).Error())
	})
	c.Flags().StringVar(&f.file, "config", "", "configuration `file` of the running instance; default: "+whereLocated)
	f.web.add(c)
	c.Flags().StringArrayVarP(&f.warning, "warning", "w", nil, "`range` outside which a check is a warning; CHECK=RANGE unless one is named (repeatable)")
	c.Flags().StringArrayVarP(&f.critical, "critical", "c", nil, "`range` outside which it is critical")
	c.Flags().VarP(&f.timeout, "timeout", "t", "`seconds` to wait for the instance, or a duration such as 1m")
	c.Flags().CountVarP(&f.verbose, "verbose", "v", "print a line for every check")
	return c
}

// seconds is a duration that may be a number, as monitoring plugins have it.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }

// Type names the kind of flag.
func (s *seconds) Type() string { return "duration" }

// Set reads a number of seconds or a duration.
func (s *seconds) Set(text string) error {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("must be more than 0")
	}
	*s = seconds(d)
	return err
}

// runCheck prints the verdict. What is wrong with the call is unknown, an instance that
// does not answer is critical.
func runCheck(c *cobra.Command, f *checkFlags, names []string) error {
	out := c.OutOrStdout()
	for _, name := range names {
		if !slices.Contains(c.ValidArgs, name) {
			return sayVerdict(out, exitUnknown, fmt.Sprintf("there is no check %q; there are %s", name, strings.Join(c.ValidArgs, ", ")))
		}
	}
	limits, err := limitsOf(f, names, c.ValidArgs)
	if err != nil {
		return sayVerdict(out, exitUnknown, err.Error())
	}
	list, err := askHealth(c, f)
	_, isUsage := errors.AsType[usageError](err)
	switch {
	case isUsage || errors.Is(err, fs.ErrPermission):
		return sayVerdict(out, exitUnknown, err.Error())
	case err != nil:
		return sayVerdict(out, int(observe.Critical), err.Error())
	case len(list) == 0:
		return sayVerdict(out, int(observe.Warning), "the instance is still starting")
	}
	var chosen []judged
	for _, finding := range list {
		if len(names) == 0 || slices.Contains(names, finding.Check) {
			chosen = append(chosen, limits[finding.Check].apply(finding))
		}
	}
	if len(chosen) == 0 {
		return sayVerdict(out, exitUnknown, "the instance has no check "+strings.Join(names, ", ")+"; it is of another version")
	}
	return printFindings(out, chosen, f.verbose > 0)
}

// sayVerdict prints the one line of a check that has nothing to show.
func sayVerdict(w io.Writer, code int, text string) error {
	fmt.Fprintf(w, "FLOWSNITCH %s - %s\n", strings.ToUpper(codeNames[code]), oneLine(text))
	return verdict(code)
}

var codeNames = [...]string{"ok", "warning", "critical", "unknown"}

// oneLine makes text safe for a line of a plugin: no pipe, no line break.
func oneLine(s string) string {
	return show.Printable(strings.NewReplacer("\n", " ", "|", "/").Replace(s))
}

// askHealth asks the instance what it finds.
func askHealth(c *cobra.Command, f *checkFlags) ([]observe.Finding, error) {
	ctx, cancel := context.WithTimeout(c.Context(), time.Duration(f.timeout))
	defer cancel()
	var s struct {
		Version string            `json:"version"`
		Health  []observe.Finding `json:"health"`
	}
	var err error
	if f.web.url != "" {
		err = f.web.get(ctx, "/api/v1/status", &s)
	} else {
		err = askSocket(ctx, c, f.file, &s)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the instance has not answered within %s: it hangs, or the machine is overloaded", time.Duration(f.timeout))
	}
	if err == nil && (s.Version == "" || slices.ContainsFunc(s.Health, isStrange)) {
		err = errors.New("the response is not from flowsnitch, or from another version")
	}
	return s.Health, err
}

// isStrange reports whether a finding has a name or unit that performance data cannot have.
func isStrange(f observe.Finding) bool {
	return f.Check == "" || strings.Trim(f.Check, "abcdefghijklmnopqrstuvwxyz_") != "" || !slices.Contains([]string{"", "s", "%"}, f.Unit)
}

func askSocket(ctx context.Context, c *cobra.Command, file string, v any) error {
	cfg, from, err := locate(c, file)
	if err != nil {
		return err
	}
	return from.absent(web.Ask(ctx, cfg.StateDir, "/status", v), "--config")
}

// A judged is a finding, as the operator's limits see it, and its performance data.
type judged struct {
	observe.Finding
	perf string
}

// printFindings prints the line with what is not well, the worst first, the performance
// data, and on demand the rest.
func printFindings(w io.Writer, list []judged, verbose bool) error {
	var bad, perf []string
	for _, f := range list {
		perf = append(perf, f.perf)
	}
	byState := slices.Clone(list)
	slices.SortStableFunc(byState, func(a, b judged) int { return int(b.State - a.State) })
	for _, f := range byState {
		if f.State != observe.OK {
			bad = append(bad, f.Check+": "+f.Text)
		}
	}
	text := strings.Join(bad, "; ")
	switch {
	case text == "" && len(list) == 1:
		text = list[0].Text
	case text == "":
		text = fmt.Sprintf("all %d checks OK", len(list))
	}
	worst := byState[0].State
	fmt.Fprintf(w, "FLOWSNITCH %s - %s | %s\n", strings.ToUpper(worst.String()), oneLine(text), strings.Join(perf, " "))
	if verbose {
		for _, f := range list {
			fmt.Fprintf(w, "%s %s: %s\n", strings.ToUpper(f.State.String()), f.Check, oneLine(f.Text))
		}
	}
	if worst == observe.OK {
		return nil
	}
	return verdict(worst)
}
