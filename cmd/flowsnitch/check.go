package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// The exit codes of check, as monitoring plugins have them.
const exitUnknown = 3

// A verdict ends the program with its exit code, after all has been printed.
type verdict int

func (v verdict) Error() string { return "" }

// checkFlags are what the command line says to check.
type checkFlags struct {
	file, url, tokenFile string
	warning, critical    string
	timeout              time.Duration
	verbose              bool
}

// newCheck makes the monitoring plugin.
func newCheck() *cobra.Command {
	var f checkFlags
	c := &cobra.Command{
		Use:   "check [-c FILE] [-w RANGE] [-C RANGE] [CHECK]...",
		Short: "Tell a monitoring system how well the running instance is",
		Long: `check is a plugin for Nagios, Icinga and the like: one line with performance data, more
lines with -v, exit code 0 (ok), 1 (warning), 2 (critical) or 3 (unknown). It asks the
running instance over its control socket, or with --url over HTTP.

Checks, all of them by default:
  canary     seconds since the self-test came to the sink that is furthest behind
  clock      whether the wall clock can be trusted
  exporters  seconds of silence; the limit is three times the usual pause, at least 5 minutes
  feeds      seconds since the oldest feed was confirmed; feeds that are missing or held back
  loss       percent lost in the last two minutes: kernel, network, hit queue
  sinks      seconds that a sink has not delivered; what it has lost
  spool      percent of the journal that is full; a disk that fails
  templates  data sets without their template in the last two minutes
  workers    seconds since a worker has last turned

With one check, -w and -C are its own limits, as ranges: 10 (above 10 or below 0), 10:
(below 10), ~:10 (above 10), 10:20 (outside), @10:20 (inside).`,
		Example: `  flowsnitch check
  flowsnitch check loss -w 0.1 -C 5
  flowsnitch check --url http://127.0.0.1:8055 canary sinks`,
		ValidArgs: []string{"canary", "clock", "exporters", "feeds", "loss", "sinks", "spool", "templates", "workers"},
		Args:      cobra.ArbitraryArgs,
		RunE:      func(c *cobra.Command, args []string) error { return runCheck(c, &f, args) },
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return sayVerdict(c.OutOrStdout(), exitUnknown, err.Error()) })
	c.Flags().StringVarP(&f.file, "config", "c", "", "configuration `file` of the running instance")
	c.Flags().StringVar(&f.url, "url", "", "`address` of the web server of the instance, instead of the control socket")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "`file` with the token of the web server")
	c.Flags().StringVarP(&f.warning, "warning", "w", "", "`range` outside which the one check named is a warning")
	c.Flags().StringVarP(&f.critical, "critical", "C", "", "`range` outside which it is critical")
	c.Flags().DurationVarP(&f.timeout, "timeout", "t", 10*time.Second, "`time` to wait for the instance")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print a line for every check")
	return c
}

// runCheck prints the verdict. What is wrong with the call is unknown, an instance that
// does not answer is critical.
func runCheck(c *cobra.Command, f *checkFlags, names []string) error {
	limits, err := limitsOf(f, names)
	if err != nil {
		return sayVerdict(c.OutOrStdout(), exitUnknown, err.Error())
	}
	for _, name := range names {
		if !slices.Contains(c.ValidArgs, name) {
			return sayVerdict(c.OutOrStdout(), exitUnknown, fmt.Sprintf("there is no check %q; there are %s", name, strings.Join(c.ValidArgs, ", ")))
		}
	}
	ctx, cancel := context.WithTimeout(c.Context(), f.timeout)
	defer cancel()
	s, err := askHealth(ctx, c, f)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return sayVerdict(c.OutOrStdout(), exitUnknown, err.Error())
	case err != nil:
		return sayVerdict(c.OutOrStdout(), int(app.Critical), err.Error())
	case len(s.Health) == 0:
		return sayVerdict(c.OutOrStdout(), int(app.Warning), "the instance has just started and knows nothing yet")
	}
	var chosen []app.Finding
	for _, finding := range s.Health {
		if len(names) == 0 || slices.Contains(names, finding.Check) {
			chosen = append(chosen, limits.apply(finding))
		}
	}
	return printFindings(c.OutOrStdout(), chosen, limits, f.verbose)
}

// sayVerdict prints the one line of a check that has nothing to show.
func sayVerdict(w io.Writer, code int, text string) error {
	fmt.Fprintf(w, "FLOWSNITCH %s - %s\n", strings.ToUpper(codeNames[code]), oneLine(text))
	return verdict(code)
}

var codeNames = [...]string{"ok", "warning", "critical", "unknown"}

// oneLine makes text safe for the first line of a plugin: no pipe, no line break.
func oneLine(s string) string {
	return printable(strings.NewReplacer("\n", " ", "|", "/").Replace(s))
}

// askHealth asks the instance for its status.
func askHealth(ctx context.Context, c *cobra.Command, f *checkFlags) (s app.Status, err error) {
	if f.url != "" {
		err = getStatus(ctx, f.url, f.tokenFile, &s)
		return s, err
	}
	cfg, err := loadConfig(c, f.file)
	if err != nil {
		return s, err
	}
	return s, web.Ask(ctx, cfg.StateDir, "/status", &s)
}

// maxAnswer bounds the status of a web server.
const maxAnswer = 16 << 20

// getStatus asks a web server.
func getStatus(ctx context.Context, url, tokenFile string, s *app.Status) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/api/v1/status", nil)
	if err != nil {
		return usageError{fmt.Errorf("--url: %w", err)}
	}
	if tokenFile != "" {
		token, err := os.ReadFile(tokenFile)
		if err != nil {
			return usageError{fmt.Errorf("--token-file: %w", err)}
		}
		req.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(s)
}

// printFindings prints the line with the worst first, the performance data, and on demand
// the rest.
func printFindings(w io.Writer, list []app.Finding, l limits, verbose bool) error {
	worst := app.OK
	var bad, perf []string
	for _, f := range list {
		worst = max(worst, f.State)
		perf = append(perf, l.perfdata(&f))
	}
	for _, f := range list {
		if f.State == worst && worst != app.OK {
			bad = append(bad, f.Check+": "+f.Text)
		}
	}
	text := strings.Join(bad, "; ")
	switch {
	case text == "" && len(list) == 1:
		text = list[0].Text
	case text == "":
		text = fmt.Sprintf("%d checks are well", len(list))
	}
	fmt.Fprintf(w, "FLOWSNITCH %s - %s | %s\n", strings.ToUpper(worst.String()), oneLine(text), strings.Join(perf, " "))
	if verbose {
		for _, f := range list {
			fmt.Fprintf(w, "%s %s: %s\n", strings.ToUpper(f.State.String()), f.Check, oneLine(f.Text))
		}
	}
	if worst == app.OK {
		return nil
	}
	return verdict(worst)
}
