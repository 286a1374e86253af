package rule

import (
	"fmt"
	"slices"
)

// Check checks rules against each other: names are unique, references exist, look at the same
// and do not go in circles. It gives the rules that may run, in the order in which each comes
// after those that it refers to, and an error for each of the others.
func Check(rules []*Rule) (good []*Rule, bad []error) {
	byName := make(map[string]*Rule, len(rules))
	for _, r := range rules {
		if first := byName[r.Name]; first != nil {
			bad = append(bad, r.wrong("there is a rule of this name in %s:%d already", first.File, first.Line))
			continue
		}
		byName[r.Name] = r
	}
	const visiting, done, refused = 1, 2, 3
	state := make(map[*Rule]int)
	var visit func(r *Rule) bool
	visit = func(r *Rule) bool {
		switch state[r] {
		case done:
			return true
		case visiting, refused:
			return false
		}
		state[r] = visiting
		if err := r.refer(byName, visit); err != nil {
			state[r] = refused
			bad = append(bad, err)
			return false
		}
		state[r] = done
		good = append(good, r)
		return true
	}
	used := make(map[string]bool)
	for _, r := range rules {
		for _, name := range r.Correlation.Rules {
			used[name] = true
		}
	}
	for _, r := range rules {
		switch {
		case byName[r.Name] != r:
		case !r.Generate && !used[r.Name]:
			bad = append(bad, r.wrong("it raises no alerts, and no rule refers to it; give it a correlation, or leave generate: false out"))
		default:
			visit(r)
		}
	}
	return good, bad
}

// refer checks the references of a rule.
func (r *Rule) refer(byName map[string]*Rule, visit func(*Rule) bool) error {
	for _, name := range r.Correlation.Rules {
		o := byName[name]
		switch {
		case o == nil:
			return r.wrong("rules: there is no rule %q", name)
		case o.Over != r.Over:
			return r.wrong("rules: %s looks at %s, not at %s", name, o.Over, r.Over)
		case o.Disabled && !r.Disabled:
			return r.wrong("rules: %s is disabled", name)
		case !visit(o):
			return r.wrong("rules: %s is not valid, or refers back to this rule", name)
		}
		c := &o.Correlation
		if r.Over == Contacts && c.Type != Base && (c.Type == Lockstep || !c.Monotone()) {
			return r.wrong("rules: %s is judged when an hour is over; over contacts a rule can refer to those that count upwards, without each and a greatest number", name)
		}
		for _, g := range r.Correlation.GroupBy {
			if o.Correlation.Type != Base && !slices.Contains(o.Correlation.GroupBy, g) {
				return r.wrong("rules: %s is not grouped by %s", name, g.Name)
			}
		}
	}
	return nil
}

func (r *Rule) wrong(format string, args ...any) error {
	return &Error{File: r.File, Line: r.Line, Err: fmt.Errorf("rule %s: "+format, append([]any{r.Name}, args...)...)}
}
