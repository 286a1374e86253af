package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// newTop makes the command that shows the running instance live.
func newTop() *cobra.Command {
	var file string
	var every time.Duration
	var count int
	c := &cobra.Command{
		Use:   "top [-c FILE] [--every 2s]",
		Short: "Show rates, losses and exporters of the running instance, live",
		Long: `top asks the running instance every two seconds and shows what came in between:
rates by protocol, losses by kind, the exporters that send most, the sinks. In a pipe
it prints one block after the other. Ctrl-C ends it.`,
		Example: `  flowsnitch top
  flowsnitch top --every 10s --count 1`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return wrongUse(c, "--every: %s is too short; allowed are 100ms and more", every)
			}
			cfg, err := loadConfig(c, file)
			if err != nil {
				return err
			}
			return top(c.Context(), c.OutOrStdout(), cfg, every, count)
		},
	}
	configFlag(c, &file)
	c.Flags().DurationVar(&every, "every", 2*time.Second, "`time` between two questions, such as 10s")
	c.Flags().IntVar(&count, "count", 0, "end after this `number` of rounds; 0 = never")
	return c
}

// top asks and shows until ctx ends. The first round only has totals to compare
// the next with.
func top(ctx context.Context, out io.Writer, cfg configs.Config, every time.Duration, count int) error {
	clear := isTerminal(out)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last app.Status
	var at time.Time
	for round := 0; count == 0 || round <= count; round++ {
		var s app.Status
		if err := web.Ask(ctx, cfg.StateDir, "/status", &s); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		now := time.Now()
		if round > 0 {
			if _, err := out.Write(screen(&last, &s, now.Sub(at), clear)); err != nil {
				return err
			}
		}
		if last, at = s, now; count > 0 && round == count {
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

// screen draws one round: at most about 25 lines of 80 columns, written at once,
// so that it stays readable over a slow line.
func screen(last, s *app.Status, d time.Duration, clear bool) []byte {
	var b bytes.Buffer
	if clear {
		b.WriteString("\x1b[H\x1b[2J")
	}
	rate := func(now, before uint64) string { return perSecond(float64(now-min(now, before)) / d.Seconds()) }
	fmt.Fprintf(&b, "flowsnitch %s  %s  up %s  %d indicators\n\n", s.Version, s.Name, time.Since(s.Since).Round(time.Second), s.Intel.Indicators)
	for _, f := range s.Health {
		if f.State != app.OK {
			fmt.Fprintf(&b, "%-8s %-9s %.60s\n", f.State, f.Check, printable(f.Text))
		}
	}
	fmt.Fprintf(&b, "%-8s %12s %12s %14s\n", "", "datagrams/s", "flows/s", "flows in all")
	for _, name := range []string{"v5", "v9", "ipfix", "sflow"} {
		n, o := s.Decoded.Versions[name], last.Decoded.Versions[name]
		if n.Datagrams > 0 {
			fmt.Fprintf(&b, "%-8s %12s %12s %14d\n", name, rate(n.Datagrams, o.Datagrams), rate(n.Records, o.Records), n.Records)
		}
	}
	fmt.Fprintf(&b, "%-8s %12s %12s %14d\n\n", "hits", "", rate(s.Hits.Found, last.Hits.Found), s.Hits.Found)
	fmt.Fprintf(&b, "%-34s %12s %14s\n", "losses", "per s", "in all")
	for _, l := range losses() {
		fmt.Fprintf(&b, "%-34s %12s %14d\n", l.name, rate(l.n(s), l.n(last)), l.n(s))
	}
	fmt.Fprintf(&b, "\n%-26s %-6s %8s %12s %10s\n", "exporter", "", "domain", "flows/s", "lost")
	for i := range s.Exporters.List[:min(len(s.Exporters.List), 8)] {
		e := &s.Exporters.List[i]
		for j := range e.Streams[:min(len(e.Streams), 4)] {
			st := &e.Streams[j]
			fmt.Fprintf(&b, "%-26s %-6s %8d %12s %10d\n", e.Address, st.Version, st.Domain, rate(st.Records, before(last, e, st)), st.Lost)
		}
	}
	fmt.Fprintf(&b, "\n%-34s %10s %9s %9s\n", "sink", "sent", "waiting", "dropped")
	for _, k := range s.Sinks {
		fmt.Fprintf(&b, "%-34.34s %10d %9d %9d\n", k.Name, k.Sent, k.Pending, k.Dropped+k.Failed)
	}
	return b.Bytes()
}

// A loss is one kind of loss and its number.
type loss struct {
	name string
	n    func(*app.Status) uint64
}

// losses are the kinds that are always shown: a zero is news, too.
func losses() []loss {
	return []loss{
		{"kernel drops (datagrams)", func(s *app.Status) (n uint64) {
			for _, l := range s.Listeners {
				n += l.KernelDrops
			}
			return n
		}},
		{"refused senders (datagrams)", func(s *app.Status) (n uint64) {
			for _, l := range s.Listeners {
				n += l.Refused
			}
			return n
		}},
		{"sequence gaps: v5 (flows)", func(s *app.Status) uint64 { return s.Exporters.Lost.Flows }},
		{"sequence gaps: IPFIX (records)", func(s *app.Status) uint64 { return s.Exporters.Lost.Records }},
		{"sequence gaps: v9, sFlow (datagr.)", func(s *app.Status) uint64 { return s.Exporters.Lost.Datagrams }},
		{"unknown template (sets)", func(s *app.Status) uint64 {
			return s.Decoded.UnknownSets - min(s.Decoded.UnknownSets, s.Exporters.Early.Replayed)
		}},
		{"undecodable", func(s *app.Status) (n uint64) {
			for _, v := range s.Decoded.Problems {
				n += v
			}
			return n
		}},
		{"hit queue full (hits)", func(s *app.Status) uint64 { return s.Hits.HitQueueFull }},
	}
}

// before finds what a stream had counted in the round before.
func before(last *app.Status, e *decode.ExporterStatus, st *decode.StreamStatus) uint64 {
	for i := range last.Exporters.List {
		if last.Exporters.List[i].Address != e.Address {
			continue
		}
		for j := range last.Exporters.List[i].Streams {
			o := &last.Exporters.List[i].Streams[j]
			if o.Version == st.Version && o.Domain == st.Domain && o.Port == st.Port {
				return o.Records
			}
		}
	}
	return 0
}

// perSecond prints a rate for people.
func perSecond(f float64) string {
	switch {
	case f >= 10e6:
		return fmt.Sprintf("%.1f M", f/1e6)
	case f >= 10e3:
		return fmt.Sprintf("%.1f k", f/1e3)
	}
	return fmt.Sprintf("%.1f", f)
}
