package export

import (
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/export/row"
)

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
	return l.Lines(count, l.Report.Cut)
}

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
	if r.Expires.IsZero() || l.Made().IsZero() {
		return 0
	}
	return max(r.Expires.Sub(l.Made()), time.Second)
}

// Timeless gives the same list without its time. The rows are shared.
func (l *List) Timeless() *List {
	same := *l
	same.HideTime()
	return &same
}
