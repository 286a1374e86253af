package store

import (
	"encoding/json"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// A Description is what is known of a generation, and where it comes from.
type Description struct {
	Feed string `json:"feed"`
	// Origin names the source, so that a feed that was given another one does not
	// go on with the data of the old. It holds no secret.
	Origin string `json:"origin"`
	// Taken is when the generation was completed.
	Taken time.Time `json:"taken"`
	// ETag and LastModified are the validators of exactly this copy.
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	// Cursor is where a source that is read piece by piece goes on.
	Cursor json.RawMessage `json:"cursor,omitempty"`
	// Entries and Objects count the records, Previous the entries of the
	// generation before.
	Entries  int `json:"entries"`
	Objects  int `json:"objects,omitempty"`
	Previous int `json:"previous"`
	// Content is the CRC-64 of all records, so that a document with the same content
	// is known; 0 = not known.
	Content uint64 `json:"content,omitempty"`
	// Names are those behind the entries; nil = the copy was made by a version that kept none.
	Names *Names `json:"names,omitempty"`
	// Parsed is what the parser made of the document, or of the last pages.
	Parsed Parsed `json:"parsed"`
	// Partial means that the source has never been read to its end.
	Partial bool `json:"partial,omitempty"`
	// Space4 and Space6 are the IPv4 addresses and IPv6 /64 networks that it covers,
	// Turnover means that nearly all entries of the one before are gone: what an operator
	// accepts is remembered by them.
	Space4   uint64 `json:"space4,omitempty"`
	Space6   uint64 `json:"space6,omitempty"`
	Turnover bool   `json:"turnover,omitempty"`
	// Peak is the largest number of entries of the last days, PeakAt when it was.
	Peak   int       `json:"peak,omitempty"`
	PeakAt time.Time `json:"peak_at,omitzero"`
	// Held is why the generation is not used; empty when it is.
	Held string `json:"held,omitempty"`

	// Grows is set when pieces may have come that were missing: growth is expected.
	Grows bool `json:"-"`
}

// Parsed is the report of a parser as far as it is kept.
type Parsed struct {
	Format   string           `json:"format,omitempty"`
	Verdict  document.Verdict `json:"verdict,omitempty"`
	Accepted int              `json:"accepted"`
	Excluded int              `json:"excluded,omitempty"`
	Rejected int              `json:"rejected"`
	// RejectedParts are those of rows of which other parts were taken.
	RejectedParts int `json:"rejected_parts,omitempty"`
	Skipped       int `json:"skipped,omitempty"`
	// Names are names that were taken, BadNames malformed ones.
	Names    int `json:"names,omitempty"`
	BadNames int `json:"bad_names,omitempty"`
	// NamedRows are the rejected ones that have yielded a name.
	NamedRows int `json:"named_rows,omitempty"`
	// DroppedNames are those of a page that has too many.
	DroppedNames int               `json:"dropped_names,omitempty"`
	Samples      []document.Reject `json:"samples,omitempty"`
	Updated      time.Time         `json:"updated,omitzero"`
}

// NotUnderstood is how many rows yielded nothing, neither an entry nor a name.
func (p *Parsed) NotUnderstood() int { return p.Rejected - p.NamedRows }

// DroppedNames is how many names are not in the copy, because a page or the copy had too many.
func (d *Description) DroppedNames() int {
	n := d.Parsed.DroppedNames
	if d.Names != nil {
		n += d.Names.Dropped
	}
	return n
}

// ParsedOf gives what is kept of a report; scrub, if not nil, takes secrets out of its samples.
func ParsedOf(p document.Report, scrub func(string) string) Parsed {
	out := Parsed{
		Format: p.Format, Verdict: p.Verdict, Accepted: p.Accepted, Excluded: p.Excluded,
		Rejected: p.Rejected, RejectedParts: p.RejectedParts, Skipped: p.Skipped, Updated: p.Updated,
		Names: p.Names, BadNames: p.BadNames, NamedRows: p.NamedRows,
	}
	for _, s := range p.Samples {
		if scrub != nil {
			s.Text = scrub(s.Text)
		}
		out.Samples = append(out.Samples, s)
	}
	return out
}

// Add sums up the reports of several documents; the first that is not good gives the
// verdict.
func (p *Parsed) Add(o Parsed) {
	p.Accepted += o.Accepted
	p.Excluded += o.Excluded
	p.Rejected += o.Rejected
	p.RejectedParts += o.RejectedParts
	p.Skipped += o.Skipped
	p.Names += o.Names
	p.BadNames += o.BadNames
	p.NamedRows += o.NamedRows
	p.DroppedNames += o.DroppedNames
	if p.Format == "" {
		p.Format = o.Format
	} else if p.Format != o.Format {
		p.Format = "several"
	}
	if p.Verdict == document.Empty || p.Verdict == "" || p.Verdict == document.OK && o.Verdict != document.Empty {
		p.Verdict = o.Verdict
	}
	if o.Updated.After(p.Updated) {
		p.Updated = o.Updated
	}
	for _, s := range o.Samples {
		if len(p.Samples) < maxSamples {
			p.Samples = append(p.Samples, s)
		}
	}
}

// maxSamples is how many rejected rows are kept of several documents.
const maxSamples = 5

// DecodeCursor reads the cursor of a generation into v; without one v stays as it is.
func (d *Description) DecodeCursor(v any) {
	if d != nil && len(d.Cursor) > 0 {
		_ = json.Unmarshal(d.Cursor, v) // a strange cursor is none: all is read anew
	}
}
