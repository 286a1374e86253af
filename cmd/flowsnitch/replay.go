package main

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/match"
	"github.com/spf13/cobra"
)

// newReplay makes the command that sends captures through the real path.
func newReplay() *cobra.Command {
	var file string
	var lists []string
	var rollup bool
	c := &cobra.Command{
		Use:   "replay [-c FILE] [--intel FILE]... CAPTURE...",
		Short: "Match captured export packets and print the hits as JSON lines",
		Long: `replay sends captured export packets through the path that 'run' uses and prints
one hit for every flow record and listed address in it, as a line of JSON; a summary
goes to standard error. With --intel and without -c only these lists count; feeds are
never fetched, their last good copies are used. With --rollup it prints what 'run' would have sent, with
updates of contacts, driven by the times in the capture. Canaries in it (see
'flowsnitch canary') are counted in the summary and not printed.`,
		Example: `  flowsnitch replay --intel bad.txt router.pcap
  flowsnitch replay --intel bad.txt router.pcap | jq -r .flowsnitch.offender | sort | uniq -c`,
		Args: arguments("a capture file", anyNumber),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, _, err := loadListed(c, file, lists)
			if err != nil {
				return err
			}
			cfg.Contact.EveryHit = !rollup
			return replay(c, &cfg, lists, args)
		},
	}
	locateFlag(c, &file)
	intelFlag(c, &lists)
	c.Flags().BoolVar(&rollup, "rollup", false, "print contacts as 'run' does, instead of every hit")
	return c
}

// replay matches captures, one after the other.
func replay(c *cobra.Command, cfg *configs.Config, lists, paths []string) error {
	table, _, err := buildTable(c, cfg, lists)
	if err != nil {
		return err
	}
	if table.Len() == 0 {
		fmt.Fprintln(c.ErrOrStderr(), "nothing is listed, so nothing can be a hit: give a list of prefixes with --intel FILE")
	}
	store := lookup.NewStore()
	store.Swap(table)
	out := &linePrinter{w: bufio.NewWriterSize(c.OutOrStdout(), 1<<16)}
	sum := &captureSummary{}
	var errs []error
	hits := uint64(0)
	for _, path := range paths {
		n, err := replayFile(c, cfg, store, path, sum, out)
		hits += n
		if err != nil {
			errs = append(errs, err)
		}
		if c.Context().Err() != nil {
			break
		}
	}
	errs = append(errs, out.w.Flush())
	sum.print(c.ErrOrStderr())
	fmt.Fprintf(c.ErrOrStderr(), "%d indicators, %d hits, %d events\n", table.Len(), hits, out.n)
	if sum.canaries > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "%d canaries, which are no hits and not printed\n", sum.canaries)
	}
	return errors.Join(errs...)
}

// buildTable compiles the lists, and reports on standard error what is wrong with those
// that are used nevertheless.
func buildTable(c *cobra.Command, cfg *configs.Config, lists []string) (*lookup.Table, []fetch.Status, error) {
	table, feeds, err := app.BuildTable(cfg, lists)
	if err == nil {
		complain(c, feeds)
	}
	return table, feeds, err
}

// complain prints what is wrong with lists.
func complain(c *cobra.Command, feeds []fetch.Status) {
	for i := range feeds {
		if complaint := app.Complaint(&feeds[i]); complaint != "" {
			fmt.Fprintf(c.ErrOrStderr(), "list %s: %s\n", feeds[i].Source, complaint)
		}
	}
}

// replayFile matches one capture with exporters and contacts of its own.
func replayFile(c *cobra.Command, cfg *configs.Config, store *lookup.Store, path string, sum *captureSummary, out *linePrinter) (uint64, error) {
	x := decode.NewExporters(cfg.Limits)
	app.ReadTunnels(x, cfg)
	x.SetSites(cfg.Contact.ExporterSites())
	contacts := correlate.New(cfg.Contact, out.events)
	var now time.Time
	m := match.NewMatcher(store, queue.Direct(contacts, func() time.Time { return now }))
	d := decode.New(x, m)
	err := eachDatagram(c, path, sum, func(dg *flow.Datagram) {
		now = dg.Received
		contacts.Tick(now)
		d.Decode(dg)
		m.Flush()
	})
	contacts.Flush(now)
	stats := d.Stats()
	sum.decoded(stats, x)
	sum.canaries += m.Canaries().Found
	if err == nil && stats.Datagrams() == 0 {
		err = fmt.Errorf("%s: no NetFlow, IPFIX or sFlow in it", path)
	}
	return m.Matched(), err
}

// A linePrinter prints events as native JSON lines.
type linePrinter struct {
	w    *bufio.Writer
	n    int
	line []byte
}

func (p *linePrinter) events(events []event.Event) {
	for i := range events {
		p.line = event.AppendJSON(p.line[:0], &events[i])
		_, _ = p.w.Write(p.line) // the error stays and comes with Flush
		p.n++
	}
}
