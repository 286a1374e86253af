package feeds

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// DefaultMaxBytes is the length of a document, after decompression, that Parse
// reads when Options do not say otherwise.
const DefaultMaxBytes = 256 << 20

// ErrRejected is wrapped by the error of a document that is not what its format
// asks for: nothing of it may be used.
var ErrRejected = errors.New("document rejected")

// An Entry is one prefix of a document with its evidence. Feed is left empty.
type Entry struct {
	intel.Indicator
	// Exclude marks the prefix as taken out of the wider ones of its document.
	Exclude bool
	// Offline marks a host that no longer answers, where the feed says so.
	Offline bool
	// Line is the line of the document on which the row ends, from 1.
	Line int
}

// An Object is what several entries of a document hang on and what later
// documents of the same source replace as a whole: an OTX pulse, a MISP event, a
// STIX indicator.
type Object struct {
	ID       string
	Modified time.Time // zero when not said
	Revoked  bool      // the source takes it back
	More     bool      // the source has cut its list of indicators
}

// Options of one call of Parse. The zero value detects the format.
type Options struct {
	// Format is a name as Formats lists them, with its argument: "csv:dst_ip".
	// Empty means that the content decides.
	Format string
	// Path names the members of JSON that hold the addresses, as CheckPath knows it; the
	// format is then json, or empty.
	Path string
	// Now decides what has expired; zero means the time of the call.
	Now time.Time
	// MaxBytes caps the document after decompression; 0 means DefaultMaxBytes.
	MaxBytes int64
	// BaseURL of a MISP instance, for the references of its events; may be empty.
	BaseURL string
	// Seen, if not nil, is told once of every object of the document, also of
	// those that yield no entry. Entries belong to it by their NativeID; some may
	// come before it is told of, some after.
	Seen func(Object)
}

// Parse reads one document from r and hands its entries to yield, in order, with
// prefixes that are masked, unmapped and never of length 0. Only the entries of
// STIX are held back to the end, because a later version of an indicator replaces
// an earlier one.
//
// The error is that of yield as it came, one that wraps ErrRejected or the error
// of r, or that of CheckFormat; after any of them everything yielded so far must
// be discarded. A
// document with the verdict Truncated or Mismatch makes no error: what its rows
// say is true, but rows are missing.
//
// One row can name many prefixes, 65,536 at most; yield stops the reading of a
// document that grows too large by returning an error.
func Parse(r io.Reader, opts Options, yield func(Entry) error) (Report, error) {
	d := newDocument(opts, yield)
	err := d.parse(r)
	d.finish(err)
	return d.report, err
}

// parse opens the document, finds its format and runs it.
func (d *document) parse(r io.Reader) error {
	src, err := newSource(r, d.opts.MaxBytes)
	if err != nil {
		return err
	}
	head := src.head()
	name := d.opts.Format
	switch {
	case d.opts.Path != "" && name != "" && name != "json":
		return fmt.Errorf("format %s has no path; it belongs to json", name)
	case d.opts.Path != "":
		name = "json"
	case name == "":
		name, _ = detect(head)
	}
	d.report.Format = name
	if looksLikeMarkup(head) {
		return d.refuse("the document is HTML or XML, not a list")
	}
	if name == "" {
		return d.refuse("format not recognised by content; set one of %s", formatList())
	}
	f, arg, err := findFormat(name)
	if err != nil {
		return err
	}
	err = f.run(d, src, arg)
	if srcErr := src.failure(); srcErr != nil {
		// A broken transport is the cause of whatever the parser made of it.
		return fmt.Errorf("%s: line %d: %w", name, d.line, srcErr)
	}
	return err
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
