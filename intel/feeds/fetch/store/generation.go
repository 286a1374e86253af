package store

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/netip"
	"runtime/debug"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// A generation is one complete state of one feed in a file:
//
//	magic
//	objects, then entries, one record each, then a record of kind 0
//	names, see Names; readers of the entries stop before them
//	description in JSON (see Description)
//	length of the description, 4 bytes; CRC-32C of all before, 4 bytes; big endian
//
// It is written to a temporary file that is renamed once it is complete and on the
// disk, so a name always stands for a whole generation or for none. Whoever reads
// it checks the sum before using a single record.
const (
	magic       = "flowsnitch generation 1\n"
	footerBytes = 8

	recordEnd    = 0
	recordObject = 1
	recordEntry  = 2
)

// Flags of an entry record.
const (
	flagExclude = 1 << iota
	flagOffline
	flag6
	flagPort
	flagEvidence // reference, description, native id or a time
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	ecma       = crc64.MakeTable(crc64.ECMA)
)

// errBroken is wrapped by the errors of a file that is not a whole generation.
var errBroken = errors.New("not a whole generation")

// An Object is what entries hang on by their native id: a pulse, an event, a STIX
// indicator. Round is the full reading of the source that saw it last.
type Object struct {
	ID       string
	Group    string // collection
	Modified int64  // Unix nanoseconds; 0 = unknown
	Round    uint32
}

// A Writer makes a generation.
type Writer struct {
	file    *file
	disk    *Disk
	dir     string
	out     *bufio.Writer
	sum     uint32
	content uint64
	strings stringTable
	buf     []byte
	Objects int
	Entries int
	Covers  intel.Coverage // of the entries that list something
	names   nameWriter
}

// NewWriter starts a generation in a temporary file in dir.
func NewWriter(d *Disk, dir string) (*Writer, error) {
	file, err := d.createTemp(dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{file: file, disk: d, dir: dir}
	w.out = bufio.NewWriterSize(sumWriter{w}, 64<<10)
	_, _ = w.out.WriteString(magic) // errors of the buffer come with Flush
	return w, nil
}

// sumWriter writes through to the file of its writer and sums up on the way.
type sumWriter struct{ w *Writer }

func (s sumWriter) Write(p []byte) (int, error) {
	s.w.sum = crc32.Update(s.w.sum, castagnoli, p)
	s.w.content = crc64.Update(s.w.content, ecma, p)
	return s.w.file.Write(p)
}

// Object adds an object. All objects come before the first entry.
func (w *Writer) Object(o Object) error {
	w.Objects++
	b := append(w.buf[:0], recordObject)
	b = appendString(b, o.ID)
	b = appendString(b, o.Group)
	b = binary.AppendVarint(b, o.Modified)
	b = binary.AppendUvarint(b, uint64(o.Round))
	return w.write(b)
}

// Entry adds an entry, of a prefix or of a name.
func (w *Writer) Entry(e *document.Entry) error {
	if e.Name != "" {
		return w.name(e)
	}
	w.Entries++
	if !e.Exclude && !e.Offline {
		w.Covers.Add(e.Prefix)
	}
	flags := flagsOf(e)
	b := append(w.buf[:0], recordEntry, flags)
	b = append(b, e.Prefix.Addr().AsSlice()...)
	b = append(b, byte(e.Prefix.Bits()), e.Score)
	b = w.strings.append(b, e.Category)
	b = w.strings.append(b, e.TLP)
	if flags&flagPort != 0 {
		b = binary.BigEndian.AppendUint16(b, e.Port)
	}
	if flags&flagEvidence != 0 {
		b = w.strings.append(b, e.Ref)
		b = w.strings.append(b, e.Description)
		b = w.strings.append(b, e.NativeID)
		b = appendTime(b, e.FirstSeen)
		b = appendTime(b, e.LastSeen)
		b = appendTime(b, e.Expires)
	}
	return w.write(b)
}

func (w *Writer) write(b []byte) error {
	w.buf = b
	_, err := w.out.Write(b)
	return err
}

func flagsOf(e *document.Entry) byte {
	var f byte
	if e.Exclude {
		f |= flagExclude
	}
	if e.Offline {
		f |= flagOffline
	}
	if e.Prefix.Addr().Is6() {
		f |= flag6
	}
	if e.Port != 0 {
		f |= flagPort
	}
	if e.Ref != "" || e.Description != "" || e.NativeID != "" ||
		!e.FirstSeen.IsZero() || !e.LastSeen.IsZero() || !e.Expires.IsZero() {
		f |= flagEvidence
	}
	return f
}

// ContentSum gives the sum of the records so far.
func (w *Writer) ContentSum() (uint64, error) {
	err := w.out.Flush()
	return w.content, err
}

// Commit completes the generation under its name, or leaves no trace of it.
func (w *Writer) Commit(path string, d Description) error {
	if err := w.finish(d); err != nil {
		w.Discard()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := w.disk.replace(w.file.Name(), path); err != nil {
		w.Discard()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (w *Writer) finish(d Description) error {
	names, err := w.Names()
	if err != nil {
		return err
	}
	d.Entries, d.Objects, d.Names = w.Entries, w.Objects, names
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_ = w.out.WriteByte(recordEnd)
	if err := w.names.copyTo(w.out); err != nil {
		return err
	}
	_, _ = w.out.Write(text)
	_, _ = w.out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text))))
	if err := w.out.Flush(); err != nil {
		return err
	}
	if _, err := w.file.Write(binary.BigEndian.AppendUint32(nil, w.sum)); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	w.names.discard()
	return w.file.Close()
}

// longDocument is a number of entries whose reading leaves more behind than a small
// machine has to spare.
const longDocument = 50_000

// Rest gives the system back what the reading of a long document has taken, if no new
// table follows: whoever is given that does the same.
func (w *Writer) Rest(updated bool) {
	if !updated && w.Entries >= longDocument {
		debug.FreeOSMemory()
	}
}

// Discard removes what was written. It does no harm after commit.
func (w *Writer) Discard() {
	w.names.discard()
	_ = w.file.Close()
	_ = w.disk.Remove(w.file.Name())
}

// A Reader reads a generation whose sum is right.
type Reader struct {
	Description
	file    *file
	in      *bufio.Reader
	strings stringTable
	entry   document.Entry
	scratch []byte
	end     int64 // where the names end and the description begins
}

// Open opens a generation and checks all of it. The error of a file that was
// read and is not whole satisfies IsBroken; with any other it could not be read.
func Open(d *Disk, path string) (*Reader, error) {
	file, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{file: file}
	if err := r.check(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// check verifies the sum and reads the description.
func (r *Reader) check() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size < int64(len(magic)+1+footerBytes) {
		return fmt.Errorf("%w: only %d bytes", errBroken, size)
	}
	sum := crc32.New(castagnoli)
	if _, err := io.CopyN(sum, r.file, size-4); errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends before byte %d", errBroken, size)
	} else if err != nil {
		return err
	}
	var footer [footerBytes]byte
	if _, err := r.file.ReadAt(footer[:], size-footerBytes); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(footer[4:]) != sum.Sum32() {
		return fmt.Errorf("%w: the checksum is wrong", errBroken)
	}
	n := int64(binary.BigEndian.Uint32(footer[:4]))
	if n > size-int64(len(magic)+1+footerBytes) {
		return fmt.Errorf("%w: a description of %d bytes in a file of %d", errBroken, n, size)
	}
	return r.begin(n, size)
}

// begin reads the description of n bytes and stands before the first record.
func (r *Reader) begin(n, size int64) error {
	text := make([]byte, n)
	if _, err := r.file.ReadAt(text, size-footerBytes-n); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &r.Description); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	r.end = size - footerBytes - n
	r.in = bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.end), 64<<10)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r.in, head); IsSystem(err) {
		return err
	} else if err != nil || string(head) != magic {
		return fmt.Errorf("%w: it begins with something else", errBroken)
	}
	return nil
}

// Each hands every object and every entry on, in order; either function may be nil.
// The entry is only good until the function returns.
func (r *Reader) Each(onObject func(Object) error, onEntry func(*document.Entry) error) error {
	for {
		kind, err := r.in.ReadByte()
		if err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
		switch kind {
		case recordEnd:
			return nil
		case recordObject:
			err = r.readObject(onObject)
		case recordEntry:
			if onEntry == nil {
				return nil // objects come first
			}
			err = r.readEntry(onEntry)
		default:
			err = fmt.Errorf("%w: a record of kind %d", errBroken, kind)
		}
		if err != nil {
			return err
		}
	}
}

func (r *Reader) readObject(use func(Object) error) error {
	d := decoder{in: r.in, buf: &r.scratch}
	o := Object{ID: d.string(), Group: d.string(), Modified: d.varint(), Round: uint32(d.uvarint())}
	if d.err != nil {
		return fmt.Errorf("%w: %w", errBroken, d.err)
	}
	if use == nil {
		return nil
	}
	return use(o)
}

func (r *Reader) readEntry(use func(*document.Entry) error) error {
	d := decoder{in: r.in, buf: &r.scratch}
	e := &r.entry
	flags := d.byte()
	addr := d.addr(flags&flag6 != 0)
	bits := int(d.byte())
	*e = document.Entry{
		Indicator: intel.Indicator{Prefix: netip.PrefixFrom(addr, bits), Score: d.byte()},
		Exclude:   flags&flagExclude != 0,
		Offline:   flags&flagOffline != 0,
	}
	e.Category, e.TLP = r.strings.read(&d), r.strings.read(&d)
	if flags&flagPort != 0 {
		e.Port = uint16(d.byte())<<8 | uint16(d.byte())
	}
	if flags&flagEvidence != 0 {
		e.Ref, e.Description, e.NativeID = r.strings.read(&d), r.strings.read(&d), r.strings.read(&d)
		e.FirstSeen, e.LastSeen, e.Expires = d.time(), d.time(), d.time()
	}
	if d.err == nil && !e.Prefix.IsValid() {
		d.err = fmt.Errorf("%s/%d is no prefix", addr, bits)
	}
	if d.err != nil {
		return fmt.Errorf("%w: %w", errBroken, d.err)
	}
	return use(e)
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }
