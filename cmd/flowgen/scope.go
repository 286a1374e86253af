package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// A scopeName is the name of a scope field in --sampling-for.
type scopeName struct {
	name  string
	field uint16
}

// scopeNames are those of each protocol, see [synth.ScopeField].
var scopeNames = map[flow.Version][]scopeName{
	flow.V9:    {{"interface", 2}, {"card", 3}, {"cache", 4}, {"template", 5}},
	flow.IPFIX: {{"ingress", 10}, {"egress", 14}, {"card", 141}, {"process", 144}, {"template", 145}, {"domain", 149}},
}

// setScopes works out --sampled-interface and --sampling-for.
func (p *plan) setScopes() error {
	c := &p.encoder
	if p.sampledIf != 0 {
		if p.sampling == 0 {
			return usagef("--sampled-interface %d needs a rate: --sampling N", p.sampledIf)
		}
		scope := []synth.ScopeField{{Field: 2, Value: p.sampledIf}}
		if c.Version == flow.IPFIX {
			scope = []synth.ScopeField{{Field: 149, Value: p.domain}, {Field: 10, Value: p.sampledIf}}
		}
		c.Scoped, c.Sampling = append(c.Scoped, synth.ScopedRate{Scope: scope, Rate: p.sampling}), 0
	}
	for _, text := range p.samplingFor {
		r, err := parseScopedRate(text, scopeNames[c.Version])
		if err != nil {
			return usagef("--sampling-for %s: %w", text, err)
		}
		c.Scoped = append(c.Scoped, r)
	}
	return nil
}

// parseScopedRate reads SCOPE=ID,...:N.
func parseScopedRate(text string, names []scopeName) (r synth.ScopedRate, err error) {
	scope, rate, ok := strings.Cut(text, ":")
	if !ok {
		return r, fmt.Errorf("SCOPE=ID,...:N is required, for example %s=10:100", names[0].name)
	}
	if r.Rate, err = parseNumber("rate", rate, 1); err != nil {
		return r, err
	}
	for part := range strings.SplitSeq(scope, ",") {
		name, id, _ := strings.Cut(part, "=")
		f := synth.ScopeField{}
		var known []string
		for _, n := range names {
			known = append(known, n.name)
			if n.name == name {
				f.Field = n.field
			}
		}
		if f.Field == 0 {
			return r, fmt.Errorf("scope %q: %s are allowed", name, strings.Join(known, ", "))
		}
		if f.Value, err = parseNumber(name, id, 0); err != nil {
			return r, err
		}
		r.Scope = append(r.Scope, f)
	}
	return r, nil
}

func parseNumber(what, text string, least uint32) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || uint32(n) < least {
		return 0, fmt.Errorf("%s %q: a number within %d-%d is required", what, text, least, uint32(math.MaxUint32))
	}
	return uint32(n), nil
}
