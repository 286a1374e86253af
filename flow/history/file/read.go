package file

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// A DamagedError is why a file cannot be read, now or later: it was cut or changed since
// it was written, or it is not one of ours. Errors of the disk are not among these.
type DamagedError struct {
	Path string
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s: damaged: %v", e.Path, e.Err) }

// Unwrap gives the reason.
func (e *DamagedError) Unwrap() error { return e.Err }

// ErrNewer is within the error for a file of a newer version of the program. It is not damaged.
var ErrNewer = errors.New("written by a newer version of this program")

// A File is open for reading. It belongs to one goroutine.
type File struct {
	Name Name
	Info Info
	Rows int64

	blocks  *blocks
	groups  []parquet.RowGroup
	cursors []*cursor
	group   int // that the cursors are in; -1 = in none
	calls   bool
}

// Open opens a file and checks its tail. Close must follow. Errors are those of the disk,
// of [ParseName], [ErrNewer], or of type [*DamagedError].
func Open(f disk.FS, path string) (_ *File, err error) {
	name, err := ParseName(filepath.Base(path))
	if err != nil {
		return nil, err
	}
	info, err := f.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would block
		return nil, &DamagedError{path, errors.New("not a regular file")}
	}
	file, err := f.Open(path)
	if err != nil {
		return nil, err
	}
	opened := &File{Name: name, blocks: &blocks{path: path, file: file}, group: -1}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	// The size is that of the open file: another may have come to stand at the path.
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	opened.blocks.size = info.Size()
	if err := opened.blocks.readTail(name.CRC); err != nil {
		return nil, err
	}
	if err := opened.parse(); err != nil {
		return nil, opened.reason(err)
	}
	return opened, nil
}

// Close closes the file.
func (f *File) Close() error {
	f.leave()
	return f.blocks.file.Close()
}

// Verify reads the whole file, and so finds damage also where a search does not look: in
// the column outside, which is for other readers.
func (f *File) Verify(ctx context.Context) error {
	v := view{blocks: f.blocks, held: -1}
	for n := range int64(len(v.sums)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.load(n); err != nil {
			return err
		}
	}
	return nil
}

// parse has parquet-go read the tail, which is undamaged.
func (f *File) parse() (err error) {
	defer f.guard(&err)
	b := f.blocks
	in, err := parquet.OpenFile(&view{blocks: b, held: -1}, b.size, parquet.SkipMagicBytes(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	if version, _ := in.Lookup(keySchema); version != schemaVersion {
		if n, err := strconv.Atoi(version); err == nil && n > schemaNumber {
			return fmt.Errorf("%s: %w", b.path, ErrNewer)
		}
		return fmt.Errorf("of version %q, which this program does not know", version)
	}
	if !slices.EqualFunc(in.Schema().Columns(), schema.Columns(), slices.Equal) {
		return errors.New("the columns are not those of a history file")
	}
	if err := b.decodeSums(in); err != nil {
		return err
	}
	f.Info.Program, _ = in.Lookup(keyProgram)
	f.Info.Home, _ = in.Lookup(keyHome)
	f.Info.Lost = number(in, keyLost)
	f.Info.Folded = number(in, keyFolded)
	if inputs, _ := in.Lookup(keyInputs); inputs != "" {
		f.Info.Inputs = strings.Split(inputs, "\n")
	}
	f.Rows = in.NumRows()
	f.groups = in.RowGroups()
	for i := range columns {
		f.cursors = append(f.cursors, &cursor{column: &columns[i], view: view{blocks: b, held: -1}})
	}
	return nil
}

// number reads a number of the metadata; 0 = it is not there.
func number(in *parquet.File, key string) uint64 {
	s, _ := in.Lookup(key)
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// guard turns a panic of parquet-go into an error, but not one of the caller's own function.
func (f *File) guard(err *error) {
	if f.calls {
		return
	}
	if p := recover(); p != nil {
		*err = f.reason(fmt.Errorf("%v", p))
	}
}

// reason finds what is behind an error of parquet-go: the first error of its reads, or else
// that the file is damaged.
func (f *File) reason(err error) error {
	if f.blocks.failed != nil {
		return f.blocks.failed
	}
	if damaged := (*DamagedError)(nil); errors.As(err, &damaged) || errors.Is(err, ErrNewer) {
		return err
	}
	return &DamagedError{f.blocks.path, err}
}

// blocks is a file whose content is checked block by block, as it is read.
type blocks struct {
	path   string
	file   disk.File
	size   int64
	body   int64 // size of what is before the tail
	tail   []byte
	sums   []uint32
	failed error // the first failed read
}

func (b *blocks) damaged(format string, args ...any) error {
	return &DamagedError{b.path, fmt.Errorf(format, args...)}
}

// read reads bytes of the file. That there are fewer is damage.
func (b *blocks) read(to []byte, at int64) error {
	n, err := b.file.ReadAt(to, at)
	if n == len(to) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return b.damaged("cut at byte %d", at+int64(n))
	}
	return err
}

// readTail reads the tail and checks it. Where it begins is within it, so that a wrong
// beginning gives a wrong CRC.
func (b *blocks) readTail(crc uint32) error {
	var end [8]byte
	if b.size < int64(len(end)) {
		return b.damaged("%d bytes are too few", b.size)
	}
	if err := b.read(end[:], b.size-int64(len(end))); err != nil {
		return err
	}
	length := int64(binary.LittleEndian.Uint32(end[:4]))
	if string(end[4:]) != "PAR1" || length > min(maxTail, b.size-int64(len(end))) {
		return b.damaged("no footer")
	}
	footer := make([]byte, length)
	if err := b.read(footer, b.size-int64(len(end))-length); err != nil {
		return err
	}
	body, ok := findBody(footer)
	if !ok || body < 0 || body > b.size-int64(len(end))-length || b.size-body > maxTail {
		return b.damaged("no footer")
	}
	tail := make([]byte, b.size-body)
	if err := b.read(tail, body); err != nil {
		return err
	}
	if crc32.Checksum(tail, castagnoli) != crc {
		return b.damaged("wrong checksum of the footer")
	}
	b.body, b.tail = body, tail
	return nil
}

// findBody finds the size of the body in a footer, of which nothing is known to be right.
// The entry is that of key and value as the compact protocol of Thrift has it: two fields
// of type binary, the value 16 bytes long.
func findBody(footer []byte) (int64, bool) {
	entry := append([]byte(keyBody), 0x18, 16)
	at := bytes.LastIndex(footer, entry)
	if at < 0 || len(footer)-at-len(entry) < 16 {
		return 0, false
	}
	at += len(entry)
	n, err := strconv.ParseInt(string(footer[at:at+16]), 16, 64)
	return n, err == nil
}

func (b *blocks) decodeSums(in *parquet.File) error {
	text, _ := in.Lookup(keySums)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || int64(len(raw)) != 4*((b.body+blockSize-1)/blockSize) {
		return errors.New("the sums are not those of the body")
	}
	b.sums = make([]uint32, len(raw)/4)
	for i := range b.sums {
		b.sums[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return nil
}

// A view reads the file for one column. It holds one block.
type view struct {
	*blocks
	held  int64 // the number of the block; -1 = none
	block []byte
}

// ReadAt reads bytes that were checked, those of the tail from memory.
func (v *view) ReadAt(to []byte, at int64) (n int, err error) {
	for n < len(to) {
		from := at + int64(n)
		switch {
		case from < 0 || from >= v.size:
			return n, io.EOF
		case from >= v.body:
			n += copy(to[n:], v.tail[from-v.body:])
		default:
			if err := v.load(from / blockSize); err != nil {
				if v.failed == nil {
					v.failed = err
				}
				return n, err
			}
			n += copy(to[n:], v.block[from%blockSize:])
		}
	}
	return n, nil
}

func (v *view) load(number int64) error {
	if v.held == number {
		return nil
	}
	v.held = -1
	from := number * blockSize
	size := min(blockSize, v.body-from)
	if cap(v.block) == 0 {
		v.block = make([]byte, blockSize)
	}
	v.block = v.block[:size]
	if err := v.read(v.block, from); err != nil {
		return err
	}
	if number >= int64(len(v.sums)) || crc32.Checksum(v.block, castagnoli) != v.sums[number] {
		return v.damaged("wrong checksum of the %d bytes at %d", size, from)
	}
	v.held = number
	return nil
}
