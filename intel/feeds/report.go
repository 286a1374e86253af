package feeds

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// A Verdict says what became of a document as a whole.
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

// maxSamples is how many rejected rows a report shows.
const maxSamples = 5

// A Reject is one rejected row.
type Reject struct {
	Line   int    // from 1
	Text   string // the row or its start, escaped: printable ASCII
	Reason string
}

// A Report says what Parse found in a document.
type Report struct {
	Format  string
	Verdict Verdict
	// Accepted counts the entries handed on, repeated ones included, Excluded
	// those among the entries that mark an exclusion; Accepted does not hold them.
	Accepted, Excluded int
	// Rejected counts rows without a usable prefix, rows of other kinds (domains,
	// hashes) and expired ones included.
	Rejected int
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

// document is the state of one document while it is parsed.
type document struct {
	opts    Options
	yield   func(Entry) error
	report  Report
	line    int     // where the parser stands
	longRow bool    // the row is much longer than the evidence it may hold
	verdict Verdict // when the format decides, else empty

	dateRank dateRank // of Report.Updated
}

func newDocument(opts Options, yield func(Entry) error) *document {
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	return &document{opts: opts, yield: yield, report: Report{Declared: -1}}
}

// accept hands an entry on. Its evidence is cut to size on the way.
func (d *document) accept(e Entry) error {
	if e.Line == 0 {
		e.Line = d.line
	}
	e.tidy()
	if d.longRow {
		e.unshare()
	}
	if e.Exclude {
		d.report.Excluded++
	} else {
		d.report.Accepted++
	}
	return d.yield(e)
}

// reject counts a row without a usable prefix.
func (d *document) reject(text string, reason error) {
	d.rejectAt(d.line, text, reason)
}

// rejectPart counts an element of a row of which others are taken.
func (d *document) rejectPart(text string, reason error) {
	d.report.RejectedParts++
	d.sample(d.line, text, reason)
}

func (d *document) rejectAt(line int, text string, reason error) {
	d.report.Rejected++
	d.sample(line, text, reason)
}

// sample keeps the first rejects for people to see.
func (d *document) sample(line int, text string, reason error) {
	if len(d.report.Samples) < maxSamples {
		d.report.Samples = append(d.report.Samples, Reject{line, escape(text), reason.Error()})
	}
}

// refuse makes the error of a document that is not what it should be.
func (d *document) refuse(format string, args ...any) error {
	where := ""
	if d.line > 0 {
		where = fmt.Sprintf(" at line %d", d.line)
	}
	name := ""
	if d.report.Format != "" {
		name = d.report.Format + ": "
	}
	return fmt.Errorf("%s%w%s: %s", name, ErrRejected, where, fmt.Sprintf(format, args...))
}

// finish sets the verdict.
func (d *document) finish(err error) {
	r := &d.report
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.Verdict = Truncated
	case err != nil:
		r.Verdict = RejectDocument
	case d.verdict != "":
		r.Verdict = d.verdict
	case r.Accepted+r.Excluded > 0:
		r.Verdict = OK
	case r.Rejected+r.Skipped > 0:
		r.Verdict = NoPrefix
	default:
		r.Verdict = Empty
	}
}

// maxSampleBytes is how much of a rejected row a report shows.
const maxSampleBytes = 80

// escape makes foreign text printable ASCII of bounded length.
func escape(s string) string {
	cut := len(s) > maxSampleBytes
	if cut {
		s = fit.Cut(s, maxSampleBytes)
	}
	q := strconv.QuoteToASCII(s)
	q = q[1 : len(q)-1]
	if cut {
		q += "..."
	}
	return q
}
