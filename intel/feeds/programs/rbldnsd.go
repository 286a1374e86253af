package programs

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"go4.org/netipx"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var errNotRBL = errors.New("not an entry of this data set")

// An rblKind reads the entries of one type of rbldnsd data set.
type rblKind struct {
	ends  string // the characters at which an entry ends
	parse func(string) ([]netip.Prefix, error)
}

var (
	RBLSet   = rblKind{document.Space + ":#;", parseIP4Set}
	RBLTrie4 = rblKind{document.Space + ":#;", parseIP4Trie}
	RBLTrie6 = rblKind{document.Space + "#;", parseIP6Trie}
)

// rblZone is an rbldnsd data set while it is read.
type rblZone struct {
	d     *document.Document
	kind  rblKind
	value string // the default value: what the entries after it stand for
}

// RBL makes the parser of a data set of the given kind.
func RBL(kind rblKind) func(*document.Document, string) (document.RowFunc, error) {
	return func(d *document.Document, _ string) (document.RowFunc, error) {
		z := rblZone{d: d, kind: kind}
		return z.line, nil
	}
}

// Combined makes the parser of a combined data set: $DATASET starts the
// next part; parts that do not hold addresses are passed over.
func Combined(d *document.Document, _ string) (document.RowFunc, error) {
	z := rblZone{d: d}
	return func(line string) error {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == "$DATASET" {
			kind, _, _ := strings.Cut(words[1], ":")
			z = rblZone{d: d, kind: rblKindOf(kind)}
			return nil
		}
		return z.line(line)
	}, nil
}

func rblKindOf(name string) rblKind {
	switch name {
	case "ip4set", "ip4tset":
		return RBLSet
	case "ip4trie":
		return RBLTrie4
	case "ip6trie", "ip6tset":
		return RBLTrie6
	}
	return rblKind{}
}

// line reads one line of the data set. Lines with $ are specials, also as #$ and
// :$; a line with a leading colon sets the default value.
func (z *rblZone) line(line string) error {
	line = document.Trim(line)
	switch {
	case z.d.Comment(line, "#", ";"), line[0] == '$', strings.HasPrefix(line, ":$"):
		return nil
	case line[0] == ':':
		z.value = line[1:]
		return nil
	case z.kind.parse == nil:
		z.d.Report.Skipped++
		return nil
	}
	entry, exclude := strings.CutPrefix(line, "!")
	entry, rest := document.Trim(entry), ""
	if i := strings.IndexAny(entry, z.kind.ends); i >= 0 {
		entry, rest = entry[:i], document.Trim(entry[i:])
	}
	ps, err := z.kind.parse(entry)
	if err != nil {
		z.d.Reject(line, err)
		return nil
	}
	return z.d.AcceptAll(ps, document.Entry{
		Exclude:   exclude,
		Indicator: intel.Indicator{Description: z.describe(rest)},
	})
}

// describe gives the text of an entry's value, its own or the default one, which
// has the form :address:text, address:text or text.
func (z *rblZone) describe(own string) string {
	if i := strings.IndexAny(own, "#;"); i == 0 {
		own = ""
	}
	if own == "" {
		own = z.value
	}
	own = strings.TrimPrefix(own, ":")
	if value, text, ok := strings.Cut(own, ":"); ok && strings.Trim(value, "0123456789.") == "" {
		return text
	}
	return own
}

// parseIP4Set reads a prefix of one to four octets with optional length, or a
// range: of the last octet, of prefixes with as many octets, of addresses.
func parseIP4Set(s string) ([]netip.Prefix, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		return parseIP4Trie(s)
	}
	first, n, err := partialAddr(from)
	if err != nil {
		return nil, err
	}
	if strings.IndexByte(to, '.') < 0 && n > 1 {
		to = from[:strings.LastIndexByte(from, '.')+1] + to
	}
	last, m, err := partialAddr(to)
	if err != nil {
		return nil, err
	}
	if m != n {
		return nil, prefix.ErrNotRange
	}
	// The range ends with the last address of its last prefix.
	return prefix.OfRange(first, netipx.PrefixLastIP(netip.PrefixFrom(last, 8*n)))
}

// parseIP4Trie reads a prefix of one to four octets with optional length.
func parseIP4Trie(s string) ([]netip.Prefix, error) {
	octets, length, slash := strings.Cut(s, "/")
	a, n, err := partialAddr(octets)
	if err != nil {
		return nil, err
	}
	size := 8 * n
	if slash {
		var ok bool
		if size, ok = prefix.Decimal(length, 3, 32); !ok {
			return nil, prefix.ErrLength
		}
	}
	p, err := prefix.Make(a, size)
	return []netip.Prefix{p}, err
}

// partialAddr reads one to four octets; what is missing is zero.
func partialAddr(s string) (netip.Addr, int, error) {
	n := strings.Count(s, ".") + 1
	if n > 4 {
		return netip.Addr{}, 0, prefix.ErrNotAddress
	}
	a, err := prefix.Addr(s + strings.Repeat(".0", 4-n))
	if err != nil || !a.Is4() {
		return netip.Addr{}, 0, prefix.ErrNotAddress
	}
	return a, n, nil
}

// parseIP6Trie reads an IPv6 prefix with optional length; groups that are missing
// at the end are zero and, without a length, not part of the prefix.
func parseIP6Trie(s string) ([]netip.Prefix, error) {
	groups, length, slash := strings.Cut(s, "/")
	if strings.IndexByte(groups, ':') < 0 && !slash {
		return nil, errNotRBL
	}
	size := 128
	if n := strings.Count(groups, ":") + 1; n < 8 && !strings.Contains(groups, "::") {
		groups += "::"
		size = 16 * n
	}
	if !slash {
		length = strconv.Itoa(size)
	}
	a, err := prefix.Raw(groups)
	if err != nil || a.Is4() {
		return nil, prefix.ErrNotAddress
	}
	bits, ok := prefix.Decimal(length, 3, 128)
	if !ok {
		return nil, prefix.ErrLength
	}
	p, err := prefix.Make(a, bits)
	return []netip.Prefix{p}, err
}
