package feeds

import (
	"bufio"
	"cmp"
	"io"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// A Listing collects the prefixes of entries and writes them in canonical order:
// IPv4 before IPv6, by address, then length. Exact duplicates collapse, nothing
// else is merged. The zero value is an empty listing.
type Listing struct {
	rows  []listed
	refs  []ref
	added int
}

type listed struct {
	prefix  netip.Prefix
	exclude bool
}

type ref struct {
	prefix netip.Prefix
	id     string
}

// Add takes an entry; it fits the yield of Parse and never fails.
func (l *Listing) Add(e document.Entry) error {
	l.added++
	l.rows = append(l.rows, listed{e.Prefix, e.Exclude})
	if e.NativeID != "" && !e.Exclude {
		l.refs = append(l.refs, ref{e.Prefix, e.NativeID})
	}
	return nil
}

// compact sorts the listing and drops what is there twice.
func (l *Listing) compact() {
	slices.SortFunc(l.rows, func(a, b listed) int {
		return cmp.Or(comparePrefix(a.prefix, b.prefix), compareBool(a.exclude, b.exclude))
	})
	l.rows = slices.Compact(l.rows)
	slices.SortFunc(l.refs, func(a, b ref) int {
		return cmp.Or(comparePrefix(a.prefix, b.prefix), cmp.Compare(a.id, b.id))
	})
	l.refs = slices.Compact(l.refs)
}

// Counts gives the number of distinct prefixes by family and of exclusions.
func (l *Listing) Counts() (v4, v6, excluded int) {
	l.compact()
	for _, r := range l.rows {
		switch {
		case r.exclude:
			excluded++
		case r.prefix.Addr().Is4():
			v4++
		default:
			v6++
		}
	}
	return v4, v6, excluded
}

// Duplicates gives the number of entries that were there already.
func (l *Listing) Duplicates() int {
	l.compact()
	return l.added - len(l.rows)
}

// WritePrefixes writes one prefix a line, always with its length, exclusions with
// a leading "!".
func (l *Listing) WritePrefixes(w io.Writer) error {
	l.compact()
	b := bufio.NewWriter(w)
	var line []byte
	for _, r := range l.rows {
		line = line[:0]
		if r.exclude {
			line = append(line, '!')
		}
		line = append(r.prefix.AppendTo(line), '\n')
		_, _ = b.Write(line) // the error stays and comes with Flush
	}
	return b.Flush()
}

// WriteRefs writes "prefix TAB native id" for every entry that has an id. What
// would break the line in an id becomes U+FFFD.
func (l *Listing) WriteRefs(w io.Writer) error {
	l.compact()
	b := bufio.NewWriter(w)
	var line []byte
	for _, r := range l.refs {
		line = append(r.prefix.AppendTo(line[:0]), '\t')
		line = append(append(line, printable(r.id)...), '\n')
		_, _ = b.Write(line)
	}
	return b.Flush()
}

// printable replaces control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
