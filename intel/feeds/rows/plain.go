package rows

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// Plain makes the parser of lists with addresses, prefixes and ranges in rows.
// A row yields all that it names: a list in one row, a range, an address with its
// netmask. What follows the last address, or the comment on the line, is its
// description. A row in which something looks like an address and cannot be taken
// for one is rejected: no part of a row is dropped without a count.
func Plain(d *document.Document, _ string) (document.RowFunc, error) {
	return func(line string) error {
		line = document.Trim(line)
		if d.Comment(line, "#", ";", "//") {
			d.Header(line)
			return nil
		}
		return TakePlain(d, line)
	}, nil
}

// TakePlain hands on what a row of a plain list names.
func TakePlain(d *document.Document, line string) error {
	text, note := cutComment(line)
	if names, ok := hostsRow(text); ok && d.Opts.Names != nil {
		d.Reject(line, errHosts)
		return acceptNames(d, names, note)
	}
	row, err := readRow(text)
	if err != nil {
		d.Reject(line, err)
		if isNameRow(text) {
			return acceptNames(d, []string{text}, note)
		}
		return nil
	}
	if note == "" {
		note = row.rest
	}
	e := document.Entry{Indicator: intel.Indicator{Description: note}}
	if isSBL(note) {
		e.NativeID, e.Ref = note, sblRef(note)
	}
	for _, b := range row.broken {
		d.RejectPart(b.text, b.err)
	}
	for _, item := range row.items {
		e.Port = item.port
		if err := d.AcceptAll(item.prefixes, e); err != nil {
			return err
		}
	}
	return nil
}

// cutComment splits a row from the comment behind it: after # or ;, or after //
// that follows white space, as URLs hold it too. A ; is no comment where it separates
// columns: when one of the columns behind it is an address, or when it touches the text
// before it and any address follows. Neither is a # right between two addresses.
func cutComment(line string) (row, note string) {
	column, address := -1, -1 // where the last of each starts, once that matters
	for i := range len(line) {
		behindSpace := i > 0 && document.IsSpace(line[i-1])
		switch c := line[i]; {
		case c == ';':
			if column < 0 {
				column, address = lastColumn(line), prefix.LastInText(line)
			}
			if column > i || !behindSpace && address > i {
				continue
			}
			return document.Trim(line[:i]), document.Trim(line[i+1:])
		case c == '#':
			if !behindSpace && startsWithAddress(line[i+1:]) {
				continue
			}
			return document.Trim(line[:i]), document.Trim(line[i+1:])
		case c == '/' && behindSpace && strings.HasPrefix(line[i+1:], "/"):
			return document.Trim(line[:i]), document.Trim(line[i+2:])
		}
	}
	return line, ""
}

// lastColumn gives where the last column between semicolons starts that begins with an
// address, or 0.
func lastColumn(line string) int {
	last := 0
	for i := 0; i < len(line); {
		n := prefix.Span(line[i:], func(c byte) bool { return c != ';' })
		if startsWithAddress(document.TrimLeft(line[i : i+n])) {
			last = i
		}
		i += n + 1
	}
	return last
}

// A plainItem is what one element of a row stands for.
type plainItem struct {
	prefixes []netip.Prefix
	port     uint16
}

// A brokenItem is an element of a row that looks like an address and is none.
type brokenItem struct {
	text string
	err  error
}

// A plainRow is what a row of a plain list comes to.
type plainRow struct {
	items  []plainItem
	broken []brokenItem
	rest   string // the words behind the last address
	blanks bool   // nothing but white space separates its elements
}

// fewElements is up to how many addresses a row is taken for columns, not for a list.
const fewElements = 3

var (
	errAmbiguous = errors.New("two addresses may be a range or two hosts; write A-B, one address a line, or name the format csvrange:0,1")
	errSecond    = errors.New("a second address behind a blank; separate hosts by commas or write one a line")
	errBetween   = errors.New("an address behind words; name the format and column, such as csvcol:0")
	errLengthRow = errors.New("a length that no address stands before")
)

// readRow reads a row without its comment. Its first element must be an address, a
// prefix or a range; words may follow behind the last address.
func readRow(text string) (plainRow, error) {
	row := plainRow{blanks: !strings.ContainsAny(text, ",;|#")}
	var words []string // behind an address
	between := false   // an address has come behind a word
	end := 0           // where the last address ends
	elements := splitElements(text)
	for i := range elements {
		e := &elements[i]
		item, err := e.read()
		switch {
		case len(row.items) == 0 && err != nil:
			return row, err
		case e.text == "::" && len(row.items) > 0, isMaskWord(e.text):
			continue
		case err == nil && len(row.items) > 0 && isMask(item):
			err = row.mask(item)
		case err == nil:
			row.items = append(row.items, item)
			between = between || len(words) > 0
		case isLength(e.text):
			err = row.length(e.text[1:], i == 1)
		case looksLikeAddress(e.text):
			row.broken = append(row.broken, brokenItem{e.text, err})
			err = nil
		default:
			words = append(words, e.text)
			continue
		}
		if err != nil {
			return row, err
		}
		end = e.end
	}
	if len(row.items) == 0 {
		return row, prefix.ErrNotAddress
	}
	row.rest = strings.Trim(text[end:], document.Space+",|;")
	if err := row.judgeWords(words, between); err != nil {
		return row, err
	}
	return row, row.pair()
}

// judgeWords looks at the words of the row, in which no address may hide. between
// means that some stand before an address: with few addresses they are columns, and
// who knows whether all of them are meant. In a long list they are elements that are
// no addresses.
func (r *plainRow) judgeWords(words []string, between bool) error {
	few := len(r.items) <= fewElements
	if between && few {
		return errBetween
	}
	for _, w := range words {
		hidden := between
		for a := range prefix.InText(w) {
			hidden = hidden || !few || !r.covers(a)
		}
		switch {
		case hidden && few:
			return fmt.Errorf("%w: %s", errBetween, fit.Cut(w, prefix.MaxLength))
		case hidden:
			r.broken = append(r.broken, brokenItem{w, prefix.ErrNotAddress})
		}
	}
	return nil
}

// isMask recognises an address of 255/8, or of 0/8 as a wildcard: both are no hosts.
func isMask(item plainItem) bool {
	p := item.prefixes[0]
	if len(item.prefixes) > 1 || item.port != 0 || !p.Addr().Is4() || p.Bits() != 32 {
		return false
	}
	first := p.Addr().As4()[0]
	return first == 255 || first == 0
}

// isLength recognises "/24" from words that begin with a slash.
func isLength(s string) bool {
	digits, ok := strings.CutPrefix(s, "/")
	return ok && len(digits) <= 3 && strings.Trim(digits, "0123456789") == ""
}

func isMaskWord(s string) bool {
	return strings.EqualFold(s, "mask") || strings.EqualFold(s, "netmask")
}

// mask makes a network of the last address and the netmask behind it, or the inverse
// one as Cisco writes it.
func (r *plainRow) mask(item plainItem) error {
	m := prefix.Bits32(item.prefixes[0].Addr())
	if m>>24 == 0 {
		m = ^m
	}
	n, err := prefix.MaskLength(m)
	if err != nil {
		return err
	}
	return r.narrow(n)
}

// length makes a network of the last address and "/24" behind it. Only the first
// address of a row may have one: anything else is some other notation.
func (r *plainRow) length(s string, first bool) error {
	last := &r.items[len(r.items)-1]
	n, ok := prefix.Decimal(s, 3, last.prefixes[0].Addr().BitLen())
	if !ok || !first {
		return errLengthRow
	}
	return r.narrow(n)
}

// narrow gives the last address of the row a length.
func (r *plainRow) narrow(n int) error {
	last := &r.items[len(r.items)-1]
	p := last.prefixes[0]
	if len(last.prefixes) > 1 || last.port != 0 || !p.IsSingleIP() {
		if p.Bits() == n && last.port == 0 {
			return nil // a prefix with the netmask that it has
		}
		return prefix.ErrNetmask
	}
	p, err := prefix.Make(p.Addr(), n)
	last.prefixes = []netip.Prefix{p}
	return err
}

// pair decides what a row of exactly two addresses is. Start and end of a network
// are that network, and so are those of several whole /24s; two neighbours are the
// same either way. Two addresses close to each other can be either. Others are two
// hosts, unless a mere blank is between them: then the second may be anything.
func (r *plainRow) pair() error {
	if len(r.items) > 1 && isMask(r.items[0]) && !r.items[0].prefixes[0].Addr().IsUnspecified() {
		return prefix.ErrNetmask // the other way round
	}
	if len(r.items) != 2 || r.items[0].port != 0 || r.items[1].port != 0 {
		return nil
	}
	first, last := r.items[0].prefixes[0], r.items[1].prefixes[0]
	if len(r.items[0].prefixes) > 1 || len(r.items[1].prefixes) > 1 || !first.IsSingleIP() || !last.IsSingleIP() {
		return nil
	}
	a, b := first.Addr(), last.Addr()
	if a.Next() == b || a == b {
		return nil
	}
	ps, err := prefix.OfRange(a, b)
	if err != nil { // not in order, or of two families
		ps = nil
	}
	low, high := netip.PrefixFrom(a, a.BitLen()-hostBits(a)), netip.PrefixFrom(b, b.BitLen()-hostBits(b))
	switch {
	case len(ps) == 1, ps != nil && low.Masked() == low && netipx.PrefixLastIP(high.Masked()) == b:
		r.items = []plainItem{{prefixes: ps}}
	case ps != nil && prefix.CommonBits(a, b) >= a.BitLen()/2:
		return errAmbiguous
	case r.blanks:
		r.second()
	}
	return nil
}

// second takes the second of two hosts out of the row.
func (r *plainRow) second() {
	r.broken = append(r.broken, brokenItem{r.items[1].prefixes[0].Addr().String(), errSecond})
	r.items = r.items[:1]
}

// hostBits is the part of an address that is all zeros at the start of a common
// network and all ones at its end: that of a /24, and of a /64.
func hostBits(a netip.Addr) int {
	if a.Is4() {
		return 8
	}
	return 64
}

// covers reports whether an address is one of the row's own.
func (r *plainRow) covers(a netip.Addr) bool {
	for _, item := range r.items {
		for _, p := range item.prefixes {
			if p.Contains(a) {
				return true
			}
		}
	}
	return false
}

// An element is a piece of a row between separators.
type element struct {
	text string
	to   string // the end of a range
	end  int    // where it ends in the row
}

// read gives what the element stands for.
func (e *element) read() (plainItem, error) {
	if e.to != "" {
		ps, err := prefix.Range(e.text+"-"+e.to, prefix.Addr)
		return plainItem{prefixes: ps}, err
	}
	if from, to, ok := strings.Cut(e.text, "-"); ok {
		if _, err := prefix.Addr(from); err == nil {
			ps, err := prefix.Range(from+"-"+to, prefix.Addr)
			return plainItem{prefixes: ps}, err
		}
	}
	p, port, err := prefix.Token(e.text)
	return plainItem{[]netip.Prefix{p}, port}, err
}

// splitElements splits a row at white space, comma, semicolon and bar, takes quotes
// off, and joins "A - B" to one element.
func splitElements(text string) []element {
	var out []element
	for i := prefix.Span(text, isSeparator); i < len(text); i += prefix.Span(text[i:], isSeparator) {
		n := prefix.Span(text[i:], func(c byte) bool { return !isSeparator(c) })
		out = append(out, element{text: document.Unquote(text[i : i+n]), end: i + n})
		i += n
		out = joinRange(out)
	}
	return out
}

func isSeparator(c byte) bool {
	return document.IsSpace(c) || c == ',' || c == '|' || c == ';' || c == '#'
}

// joinRange joins the last elements if they are a range with blanks around its dash.
// A dash behind an address that nothing like an address follows ("192.0.2.1 -
// scanner") belongs to the words of the row.
func joinRange(es []element) []element {
	n := len(es)
	last := es[n-1].text
	if n >= 2 && es[n-2].to == "" {
		if to, ok := strings.CutPrefix(last, "-"); ok && prefix.IsAddr(es[n-2].text) && isRangeEnd(to) {
			return rangeElement(es, n-2, es[n-2].text, to)
		}
		if from, ok := strings.CutSuffix(es[n-2].text, "-"); ok && prefix.IsAddr(from) && isRangeEnd(last) {
			return rangeElement(es, n-2, from, last)
		}
	}
	if n >= 3 && es[n-2].text == "-" && es[n-3].to == "" && prefix.IsAddr(es[n-3].text) && isRangeEnd(last) {
		return rangeElement(es, n-3, es[n-3].text, last)
	}
	return es
}

func rangeElement(es []element, at int, from, to string) []element {
	return append(es[:at], element{text: from, to: to, end: es[len(es)-1].end})
}

// isRangeEnd recognises what can stand for the end of a range, if it is valid.
func isRangeEnd(s string) bool {
	return strings.ContainsAny(s, ".:") && strings.Trim(s, "0123456789abcdefABCDEF.:") == ""
}

// looksLikeAddress recognises an address, prefix or range with a fault in it from a word,
// a number, a time of day or a hardware address.
func looksLikeAddress(s string) bool {
	s, _, _ = strings.Cut(s, "/")
	s, _, _ = strings.Cut(s, "-")
	s = strings.TrimPrefix(s, "[")
	s, _, _ = strings.Cut(s, "]")
	if strings.Trim(s, "0123456789.:") == "" && strings.Count(s, ".") == 3 {
		return true
	}
	return strings.Trim(s, "0123456789abcdefABCDEF.:%") == "" && len(s) > 2 &&
		(strings.Contains(s, "::") || strings.Count(s, ":") >= 7)
}

// startsWithAddress reports whether a text begins with an address, a prefix or a range.
func startsWithAddress(text string) bool {
	n := prefix.Span(text, func(c byte) bool { return !isSeparator(c) })
	if n == 0 || n > 2*prefix.MaxLength {
		return false
	}
	e := element{text: document.Unquote(text[:n])}
	_, err := e.read()
	return err == nil
}
