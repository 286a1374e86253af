package document

import (
	"errors"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
)

// DefaultMaxBytes is the length of a document, after decompression, that Parse
// reads unless Options have another limit.
const DefaultMaxBytes = 256 << 20

// ErrRejected is wrapped by the error of a document that is not what its format
// asks for: nothing of it may be used.
var ErrRejected = errors.New("document rejected")

// An Entry is one prefix of a document with its evidence, or one name. Feed is left empty.
type Entry struct {
	intel.Indicator
	// Name is a domain or host name as hostname.Parse gives it; the entry has no prefix then,
	// and no port. OfURL means that the document lists a URL, the host of which it is.
	Name  string
	OfURL bool
	// Exclude marks the prefix as taken out of the wider ones of its document.
	Exclude bool
	// Offline marks a host that no longer answers, where the feed has that.
	Offline bool
	// Line is the line of the document on which the row ends, from 1.
	Line int
}

// An Object is what several entries of a document hang on and what later
// documents of the same source replace as a whole: an OTX pulse, a MISP event, a
// STIX indicator.
type Object struct {
	ID       string
	Modified time.Time // zero when unknown
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
	// Seen, if not nil, is called once for every object of the document, also for
	// those that yield no entry. Entries belong to it by their NativeID; some may
	// come before the call, some after.
	Seen func(Object)
	// Names, if not nil, is given the entries that are names. Its error ends the reading as
	// that of yield does.
	Names func(Entry) error
}

// Tidy cuts the evidence to size and makes it valid UTF-8; times become UTC with
// the resolution of a second.
func (e *Entry) Tidy() {
	e.Description = Bounded(e.Description, MaxDescription)
	e.NativeID = Bounded(e.NativeID, maxNativeID)
	if e.Ref = valid(e.Ref); len(e.Ref) > maxRef {
		e.Ref = "" // half a link is none
	}
	e.FirstSeen = dates.ToSecond(e.FirstSeen)
	e.LastSeen = dates.ToSecond(e.LastSeen)
	e.Expires = dates.ToSecond(e.Expires)
}

// unshare copies the strings that come from the row, lest a short word keeps all
// of a long row in memory.
func (e *Entry) unshare() {
	e.Description = strings.Clone(e.Description)
	e.NativeID = strings.Clone(e.NativeID)
	e.Ref = strings.Clone(e.Ref)
	e.Name = strings.Clone(e.Name)
}

// maxBatch is how many entries wait for the evidence that stands behind them.
const maxBatch = 65536

// A Batch holds the entries of an object, a pulse or an event, the name of which
// may come after its rows.
type Batch struct {
	entries []Entry
	Fill    func(*Entry) // adds what is known of the object
	Known   func() bool  // whether the object has its id already
}

// Add takes an entry. A full batch is handed on if the object's id is known, else
// the document is refused: entries without their object are no evidence.
func (b *Batch) Add(d *Document, e Entry) error {
	e.Line = d.Line
	e.Tidy()
	b.entries = append(b.entries, e)
	if len(b.entries) < maxBatch {
		return nil
	}
	if !b.Known() {
		return d.Refuse("an object names more than %d addresses before its id", maxBatch)
	}
	return b.Flush(d)
}

// Flush hands on what waits.
func (b *Batch) Flush(d *Document) error {
	for i := range b.entries {
		e := b.entries[i]
		b.Fill(&e)
		if err := d.Accept(e); err != nil {
			return err
		}
	}
	b.entries = b.entries[:0]
	return nil
}
