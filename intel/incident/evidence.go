package incident

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// Evidence is what a rule has found in one group, see [event.Rule], as it is kept and shown.
// Texts are one line each and have no control characters.
type Evidence struct {
	Rule      string           `json:"rule"`
	Title     string           `json:"title,omitempty"`
	Type      string           `json:"type"`
	Group     []Part           `json:"group,omitempty"`
	Count     uint64           `json:"count"`
	Threshold uint64           `json:"threshold"`
	Usual     uint64           `json:"usual,omitempty"` // 0 = nothing, or not known
	Error     float64          `json:"error,omitempty"` // standard error as a part of Count; 0 = exact
	Update    bool             `json:"update,omitempty"`
	From      time.Time        `json:"from"`
	To        time.Time        `json:"to"`
	Interval  float64          `json:"interval,omitempty"` // seconds
	Spread    float64          `json:"spread,omitempty"`
	Sources   []EvidenceShare  `json:"sources,omitempty"`
	Targets   []EvidenceShare  `json:"targets,omitempty"`
	Ports     []event.RulePort `json:"ports,omitempty"`
	Histogram []EvidenceBar    `json:"histogram,omitempty"`
	OrMore    bool             `json:"histogram_or_more,omitempty"` // the last bar has what was seen more often, too
	Stop      []string         `json:"stop,omitempty"`
	LeftOut   uint32           `json:"left_out,omitempty"`
}

// A Part is a field of a group with its value.
type Part struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

// An EvidenceShare is an address and how many flows it had.
type EvidenceShare struct {
	Value string `json:"value"`
	Count uint64 `json:"count"`
}

// An EvidenceBar is how many values were seen so many times.
type EvidenceBar struct {
	Times  uint64 `json:"times"`
	Values uint64 `json:"values"`
}

// The longest texts of an Evidence, in bytes: with the bounds of event.Rule it has less than
// 8 kB as JSON.
const (
	maxEvidenceText = 128
	maxStopText     = 256
)

// EvidenceOf takes the evidence of an event; nil for none. It shares nothing with it.
func EvidenceOf(r *event.Rule) *Evidence {
	if r == nil {
		return nil
	}
	text := func(s string) string { return string(fit.AppendPlain(nil, s, maxEvidenceText)) }
	shares := func(list []event.RuleShare) (out []EvidenceShare) {
		for _, s := range list[:min(len(list), event.MaxRuleShares)] {
			out = append(out, EvidenceShare{text(s.Value), s.Count})
		}
		return out
	}
	e := &Evidence{
		Rule: text(r.Name), Title: text(r.Title), Type: text(r.Type), Count: r.Count, Threshold: r.Threshold, Usual: r.Usual, Error: finite(r.Error),
		Update: r.Update, From: r.From.UTC(), To: r.To.UTC(), Interval: r.Interval.Seconds(), Spread: finite(r.Spread),
		Sources: shares(r.Sources), Targets: shares(r.Targets), OrMore: r.OrMore, LeftOut: r.LeftOut,
	}
	for _, f := range r.Group[:min(len(r.Group), event.MaxRuleGroup)] {
		e.Group = append(e.Group, Part{text(f.Field), text(f.Value)})
	}
	e.Ports = append(e.Ports, r.Ports[:min(len(r.Ports), event.MaxRulePorts)]...)
	for _, b := range r.Histogram[:min(len(r.Histogram), event.MaxRuleBars)] {
		e.Histogram = append(e.Histogram, EvidenceBar(b))
	}
	for _, s := range r.Stop[:min(len(r.Stop), event.MaxRuleStop)] {
		// Half a line for a firewall would do something else.
		if line := string(fit.AppendPlain(nil, s, maxStopText)); line == s {
			e.Stop = append(e.Stop, line)
		}
	}
	return e
}

// finite gives 0 for what JSON has no number for.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// Of gives the value of a field of the group; empty = the rule does not group by it.
func (e *Evidence) Of(field string) string {
	for _, p := range e.Group {
		if p.Field == field {
			return p.Value
		}
	}
	return ""
}

// Key is the same for all alerts of one rule about one group.
func (e *Evidence) Key() string {
	parts := []string{e.Rule}
	for _, p := range e.Group {
		parts = append(parts, p.Field+"="+p.Value)
	}
	return strings.Join(parts, "\n")
}

// Host is the host of ours that all of the group has in common; invalid = several.
func (e *Evidence) Host() netip.Addr {
	for _, field := range []string{"inside", "local"} {
		if a, err := netip.ParseAddr(e.Of(field)); err == nil {
			return a.Unmap()
		}
	}
	return netip.Addr{}
}
