package app

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// nameExporters adds what the configuration has on each exporter: its name, and the
// sampling rate that replaces those announced. A device that the configuration has by its
// sFlow agent address gets its name when its only stream is of that agent.
func nameExporters(list []decode.ExporterStatus, named []sites.Exporter) {
	known := make(map[netip.Addr]*sites.Exporter, len(named))
	for i := range named {
		known[named[i].Address.Unmap()] = &named[i]
	}
	for i := range list {
		e := &list[i]
		sender := known[e.Address]
		if sender != nil {
			e.Name, e.Site = sender.Name, sender.Site
		}
		for j := range e.Streams {
			s, device := &e.Streams[j], sender
			if s.Agent != nil && known[*s.Agent] != nil {
				device = known[*s.Agent]
			}
			if device == nil || canary.IsDomain(s.Version, s.Domain) {
				continue
			}
			if sender == nil && len(e.Streams) == 1 {
				e.Name, e.Site = device.Name, device.Site
			}
			if device.Sampling > 0 {
				s.Sampling = []decode.SamplingStatus{{Rate: device.Sampling, From: "configuration"}}
			}
		}
	}
}

// selfTestShare counts what belongs to streams of canaries alone.
func selfTestShare(list []decode.ExporterStatus) (share SelfTestShare) {
	for i := range list {
		others := false
		for j := range list[i].Streams {
			s := &list[i].Streams[j]
			if canary.IsDomain(s.Version, s.Domain) {
				share.Templates += s.Templates
			} else {
				others = true
			}
		}
		if !others && len(list[i].Streams) > 0 {
			share.Exporters++
		}
	}
	return share
}
