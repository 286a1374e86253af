package file

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// Info is what a file has in its metadata beside rows.
type Info struct {
	Program string // name and version
	Home    string // the home networks in force
	Lost    uint64 // flows lost in the time of the file
	Folded  uint64 // flows that were folded
	// Inputs are the names of the files whose rows this one has: where one of them is still
	// there, it is superseded.
	Inputs []string
}

// A Form is for which machine a file is written.
type Form struct {
	Edge bool  // small pages and row groups, for little memory
	Rows int64 // expected, roughly; 0 = unknown. Large files have larger row groups.
}

// ErrEmpty is the error of [Writer.Commit] without rows: there is no file then.
var ErrEmpty = errors.New("no rows")

// chunk is how many rows are converted at once.
const chunk = 512

// Unfinished is how the name of a file ends as long as it is written.
const Unfinished = ".tmp"

// A Writer writes one file. Until Commit it has a name that ends in .tmp, which no reader
// takes for a history file. It belongs to one goroutine.
type Writer struct {
	disk   disk.FS
	folder string
	name   Name
	aside  string
	file   disk.File
	buffer *bufio.Writer
	sums   sums
	out    *parquet.GenericWriter[layout]
	rows   int64
	last   row.Row
	left   bool // with its name, after an error

	lines     []layout
	text      []byte
	spans     []part
	exporters map[netip.Addr]string
}

// A part is one of the text.
type part struct{ from, to int }

// Create begins a file in the folder of its day, which is made, below root. Seq and CRC of
// the name are ignored. Commit or Abort must follow.
func Create(f disk.FS, root string, name Name, form Form, info Info) (*Writer, error) {
	if name.Level.rank() <= 0 || name.To.Before(name.From) {
		return nil, fmt.Errorf("history file of level %q from %v to %v", name.Level, name.From, name.To)
	}
	folder, err := makeFolder(f, root, name.Folder())
	if err != nil {
		return nil, err
	}
	w := &Writer{disk: f, folder: folder, name: name, exporters: make(map[netip.Addr]string)}
	// Of the same time and level another one may be in work.
	id := fmt.Sprintf("%016x", rand.Uint64())
	w.aside = filepath.Join(folder, name.prefix()+id+Unfinished)
	if w.file, err = disk.OpenNew(f, w.aside, os.O_WRONLY, 0o640); err != nil {
		return nil, err
	}
	w.buffer = bufio.NewWriterSize(w.file, 64<<10)
	w.sums.w = w.buffer
	w.out = parquet.NewGenericWriter[layout](&w.sums, options(name.Level, form, info, id)...)
	w.lines, w.spans = make([]layout, chunk), make([]part, 2*chunk)
	return w, nil
}

// makeFolder makes the folders of a day, and brings their names to the disk.
func makeFolder(f disk.FS, root, day string) (string, error) {
	at := root
	for part := range strings.SplitSeq(day, "/") {
		above := at
		at = filepath.Join(at, part)
		_, err := f.Stat(at)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err := f.MkdirAll(at, 0o750); err != nil {
			return "", err
		}
		if err := disk.SyncDir(f, above); err != nil {
			return "", err
		}
	}
	return at, nil
}

func options(level Level, form Form, info Info, id string) []parquet.WriterOption {
	page, group, codec := pageServer, int64(groupServer), normal
	if form.Rows > largeFile {
		group = groupLarge
	}
	if form.Edge {
		page, group = pageEdge, groupEdge
	}
	if level == Flush {
		codec = fast
	}
	return []parquet.WriterOption{
		schema,
		parquet.Compression(codec),
		parquet.PageBufferSize(page),
		parquet.MaxRowsPerRowGroup(group),
		// What is written must get to the sums at once, as they end with the body.
		parquet.WriteBufferSize(0),
		// DuckDB skips pages by the statistics in their headers.
		parquet.DataPageStatistics(true),
		// The further keys are in the order of addresses and numbers, which is not that of
		// the texts in the columns.
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending("outside_key"))),
		parquet.CreatedBy("flowsnitch", schemaVersion, ""),
		parquet.KeyValueMetadata(keySchema, schemaVersion),
		parquet.KeyValueMetadata(keyProgram, info.Program),
		parquet.KeyValueMetadata(keyHome, info.Home),
		parquet.KeyValueMetadata(keyLost, strconv.FormatUint(info.Lost, 10)),
		parquet.KeyValueMetadata(keyFolded, strconv.FormatUint(info.Folded, 10)),
		parquet.KeyValueMetadata(keyInputs, strings.Join(info.Inputs, "\n")),
		parquet.KeyValueMetadata(keyID, id),
	}
}

// Write appends rows, which must be sorted by [row.Compare], within one call and from call
// to call, each key once. The rows are not kept. After an error only Abort is left.
func (w *Writer) Write(rows []row.Row) error {
	for len(rows) > 0 {
		part := rows[:min(len(rows), chunk)]
		for i := range part {
			if w.rows > 0 && row.Compare(&w.last, &part[i]) >= 0 {
				return errors.New("rows of a history file are out of order")
			}
			w.last = part[i]
			w.rows++
		}
		w.convert(part)
		if _, err := w.out.Write(w.lines[:len(part)]); err != nil {
			return err
		}
		rows = rows[len(part):]
	}
	return nil
}

// convert makes lines of up to chunk rows. Their addresses share one text.
func (w *Writer) convert(rows []row.Row) {
	w.text = w.text[:0]
	for i := range rows {
		r := &rows[i]
		if i > 0 && r.Outside == rows[i-1].Outside {
			w.spans[2*i] = w.spans[2*i-2]
		} else {
			w.spans[2*i] = w.write(r.Outside, false)
		}
		w.spans[2*i+1] = w.write(r.Inside, r.Folded > 0)
	}
	text := string(w.text)
	for i := range rows {
		r, l := &rows[i], &w.lines[i]
		outside, inside := w.spans[2*i], w.spans[2*i+1]
		*l = layout{
			Outside:    text[outside.from:outside.to],
			Inside:     text[inside.from:inside.to],
			Protocol:   r.Protocol,
			Port:       r.Port,
			Exporter:   w.exporter(r.Exporter),
			Site:       r.Site,
			Direction:  r.Direction,
			Flags:      r.Flags,
			First:      int64(r.First) * 1000,
			Flows:      r.Flows,
			PacketsOut: r.PacketsOut,
			PacketsIn:  r.PacketsIn,
			BytesOut:   r.BytesOut,
			BytesIn:    r.BytesIn,
			Sampling:   r.Sampling,
			Hours:      r.Hours,
			Folded:     r.Folded,
		}
		if r.Last > r.First {
			l.Duration = r.Last - r.First
		}
		binary.BigEndian.PutUint64(l.OutsideKey[:8], r.Outside.Hi)
		binary.BigEndian.PutUint64(l.OutsideKey[8:], r.Outside.Lo)
	}
}

func (w *Writer) write(a flow.Addr6, folded bool) part {
	from := len(w.text)
	if folded && a == (flow.Addr6{}) {
		w.text = append(w.text, everyone...)
	} else {
		w.text = a.Addr().Unmap().AppendTo(w.text)
	}
	return part{from, len(w.text)}
}

func (w *Writer) exporter(a netip.Addr) string {
	s, known := w.exporters[a]
	if !known && a.IsValid() {
		s = a.String()
		w.exporters[a] = s
	}
	return s
}

// Commit brings the file to the disk and gives it its name, which is returned. After an
// error there is no file, and the rows may be written again; but with a name beside the error
// there may be a file of that name, which the caller must remove before.
func (w *Writer) Commit() (Name, error) {
	if w.rows == 0 {
		w.Abort()
		return Name{}, ErrEmpty
	}
	err := w.finish()
	if err == nil {
		err = w.buffer.Flush()
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		w.Abort()
		return Name{}, err
	}
	err = w.file.Close()
	w.file = nil
	if err == nil {
		err = w.publish()
	}
	if err != nil {
		w.Abort()
		if w.left {
			return w.name, err
		}
		return Name{}, err
	}
	w.disk = nil
	return w.name, nil
}

// finish ends the body, puts its sums into the metadata, and writes the tail behind it.
func (w *Writer) finish() error {
	if err := w.out.Flush(); err != nil {
		return err
	}
	w.sums.endBody()
	body := w.sums.size
	w.out.SetKeyValueMetadata(keySums, encodeSums(w.sums.body))
	w.out.SetKeyValueMetadata(keyBody, fmt.Sprintf("%016x", body))
	if err := w.out.Close(); err != nil {
		return err
	}
	if tail := w.sums.size - body; tail > maxTail {
		return fmt.Errorf("%s: the index of %d rows has %d bytes, more than %d", w.aside, w.rows, tail, maxTail)
	}
	w.name.CRC = w.sums.tail
	return nil
}

// publish gives the file a name that no other file has. Another process may take the name
// at the same moment: the next one is tried then, a few times.
func (w *Writer) publish() error {
	for try := 0; ; try++ {
		names, err := w.disk.Names(w.folder)
		if err != nil {
			return err
		}
		w.name.Seq = 1
		for _, s := range names {
			n, err := ParseName(s)
			if err == nil && n.prefix() == w.name.prefix() && n.Seq >= w.name.Seq {
				w.name.Seq = n.Seq + 1
			}
		}
		path := filepath.Join(w.folder, w.name.String())
		err = w.disk.RenameNew(w.aside, path)
		if errors.Is(err, fs.ErrExist) {
			if try < 3 {
				continue
			}
			return err
		}
		if err == nil {
			err = disk.SyncDir(w.disk, w.folder)
		}
		if err == nil {
			return nil
		}
		// The caller keeps the rows and writes them again: they must not be here twice.
		removed := w.disk.Remove(path)
		if errors.Is(removed, fs.ErrNotExist) {
			return err
		}
		w.left = removed != nil
		return errors.Join(err, removed)
	}
}

// Abort removes what was written. It does no harm after Commit.
func (w *Writer) Abort() {
	if w.file != nil {
		_ = w.file.Close()
		w.file = nil
	}
	if w.disk != nil {
		_ = w.disk.Remove(w.aside)
		w.disk = nil
	}
}

// sums is the way of all bytes to the file: it sums them up by block, or as one tail once
// the body has ended.
type sums struct {
	w     io.Writer
	size  int64
	body  []uint32
	crc   uint32 // of the block that is not yet full
	ended bool
	tail  uint32
}

func (s *sums) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	for b = b[:n]; len(b) > 0; {
		if s.ended {
			s.tail = crc32.Update(s.tail, castagnoli, b)
			s.size += int64(len(b))
			break
		}
		part := b[:min(int64(len(b)), blockSize-s.size%blockSize)]
		s.crc = crc32.Update(s.crc, castagnoli, part)
		s.size += int64(len(part))
		if s.size%blockSize == 0 {
			s.body, s.crc = append(s.body, s.crc), 0
		}
		b = b[len(part):]
	}
	return n, err
}

func (s *sums) endBody() {
	if s.size%blockSize != 0 {
		s.body = append(s.body, s.crc)
	}
	s.ended = true
}

func encodeSums(sums []uint32) string {
	b := make([]byte, 0, 4*len(sums))
	for _, s := range sums {
		b = binary.LittleEndian.AppendUint32(b, s)
	}
	return base64.StdEncoding.EncodeToString(b)
}
