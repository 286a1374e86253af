package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"time"
)

// maxString bounds the strings of a generation; feeds bounds their text well below.
const maxString = 64 << 10

var errLongString = errors.New("a string is too long")

// stringSlots is the size of a stringTable: one slot for each value of the hash.
const stringSlots = 1 << 12

// A stringTable lets a string that came before be written as the number of its
// slot. A slot holds the last string that fell into it, so writer and reader agree
// without a word about it, and the memory is bounded. The reader gets each string once,
// however many entries share it: a general compressor in its place makes the files smaller
// (5 instead of 27 MB for a million entries of OTX pulses), but it takes three times as long
// to read them, and fifty times the allocations.
type stringTable [stringSlots]string

// Codes of a string: empty, literal, else the slot + codeSlot.
const (
	codeEmpty = iota
	codeLiteral
	codeSlot
)

// slotOf is FNV-1a, folded.
func slotOf(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return (h ^ h>>16) % stringSlots
}

// append writes s as briefly as possible.
func (t *stringTable) append(b []byte, s string) []byte {
	if s == "" {
		return append(b, codeEmpty)
	}
	slot := slotOf(s)
	if t[slot] == s {
		return binary.AppendUvarint(b, uint64(slot)+codeSlot)
	}
	t[slot] = s
	return appendString(append(b, codeLiteral), s)
}

// read is the reverse of append.
func (t *stringTable) read(d *decoder) string {
	switch code := d.uvarint(); {
	case d.err != nil || code == codeEmpty:
		return ""
	case code == codeLiteral:
		s := d.string()
		t[slotOf(s)] = s
		return s
	default:
		return t[(code-codeSlot)%stringSlots]
	}
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTime writes a time as Unix seconds + 1; 0 is the zero time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(max(t.Unix(), 0))+1)
}

// A decoder reads values and remembers the first error; after one it gives zeros.
type decoder struct {
	in  *bufio.Reader
	buf *[]byte // scratch
	err error
}

func (d *decoder) byte() byte {
	if d.err != nil {
		return 0
	}
	b, err := d.in.ReadByte()
	d.err = err
	return b
}

func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(d.in)
	d.err = err
	return n
}

func (d *decoder) varint() int64 {
	if d.err != nil {
		return 0
	}
	n, err := binary.ReadVarint(d.in)
	d.err = err
	return n
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > maxString && d.err == nil {
		d.err = errLongString
	}
	if d.err != nil {
		return ""
	}
	if uint64(cap(*d.buf)) < n {
		*d.buf = make([]byte, n)
	}
	b := (*d.buf)[:n]
	if _, d.err = io.ReadFull(d.in, b); d.err != nil {
		return ""
	}
	return string(b)
}

func (d *decoder) time() time.Time {
	s := d.uvarint()
	if d.err != nil || s == 0 || s > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(s-1), 0).UTC()
}

func (d *decoder) addr(is6 bool) netip.Addr {
	if is6 {
		var b [16]byte
		d.fill(b[:])
		return netip.AddrFrom16(b)
	}
	var b [4]byte
	d.fill(b[:])
	return netip.AddrFrom4(b)
}

func (d *decoder) fill(b []byte) {
	for i := range b {
		b[i] = d.byte()
	}
}
