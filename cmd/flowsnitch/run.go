package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/sites"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

// newRun makes the command that does the main job.
func newRun() *cobra.Command {
	var file, profile string
	var lists []string
	c := &cobra.Command{
		Use:   "run [-c FILE] [--profile edge] [--intel FILE]...",
		Short: "Collect export, match it against the lists, publish the hits",
		Long: `run listens for NetFlow v5, v9, IPFIX and sFlow and publishes every contact with a
listed address. Without -c it uses a built-in configuration: UDP ports 2055, 4739
and 6343, the hit log and the control socket in the state directory, hits on the
terminal. It needs no privileges. With --intel and without -c only these lists count, and
no feed is fetched; with -c they are added to what the configuration lists.

SIGHUP reloads configuration and lists and opens the hit log anew; the old stays in
force if the new one is wrong. SIGINT and SIGTERM end it with a summary.`,
		Example: `  flowsnitch run --intel bad.txt
  flowsnitch run -c /etc/flowsnitch/flowsnitch.yml`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadProfile(c, file, profile)
			if err != nil {
				return err
			}
			if file == "" && len(lists) > 0 {
				cfg.Intel.Feeds = nil
			}
			return run(c, cfg, app.Options{ConfigFile: file, Profile: profile, Lists: lists})
		},
	}
	configFlag(c, &file)
	intelFlag(c, &lists)
	c.Flags().StringVar(&profile, "profile", "", "`name` of values for what the configuration leaves open: "+strings.Join(configs.Profiles(), ", "))
	return c
}

func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration `file` (YAML); see 'flowsnitch config print'")
}

func intelFlag(c *cobra.Command, lists *[]string) {
	c.Flags().StringArrayVar(lists, "intel", nil, "`file` of listed prefixes; entries you vouch for: nothing is filtered except /0 (repeatable)")
}

// loadConfig reads the configuration, or gives the built-in one. What is wrong in
// it is wrong use.
func loadConfig(c *cobra.Command, file string) (configs.Config, error) {
	return loadProfile(c, file, "")
}

// loadProfile is loadConfig with a profile instead of the one that the file names.
func loadProfile(c *cobra.Command, file, profile string) (configs.Config, error) {
	if file == "" && c.Flags().Changed("config") {
		return configs.Config{}, wrongUse(c, "-c names no file")
	}
	cfg, err := configs.LoadProfile(file, profile)
	if err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// run starts an app and waits for its end.
func run(c *cobra.Command, cfg configs.Config, opts app.Options) error {
	opts.Out, opts.Version, opts.Notify = c.OutOrStdout(), version(), true
	opts.Colour = showsColours(opts.Out)
	log := newLogger(c.ErrOrStderr())
	hup := make(chan os.Signal, 1) // from the beginning: SIGHUP must never end the program
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	a := app.New(cfg, opts, log)
	if err := startApp(c, a); err != nil {
		var bad *configs.Error
		if errors.As(err, &bad) {
			return usageError{err}
		}
		return err
	}
	greet(c.ErrOrStderr(), a.Status(), &cfg, &opts)
	reloads := serve(c.Context(), a, hup, log)
	defer endForSure(c.ErrOrStderr())()
	err := a.Stop()
	select {
	case <-reloads:
	case <-time.After(summaryTime): // Stop has named it
	}
	summary(c.ErrOrStderr(), a)
	return err
}

// stopTime is how long the program may take to end whatever hangs, and summaryTime the
// part of it for the summary.
const (
	stopTime    = 9800 * time.Millisecond
	summaryTime = 300 * time.Millisecond
)

// startApp starts an app. When the program is to end before that is done, it waits for the
// start for a while, so that nothing is left half done, and then leaves it behind.
func startApp(c *cobra.Command, a *app.App) error {
	started := make(chan error, 1)
	go func() { started <- a.Start() }()
	select {
	case err := <-started:
		return err
	case <-c.Context().Done():
	}
	timer := time.NewTimer(stopTime / 2)
	defer timer.Stop()
	select {
	case err := <-started:
		return err
	case <-timer.C:
		go func() { // should the start come back before the process is gone
			if <-started == nil {
				_ = a.Stop()
			}
		}()
		return fmt.Errorf("stopped during the start, which hangs while %s", a.Starting())
	}
}

// endForSure ends the process when the time for the stop is over, whatever hangs: the
// terminal too, perhaps. What it returns calls that off.
func endForSure(w io.Writer) (off func()) {
	timer := time.AfterFunc(stopTime, func() {
		go fmt.Fprintln(w, "flowsnitch: the stop takes too long; left behind")
		time.Sleep(50 * time.Millisecond) // for the line above, if it can be written at all
		os.Exit(exitFailed)
	})
	return func() { timer.Stop() }
}

// summary prints the last status, unless what hangs keeps that back.
func summary(w io.Writer, a *app.App) {
	text := make(chan []byte, 1)
	go func() { text <- lastText(a) }()
	select {
	case b := <-text:
		_, _ = wrapped(w).Write(b)
	case <-time.After(summaryTime):
		fmt.Fprintln(w, "no summary: the status cannot be had")
	}
}

// lastText is the status at the end.
func lastText(a *app.App) []byte {
	var b bytes.Buffer
	_ = a.WriteSummary(&b) // a buffer takes everything
	return b.Bytes()
}

// serve waits until ctx ends. In a goroutine beside it, for which it does not wait, each
// signal of hup makes a reload. A reload may take long; signals that come meanwhile make
// one more, all together. done is closed when that goroutine has ended.
func serve(ctx context.Context, a *app.App, hup <-chan os.Signal, log *zap.Logger) (done <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				reload(a, log)
			}
		}
	}()
	<-ctx.Done()
	return ended
}

// reload reloads and logs the outcome.
func reload(a *app.App, log *zap.Logger) {
	if err := a.Reload(); err != nil {
		log.Error(err.Error())
		return
	}
	log.Info("reloaded", zap.Int("indicators", a.Status().Intel.Indicators))
}

// nothingListed returns why nothing can be a hit, and what helps.
func nothingListed(feeds int) string {
	if feeds == 0 {
		return "nothing is listed, so nothing can be a hit: give a list of prefixes with --intel FILE, or name feeds"
	}
	return fmt.Sprintf("nothing is listed yet, so nothing can be a hit: %d feeds are being fetched ('flowsnitch intel status'), and --intel FILE adds a list of yours", feeds)
}

// maxHomes bounds how many home networks are named at the start.
const maxHomes = 8

// homeLine names the home networks, and what they are for.
func homeLine(home []netip.Prefix, sites []sites.Site) string {
	line := homeNames(home)
	own := 0
	for _, s := range sites {
		if len(s.Home) > 0 {
			own++
		}
	}
	if len(sites) > 0 {
		line += fmt.Sprintf("; %d sites, %d of them with networks of their own", len(sites), own)
	}
	return line
}

func homeNames(home []netip.Prefix) string {
	var names []string
	for i, p := range home {
		if i == maxHomes {
			names = append(names, fmt.Sprintf("and %d more", len(home)-i))
			break
		}
		names = append(names, p.String())
	}
	line := "home " + strings.Join(names, ", ")
	if len(home) == 0 {
		line = "home is empty"
	}
	if slices.Equal(home, intel.DefaultHome()) {
		return line + " (the default: if your hosts have public addresses, add their prefixes to 'home' in a configuration; direction and severity depend on it)"
	}
	return line
}

// listsLine returns what counts beside the lists of the command line.
func listsLine(opts *app.Options, feeds int) string {
	names := strings.Join(opts.Lists, ", ")
	switch {
	case opts.ConfigFile == "":
		return "only the lists of --intel count: " + names + "; leave --intel out for the built-in feeds, or name a configuration with -c for both"
	case feeds == 0:
		return "lists of --intel: " + names
	}
	return fmt.Sprintf("lists of --intel, added to the %d feeds of the configuration: %s", feeds, names)
}

// greet prints where the program listens and what it knows, in one write: a reader that has seen
// the first line has all of them.
func greet(out io.Writer, s app.Status, cfg *configs.Config, opts *app.Options) {
	w := new(bytes.Buffer)
	var ports []string
	for _, l := range s.Listeners {
		ports = append(ports, "udp "+l.Address)
	}
	fmt.Fprintf(w, "flowsnitch %s listens on %s, %d indicators, state in %s\n",
		s.Version, strings.Join(ports, ", "), s.Intel.Indicators, s.StateDir)
	for _, k := range s.Sinks {
		if path, ok := strings.CutPrefix(k.Name, "jsonlog:"); ok {
			fmt.Fprintf(w, "hit log %s\n", path)
		}
	}
	fmt.Fprintln(w, homeLine(cfg.Home, cfg.Sites))
	if len(opts.Lists) > 0 {
		fmt.Fprintln(w, listsLine(opts, len(cfg.Intel.Feeds)))
	}
	if s.Intel.Indicators == 0 {
		fmt.Fprintln(w, nothingListed(len(cfg.Intel.Feeds)))
	}
	for _, l := range s.Listeners {
		if l.BufferGranted < l.BufferConfigured {
			fmt.Fprintf(w, "udp %s: the kernel grants %s of receive buffer instead of %s; raise net.core.rmem_max if it drops datagrams\n",
				l.Address, observe.Size(uint64(l.BufferGranted)), observe.Size(uint64(l.BufferConfigured)))
			break
		}
	}
	_, _ = w.WriteTo(out)
}
