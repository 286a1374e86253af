package notice

import (
	"fmt"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// groupOf names the group that a rule has found something in.
func groupOf(r *event.Rule) string {
	parts := make([]string, 0, len(r.Group))
	for _, f := range r.Group {
		parts = append(parts, plain(f.Field)+" "+plain(f.Value))
	}
	return strings.Join(parts, ", ")
}

// ruleAdvice is what to do about an alert of a rule. Its text is not quoted: of the rule it has the
// name alone.
func ruleAdvice(e *event.Event, r *event.Rule) string {
	quiet := fmt.Sprintf("If it is expected: `flowsnitch silence add --rule %s", name(r.Name))
	if e.Offender.IsValid() {
		quiet += fmt.Sprintf(" --offender %s", e.Offender)
	}
	if e.Local.IsValid() {
		quiet += fmt.Sprintf(" --host %s", e.Local)
	}
	quiet += " --for 7d --reason TEXT`."
	switch {
	case e.Offender.IsValid():
		return fmt.Sprintf("`flowsnitch incidents show %s` has all that is known of it, `flowsnitch hunt %s` who of us talked to it. %s", e.Offender, e.Offender, quiet)
	case e.Local.IsValid():
		return fmt.Sprintf("Check what runs on %s, and read its logs of that time. %s", host(e), quiet)
	}
	return "Check the sources, targets and ports. " + quiet
}

// name leaves of the name of a rule what such a name may have.
func name(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' {
			return c
		}
		return -1
	}, s)
}

// ruleEvidence lists whom a rule has seen, and how often.
func ruleEvidence(r *event.Rule) (lines []string) {
	for _, of := range []struct {
		what string
		list []event.RuleShare
	}{{"Sources", r.Sources}, {"Targets", r.Targets}} {
		var parts []string
		for _, s := range of.list[:min(len(of.list), event.MaxRuleShares)] {
			parts = append(parts, fmt.Sprintf("%s (%d)", plain(s.Value), s.Count))
		}
		if len(parts) > 0 {
			lines = append(lines, plain(of.what+": "+strings.Join(parts, ", ")))
		}
	}
	var ports []string
	for _, p := range r.Ports[:min(len(r.Ports), event.MaxRulePorts)] {
		ports = append(ports, fmt.Sprint(p.Port))
	}
	if len(ports) > 0 {
		lines = append(lines, "Ports: "+strings.Join(ports, ", "))
	}
	if h := histogram(r); h != "" {
		lines = append(lines, h)
	}
	for _, line := range r.Stop[:min(len(r.Stop), event.MaxRuleStop)] {
		lines = append(lines, "Stop it: "+plain(line))
	}
	return lines
}

// histogram is how many values were seen how often.
func histogram(r *event.Rule) string {
	var parts []string
	for i, b := range r.Histogram[:min(len(r.Histogram), event.MaxRuleBars)] {
		often := fmt.Sprintf("%d times", b.Times)
		if b.Times == 1 {
			often = "once"
		}
		if r.OrMore && i == len(r.Histogram)-1 {
			often += " or more"
		}
		parts = append(parts, fmt.Sprintf("%s: %d", often, b.Values))
	}
	if len(parts) == 0 {
		return ""
	}
	return plain("Seen " + strings.Join(parts, ", "))
}
