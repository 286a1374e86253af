package feeds

import (
	"fmt"
	"io"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// Parse reads one document from r and hands its entries to yield, in order, with
// prefixes that are masked, unmapped and never of length 0. Only the entries of
// STIX are held back to the end, because a later version of an indicator replaces
// an earlier one.
//
// The error is that of yield as it came, one that wraps ErrRejected or the error
// of r, or that of CheckFormat; after any of them everything yielded so far must
// be discarded. A
// document with the verdict Truncated or Mismatch makes no error: its rows
// are right, but rows are missing.
//
// One row can name many prefixes, 65,536 at most; yield stops the reading of a
// document that grows too large by returning an error.
func Parse(r io.Reader, opts document.Options, yield func(document.Entry) error) (document.Report, error) {
	d := document.New(opts, yield)
	err := run(d, r)
	d.Finish(err)
	return d.Report, err
}

// run opens the document, finds its format and reads it.
func run(d *document.Document, r io.Reader) error {
	src, err := document.NewSource(r, d.Opts.MaxBytes)
	if err != nil {
		return err
	}
	head := src.Head()
	name := d.Opts.Format
	switch {
	case d.Opts.Path != "" && name != "" && name != "json":
		return fmt.Errorf("format %s has no path; it belongs to json", name)
	case d.Opts.Path != "":
		name = "json"
	case name == "":
		name, _ = detect(head)
	}
	d.Report.Format = name
	if document.IsMarkup(head) {
		return d.Refuse("the document is HTML or XML, not a list")
	}
	if name == "" {
		return d.Refuse("format not recognised by content; set one of %s", formatList())
	}
	f, arg, err := findFormat(name)
	if err != nil {
		return err
	}
	err = f.run(d, src, arg)
	if srcErr := src.Failure(); srcErr != nil {
		// A broken transport is the cause of whatever the parser made of it.
		return fmt.Errorf("%s: line %d: %w", name, d.Line, srcErr)
	}
	return err
}
