package listed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// A file begins with its kind and version, then come the number of the change, the number
// of entries and the entries, numbers in base 128, and at its end CRC-32C of all before, 4
// bytes, big endian. Addresses and times are differences from the entry before, so that
// an entry of a long list takes 3 to 8 bytes.
const magic = "flowsnitch listed 1\n"

// maxEntries bounds what is read of a file: the entries of the largest set, and as many that
// have left it.
const maxEntries = 12_000_000

// The flags of an entry as written.
const (
	flagSix      = 1 << iota // IPv6, else IPv4
	flagPort                 // has a port
	flagOperator             // the operator's own
	flagQuiet                // never hunted
	flagGone                 // has an end
	flagBits                 // its length is another than that of the entry before
	flagSince                // it came at another time than the entry before
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A DamagedError is a file that is not as it was written.
type DamagedError struct{ Path, Reason string }

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %s", e.Path, e.Reason) }

// Write replaces a file by entries, in order, and the number of the last change in them.
func Write(f disk.FS, path string, number uint64, list []Entry) error {
	return disk.ReplaceBy(f, path, 0o640, func(w io.Writer) error {
		sum := crc32.New(castagnoli)
		w = io.MultiWriter(sum, w)
		b := append(make([]byte, 0, 64<<10), magic...)
		b = binary.AppendUvarint(b, number)
		b = binary.AppendUvarint(b, uint64(len(list)))
		before := Entry{}
		for i := range list {
			b = appendEntry(b, &list[i], &before)
			before = list[i]
			if len(b) > 60<<10 {
				if _, err := w.Write(b); err != nil {
					return err
				}
				b = b[:0]
			}
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		_, err := w.Write(sum.Sum(nil))
		return err
	})
}

// appendEntry appends e, which comes behind another one.
func appendEntry(b []byte, e, before *Entry) []byte {
	flags := byte(0)
	set := func(flag byte, on bool) {
		if on {
			flags |= flag
		}
	}
	set(flagSix, !e.is4())
	set(flagPort, e.Port != 0)
	set(flagOperator, e.Operator)
	set(flagQuiet, e.Quiet)
	set(flagGone, e.Until != 0)
	set(flagBits, e.Bits != before.Bits)
	set(flagSince, e.Since != before.Since)
	b = append(b, flags)
	if e.is4() {
		b = binary.AppendUvarint(b, uint64(uint32(e.Addr.Lo)-uint32(before.Addr.Lo)))
	} else {
		b = binary.AppendUvarint(b, e.Addr.Hi-before.Addr.Hi)
		b = binary.AppendUvarint(b, e.Addr.Lo-before.Addr.Lo)
	}
	if flags&flagBits != 0 {
		b = append(b, e.Bits)
	}
	if flags&flagPort != 0 {
		b = binary.BigEndian.AppendUint16(b, e.Port)
	}
	if flags&flagSince != 0 {
		b = binary.AppendVarint(b, int64(e.Since)-int64(before.Since))
	}
	if flags&flagGone != 0 {
		b = binary.AppendVarint(b, int64(e.Until)-int64(e.Since))
	}
	return b
}

// Read reads what [Write] wrote. Errors are those of the disk, or of type [*DamagedError].
func Read(f disk.FS, path string) (number uint64, list []Entry, err error) {
	file, err := f.Open(path)
	if err != nil {
		return 0, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, nil, err
	}
	if info.Size() > 20*maxEntries {
		return 0, nil, &DamagedError{path, "it is too large"}
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(file, b); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return 0, nil, err
	}
	if number, list, err = parse(b); err != nil {
		return 0, nil, &DamagedError{path, err.Error()}
	}
	return number, list, nil
}

func parse(b []byte) (number uint64, list []Entry, err error) {
	end := len(b) - crc32.Size
	if end < len(magic) || string(b[:len(magic)]) != magic {
		return 0, nil, errors.New("it does not begin as such a file")
	}
	if crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return 0, nil, errors.New("its checksum is another")
	}
	r := reader{b: b[len(magic):end]}
	number = r.uvarint()
	n := r.uvarint()
	if n > uint64(len(r.b)) || n > maxEntries { // an entry takes more than a byte
		return 0, nil, errors.New("it has too many entries")
	}
	list = make([]Entry, n)
	before := Entry{}
	for i := range list {
		r.entry(&list[i], &before)
		before = list[i]
	}
	if r.bad || len(r.b) > 0 {
		return 0, nil, errors.New("its entries do not end with it")
	}
	if !slices.IsSortedFunc(list, func(a, b Entry) int { return a.compare(&b) }) {
		return 0, nil, errors.New("its entries are not in order")
	}
	return number, list, nil
}

// A reader takes values off the front of b. Behind the end they are zero, and it is bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n <= 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, 8)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.take(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.take(n)
	return v
}

func (r *reader) entry(e, before *Entry) {
	flags := r.take(1)[0]
	e.Operator, e.Quiet = flags&flagOperator != 0, flags&flagQuiet != 0
	e.Bits, e.Since = before.Bits, before.Since
	if flags&flagSix == 0 {
		e.Addr = flow.Mapped(uint32(before.Addr.Lo) + uint32(r.uvarint()))
	} else {
		e.Addr.Hi = before.Addr.Hi + r.uvarint()
		e.Addr.Lo = before.Addr.Lo + r.uvarint()
	}
	if flags&flagBits != 0 {
		e.Bits = r.take(1)[0]
	}
	if flags&flagPort != 0 {
		e.Port = binary.BigEndian.Uint16(r.take(2))
	}
	if flags&flagSince != 0 {
		e.Since = r.second(int64(before.Since) + r.varint())
	}
	if flags&flagGone != 0 {
		e.Until = r.second(int64(e.Since) + r.varint())
	}
	least := uint8(0)
	if flags&flagSix == 0 {
		least = 96
	}
	if e.Bits > 128 || e.Bits < least || masked(e.Addr, min(e.Bits, 128)) != e.Addr {
		r.bad = true
	}
}

func (r *reader) second(n int64) uint32 {
	if n < 0 || n > math.MaxUint32 {
		r.bad = true
		return 0
	}
	return uint32(n)
}
