package store

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc64"
	"io"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// MaxNames is how many names one copy has at most; the others are counted.
const MaxNames = 2_000_000

// Names are the domain and host names of a generation. Their records lie between the end of the
// entries and the description and take Bytes in all; each has flags, score, name, category and
// TLP, and with evidence the native id and three times.
type Names struct {
	Count   int    `json:"count"`
	Bytes   int64  `json:"bytes"`
	Dropped int    `json:"dropped,omitempty"` // beyond MaxNames
	Content uint64 `json:"content,omitempty"` // CRC-64 of the records
}

var errNoName = errors.New("a record of a name without it")

// Flags of a name.
const (
	nameOfURL = 1 << iota
	nameOffline
	nameEvidence // native id or a time
)

// A nameWriter keeps names in a file of their own while entries are written, because the source
// mixes them. The zero value has none.
type nameWriter struct {
	Names
	file    *file
	disk    *Disk
	out     *bufio.Writer
	strings *stringTable
	buf     []byte
}

// name adds a name.
func (w *Writer) name(e *document.Entry) error {
	n := &w.names
	if n.Count >= MaxNames {
		n.Dropped++
		return nil
	}
	if n.file == nil {
		file, err := w.disk.createTemp(w.dir)
		if err != nil {
			return err
		}
		n.file, n.disk, n.strings = file, w.disk, new(stringTable)
		n.out = bufio.NewWriterSize(file, 32<<10)
	}
	n.Count++
	n.buf = n.append(n.buf[:0], e)
	n.Bytes += int64(len(n.buf))
	n.Content = crc64.Update(n.Content, ecma, n.buf)
	_, err := n.out.Write(n.buf)
	return err
}

// append writes one record.
func (n *nameWriter) append(b []byte, e *document.Entry) []byte {
	var flags byte
	if e.OfURL {
		flags |= nameOfURL
	}
	if e.Offline {
		flags |= nameOffline
	}
	if e.NativeID != "" || !e.FirstSeen.IsZero() || !e.LastSeen.IsZero() || !e.Expires.IsZero() {
		flags |= nameEvidence
	}
	b = appendString(append(b, flags, e.Score), e.Name)
	b = n.strings.append(b, e.Category)
	b = n.strings.append(b, e.TLP)
	if flags&nameEvidence != 0 {
		b = n.strings.append(b, e.NativeID)
		b = appendTime(b, e.FirstSeen)
		b = appendTime(b, e.LastSeen)
		b = appendTime(b, e.Expires)
	}
	return b
}

// Names describes the names so far.
func (w *Writer) Names() (*Names, error) {
	if w.names.out != nil {
		if err := w.names.out.Flush(); err != nil {
			return nil, err
		}
	}
	names := w.names.Names
	return &names, nil
}

// copyTo writes the records behind the entries.
func (n *nameWriter) copyTo(out io.Writer) error {
	if n.file == nil {
		return nil
	}
	_, err := io.Copy(out, io.NewSectionReader(n.file, 0, n.Bytes))
	return err
}

// discard removes the file of the names.
func (n *nameWriter) discard() {
	if n.file == nil {
		return
	}
	_ = n.file.Close()
	_ = n.disk.Remove(n.file.Name())
	n.file = nil
}

// EachName passes every name to use, in order; the entry is only good until the function returns.
func (r *Reader) EachName(use func(*document.Entry) error) error {
	if r.Names == nil || r.Names.Count == 0 {
		return nil
	}
	if r.Names.Bytes < 0 || r.Names.Bytes > r.end-int64(len(magic)) || r.Names.Count > MaxNames {
		return fmt.Errorf("%w: %d bytes of names", errBroken, r.Names.Bytes)
	}
	in := bufio.NewReaderSize(io.NewSectionReader(r.file, r.end-r.Names.Bytes, r.Names.Bytes), 64<<10)
	d := decoder{in: in, buf: &r.scratch}
	strings := new(stringTable)
	for range r.Names.Count {
		flags := d.byte()
		e := document.Entry{
			Indicator: intel.Indicator{Score: d.byte()}, OfURL: flags&nameOfURL != 0, Offline: flags&nameOffline != 0,
			Name: d.string(),
		}
		e.Category, e.TLP = strings.read(&d), strings.read(&d)
		if flags&nameEvidence != 0 {
			e.NativeID = strings.read(&d)
			e.FirstSeen, e.LastSeen, e.Expires = d.time(), d.time(), d.time()
		}
		if d.err == nil && e.Name == "" {
			d.err = errNoName
		}
		if d.err != nil {
			return fmt.Errorf("%w: %w", errBroken, d.err)
		}
		if err := use(&e); err != nil {
			return err
		}
	}
	return nil
}
