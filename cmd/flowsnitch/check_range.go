package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// A limitRange is a range of the monitoring plugins: outside it, or with @ inside it, there is
// an alert.
type limitRange struct {
	low, high float64
	inside    bool
}

// parseRange reads "10", "10:", "~:10", "10:20" or "@10:20".
func parseRange(s string) (limitRange, error) {
	text, inside := strings.CutPrefix(s, "@")
	r := limitRange{high: math.Inf(1), inside: inside}
	low, high, two := strings.Cut(text, ":")
	if !two {
		low, high = "", text
	}
	read := func(s string, v *float64) error {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || strings.Trim(s, "0123456789.+-eE") != "" || math.IsInf(n, 0) { // 0x10, 1_0 and nan are Go's
			return fmt.Errorf("%q is no range such as 10, 10:, ~:10, 10:20 or @10:20", s)
		}
		*v = n
		return nil
	}
	var errs error
	switch low {
	case "~":
		r.low = math.Inf(-1)
	case "":
	default:
		errs = read(low, &r.low)
	}
	if high != "" {
		errs = errors.Join(errs, read(high, &r.high))
	}
	switch {
	case errs != nil || text == "":
		return r, fmt.Errorf("%q is no range such as 10, 10:, ~:10, 10:20 or @10:20", s)
	case r.low > r.high:
		return r, fmt.Errorf("range %q begins above its end", s)
	}
	return r, nil
}

// String writes the range as performance data has it, the shortest way.
func (r limitRange) String() string {
	low, high := number(r.low)+":", number(r.high)
	switch {
	case math.IsInf(r.low, -1):
		low = "~:"
	case r.low == 0 && !math.IsInf(r.high, 1):
		low = ""
	}
	if math.IsInf(r.high, 1) {
		high = ""
	}
	if r.inside {
		low = "@" + low
	}
	return low + high
}

// alerts reports whether a value is one to alert on.
func (r limitRange) alerts(v float64) bool { return (v < r.low || v > r.high) != r.inside }

// limits are the operator's own for one check; nil = none.
type limits struct {
	warning, critical *limitRange
}

// limitsOf reads the ranges of the command line, by check. all are the checks that there
// are.
func limitsOf(f *checkFlags, names, all []string) (map[string]*limits, error) {
	out := make(map[string]*limits)
	for i, side := range []struct {
		flag  string
		texts []string
	}{{"-w", f.warning}, {"-c", f.critical}} {
		for _, text := range side.texts {
			check, ranged, found := strings.Cut(text, "=")
			if !found {
				if strings.ContainsAny(text, "/") || strings.HasSuffix(text, ".yml") || strings.HasSuffix(text, ".yaml") {
					return nil, fmt.Errorf("%s %s: %s takes a range here, as in monitoring plugins; the configuration is --config %s", side.flag, text, side.flag, text)
				}
				if len(names) != 1 {
					return nil, fmt.Errorf("%s %s: for which check? Name one, or write CHECK=RANGE", side.flag, text)
				}
				check, ranged = names[0], text
			}
			if !slices.Contains(all, check) {
				return nil, fmt.Errorf("%s %s: there is no check %q; there are %s", side.flag, text, check, strings.Join(all, ", "))
			}
			r, err := parseRange(ranged)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", side.flag, err)
			}
			if out[check] == nil {
				out[check] = &limits{}
			}
			if i == 0 {
				out[check].warning = &r
			} else {
				out[check].critical = &r
			}
		}
	}
	return out, nil
}

// apply judges the value of a finding by these limits instead of its own. What is bad for
// another reason stays so.
func (l *limits) apply(f observe.Finding) judged {
	if l == nil {
		return judged{f, perfdata(&f, nil, nil)}
	}
	f.State = f.Least
	if l.warning != nil && l.warning.alerts(f.Value) {
		f.State = max(f.State, observe.Warning)
	}
	if l.critical != nil && l.critical.alerts(f.Value) {
		f.State = observe.Critical
	}
	return judged{f, perfdata(&f, l.warning, l.critical)}
}

// perfdata gives 'label'=value[UOM];warn;crit;min of the plugin guidelines, with the limits
// of the finding unless there are others.
func perfdata(f *observe.Finding, warning, critical *limitRange) string {
	if warning == nil && critical == nil && f.Critical > 0 {
		warning, critical = &limitRange{high: f.Warning}, &limitRange{high: f.Critical}
	}
	text := func(r *limitRange) string {
		if r == nil {
			return ""
		}
		return r.String()
	}
	return fmt.Sprintf("'%s'=%s%s;%s;%s;0", f.Check, number(f.Value), f.Unit, text(warning), text(critical))
}

// number writes a figure without an exponent, which not every system reads.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
