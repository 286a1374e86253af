package decode_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// scoped announces a rate for a scope, in options data of a domain.
func scoped(v flow.Version, domain uint32, scope []fld, values []byte, rate uint32) []byte {
	p := message(v, 0, optionsSet(v, 400, scope, []fld{{ie: 34, len: 4}}), set(400, values, u32(rate)))
	return ofDomainID(v, domain, p)
}

func ofDomainID(v flow.Version, domain uint32, p []byte) []byte {
	if v == flow.V9 {
		copy(p[16:], u32(domain))
	} else {
		copy(p[12:], u32(domain))
	}
	return p
}

// An announcement is a rate for a scope, told in domain 7 unless another is named.
type announcement struct {
	domain uint32
	scope  []fld
	values []byte
	rate   uint32
}

var (
	ifIn, ifOut, card    = fld{ie: 10, len: 4}, fld{ie: 14, len: 4}, fld{ie: 141, len: 4}
	ofTemplate, ofDomain = fld{ie: 145, len: 2}, fld{ie: 149, len: 4}
	process144           = fld{ie: 144, len: 4}
)

// TestScopes: the rate of a flow in by interface 10 and out by 20, of template 300 in
// domain 7, on line card 3.
func TestScopes(t *testing.T) {
	for _, c := range []struct {
		name string
		v    flow.Version
		told []announcement
		rate uint32
		from string
	}{
		{"v9, its interface", flow.V9, []announcement{{7, []fld{{ie: 2, len: 4}}, u32(10), 100}, {7, []fld{{ie: 2, len: 4}}, u32(20), 1000}}, 100, "interface 10"},
		{"v9, its interface in 2 bytes", flow.V9, []announcement{{7, []fld{{ie: 2, len: 2}}, u16(10), 100}}, 100, "interface 10"},
		{"v9, other interfaces", flow.V9, []announcement{{7, []fld{{ie: 2, len: 4}}, u32(11), 100}, {7, []fld{{ie: 2, len: 4}}, u32(12), 1000}}, 0, ""},
		{"v9, one other interface", flow.V9, []announcement{{7, []fld{{ie: 2, len: 4}}, u32(11), 100}}, 0, ""},
		{"v9, other interfaces, and the system", flow.V9, []announcement{{7, []fld{{ie: 1, len: 4}}, u32(0), 64}, {7, []fld{{ie: 2, len: 4}}, u32(11), 100}}, 64, ""},
		{"v9, the system last", flow.V9, []announcement{{7, []fld{{ie: 2, len: 4}}, u32(10), 100}, {7, []fld{{ie: 1, len: 4}}, u32(0), 64}}, 100, "interface 10"},
		{"v9, line card", flow.V9, []announcement{{7, []fld{{ie: 3, len: 4}}, u32(2), 100}, {7, []fld{{ie: 3, len: 4}}, u32(3), 200}}, 200, "line card 3"},
		{"v9, line card and interface", flow.V9, []announcement{{7, []fld{{ie: 3, len: 4}, {ie: 2, len: 4}}, u32(3, 10), 300}, {7, []fld{{ie: 2, len: 4}}, u32(10), 100}}, 300, "line card 3, interface 10"},
		{"v9, caches that differ", flow.V9, []announcement{{7, []fld{{ie: 4, len: 2}}, u16(1), 100}, {7, []fld{{ie: 4, len: 2}}, u16(2), 200}}, 0, ""},
		{"v9, one cache", flow.V9, []announcement{{7, []fld{{ie: 4, len: 2}}, u16(1), 100}}, 100, "another scope"},
		{"v9, caches that agree", flow.V9, []announcement{{7, []fld{{ie: 4, len: 2}}, u16(1), 100}, {7, []fld{{ie: 4, len: 2}}, u16(2), 100}}, 100, ""},
		{"v9, template", flow.V9, []announcement{{7, []fld{{ie: 5, len: 2}}, u16(300), 100}, {7, []fld{{ie: 5, len: 2}}, u16(301), 200}}, 100, "template 300"},
		{"v9, told in another domain", flow.V9, []announcement{{0, []fld{{ie: 2, len: 4}}, u32(10), 100}, {0, []fld{{ie: 2, len: 4}}, u32(20), 1000}}, 100, "interface 10"},
		{"v9, other interfaces here, the system elsewhere", flow.V9, []announcement{{7, []fld{{ie: 2, len: 4}}, u32(11), 100}, {0, []fld{{ie: 1, len: 4}}, u32(0), 64}}, 64, ""},
		{"ingress interface", flow.IPFIX, []announcement{{7, []fld{ifIn}, u32(20), 200}, {7, []fld{ifIn}, u32(10), 100}}, 100, "ingress interface 10"},
		{"egress interface", flow.IPFIX, []announcement{{7, []fld{ifOut}, u32(10), 100}, {7, []fld{ifOut}, u32(20), 200}}, 200, "egress interface 20"},
		{"both", flow.IPFIX, []announcement{{7, []fld{ifIn, ifOut}, u32(10, 20), 300}, {7, []fld{ifIn}, u32(10), 100}, {7, []fld{ifOut}, u32(20), 200}}, 300, "ingress interface 10, egress interface 20"},
		{"both, one of another flow", flow.IPFIX, []announcement{{7, []fld{ifIn, ifOut}, u32(10, 21), 300}, {7, []fld{ifIn}, u32(10), 100}}, 100, "ingress interface 10"},
		{"line card", flow.IPFIX, []announcement{{7, []fld{card}, u32(3), 100}, {7, []fld{card}, u32(4), 200}}, 100, "line card 3"},
		{"line card and interface", flow.IPFIX, []announcement{{7, []fld{card}, u32(3), 100}, {7, []fld{card, ifIn}, u32(3, 10), 200}}, 200, "line card 3, ingress interface 10"},
		{"the process", flow.IPFIX, []announcement{{7, []fld{process144}, u32(1), 100}}, 100, ""},
		{"the process and the template", flow.IPFIX, []announcement{{7, []fld{process144, ofTemplate}, cat(u32(1), u16(300)), 200}, {7, []fld{process144}, u32(1), 100}}, 200, "template 300"},
		{"template of another", flow.IPFIX, []announcement{{7, []fld{ofTemplate}, u16(301), 200}}, 0, ""},
		{"domain", flow.IPFIX, []announcement{{7, []fld{ofDomain}, u32(7), 100}}, 100, "domain 7"},
		{"domain, told in domain 0", flow.IPFIX, []announcement{{0, []fld{ofDomain}, u32(7), 100}, {0, []fld{ofDomain}, u32(8), 200}}, 100, "domain 7"},
		{"another domain, told in domain 0", flow.IPFIX, []announcement{{0, []fld{ofDomain}, u32(8), 200}}, 0, ""},
		{"another domain, and all", flow.IPFIX, []announcement{{0, []fld{process144}, u32(1), 64}, {0, []fld{ofDomain}, u32(8), 200}}, 64, ""},
		{"domain and interface, told in domain 0", flow.IPFIX, []announcement{{7, []fld{process144}, u32(1), 64}, {0, []fld{ofDomain, ifIn}, u32(7, 10), 100}, {0, []fld{ofDomain, ifIn}, u32(8, 10), 200}}, 100, "domain 7, ingress interface 10"},
		{"domain 0 is all", flow.IPFIX, []announcement{{0, []fld{ofDomain}, u32(0), 100}}, 100, ""},
		{"interface before template and domain", flow.IPFIX, []announcement{{7, []fld{ifIn}, u32(10), 300}, {7, []fld{ofTemplate}, u16(300), 200}, {7, []fld{ofDomain}, u32(7), 100}, {7, []fld{process144}, u32(1), 50}}, 300, "ingress interface 10"},
		{"sampler and interface", flow.IPFIX, []announcement{{7, []fld{ifIn, {ie: 302, len: 2}}, cat(u32(10), u16(1)), 300}, {7, []fld{ifIn, {ie: 302, len: 2}}, cat(u32(10), u16(2)), 200}, {7, []fld{ifIn, {ie: 302, len: 2}}, cat(u32(11), u16(1)), 100}}, 300, "ingress interface 10, sampler 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			orders := [][]announcement{c.told}
			if len(c.told) > 1 {
				back := slices.Clone(c.told)
				slices.Reverse(back)
				orders = append(orders, back)
			}
			for _, told := range orders {
				b := newBench(t)
				for _, a := range told {
					b.send(scoped(c.v, a.domain, a.scope, a.values, a.rate))
				}
				data := message(c.v, 0, templateSet(c.v, template(300, ends[0], ends[1], ifIn, ifOut, card, fld{ie: 48, len: 1})),
					set(300, pairAB, u32(10, 20, 3), []byte{1}))
				check := func(what string) {
					t.Helper()
					b.send(data)
					r := b.one()
					from := ""
					if r.RateFrom != nil {
						from = *r.RateFrom
					}
					if r.Rate != c.rate || from != c.from {
						t.Errorf("%s: rate %d from %q, want %d from %q", what, r.Rate, from, c.rate, c.from)
					}
				}
				check("told in order")
				b.problems(nil)
				x := restarted(t, b)
				b.x, b.d = x, decode.New(x, b)
				check("after a restart of ours")
			}
		})
	}
}

// TestScopeOfDirection: the interface of a v9 scope is that by which the flow was metered.
func TestScopeOfDirection(t *testing.T) {
	for direction, want := range []uint32{100, 1000} {
		b := newBench(t)
		b.send(scoped(flow.V9, 7, []fld{{ie: 2, len: 4}}, u32(10), 100), scoped(flow.V9, 7, []fld{{ie: 2, len: 4}}, u32(20), 1000))
		b.send(header9(0, templateSet(flow.V9, template(300, ends[0], ends[1], ifIn, ifOut, fld{ie: 61, len: 1})), set(300, pairAB, u32(10, 20), []byte{byte(direction)})))
		wantRates(t, fmt.Sprint("direction ", direction), b.take(), want)
	}
}

// TestScopesAreBounded: scopes that nobody needs do not fill the memory.
func TestScopesAreBounded(t *testing.T) {
	l := decode.DefaultLimits()
	l.Samplers = 50
	b := newBenchLimits(t, l)
	for i := range uint32(200) {
		b.send(scoped(flow.V9, 7, []fld{{ie: 2, len: 4}}, u32(i), 100))
	}
	if n := len(b.stream().Sampling); n != 50 {
		t.Errorf("%d rates are kept, want 50", n)
	}
	if n := b.d.Stats().Problems["cap_samplers"]; n != 150 {
		t.Errorf("%d were counted, want 150", n)
	}
}
