package rule

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

const head = "title: A test\nname: test\n"

// countRule is a good rule; its correlation is in line 4.
const countRule = head + "over: hits\ncorrelation: {type: event_count, group-by: [offender], timespan: 10m, condition: {gte: 10}}\n"

func one(t *testing.T, text string) *Rule {
	t.Helper()
	rules, bad := Read("f.yml", []byte(text))
	if len(bad) > 0 || len(rules) != 1 {
		t.Fatalf("%d rules, %v\n%s", len(rules), bad, text)
	}
	return rules[0]
}

func TestRead(t *testing.T) {
	r := one(t, `# a comment
title: Many sources
name: my-swarm_2
description: >
  Text of
  two lines.
origin: me
author: somebody
level: informational
over: contacts
where:
  direction: inbound
  answered: [no, unknown]
  inside: [192.0.2.0/24, 2001:db8::1]
  protocol: {not: [tcp, 17]}
  service_port: {gte: 1, lt: 1024}
  site: {not: lab}
  blocked: no
correlation:
  type: rise
  group-by: [inside, site]
  timespan: 6h
  condition: {field: outside, gte: 50}
  each: {lte: 8}
  times: 2.5
  cold: 200
cooldown: 2d
disabled: true
`)
	c := &r.Correlation
	if r.Name != "my-swarm_2" || r.Title != "Many sources" || strings.TrimSpace(r.Description) != "Text of two lines." || r.Level != event.Low || r.Over != Contacts ||
		r.Cooldown != 48*time.Hour || !r.Disabled || !r.Generate || r.File != "f.yml" || r.Line != 2 || len(r.Where) != 7 {
		t.Errorf("%+v", r)
	}
	if c.Type != Rise || len(c.GroupBy) != 2 || c.Timespan != 6*time.Hour || c.Condition.Field.Name != "outside" || c.Condition.Min != 50 || c.Each.Max != 8 ||
		c.Times != 2.5 || c.Cold != 200 || c.Monotone() {
		t.Errorf("%+v", c)
	}
	o := Observation{Inside: flow.Addr6Of(netip.MustParseAddr("192.0.2.7")), Direction: 1, Answered: 2, Protocol: 1, ServicePort: 1023}
	text := func(n uint32) string { return []string{"", "lab"}[n] }
	holds := func(o Observation) bool {
		for i := range r.Where {
			if !r.Where[i].Holds(&o, text) {
				return false
			}
		}
		return true
	}
	if !holds(o) {
		t.Error("it does not hold")
	}
	for name, change := range map[string]func(*Observation){
		"direction": func(o *Observation) { o.Direction = 0 },
		"answered":  func(o *Observation) { o.Answered = 1 },
		"inside":    func(o *Observation) { o.Inside = flow.Addr6Of(netip.MustParseAddr("192.0.3.7")) },
		"many":      func(o *Observation) { o.Inside = flow.Addr6{} },
		"tcp":       func(o *Observation) { o.Protocol = 6 },
		"udp":       func(o *Observation) { o.Protocol = 17 },
		"port":      func(o *Observation) { o.ServicePort = 1024 },
		"none":      func(o *Observation) { o.ServicePort = 0 },
		"site":      func(o *Observation) { o.Site = 1 },
		"blocked":   func(o *Observation) { o.Blocked = true },
	} {
		x := o
		change(&x)
		if holds(x) {
			t.Errorf("%s: it holds", name)
		}
	}
	o.Inside = flow.Addr6Of(netip.MustParseAddr("2001:db8::1"))
	if !holds(o) {
		t.Error("IPv6: it does not hold")
	}
}

func TestDefaults(t *testing.T) {
	r := one(t, countRule)
	if r.Level != event.Medium || r.Cooldown != DefaultCooldown || r.Disabled || !r.Generate || r.Over != Hits || !r.Correlation.Monotone() {
		t.Errorf("%+v", r)
	}
	r = one(t, head+"where: {direction: inbound}\n")
	if r.Correlation.Type != Base || r.Generate {
		t.Errorf("%+v", r)
	}
	r = one(t, head+"over: contacts\ncorrelation: {type: lockstep, group-by: inside, timespan: 90m, share: 25 %, condition: {gt: 15}}")
	if c := r.Correlation; c.Within != 2*time.Second || c.Share != 0.25 || c.Condition.Min != 16 {
		t.Errorf("%+v", c)
	}
}

// errorCases are what is wrong below head, where it is, and what the error says.
var errorCases = []struct{ text, place, want string }{
	// the document
	{"", "1:1", "neither where nor correlation"},
	{"where: {}\n", "3:8", "where has no key"},
	{"where:\ncorrelation:\n", "3:1", "where has no value; is what follows indented?"},
	{"colour: red\n", "3:1", `unknown key "colour"; allowed are cooldown, correlation, description`},
	{"title: again\n", "3:1", "already defined"},
	{"level: urgent\n", "3:8", `level: "urgent" is not valid; use low, medium, high, critical, informational`},
	{"over: flows\n", "3:7", `over: "flows" is not valid; use hits, contacts, logins`},
	{"over: [hits]\n", "3:7", "over must be one value"},
	{"cooldown: 30s\n", "3:11", "cooldown: 30s is not valid; use whole seconds, 1m to 31d"},
	{"cooldown: soon\n", "3:11", `cooldown: "soon" is not a length of time; use a number with s, m, h or d, such as 10m`},
	{"cooldown: 99999999999999999999d\n", "3:11", "is not a length of time"},
	{"disabled: maybe\n", "3:11", "disabled must be true or false"},
	{"where: {direction: inbound}\ngenerate: true\n", "4:11", "a rule without correlation raises no alerts"},
	{"description: [\n", "", "not found"},
	{"description: " + strings.Repeat("x", 4097) + "\n", "3:14", "description has 4097 bytes; at most 4096"},
	{"where: &a {direction: inbound}\n", "3:8", "tags, anchors, aliases and merge keys"},
	{"where: {direction: !!str inbound}\n", "3:20", "tags, anchors, aliases and merge keys"},
	{"where: {<<: {direction: inbound}}\n", "3:9", "tags, anchors, aliases and merge keys"},
	{"where: [direction]\n", "3:8", "where must be a block of keys"},
	{"where: {? [a] : b}\n", "", ""},
	// Sigma's
	{"detection:\n  selection: {a: b}\n", "3:1", "detection is not supported; a rule here looks at flows; write the fields and their values below where"},
	{"logsource: {product: linux}\n", "3:1", "logsource is not supported; write over: hits or over: contacts"},
	{"aliases: {a: {b: c}}\n", "3:1", "aliases is not supported"},
	{"timespan: 10m\n", "3:1", "timespan is not supported; write it below correlation"},
	// where
	{"where: {outside: 192.0.2.1}\n", "3:9", `unknown key "outside"; allowed are answered, as, blocked`},
	{"over: contacts\nwhere: {severity: high}\n", "4:9", `unknown key "severity"`},
	{"where: {direction: in}\n", "3:20", `direction: "in" is not valid; use outbound, inbound, unknown, transit, internal`},
	{"where: {direction: [inbound, in]}\n", "3:30", `direction: "in" is not valid`},
	{"where: {direction: [inbound, inbound]}\n", "3:30", "inbound is there twice"},
	{"where: {direction: []}\n", "3:20", "direction: the list is empty"},
	{"where: {direction: {gte: 1}}\n", "3:20", "direction cannot be compared; give a value, a list of values, or not: with either"},
	{"where: {direction: {not: inbound, gte: 1}}\n", "3:35", `unknown key "gte"; allowed are not`},
	{"where: {answered: [yes, no, unknown]}\n", "3:19", "answered: this fits every value; leave it out"},
	{"where: {answered: {not: [yes, no, unknown]}}\n", "3:19", "answered: this fits every value"},
	{"where: {answered: true}\n", "3:19", `answered: "true" is not valid; use no, yes, unknown`},
	{"where: {blocked: [yes, no]}\n", "3:18", "blocked: this fits every value"},
	{"where: {blocked: maybe}\n", "3:18", "use yes or no"},
	{"where: {offender: 192.0.2.256}\n", "3:19", "use an address or a prefix such as 192.0.2.0/24"},
	{"where: {offender: 192.0.2.1/24}\n", "3:19", "use 192.0.2.0/24 for the network, or 192.0.2.1 for the address"},
	{"where: {offender: fe80::1%eth0}\n", "3:19", "use an address or a prefix"},
	{"where: {offender: [0.0.0.0/0, \"::/0\"]}\n", "3:19", "offender: this fits every value"},
	{"where: {protocol: tpc}\n", "3:19", "use an IANA keyword such as tcp, or a number up to 255"},
	{"where: {protocol: 256}\n", "3:19", "or a number up to 255"},
	{"where: {service_port: 65536}\n", "3:23", "use a whole number up to 65535"},
	{"where: {service_port: ssh}\n", "3:23", "use a whole number up to 65535"},
	{"where: {service_port: {gte: 65536}}\n", "3:23", "service_port: gte: 65536 never holds; the greatest is 65535"},
	{"where: {service_port: {lte: 65535}}\n", "3:23", "service_port: this fits every value"},
	{"where: {service_port: {gte: 0}}\n", "3:23", "gte: 0 always holds"},
	{"where: {service_port: {gt: 5, lt: 6}}\n", "3:23", "gt: 5, lt: 6 never holds"},
	{"where: {service_port: {lt: 0}}\n", "3:28", "lt: 0 never holds"},
	{"where: {service_port: {gte: -1}}\n", "3:29", `gte: "-1" is not a whole number`},
	{"where: {service_port: {gte: 1.5}}\n", "3:29", `gte: "1.5" is not a whole number`},
	{"where: {service_port: {over: 5}}\n", "3:24", `unknown key "over"; allowed are eq, gt, gte, lt, lte, not`},
	{"where: {service_port: {}}\n", "3:23", "service_port has no key"},
	{"where: {score: 101}\n", "3:16", "use a whole number up to 100"},
	{"where: {feed: {not: [a, [b]]}}\n", "3:25", "feed must be one value"},
	{"over: logins\nwhere: {offender: 192.0.2.1}\n", "4:9", `unknown key "offender"; allowed are host, outcome, service, source, user`},
	{"over: logins\nwhere: {outcome: success}\n", "4:18", `outcome: "success" is not valid; use failed, accepted, postponed`},
	{"where: {outcome: failed}\n", "3:9", `unknown key "outcome"; allowed are answered`},
	// correlation
	{"over: logins\ncorrelation: {type: value_sum, timespan: 10m, condition: {field: flows, gte: 5}}\n", "4:21", "value_sum is not valid over logins"},
	{"over: logins\ncorrelation: {type: value_count, timespan: 10m, condition: {field: outcome, gte: 5}}\n", "4:60", "value_count cannot count outcome; use host, service, source, user"},
	{"over: logins\ncorrelation: {type: event_count, group-by: [local], timespan: 10m, condition: {gte: 5}}\n", "4:45", "use host, service, source, user"},
	{"correlation: {}\n", "3:14", "correlation has no key"},
	{"correlation: {timespan: 10m}\n", "3:14", "type is missing; use event_count, value_count, value_sum, temporal"},
	{"correlation: {type: value_avg, timespan: 10m}\n", "3:21", `type: "value_avg" is not valid; use event_count`},
	{"correlation: {type: event_count}\n", "3:14", "timespan is missing, such as 10m"},
	{"correlation: {type: event_count, timespan: 8d, condition: {gte: 2}}\n", "3:44", "timespan: 8d is not valid; use whole seconds, 1s to 7d"},
	{"correlation: {type: event_count, timespan: 1500ms, condition: {gte: 2}}\n", "3:44", "use whole seconds"},
	{"correlation: {type: event_count, timespan: -5m, condition: {gte: 2}}\n", "3:44", "use whole seconds, 1s to 7d"},
	{"correlation: {type: event_count, timespan: 10m}\n", "3:14", "condition is missing, such as {gte: 10}"},
	{"correlation: {type: event_count, timespan: 10m, condition: 5}\n", "3:60", "condition must be a block of keys"},
	{"correlation: {type: event_count, timespan: 10m, condition: {gte: 1}}\n", "3:60", "gte: 1 holds for the first flow already"},
	{"correlation: {type: event_count, timespan: 10m, condition: {lt: 5}}\n", "3:60", "lt: 5 holds without any flow"},
	{"correlation: {type: event_count, timespan: 10m, condition: {gte: 5, lt: 5}}\n", "3:60", "never holds"},
	{"correlation: {type: event_count, timespan: 10m, condition: {field: local, gte: 5}}\n", "3:60", "event_count takes no field"},
	{"correlation: {type: event_count, timespan: 10m, within: 2s, condition: {gte: 5}}\n", "3:49", `unknown key "within"; allowed are condition, group-by, timespan, type`},
	{"correlation: {type: event_count, rules: [a, b], timespan: 10m, condition: {gte: 5}}\n", "3:34", `unknown key "rules"`},
	{"correlation: {type: event_count, group-by: [outside], timespan: 10m, condition: {gte: 5}}\n", "3:45", `group-by: "outside" is not valid over hits; use as, category, country`},
	{"correlation: {type: event_count, group-by: [score], timespan: 10m, condition: {gte: 5}}\n", "3:45", `group-by: "score" is not valid`},
	{"correlation: {type: event_count, group-by: [local, local], timespan: 10m, condition: {gte: 5}}\n", "3:52", "group-by: local is there twice"},
	{"correlation: {type: event_count, group-by: [offender, local, site, protocol, feed], timespan: 10m, condition: {gte: 5}}\n", "3:44", "group-by has 5 fields; at most 4"},
	{"correlation: {type: value_count, timespan: 10m, condition: {gte: 5}}\n", "3:60", "condition: field is missing; use as, category"},
	{"correlation: {type: value_count, timespan: 10m, condition: {field: colour, gte: 5}}\n", "3:60", `field "colour" is not known over hits; use`},
	{"correlation: {type: value_count, timespan: 10m, condition: {field: bytes_out, gte: 5}}\n", "3:60", "value_count cannot count bytes_out"},
	{"correlation: {type: value_count, group-by: [local], timespan: 10m, condition: {field: local, gte: 5}}\n", "3:79", "local is in group-by"},
	{"correlation: {type: value_count, timespan: 10m, condition: {field: direction, gte: 6}}\n", "3:60", "gte: 6 never holds: direction has 5 values"},
	{"correlation: {type: value_count, timespan: 10m, condition: {field: service_port, gte: 70000}}\n", "3:60", "service_port has 65536 values"},
	{"correlation: {type: value_count, timespan: 10m, condition: {field: local, gte: 5}, each: {gte: 1}}\n", "3:90", "each: gte: 1 always holds"},
	{"correlation: {type: value_count, timespan: 10m, condition: {field: local, gte: 5}, each: {lt: 1}}\n", "3:90", "each: lt: 1 never holds"},
	{"correlation: {type: value_sum, timespan: 10m, condition: {field: local, gte: 5}}\n", "3:58", "value_sum cannot count local; use bytes_in, bytes_out, flows"},
	{"correlation: {type: temporal, timespan: 10m}\n", "3:14", "rules is missing: the names of at least two rules"},
	{"correlation: {type: temporal, rules: a, timespan: 10m}\n", "3:38", "rules has 1 names; from 2 to 8"},
	{"correlation: {type: temporal, rules: [a, a], timespan: 10m}\n", "3:42", "rules: a is there twice"},
	{"correlation: {type: temporal, rules: [a, b], timespan: 10m, condition: {gte: 5}}\n", "3:72", "temporal takes none"},
	{"correlation: {type: regular, timespan: 10m, spread: 200%, condition: {gte: 5}}\n", "3:53", `spread: "200%" is not valid; use a number from 0.001 to 1`},
	{"correlation: {type: regular, timespan: 10m, spread: NaN, condition: {gte: 5}}\n", "3:53", "is not valid"},
	{"correlation: {type: regular, timespan: 10m, condition: {gte: 2}}\n", "3:21", "regular needs over: hits and a condition of at least 3"},
	{"correlation: {type: lockstep, timespan: 1h, condition: {gte: 16}}\n", "3:21", "lockstep needs over: contacts"},
	{"over: contacts\ncorrelation: {type: lockstep, timespan: 1h, condition: {gte: 300}}\n", "4:56", "256 ports are remembered"},
	{"over: contacts\ncorrelation: {type: lockstep, group-by: [outside], timespan: 1h, condition: {gte: 16}}\n", "4:41", "outside cannot be in it"},
	{"over: contacts\ncorrelation: {type: lockstep, timespan: 1h, within: 2m, condition: {gte: 16}}\n", "4:53", "within: 2m is not valid; use whole seconds, 1s to 1m"},
	{"over: contacts\ncorrelation: {type: lockstep, timespan: 2d, condition: {gte: 16}}\n", "4:41", "use 1d at most"},
	{"over: contacts\ncorrelation: {type: event_count, timespan: 90m, condition: {gte: 16}}\n", "4:44", "90m is not valid over contacts, which are counted by the hour"},
	{"over: contacts\ncorrelation: {type: temporal_ordered, rules: [a, b], timespan: 1h}\n", "4:21", "within an hour there is no order; use temporal"},
	{"over: contacts\ncorrelation: {type: rise, timespan: 7d, condition: {field: outside, gte: 5}}\n", "4:37", "use 1h, 2h, 3h, 4h, 6h, 8h, 12h or 1d"},
	{"over: contacts\ncorrelation: {type: rise, timespan: 5h, condition: {field: outside, gte: 5}}\n", "4:37", "5h is not valid for rise"},
	{"correlation: {type: rise, timespan: 10s, condition: {field: offender, gte: 5}}\n", "3:37", "10s is not valid for rise"},
	{"over: contacts\ncorrelation: {type: rise, timespan: 1h, times: 0, condition: {field: outside, gte: 5}}\n", "4:48", `times: "0" is not valid; use a number from 1 to 1000`},
}

func TestErrors(t *testing.T) {
	for _, c := range errorCases {
		rules, bad := Read("f.yml", []byte(head+c.text))
		if len(rules) != 0 || len(bad) != 1 {
			t.Errorf("%q: %d rules, %v", c.text, len(rules), bad)
			continue
		}
		place := "f.yml:" + c.place
		if got := bad[0].Error(); !strings.HasPrefix(got, place) || !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("%q:\n got %s\nwant %s: … %s", c.text, got, place, c.want)
		}
		var e *Error
		if !errors.As(bad[0], &e) || e.File != "f.yml" || e.Line == 0 {
			t.Errorf("%q: %#v", c.text, bad[0])
		}
	}
	for text, want := range map[string]string{
		"":                                       "f.yml: no rule in the file",
		"# nothing\n---\n---\n":                  "f.yml: no rule in the file",
		"a\x00b":                                 "f.yml: not a text in UTF-8",
		"\xff\xfet\x00":                          "f.yml: not a text in UTF-8",
		"hello":                                  "f.yml:1:1: a rule must be a block of keys",
		"- a: b\n- c: d\n":                       "f.yml:1:1: a rule must be a block of keys",
		"title: x\nwhere: {direction: inbound}":  "f.yml:1:1: name is missing",
		"name: a b\nwhere: {direction: inbound}": "f.yml:1:1: name: \"a b\" is not valid; use letters, digits, '_' and '-'",
		"name: x\nwhere: {direction: inbound}":   "f.yml:1:1: title is missing: one line",
		"title: \"a\\nb\"\nname: x\nwhere: {direction: inbound}": "f.yml:1:1: title must be one line",
		strings.Repeat("[", 100):                                 "f.yml:1:17: lists and blocks are more than 16 deep",
		strings.Repeat("- ", 100):                                "f.yml:1:33: lists and blocks are more than 16 deep",
		"x: " + strings.Repeat("y", 1<<20):                       "f.yml: file has more than 1048576 bytes",
		"x: " + strings.Repeat("y", 1<<17):                       "f.yml:1:1: rule has more than 65536 bytes",
		"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n":         "f.yml:1:4: tags, anchors, aliases",
	} {
		_, bad := Read("f.yml", []byte(text))
		if len(bad) != 1 || !strings.HasPrefix(bad[0].Error(), want) {
			t.Errorf("%.40q: got %v, want %s", text, bad, want)
		}
	}
}

// TestOthersStay: a mistake in one rule, of whatever kind, does not take the others away, and
// places are those of the file.
func TestOthersStay(t *testing.T) {
	rule := func(n int) string { return strings.Replace(countRule, "name: test", fmt.Sprint("name: test", n), 1) }
	text := "\ufeff# first\n" + rule(1) + "---\n" + rule(2) + "colour: red\n--- # third\ntitle: [\n...\n---\r\n" + rule(4) + "---\n"
	rules, bad := Read("f.yml", []byte(text))
	if len(rules) != 2 || rules[0].Name != "test1" || rules[1].Name != "test4" || rules[0].Line != 2 || rules[1].Line != 16 {
		t.Fatalf("%+v, %v", rules, bad)
	}
	if len(bad) != 2 || !strings.HasPrefix(bad[0].Error(), "f.yml:11:1: unknown key") || !strings.HasPrefix(bad[1].Error(), "f.yml:13:") {
		t.Errorf("%q", bad)
	}
	rules, bad = Read("f.yml", []byte(strings.Repeat(rule(1)+"---\n", 1001)))
	if len(rules) != 1000 || len(bad) != 1 || !strings.Contains(bad[0].Error(), "more than 1000 rules") {
		t.Errorf("%d rules, %v", len(rules), bad)
	}
}

// TestSigma: a correlation in Sigma's own form is read, its metadata left alone.
func TestSigma(t *testing.T) {
	r := one(t, `title: Many services tried
id: 23ab5f9c-7d11-4a4a-8ba9-6a1d6c2a9a3e
name: many_services
status: test
author: somebody
date: 2026-11-20
modified: 2026-11-21
references: [https://example.org/]
tags: [attack.discovery, attack.t1046]
falsepositives: [none]
level: high
where: {direction: inbound}
correlation:
    type: value_count
    group-by:
        - offender
    timespan: 15m
    condition:
        field: service_port
        gte: 5
generate: true
`)
	if r.Level != event.High || r.Correlation.Condition.Min != 5 || r.Correlation.GroupBy[0].Name != "offender" {
		t.Errorf("%+v", r)
	}
}

func TestCheck(t *testing.T) {
	named := func(name, rest string) string {
		return "title: x\nname: " + name + "\n" + rest + "\n"
	}
	count := "correlation: {type: event_count, group-by: [offender], timespan: 10m, condition: {gte: 10}}"
	temporal := func(rules, by string) string {
		return "correlation: {type: temporal, rules: [" + rules + "], group-by: [" + by + "], timespan: 10m}"
	}
	contacts := "over: contacts\ncorrelation: {type: %s, group-by: [inside], timespan: 1h, condition: {gte: 10}}"
	for _, c := range []struct {
		name  string
		rules []string
		good  string
		bad   []string
	}{
		{"order", []string{named("z", temporal("a, b", "offender")), named("a", count), named("b", "where: {answered: yes}")}, "a b z", nil},
		{"twice", []string{named("a", count), named("a", count)}, "a", []string{"f.yml:5:1: rule a: there is a rule of this name in f.yml:1 already"}},
		{"missing", []string{named("a", temporal("b, c", "offender"))}, "", []string{`rule a: rules: there is no rule "b"`}},
		{"circle", []string{named("a", temporal("b, c", "offender")), named("b", temporal("a, c", "offender")), named("c", count)}, "c",
			[]string{"rule b: rules: a is not valid, or refers back to this rule", "rule a: rules: b is not valid"}},
		{"itself", []string{named("a", temporal("a, c", "offender")), named("c", count)}, "c", []string{"rule a: rules: a is not valid, or refers back"}},
		{"over", []string{named("a", temporal("b, c", "offender")), named("b", fmt.Sprintf(contacts, "event_count")), named("c", count)}, "b c", []string{"rule a: rules: b looks at contacts, not at hits"}},
		{"disabled", []string{named("a", temporal("b, c", "offender")), named("b", count+"\ndisabled: true"), named("c", count)}, "b c", []string{"rule a: rules: b is disabled"}},
		{"group", []string{named("a", temporal("b, c", "local")), named("b", count), named("c", count)}, "b c", []string{"rule a: rules: b is not grouped by local"}},
		{"lonely", []string{named("a", "where: {answered: yes}"), named("b", count+"\ngenerate: false"), named("c", count)}, "c",
			[]string{"rule a: it raises no alerts, and no rule refers to it", "rule b: it raises no alerts"}},
		{"hour", []string{named("a", "over: contacts\n"+strings.Replace(temporal("b, c", "inside"), "10m", "1h", 1)), named("b", fmt.Sprintf(contacts, "lockstep")), named("c", fmt.Sprintf(contacts, "event_count"))}, "b c",
			[]string{"rule a: rules: b is judged when an hour is over"}},
	} {
		all, bad := Read("f.yml", []byte(strings.Join(c.rules, "---\n")))
		if len(bad) > 0 {
			t.Fatal(c.name, bad)
		}
		good, bad := Check(all)
		var names []string
		for _, r := range good {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); got != c.good {
			t.Errorf("%s: good are %s", c.name, got)
		}
		if len(bad) != len(c.bad) {
			t.Errorf("%s: %v", c.name, bad)
			continue
		}
		for i, want := range c.bad {
			if !strings.Contains(bad[i].Error(), want) {
				t.Errorf("%s: got %v, want %s", c.name, bad[i], want)
			}
		}
	}
}

func TestConditions(t *testing.T) {
	for text, want := range map[string][2]uint64{
		"{gt: 5}": {6, math.MaxUint64}, "{gte: 5}": {5, math.MaxUint64}, "{gte: 5, lt: 9}": {5, 8}, "{gt: 2, lte: 9}": {3, 9}, "{eq: 7}": {7, 7},
		"{gte: 9223372036854775807}": {math.MaxInt64, math.MaxUint64},
	} {
		r := one(t, head+"correlation: {type: event_count, timespan: 10m, condition: "+text+"}")
		c := &r.Correlation.Condition
		if c.Min != want[0] || c.Max != want[1] || c.Holds(c.Min-1) || !c.Holds(c.Min) || !c.Holds(c.Max) || c.Open() == (c.Max < math.MaxUint64) {
			t.Errorf("%s: %+v", text, c)
		}
		if got := "{" + c.String() + "}"; got != text {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
}

// FuzzRead: whatever the bytes, there are rules that keep what is promised, or errors with a
// place, in one line.
func FuzzRead(f *testing.F) {
	names, err := filepath.Glob("../../../configs/rules/*.yml")
	if err != nil || len(names) == 0 {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, c := range errorCases {
		if len(c.text) < 1000 {
			f.Add([]byte(head + c.text))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, bad := Read("f.yml", b)
		if len(rules)+len(bad) == 0 {
			t.Fatal("neither rules nor errors")
		}
		for _, err := range bad {
			var e *Error
			if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "f.yml:") || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) || len(err.Error()) > 1000 {
				t.Errorf("%q", err)
			}
		}
		for _, r := range rules {
			c := &r.Correlation
			if !validName.MatchString(r.Name) || r.Title == "" || r.Line == 0 || r.Cooldown < time.Minute {
				t.Errorf("%+v", r)
			}
			switch {
			case c.Type == Base && len(r.Where) == 0, c.Type != Base && (c.Timespan < time.Second || c.Timespan > MaxTimespan), len(c.GroupBy) > MaxGroupBy:
				t.Errorf("%+v", r)
			case c.Type != Base && c.Type != Temporal && c.Type != TemporalOrdered && c.Condition.Min == 0:
				t.Errorf("%+v", r)
			case c.Type == Rise && 86400%int(c.Timespan.Seconds()) != 0:
				t.Errorf("%+v", r)
			}
			var o Observation
			for i := range r.Where {
				r.Where[i].Holds(&o, func(uint32) string { return "" })
			}
		}
		Check(rules)
	})
}
