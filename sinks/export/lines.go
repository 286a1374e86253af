package export

import (
	"fmt"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/export/row"
)

// Name is the name of the sets, lists and protocols that a target defines.
func (l *List) Name() string { return l.options.Name }

// Made is when the list was made, in UTC; zero = the list must not show it.
func (l *List) Made() time.Time { return l.made }

// Header gives the lines that a list begins with, safe in a comment of every target.
func (l *List) Header(target string) []string {
	four := 0
	for k := range l.from.rows(0) {
		if k.prefix.Addr().Is4() {
			four++
		}
	}
	all := l.Report.Rows
	prefixes := "prefixes"
	if all == 1 {
		prefixes = "prefix"
	}
	count := fmt.Sprintf("flowsnitch export %s: %d %s, %d of IPv4 and %d of IPv6", target, all, prefixes, four, all-four)
	if l.Report.Cut > 0 {
		count += fmt.Sprintf("; cut to the best scores, %d more are left out", l.Report.Cut)
	}
	lines := []string{count, row.Plain("filter: "+l.filter(), 1000)}
	if len(l.Lacks) > 0 {
		lines = append(lines, row.Plain("incomplete: there is no complete copy yet of "+strings.Join(l.Lacks, ", "), 1000))
	}
	if !l.made.IsZero() {
		lines = append(lines, "made: "+l.made.Format(time.RFC3339))
	}
	return lines
}

// filter gives what was asked for.
func (l *List) filter() string {
	if l.about == "" {
		return "all that is listed, " + l.options.String()
	}
	return l.about + ", " + l.options.String()
}

// ID is a text that lists of the same name and filter have in common, whenever they are made.
func (l *List) ID() string { return l.options.Name + " " + l.filter() }

// Family yields the rows of IPv4 or IPv6, with or without a port.
func (l *List) Family(four, ports bool) func(yield func(*row.Row) bool) {
	return func(yield func(*row.Row) bool) {
		for k, of := range l.from.rows(0) {
			if k.prefix.Addr().Is4() != four || (k.port != 0) != ports {
				continue
			}
			if r := l.from.row(k, of); !yield(&r) {
				return
			}
		}
	}
}

// Timeout gives the rest of the time of a row, at least a second; 0 = it has no end, or the
// list is to be the same at every time.
func (l *List) Timeout(r *row.Row) time.Duration {
	if r.Expires.IsZero() || l.made.IsZero() {
		return 0
	}
	return max(r.Expires.Sub(l.made), time.Second)
}

// Timeless gives the list as it is written where the time must not show. The rows are shared.
func (l *List) Timeless() *List {
	same := *l
	same.made = time.Time{}
	return &same
}

// Serial is the number of this state of a DNS zone. It grows with the time.
func (l *List) Serial() uint32 {
	if l.made.IsZero() {
		return 1
	}
	return uint32(l.made.Unix())
}
