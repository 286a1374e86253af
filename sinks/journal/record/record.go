// Package record has the form in which the journal keeps events: one after another, each
// with its number and a checksum, in memory until they are written ([Tail]) and in files
// ([List], [Scan], [Reader]). It knows nothing of sinks, and of no lock.
package record

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/compact"
)

// A file of the journal is a string of records without anything around them.
// A record is one event, all numbers little endian:
//
//	 0  "fsj"     so that the next record is found behind damage
//	 3  version   2; 1 before the payload had a version of its own
//	 4  uint32    length of the payload
//	 8  uint64    number of the event in the journal
//	16  uint32    CRC-32C of the payload
//	20  uint32    CRC-32C of the 20 bytes before
//	24  payload   see [compact.Append]
//
// The header has a sum of its own so that a length can be trusted before the
// payload is there.
const (
	magic   = "fsj"
	version = 2
	header  = 24
	// maxPayload leaves room for what later versions put behind compact.Max.
	maxPayload = 2 * compact.Max
)

// castagnoli is computed by one instruction on amd64 and arm64.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Record is one event. The payload is borrowed from whatever
// buffer it was found in.
type Record struct {
	Number  uint64
	version byte
	payload []byte
}

// Event decodes the record; not ok means that it is of a form not known here.
func (r Record) Event() (e event.Event, ok bool) {
	var err error
	switch r.version {
	case 1:
		e, err = compact.Decode1(r.payload)
	case version:
		e, err = compact.Decode(r.payload)
	default:
		return e, false
	}
	return e, err == nil
}

// Append appends e under its number. cut means that not all of it had room.
func Append(b []byte, number uint64, e *event.Event) (_ []byte, cut bool) {
	at := len(b)
	b = append(b, make([]byte, header)...)
	b, cut = compact.Append(b, e)
	seal(b[at:], number, version)
	return b, cut
}

// seal writes the header of the record whose payload is in place.
func seal(b []byte, number uint64, version byte) {
	copy(b, magic)
	b[3] = version
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-header))
	binary.LittleEndian.PutUint64(b[8:], number)
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[header:], castagnoli))
	binary.LittleEndian.PutUint32(b[20:], crc32.Checksum(b[:20], castagnoli))
}

// Find gives the first whole record in b. It begins at b[at] and ends before
// b[end]. Without one, b[:at] holds none, and b[at:] may be the beginning of one
// unless final means that nothing follows b: then all of b is no record.
//
// A record with a good header and a bad payload is passed over as a whole: what
// looks like a record within foreign text must not become one.
func Find(b []byte, final bool) (r Record, at, end int, ok bool) {
	for {
		i := bytes.Index(b[at:], []byte(magic))
		if i < 0 {
			return Record{}, noMagic(b, at, final), 0, false
		}
		at += i
		r, size, ok := parseRecord(b[at:])
		switch {
		case ok:
			return r, at, at + size, true
		case size > len(b)-at && final:
			return Record{}, len(b), 0, false
		case size > len(b)-at:
			return Record{}, at, 0, false
		}
		at += size
	}
}

// noMagic gives the end of what cannot be the beginning of a magic.
func noMagic(b []byte, at int, final bool) int {
	if final {
		return len(b)
	}
	return max(at, len(b)-len(magic)+1)
}

// parseRecord looks at b, which begins with the magic. When there is no good
// record, size is how far it is to what may be one; more than b has means that a
// record may begin here and end behind b.
func parseRecord(b []byte) (r Record, size int, ok bool) {
	if len(b) < header {
		return Record{}, header, false
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if binary.LittleEndian.Uint32(b[20:]) != crc32.Checksum(b[:20], castagnoli) || length > maxPayload {
		return Record{}, len(magic), false
	}
	size = header + int(length)
	if len(b) < size {
		return Record{}, size, false
	}
	payload := b[header:size]
	if binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(payload, castagnoli) {
		return Record{}, size, false
	}
	return Record{binary.LittleEndian.Uint64(b[8:]), b[3], payload}, size, true
}
