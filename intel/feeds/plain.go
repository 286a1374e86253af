package feeds

import (
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

// startPlain makes the parser of lists with one prefix, address or range a line.
// What follows the first field, or the comment on the line, is its description.
func startPlain(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		line = trim(line)
		if d.comment(line, "#", ";", "//") {
			d.header(line)
			return nil
		}
		return d.plainRow(line)
	}, nil
}

func (d *document) plainRow(line string) error {
	row, note := cutComment(line)
	ps, port, rest, err := parsePlain(row)
	if err != nil {
		d.reject(line, err)
		return nil
	}
	if note == "" {
		note = rest
	}
	e := Entry{Indicator: intel.Indicator{Port: port, Description: note}}
	if isSBL(note) {
		e.NativeID, e.Ref = note, sblRef(note)
	}
	return d.acceptAll(ps, e)
}

// acceptAll hands on one entry for each prefix of a row.
func (d *document) acceptAll(ps []netip.Prefix, e Entry) error {
	for _, p := range ps {
		e.Prefix = p
		if err := d.accept(e); err != nil {
			return err
		}
	}
	return nil
}

// cutComment splits a row from the comment behind it: after # or ;, or after //
// that follows white space, as URLs hold it too.
func cutComment(line string) (row, note string) {
	for i := range len(line) {
		switch c := line[i]; {
		case c == '#' || c == ';':
			return trim(line[:i]), trim(line[i+1:])
		case c == '/' && i > 0 && isSpace(line[i-1]) && strings.HasPrefix(line[i+1:], "/"):
			return trim(line[:i]), trim(line[i+2:])
		}
	}
	return line, ""
}

// parsePlain reads a row of a plain list: a range, or a first field that ends at
// white space, comma or bar. rest is what follows it.
func parsePlain(row string) (ps []netip.Prefix, port uint16, rest string, err error) {
	if from, to, rest, ok := cutRange(row); ok {
		ps, err = parseRange(from+"-"+to, parseAddr)
		return ps, 0, rest, err
	}
	field, rest := cutField(row)
	p, port, err := parseToken(unquote(field))
	if err != nil {
		return nil, 0, "", err
	}
	return []netip.Prefix{p}, port, rest, nil
}

// cutRange recognises "A-B" and "A - B". A dash behind an address that no
// address follows ("192.0.2.1 - scanner") belongs to the words of the row.
func cutRange(row string) (from, to, rest string, ok bool) {
	from, after, dash := strings.Cut(row, "-")
	if !dash {
		return "", "", "", false
	}
	from = trim(from)
	if _, err := parseAddr(from); err != nil {
		return "", "", "", false
	}
	to, rest = cutField(trim(after))
	if !strings.ContainsAny(to, ".:") || strings.Trim(to, "0123456789abcdefABCDEF.:") != "" {
		return "", "", "", false
	}
	return from, to, rest, true
}

// cutField splits off the first field of a row.
func cutField(row string) (field, rest string) {
	i := span(row, func(c byte) bool { return !isSpace(c) && c != ',' && c != '|' })
	return row[:i], strings.Trim(row[i:], asciiSpace+",|")
}

// unquote removes one pair of quotes.
func unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}
