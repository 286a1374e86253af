package document

import (
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// Header takes from a comment line what documents say of themselves there: the number
// of their entries. The time of their data is read from all comments, see comment.
func (d *Document) Header(line string) {
	line = headerText(line)
	if rest, ok := strings.CutPrefix(line, "END "); ok && strings.HasSuffix(rest, " entries") {
		d.declare(rest)
	}
	name, value, _ := strings.Cut(line, ":")
	if strings.EqualFold(Trim(name), "entries") {
		d.declare(value)
	}
}

// headerText takes the marks off a comment line.
func headerText(line string) string {
	line = Trim(strings.TrimLeft(line, "#;/*!@"+Space))
	return Trim(strings.TrimRight(line, "#*"))
}

// headerDate takes the time of the data from a comment.
func (d *Document) headerDate(line string) {
	d.Dated(dates.InComment(headerText(line)))
}

// dated keeps the time of the data, if there is one.
func (d *Document) Dated(rank dates.Rank, t time.Time) {
	if t.IsZero() || rank < d.dateRank || rank == d.dateRank && !t.After(d.Report.Updated) {
		return
	}
	d.Report.Updated, d.dateRank = t, rank
}

// IsLetter tells an ASCII letter.
func IsLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// declare keeps the leading number of a text such as "19 subnets".
func (d *Document) declare(s string) {
	number, _, _ := strings.Cut(Trim(s), " ")
	if n, ok := prefix.Decimal(number, 9, 1<<30); ok {
		d.Report.Declared = n
	}
}
