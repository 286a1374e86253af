package feeds

import "strings"

// header takes from a comment line what documents say of themselves there: the
// time of their data and the number of their entries.
func (d *document) header(line string) {
	line = trim(strings.TrimLeft(line, "#;/"+asciiSpace))
	line = trim(strings.TrimRight(line, "#"))
	d.headerEnd(line)
	name, value, _ := strings.Cut(line, ":")
	switch strings.ToLower(trim(name)) {
	case "updated", "last updated", "last update", "last-modified", "source file date", "feed generated at":
		d.update(value)
	case "entries":
		d.declare(value)
	}
}

// headerEnd reads the headers that have no colon where it counts.
func (d *document) headerEnd(line string) {
	if rest, ok := strings.CutPrefix(line, "END "); ok && strings.HasSuffix(rest, " entries") {
		d.declare(rest)
	}
	if rest, ok := strings.CutPrefix(line, "last updated "); ok {
		seconds, _, _ := strings.Cut(rest, " ")
		d.update(seconds)
	}
}

func (d *document) update(s string) {
	if t := parseTime(s); !t.IsZero() {
		d.report.Updated = t
	}
}

// declare keeps the leading number of a text such as "19 subnets".
func (d *document) declare(s string) {
	number, _, _ := strings.Cut(trim(s), " ")
	if n, ok := decimal(number, 9, 1<<30); ok {
		d.report.Declared = n
	}
}
