package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
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
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
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

// alerts reports whether a value is one to alert on.
func (r limitRange) alerts(v float64) bool { return (v < r.low || v > r.high) != r.inside }

// limits are the operator's own for one check.
type limits struct {
	warning, critical *limitRange
	texts             [2]string // as the operator wrote them
}

// limitsOf reads the ranges of the command line.
func limitsOf(f *checkFlags, names []string) (l limits, err error) {
	if (f.warning != "" || f.critical != "") && len(names) != 1 {
		return l, errors.New("-w and -C are limits of one check: name it")
	}
	l.texts = [2]string{f.warning, f.critical}
	for _, side := range []struct {
		flag, text string
		to         **limitRange
	}{{"-w", f.warning, &l.warning}, {"-C", f.critical, &l.critical}} {
		if side.text == "" {
			continue
		}
		r, err := parseRange(side.text)
		if err != nil {
			return l, fmt.Errorf("%s: %w", side.flag, err)
		}
		*side.to = &r
	}
	return l, nil
}

// own reports whether the operator has given limits.
func (l limits) own() bool { return l.warning != nil || l.critical != nil }

// apply judges the value of a finding by these limits instead of its own.
func (l limits) apply(f app.Finding) app.Finding {
	if !l.own() {
		return f
	}
	f.State = app.OK
	if l.warning != nil && l.warning.alerts(f.Value) {
		f.State = app.Warning
	}
	if l.critical != nil && l.critical.alerts(f.Value) {
		f.State = app.Critical
	}
	return f
}

// perfdata gives 'label'=value[UOM];warn;crit;min of the plugin guidelines.
func (l limits) perfdata(f *app.Finding) string {
	texts := l.texts
	if !l.own() && f.Critical > 0 {
		texts = [2]string{number(f.Warning), number(f.Critical)}
	}
	return fmt.Sprintf("'%s'=%s%s;%s;%s;0", f.Check, number(f.Value), f.Unit, texts[0], texts[1])
}

// number writes a figure without an exponent, which not every system reads.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
