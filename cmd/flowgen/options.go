package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
)

// Bounds of flags whose excess only costs memory.
const (
	maxFlows     = 10_000_000
	maxSockets   = 10_000
	maxExporters = 1 << 20 // with --spoof, where an exporter is no socket
	maxBatch     = 1024    // what the kernel takes in one sendmmsg
	maxProcesses = synth.MaxOrder + 1
)

// options are the flags as given.
type options struct {
	to, version          string
	rate                 float64
	count                int64
	duration             time.Duration
	ipv6, hits           float64
	hitList, home        string
	flows                int
	sampling, domain     uint32
	sampledIf            uint32
	samplingFor          []string
	totals, avc          bool
	exporters, processes int
	spoof                string
	perDatagram          int
	templateEvery, batch int
	onceTemplate         bool
	seed                 uint64
	pcap                 string
	allowRemote, json    bool
}

// A plan is options that have been found to make sense.
type plan struct {
	options
	target    netip.AddrPort
	encoder   synth.Config
	source    noise.Config
	addresses []netip.Addr // of the sessions, those of an exporter in a row; invalid: whatever the kernel picks
}

// plan checks the options. Its errors are usage errors.
func (o *options) plan() (*plan, error) {
	p := &plan{options: *o}
	for _, step := range []func() error{p.checkNumbers, p.setTarget, p.setAddresses, p.setEncoder, p.setSource} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *plan) checkNumbers() error {
	switch {
	case !(p.rate >= 0): // NaN too
		return usagef("--rate %g: 0 or more flows per second are allowed", p.rate)
	case p.count < 0:
		return usagef("--count %d: 0 or more are allowed", p.count)
	case p.duration < 0:
		return usagef("--duration %s: 0 or more is allowed", p.duration)
	case p.flows < 1 || p.flows > maxFlows:
		return usagef("--flows %d: 1 to %d are allowed", p.flows, maxFlows)
	case p.batch < 1 || p.batch > maxBatch:
		return usagef("--batch %d: 1 to %d are allowed", p.batch, maxBatch)
	case p.templateEvery < 1:
		return usagef("--template-every %d: 1 or more are allowed", p.templateEvery)
	case p.pcap != "" && p.count == 0 && (p.duration == 0 || p.rate == 0):
		return usagef("--pcap needs an end: --count, or --duration with a --rate above 0")
	}
	return nil
}

// setTarget resolves --to and keeps it on this machine.
func (p *plan) setTarget() error {
	a, err := net.ResolveUDPAddr("udp", p.to)
	if err != nil {
		return usagef("--to %s: %w", p.to, err)
	}
	t := a.AddrPort()
	p.target = netip.AddrPortFrom(t.Addr().Unmap(), t.Port())
	switch loopback := p.target.Addr().IsLoopback(); {
	case !p.target.Addr().IsValid() || p.target.Port() == 0:
		return usagef("--to %s: an address and a port are needed, as in 127.0.0.1:2055", p.to)
	case p.pcap != "" || loopback:
		return nil
	case p.spoof != "":
		return usagef("--to %s: with --spoof only loopback addresses are allowed", p.to)
	case !p.allowRemote:
		return usagef("--to %s is not a loopback address: invented traffic leaves this machine only with --allow-remote", p.to)
	}
	return nil
}

// setAddresses gives every exporter its address.
func (p *plan) setAddresses() error {
	most := maxSockets
	if p.spoof != "" || p.pcap != "" {
		most = maxExporters
	}
	switch {
	case p.exporters < 1 || p.exporters > most:
		return usagef("--exporters %d: 1 to %d are allowed here", p.exporters, most)
	case p.processes < 1 || p.processes > maxProcesses:
		return usagef("--processes %d: 1 to %d are allowed", p.processes, maxProcesses)
	case p.exporters*p.processes > most:
		return usagef("--exporters %d with --processes %d: %d in all are allowed here", p.exporters, p.processes, most)
	}
	first := netip.AddrFrom4([4]byte{127, 0, 0, 2})
	target := p.target.Addr()
	switch {
	case p.spoof != "":
		prefix, err := netip.ParsePrefix(p.spoof)
		if err != nil || !prefix.Addr().Is4() || 1<<(32-prefix.Bits()) < int64(p.exporters) {
			return usagef("--spoof %s: an IPv4 prefix with room for %d exporters is needed", p.spoof, p.exporters)
		}
		if !target.Is4() {
			return usagef("--spoof needs an IPv4 target, not %s", target)
		}
		first = prefix.Masked().Addr()
	case p.exporters == 1 && target.IsLoopback():
		first = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if target.Is6() {
			first = netip.IPv6Loopback()
		}
	case p.exporters == 1 && p.pcap == "":
		first = netip.Addr{}
	case !target.Is4() || (!target.IsLoopback() && p.pcap == ""):
		return usagef("--exporters %d need an IPv4 loopback target: their addresses are 127.0.0.2 and up", p.exporters)
	}
	for _, a := range consecutive(first, p.exporters) {
		p.addresses = append(p.addresses, slices.Repeat([]netip.Addr{a}, p.processes)...)
	}
	return nil
}

// consecutive gives n addresses from first on; more than one only of IPv4.
func consecutive(first netip.Addr, n int) []netip.Addr {
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = first
		if first.Is4() {
			first = first.Next()
		}
	}
	return list
}

func (p *plan) setEncoder() error {
	v, ok := map[string]flow.Version{"v5": flow.V5, "v9": flow.V9, "ipfix": flow.IPFIX, "sflow": flow.SFlow}[p.version]
	if !ok {
		return usagef("--version %s: v5, v9, ipfix or sflow are allowed", p.version)
	}
	if v != flow.V9 && v != flow.IPFIX {
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"sampled-interface", p.sampledIf != 0}, {"sampling-for", len(p.samplingFor) > 0}, {"totals", p.totals},
			{"avc", p.avc}, {"processes", p.processes != 1},
		} {
			if f.set {
				return usagef("--%s: only v9 and ipfix have templates, not %s", f.name, p.version)
			}
		}
	}
	p.encoder = synth.Config{Version: v, Domain: p.domain, Sampling: p.sampling, Totals: p.totals, AVC: p.avc, MaxFlows: p.perDatagram}
	if err := p.setScopes(); err != nil {
		return err
	}
	if _, err := synth.NewEncoder(p.encoder); err != nil {
		return usageError{err}
	}
	if v == flow.V5 && p.ipv6 > 0 {
		return usagef("--ipv6 %g: NetFlow v5 has no IPv6", p.ipv6)
	}
	return nil
}

func (p *plan) setSource() error {
	listed, err := readList(p.hitList)
	if err != nil {
		return usageError{fmt.Errorf("--hit-list: %w", err)}
	}
	home, err := parseList(p.home)
	if err != nil {
		return usageError{fmt.Errorf("--home: %w", err)}
	}
	p.source = noise.Config{Seed: p.seed, IPv6: p.ipv6, Hits: p.hits, Listed: listed, Home: home}
	if err := p.source.Validate(); err != nil {
		return usageError{err}
	}
	return nil
}
