package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newStatus makes the command that asks the running instance.
func newStatus() *cobra.Command {
	var file string
	var asJSON, asMetrics bool
	c := &cobra.Command{
		Use:   "status [-c FILE]",
		Short: "Show what the running instance receives, finds and loses",
		Long: `status reads the state of the running instance over its control socket.
Every kind of loss has a counter; a counter that is not shown is zero. Counters begin
with the start of the instance, where no other date is given. On a terminal long lines
are wrapped, elsewhere each is one line.`,
		Example: `  flowsnitch status
  flowsnitch status --json | jq .listeners
  flowsnitch status --metrics`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON && asMetrics {
				return usageError{errors.New("--json and --metrics are two forms of the same: name one")}
			}
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			path, out := "/status/report", wrapped(c.OutOrStdout())
			switch {
			case asJSON:
				path, out = "/status", c.OutOrStdout()
			case asMetrics:
				path, out = "/status/metrics", c.OutOrStdout()
			}
			answer, err := web.Fetch(c.Context(), cfg.StateDir, http.MethodGet, path)
			if err != nil {
				return notRunning(c.OutOrStdout(), cfg.StateDir, &from, err)
			}
			_, err = out.Write(answer)
			return err
		},
	}
	locateFlag(c, &file)
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	c.Flags().BoolVar(&asMetrics, "metrics", false, "print it as metrics for Prometheus")
	return c
}

// notRunning returns what the state directory shows when nobody answers.
func notRunning(w io.Writer, dir string, from *origin, err error) error {
	if !errors.Is(err, web.ErrNotRunning) {
		return err
	}
	if info, e := os.Stat(filepath.Join(dir, "hits.json")); e == nil {
		fmt.Fprintf(w, "last hit log entry %s, %s in %s\n", info.ModTime().Format(time.RFC3339), observe.Size(uint64(info.Size())), filepath.Join(dir, "hits.json"))
	}
	return from.absent(err, "-c")
}
