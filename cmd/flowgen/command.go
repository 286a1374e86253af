package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

const longHelp = `flowgen sends export datagrams like a router's: NetFlow v5, NetFlow v9, IPFIX or
sFlow v5, with templates, sampling and sequence numbers that hold together, at a
steady rate or as fast as it can. It prepares a ring of datagrams once and then
only renews sequence numbers and times, so that it takes a fraction of one core.

At the end, also on Ctrl-C, it prints one line with what was really sent, so that
the counters of a collector can be held against it.

It sends to loopback addresses only: the traffic is invented, and at full speed it
would drown a network and pollute whatever collector listens there. With
--allow-remote it sends to the address you name; be sure that it is yours.

Several exporters are several sockets, bound to 127.0.0.2, 127.0.0.3 and so on
(outside Linux these addresses must be set up first). --spoof takes their
addresses from a prefix instead, through a raw socket (Linux, CAP_NET_RAW,
loopback targets only). With --processes each exporter is several UDP sessions from
one address, in one observation domain and with the same template ids, but with the
fields of their templates in different orders.

Scopes of --sampling-for are, in v9, interface, card, cache and template; in IPFIX
ingress, egress, card, process, template and domain. Several, separated by commas,
hold together: ingress=3,egress=30:100 is a rate of 1 in 100 for flows from
interface 3 to 30. The templates of flows have the ids 256 and up.`

const exampleHelp = `  flowgen --to 127.0.0.1:2055 --version v9 --rate 1000 --duration 10s
  flowgen --version ipfix --ipv6 0.2 --hits 0.001 --hit-list 203.0.113.0/24 --count 100000
  flowgen --version v5 --rate 0 --duration 60s --exporters 4 --json
  flowgen --version v9 --sampling 1000 --sampling-for interface=10:100
  flowgen --version ipfix --processes 2 --avc --totals
  flowgen --version sflow --count 500 --pcap sflow.pcap`

func newCommand() *cobra.Command {
	o := new(options)
	cmd := &cobra.Command{
		Use:           "flowgen [flags]",
		Short:         "Exporter simulator and load generator for NetFlow, IPFIX and sFlow",
		Long:          longHelp,
		Example:       exampleHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unexpected argument %q: there are only flags", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return execute(cmd, o) },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.CompletionOptions.HiddenDefaultCmd = true
	o.bind(cmd)
	return cmd
}

// bind declares the flags; every default works.
func (o *options) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.to, "to", "127.0.0.1:2055", "collector, `HOST:PORT`")
	f.StringVar(&o.version, "version", "v9", "protocol: v5, v9, ipfix or sflow")
	f.Float64Var(&o.rate, "rate", 1000, "`FLOWS` per second; 0 = as fast as possible")
	f.Int64Var(&o.count, "count", 0, "stop after so many `FLOWS`: exact up to --flows, then whole datagrams; 0 = no limit")
	f.DurationVar(&o.duration, "duration", 0, "stop after this `TIME`; 0 = no limit")
	f.Float64Var(&o.ipv6, "ipv6", 0, "`SHARE` of flows between IPv6 addresses, 0-1")
	f.Float64Var(&o.hits, "hits", 0, "`SHARE` of flows with an address of --hit-list, 0-1")
	f.StringVar(&o.hitList, "hit-list", "", "`FILE` with an address or prefix a line, or prefixes separated by commas")
	f.StringVar(&o.home, "home", "", "own network, `PREFIX,...`: one end of every flow; default: any address")
	f.IntVar(&o.flows, "flows", 262144, "`DISTINCT` flows, sent again and again")
	f.Uint32Var(&o.sampling, "sampling", 0, "announce a sampling rate of 1 in `N`; 0 = none")
	f.Uint32Var(&o.sampledIf, "sampled-interface", 0, "v9, ipfix: announce the rate of --sampling for `INTERFACE` only; 0 = for the exporter")
	f.StringArrayVar(&o.samplingFor, "sampling-for", nil, "v9, ipfix: announce a rate for a part of the exporter too, `SCOPE=ID,...:N`; may be repeated")
	f.BoolVar(&o.totals, "totals", false, "v9, ipfix: total counters (elements 85, 86) instead of deltas")
	f.BoolVar(&o.avc, "avc", false, "v9, ipfix: client and server (Cisco AVC, 45004-45009) instead of source and destination")
	f.Uint32Var(&o.domain, "domain", 1, "engine `ID`, source id, observation domain or sub-agent")
	f.IntVar(&o.exporters, "exporters", 1, "send as `N` exporters in turn")
	f.IntVar(&o.processes, "processes", 1, "v9, ipfix: `N` UDP sessions for each exporter, with different templates of the same ids")
	f.StringVar(&o.spoof, "spoof", "", "take the exporters' addresses from this IPv4 `PREFIX` (raw socket)")
	f.IntVar(&o.perDatagram, "flows-per-datagram", 0, "at most `N` flows in a datagram; 0 = 30 in v5, 26 in v9 and ipfix, or as fit")
	f.IntVar(&o.templateEvery, "template-every", 1000, "send the templates again after `N` datagrams of an exporter")
	f.BoolVar(&o.onceTemplate, "once-template", false, "send the templates only at the start")
	f.IntVar(&o.batch, "batch", 64, "`N` datagrams at most per system call and turn of an exporter")
	f.Uint64Var(&o.seed, "seed", 1, "decides all flows; the same `SEED` gives the same flows")
	f.StringVar(&o.pcap, "pcap", "", "write a capture to `FILE` instead of sending, without waiting")
	f.BoolVar(&o.allowRemote, "allow-remote", false, "allow a target that is not a loopback address")
	f.BoolVar(&o.json, "json", false, "print the summary as JSON")
}

// execute sends until a limit is reached or the command is interrupted, and prints
// the summary in any case.
func execute(cmd *cobra.Command, o *options) error {
	p, err := o.plan()
	if err != nil {
		return err
	}
	s, err := p.newSender(time.Now())
	if err != nil {
		return err
	}
	runErr := s.run(cmd.Context())
	if err := s.tx.Close(); runErr == nil {
		runErr = err
	}
	if err := printSummary(cmd.OutOrStdout(), s.sum, o.json); runErr == nil {
		runErr = err
	}
	if runErr == nil && s.sum.Unsent > 0 {
		runErr = fmt.Errorf("%d datagrams could not be sent", s.sum.Unsent)
	}
	return runErr
}

func printSummary(w io.Writer, s summary, asJSON bool) error {
	line := s.String()
	if asJSON {
		line = s.JSON()
	}
	_, err := fmt.Fprintln(w, line)
	return err
}
