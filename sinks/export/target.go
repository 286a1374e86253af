package export

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Target is a program that takes block lists.
type Target struct {
	Name    string
	Help    string // what it is for, in one line
	Example string // the command that installs the list, see the README of this folder

	// What a row can express; the rest is not kept.
	ports, timeouts, reasons, dates bool
	// comment begins the lines of the header; empty = write puts it where it belongs.
	comment string
	write   func(w *bufio.Writer, l *List)
}

// Targets are all of them, in the order of help.
var Targets = []*Target{&text, &nftables, &ipset, &pf, &openBGPD, &mikroTik, &bird, &rpzIP, &rbldnsd, &stix}

// Find gives the target of a name, or nil.
func Find(name string) *Target {
	for _, t := range Targets {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Write writes the list.
func (l *List) Write(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<16)
	if l.target.comment != "" {
		for _, line := range l.header() {
			fmt.Fprintf(b, "%s %s\n", l.target.comment, line)
		}
	}
	l.target.write(b, l)
	return b.Flush() // has the first error of all
}

// header gives the lines that a list begins with, safe in a comment of every target.
func (l *List) header() []string {
	four := 0
	for k := range l.from.rows(0) {
		if k.prefix.Addr().Is4() {
			four++
		}
	}
	all := l.Report.Rows
	count := fmt.Sprintf("flowsnitch export %s: %d prefixes, %d of IPv4 and %d of IPv6", l.target.Name, all, four, all-four)
	if l.Report.Cut > 0 {
		count += fmt.Sprintf("; cut to the best scores, %d more are left out", l.Report.Cut)
	}
	lines := []string{count, plain("filter: "+l.options.String(), 1000)}
	if !l.made.IsZero() {
		lines = append(lines, "made: "+l.made.Format(time.RFC3339))
	}
	return lines
}

// family yields the rows of IPv4 or IPv6, with or without a port.
func (l *List) family(four, ports bool) func(yield func(*Row) bool) {
	return func(yield func(*Row) bool) {
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

// timeout gives the rest of the time of a row, at least a second; 0 = it has no end, or the
// list is to be the same at every time.
func (l *List) timeout(r *Row) time.Duration {
	if r.Expires.IsZero() || l.made.IsZero() {
		return 0
	}
	return max(r.Expires.Sub(l.made), time.Second)
}

// serial is the number of this state of a DNS zone. It grows with the time.
func (l *List) serial() uint32 {
	if l.made.IsZero() {
		return 1
	}
	return uint32(l.made.Unix())
}

// maxReason is how long the reason of a row can be: nft takes comments of at most 127 bytes.
const maxReason = 100

// reason gives what has listed a row, for a comment of any target.
func (r *Row) reason() string {
	category := r.Category
	if category == "" {
		category = "listed"
	}
	return plain(fmt.Sprintf("%s, score %d: %s", plain(category, maxReason/3), r.Score, strings.Join(r.Feeds, ", ")), maxReason)
}

// harmless are the signs that no target gives a meaning to, neither in a comment nor in a
// quoted text. Quotes, backslashes, dollars, braces, semicolons, hashes, asterisks and
// everything beyond ASCII are not among them.
const harmless = " .,:_+-=/@()"

// plain makes foreign text safe for every target: of one line, of ASCII, and at most so
// many bytes.
func plain(s string, most int) string {
	out := make([]byte, 0, min(len(s), most))
	for _, r := range s {
		if len(out) == most {
			break
		}
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(harmless, r):
			out = append(out, byte(r))
		default:
			out = append(out, '_')
		}
	}
	return string(out)
}

// short gives a prefix, or the address alone where it is a single one.
func short(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// seconds gives a duration in seconds, rounded up and at most so many.
func seconds(d time.Duration, most int64) string {
	return strconv.FormatInt(min(int64((d+time.Second-1)/time.Second), most), 10)
}
