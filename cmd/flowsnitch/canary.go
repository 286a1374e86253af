package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// canaryOptions are the flags of the command.
type canaryOptions struct {
	to, protocol string
	every        time.Duration
	count        int
}

// newCanary makes the command that sends flows on purpose.
func newCanary() *cobra.Command {
	var file string
	var o canaryOptions
	c := &cobra.Command{
		Use:   "canary [-c FILE] [--to HOST:PORT] [--every 1m] [--count N] [--protocol ipfix]",
		Short: "Send a flow on purpose, to prove the way through the network",
		Long: `canary sends one export datagram with a flow to 192.0.2.253, an address of
documentation space that no host has and no feed lists. A flowsnitch that receives it
makes an event of kind canary of it, which goes to every sink and is never counted as
a hit, and shows the sender under "canary" in its status.

With --to it proves the way from this host to another, through routers and firewalls;
the sender must be allowed there. Without it the datagram goes to every listener of
the running instance here, and the command waits until it was seen.`,
		Example: `  flowsnitch canary
  flowsnitch canary --to collector.example:2055 --every 1m`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			if c.Flags().Changed("every") && !c.Flags().Changed("count") {
				o.count = 0
			}
			v, err := o.check(c)
			if err != nil {
				return err
			}
			return from.absent(sendCanaries(c.Context(), c.OutOrStdout(), &cfg, &o, v), "-c, or another host with --to")
		},
	}
	locateFlag(c, &file)
	c.Flags().StringVar(&o.to, "to", "", "`host:port` to send to; default: the running instance on this host")
	c.Flags().DurationVar(&o.every, "every", time.Minute, "`time` between two; naming it sends until Ctrl-C")
	c.Flags().IntVar(&o.count, "count", 1, "end after this `number`; 0 = never")
	c.Flags().StringVar(&o.protocol, "protocol", "ipfix", "export `protocol`: v5, v9, ipfix or sflow")
	return c
}

// check returns what is wrong with the flags, and gives the protocol.
func (o *canaryOptions) check(c *cobra.Command) (flow.Version, error) {
	if o.every < time.Second {
		return 0, wrongUse(c, "--every: %s is too short; allowed are 1s and more", o.every)
	}
	if o.count < 0 {
		return 0, wrongUse(c, "--count: %d is less than 0", o.count)
	}
	if _, port, err := net.SplitHostPort(o.to); c.Flags().Changed("to") && (err != nil || port == "" || port == "0") {
		return 0, wrongUse(c, "--to: %q is not host:port, such as collector.example:2055", o.to)
	}
	all := []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow}
	i := slices.IndexFunc(all, func(v flow.Version) bool { return v.String() == o.protocol })
	if i < 0 {
		return 0, wrongUse(c, "--protocol: %q; allowed are v5, v9, ipfix and sflow", o.protocol)
	}
	return all[i], nil
}

// sendCanaries sends one after the other. What fails is reported at once, and the next one
// is tried: the way may be there again.
func sendCanaries(ctx context.Context, out io.Writer, cfg *configs.Config, o *canaryOptions, v flow.Version) error {
	senders, err := dialCanaries(ctx, cfg, o, v)
	for _, s := range senders {
		defer s.Close()
	}
	if err != nil {
		return err
	}
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	for n := 1; ; n++ {
		err := sendRound(ctx, out, cfg, o, senders)
		if n == o.count || ctx.Err() != nil {
			return err
		}
		if err != nil {
			fmt.Fprintln(out, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// dialCanaries makes a sender to each target.
func dialCanaries(ctx context.Context, cfg *configs.Config, o *canaryOptions, v flow.Version) (senders []*canary.Sender, err error) {
	targets := []string{o.to}
	if o.to == "" {
		if targets, err = ownListeners(ctx, cfg.StateDir); err != nil {
			return nil, err
		}
	}
	for i, to := range targets {
		s, err := canary.Dial(to, v, canary.DomainCommand-uint32(i))
		if err != nil {
			return senders, err
		}
		senders = append(senders, s)
	}
	return senders, nil
}

// ownListeners asks the running instance where it listens.
func ownListeners(ctx context.Context, stateDir string) (targets []string, err error) {
	s, err := askStatus(ctx, stateDir)
	if err != nil {
		return nil, err
	}
	for _, l := range s.Listeners {
		at, err := netip.ParseAddrPort(l.Address)
		if err != nil {
			return nil, fmt.Errorf("the running instance reports an invalid listener address: %w", err)
		}
		targets = append(targets, app.SelfAddress(at, l.Listen))
	}
	if len(targets) == 0 {
		return nil, errors.New("the running instance has no listener yet; try again")
	}
	return targets, nil
}

func askStatus(ctx context.Context, stateDir string) (s app.Status, err error) {
	err = web.Ask(ctx, stateDir, "/status", &s)
	return s, err
}

// sendRound sends a canary to each target. Those to our own instance are looked for.
func sendRound(ctx context.Context, out io.Writer, cfg *configs.Config, o *canaryOptions, senders []*canary.Sender) error {
	var errs []error
	for _, s := range senders {
		c := canary.New(uint16(rand.Uint32()))
		err := s.Send(c)
		if err == nil {
			err = s.Refused()
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if o.to != "" {
			fmt.Fprintf(out, "%s sent to %s from %s; 'flowsnitch status' there shows it under canary\n", c.Sent.Format(time.RFC3339Nano), s.To(), s.Source())
			continue
		}
		took, err := seen(ctx, cfg.StateDir, s.Source(), c)
		if err != nil {
			errs = append(errs, fmt.Errorf("canary to %s: %w", s.To(), err))
			continue
		}
		fmt.Fprintf(out, "%s sent to %s, received after %.3f ms\n", c.Sent.Format(time.RFC3339Nano), s.To(), took)
	}
	return errors.Join(errs...)
}

// seenWait is how long the running instance may take to see a canary.
const seenWait = 5 * time.Second

// seen waits until the running instance reports a canary, and gives the milliseconds
// that it took.
func seen(ctx context.Context, stateDir string, from netip.Addr, c event.Canary) (float64, error) {
	for deadline := time.Now().Add(seenWait); ; {
		s, err := askStatus(ctx, stateDir)
		if err != nil {
			return 0, err
		}
		if at, ok := s.Canary.Others[from.String()]; ok && !at.Last.Before(c.Sent) {
			return at.Milliseconds, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("not seen by the running instance within %s; see refused and lost in 'flowsnitch status'", seenWait)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
