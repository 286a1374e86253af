package main

import (
	"context"
	"io"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/spf13/cobra"
)

// newTop makes the command that shows the running instance live.
func newTop() *cobra.Command {
	var file string
	var every time.Duration
	var count int
	c := &cobra.Command{
		Use:   "top [-c FILE] [--every 2s]",
		Short: "Show live what the running instance receives, finds and loses",
		Long: `top asks the running instance every two seconds and shows what came in between: what
is not well, rates by protocol, losses by kind, the exporters that send most, sinks and
how far the self-test is behind there, feeds, the last hits. It fits the terminal; what
has no room is counted in the headings. Only what has changed is drawn anew. In a pipe
it prints one block after the other. Ctrl-C ends it.`,
		Example: `  flowsnitch top
  flowsnitch top --every 10s --count 1`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return wrongUse(c, "--every: %s is too short; allowed are 100ms and more", every)
			}
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			return from.absent(top(c.Context(), c.OutOrStdout(), cfg, every, count), "-c")
		},
	}
	locateFlag(c, &file)
	c.Flags().DurationVar(&every, "every", 2*time.Second, "`time` between two questions, such as 10s")
	c.Flags().IntVar(&count, "count", 0, "end after this `number` of rounds; 0 = never")
	return c
}

// top asks and shows until ctx ends. The first round only has totals to compare the next
// with. An instance that has answered once may be away for a while, as for a restart.
func top(ctx context.Context, out io.Writer, cfg configs.Config, every time.Duration, count int) error {
	p := newPainter(out)
	defer p.close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last *app.Status // nil = there was no answer
	var at time.Time
	for round := 0; count == 0 || round <= count; round++ {
		s, err := askStatus(ctx, cfg.StateDir)
		now, answered := time.Now(), err == nil
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && round == 0:
			return err
		case err != nil:
			err = p.show(func(int) []section { return away(err) })
		case last != nil && last.Since.Sub(s.Since).Abs() < time.Second: // the wall clock may move
			err = p.show(func(columns int) []section { return screen(last, &s, now.Sub(at), columns) })
		case round > 0: // there is another instance: from its start on
			err = p.show(func(columns int) []section { return screen(&app.Status{}, &s, time.Since(s.Since), columns) })
		}
		if err != nil {
			return err
		}
		last, at = nil, now
		if answered {
			last = &s
		}
		if count > 0 && round == count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return nil
}
