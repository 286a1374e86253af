package detect

import (
	"net/netip"
	"strconv"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// scores are the middle of each severity's range.
var scores = [...]uint8{event.Low: 15, event.Medium: 45, event.High: 72, event.Critical: 92}

// Event gives the alert as an event of kind alert. The event shares nothing with it that
// changes. Stop is empty: what would stop an offender is the business of those who show it.
func (a *Alert) Event(sensor string) event.Event {
	e := event.Event{
		Kind: event.KindAlert, ID: a.ID, Time: a.To, Sensor: sensor, Alert: event.RulePrefix + a.Rule.Name,
		Severity: a.Rule.Level, Score: scores[min(a.Rule.Level, event.Critical)], Reason: a.Sentence(),
		Offender: addressOf(a.Outside), Local: addressOf(a.Inside), Rule: a.evidence(),
	}
	e.Site = e.Rule.Of("site")
	if p, ok := flow.ParseProtocol(e.Rule.Of("protocol")); ok {
		e.Protocol, e.HasProtocol = p, true
	}
	if port, err := strconv.ParseUint(e.Rule.Of("service_port"), 10, 16); err == nil {
		e.ServicePort = uint16(port)
	}
	w := a.words()
	switch d := event.Direction(w.direction); d {
	case event.Inbound, event.Outbound, event.Internal, event.Transit:
		e.Direction = d
	}
	return e
}

// addressOf gives the address of a value; none for several.
func addressOf(v rule.Value) netip.Addr {
	if v == (rule.Value{}) {
		return netip.Addr{}
	}
	return v.Addr().Unmap()
}

// evidence gives what the event has of the alert.
func (a *Alert) evidence() *event.Rule {
	r := &event.Rule{
		Name: a.Rule.Name, Title: a.Rule.Title, Type: a.Rule.Correlation.Type.String(), Count: a.Count, Threshold: a.Threshold, Usual: a.Usual,
		Error: a.Failure, From: a.From, To: a.To, Update: a.Update, Interval: a.Interval, Spread: a.Spread,
		Sources: shares(a.Sources), Targets: shares(a.Targets),
	}
	if n := min(int(a.TLP), len(intel.TLPs)); n > 0 {
		r.TLP = intel.TLPs[n-1]
	}
	for _, p := range a.Group[:min(len(a.Group), event.MaxRuleGroup)] {
		if p.Value != "" { // no site, no feed
			r.Group = append(r.Group, event.RuleField(p))
		}
	}
	for _, s := range a.Ports[:min(len(a.Ports), event.MaxRulePorts)] {
		if port, err := strconv.ParseUint(s.Value, 10, 16); err == nil {
			r.Ports = append(r.Ports, event.RulePort{Port: uint16(port), Count: s.Count})
		}
	}
	for i, b := range a.Histogram {
		if i < event.MaxRuleBars {
			r.Histogram = append(r.Histogram, event.RuleBar(b))
			continue
		}
		r.Histogram[event.MaxRuleBars-1].Values += b.Values
		r.OrMore = true
	}
	return r
}

func shares(list []Share) (all []event.RuleShare) {
	for _, s := range list[:min(len(list), event.MaxRuleShares)] {
		all = append(all, event.RuleShare(s))
	}
	return all
}
