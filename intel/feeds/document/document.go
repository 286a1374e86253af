package document

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/hostname"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// A Verdict is the result of parsing a document as a whole.
type Verdict string

// The verdicts.
const (
	OK             Verdict = "ok"              // it holds prefixes
	Empty          Verdict = "empty"           // it holds no row at all
	NoPrefix       Verdict = "no-prefix"       // it holds rows, but no prefix
	RejectDocument Verdict = "reject-document" // it is not what its format asks for
	Truncated      Verdict = "truncated"       // its end is missing
	Mismatch       Verdict = "mismatch"        // it announces another number of rows than it holds
)

// MaxSamples is how many rejected rows a report shows.
const MaxSamples = 5

// A Reject is one rejected row.
type Reject struct {
	Line   int    // from 1
	Text   string // the row or its start, escaped: printable ASCII
	Reason string
}

// A Report is what Parse has found in a document.
type Report struct {
	Format  string
	Verdict Verdict
	// Accepted counts the entries handed on, repeated ones included, Excluded
	// those among the entries that mark an exclusion; Accepted does not hold them.
	Accepted, Excluded int
	// Rejected counts rows without a usable prefix, rows of other kinds (domains,
	// hashes) and expired ones included.
	Rejected int
	// Names counts the names handed on, which are among the rejected rows or beside an
	// address in one; BadNames those that are no names of the DNS. Both are 0 where names
	// are not asked for.
	Names, BadNames int
	// NamedRows counts the rejected rows that have yielded a name.
	NamedRows int
	// RejectedParts counts what was rejected of rows that yielded entries all the
	// same: elements of a list in one row.
	RejectedParts int
	// Skipped counts rows that the format itself sets aside: ranges that a
	// filter allows, deleted objects, older versions, data sets of other types.
	Skipped int
	// Comments counts comment lines.
	Comments int
	// Samples are the first rejected rows and parts.
	Samples []Reject
	// Declared is the number of entries that the document announces; -1 = none.
	Declared int
	// Updated is the time of the data by the document's own words, or zero.
	Updated time.Time
	// Next is the link or token of the next page, More that there is one.
	Next string
	More bool
}

// A Document is the state of one document while it is parsed.
type Document struct {
	Opts    Options
	yield   func(Entry) error
	Report  Report
	Line    int     // where the parser stands
	LongRow bool    // the row is much longer than the evidence it may hold
	Verdict Verdict // when the format decides, else empty

	dateRank dates.Rank // of Report.Updated
}

// New begins a document, the entries of which go to yield. It fills in the defaults of
// the options.
func New(opts Options, yield func(Entry) error) *Document {
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	return &Document{Opts: opts, yield: yield, Report: Report{Declared: -1}}
}

// Accept hands an entry on. Its evidence is cut to size on the way.
func (d *Document) Accept(e Entry) error {
	if e.Line == 0 {
		e.Line = d.Line
	}
	e.Tidy()
	if d.LongRow {
		e.unshare()
	}
	if e.Name != "" {
		if d.Opts.Names == nil {
			return nil
		}
		d.Report.Names++
		return d.Opts.Names(e)
	}
	if e.Exclude {
		d.Report.Excluded++
	} else {
		d.Report.Accepted++
	}
	return d.yield(e)
}

// AcceptAll hands on one entry for each prefix of a row.
func (d *Document) AcceptAll(ps []netip.Prefix, e Entry) error {
	for _, p := range ps {
		e.Prefix = p
		if err := d.Accept(e); err != nil {
			return err
		}
	}
	return nil
}

// NameOf reads a name, or the host of a URL, for an entry that is to be accepted beside
// what the row is otherwise; one that is wrong is counted. It gives "" where names are not
// asked for.
func (d *Document) NameOf(text string) (name string, ofURL bool) {
	if d.Opts.Names == nil {
		return "", false
	}
	text = Trim(text)
	read := hostname.Parse
	if ofURL = strings.Contains(text, "://"); ofURL {
		read = hostname.OfURL
	}
	name, err := read(text)
	if err != nil {
		if !errors.Is(err, hostname.ErrAddress) {
			d.Report.BadNames++
		}
		return "", false
	}
	return name, ofURL
}

// Named notes that a rejected row has yielded a name.
func (d *Document) Named() { d.Report.NamedRows++ }

// Reject counts a row without a usable prefix.
func (d *Document) Reject(text string, reason error) {
	d.RejectAt(d.Line, text, reason)
}

// RejectPart counts an element of a row of which others are taken.
func (d *Document) RejectPart(text string, reason error) {
	d.Report.RejectedParts++
	d.sample(d.Line, text, reason)
}

// RejectAt is Reject for a row that ends on another line.
func (d *Document) RejectAt(line int, text string, reason error) {
	d.Report.Rejected++
	d.sample(line, text, reason)
}

// sample keeps the first rejects for people to see.
func (d *Document) sample(line int, text string, reason error) {
	if len(d.Report.Samples) < MaxSamples {
		d.Report.Samples = append(d.Report.Samples, Reject{line, Escape(text), reason.Error()})
	}
}

// Refuse makes the error of a document that is not what it should be.
func (d *Document) Refuse(format string, args ...any) error {
	where := ""
	if d.Line > 0 {
		where = fmt.Sprintf(" at line %d", d.Line)
	}
	name := ""
	if d.Report.Format != "" {
		name = d.Report.Format + ": "
	}
	return fmt.Errorf("%s%w%s: %s", name, ErrRejected, where, fmt.Sprintf(format, args...))
}

// Finish sets the verdict.
func (d *Document) Finish(err error) {
	r := &d.Report
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.Verdict = Truncated
	case err != nil:
		r.Verdict = RejectDocument
	case d.Verdict != "":
		r.Verdict = d.Verdict
	case r.Accepted+r.Excluded > 0:
		r.Verdict = OK
	case r.Names > 0:
		r.Verdict = OK // a list of names
	case r.Rejected+r.Skipped > 0:
		r.Verdict = NoPrefix
	default:
		r.Verdict = Empty
	}
}

// MaxSampleBytes is how much of a rejected row a report shows.
const MaxSampleBytes = 80

// Escape makes foreign text printable ASCII of bounded length.
func Escape(s string) string {
	cut := len(s) > MaxSampleBytes
	if cut {
		s = fit.Cut(s, MaxSampleBytes)
	}
	q := strconv.QuoteToASCII(s)
	q = q[1 : len(q)-1]
	if cut {
		q += "..."
	}
	return q
}

// Header takes from a comment line what documents state there: the number
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

// Dated keeps the time of the data, if there is one.
func (d *Document) Dated(rank dates.Rank, t time.Time) {
	if t.IsZero() || rank < d.dateRank || rank == d.dateRank && !t.After(d.Report.Updated) {
		return
	}
	d.Report.Updated, d.dateRank = t, rank
}

// IsLetter recognises an ASCII letter.
func IsLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// declare keeps the leading number of a text such as "19 subnets".
func (d *Document) declare(s string) {
	number, _, _ := strings.Cut(Trim(s), " ")
	if n, ok := prefix.Decimal(number, 9, 1<<30); ok {
		d.Report.Declared = n
	}
}
