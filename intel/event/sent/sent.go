// Package sent remembers on the disk which events have been sent, by their ids, so that none
// is sent again for as long as it is kept: events whose ids are made of facts, those of the
// retro-hunt and the alerts of rules, come into existence again when the work is repeated. A
// log has one owner, who calls it from one goroutine.
//
// An id is noted after its event is in the journal, with durability always on the disk. A
// crash between both makes the event come again, with the same id; none is lost. See package
// intel/hunt/retro for the other durabilities.
package sent

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// A file is a list of records of one size, so that what a crash or the disk has damaged is one
// record: id, 16 bytes; time it was sent in seconds since 1970 UTC, 4 bytes; CRC-32C of
// both, 4 bytes; big endian.
const record = 24

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Log has the ids that have been sent.
type Log struct {
	fs   disk.FS
	path string
	most int
	keep time.Duration

	ids  map[uuid.UUID]uint32
	size int64 // of the file, as far as it is sound
	file disk.File
	// Damaged is how many records could not be read, Forgotten how many ids made room.
	Damaged, Forgotten int
}

// Open reads the log; a missing file is an empty one. What is older than keep is dropped,
// and of more than most ids the oldest. When much of the file is no longer needed it is written
// anew. After an error nothing is open.
func Open(f disk.FS, path string, most int, keep time.Duration, now time.Time) (*Log, error) {
	l := &Log{fs: f, path: path, most: most, keep: keep, ids: make(map[uuid.UUID]uint32)}
	records, tail, err := l.read()
	if err != nil {
		return nil, err
	}
	l.forget(now)
	if tail || l.Damaged > 0 || records > 2*len(l.ids)+1024 {
		if err := l.rewrite(); err != nil {
			return nil, err
		}
	}
	if l.file, err = f.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640); err != nil {
		return nil, err
	}
	info, err := l.file.Stat()
	if err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	l.size = info.Size()
	return l, nil
}

// read reads the file. tail reports that it ends within a record.
func (l *Log) read() (records int, tail bool, err error) {
	file, err := l.fs.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer file.Close()
	b := make([]byte, 2048*record)
	for {
		n, err := io.ReadFull(file, b)
		for part := b[:n]; len(part) > 0; part = part[min(record, len(part)):] {
			records++
			if len(part) < record {
				tail = true
				break
			}
			l.take(part[:record])
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return records, tail, nil
		case err != nil:
			return 0, false, err
		}
	}
}

// take takes in a record.
func (l *Log) take(b []byte) {
	const sum = record - crc32.Size
	if crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) {
		l.Damaged++
		return
	}
	l.ids[uuid.UUID(b[:16])] = binary.BigEndian.Uint32(b[16:])
}

// forget drops what is too old, and the oldest of too many.
func (l *Log) forget(now time.Time) {
	before := now.Add(-l.keep).Unix()
	maps.DeleteFunc(l.ids, func(_ uuid.UUID, at uint32) bool { return int64(at) < before })
	if len(l.ids) <= l.most {
		return
	}
	times := slices.Sorted(maps.Values(l.ids))
	limit, n := times[len(times)-l.most], len(l.ids)
	maps.DeleteFunc(l.ids, func(_ uuid.UUID, at uint32) bool { return at < limit })
	l.Forgotten += n - len(l.ids)
}

// rewrite writes the file anew.
func (l *Log) rewrite() error {
	return disk.ReplaceBy(l.fs, l.path, 0o640, func(w io.Writer) error {
		var b [record]byte
		for id, at := range l.ids {
			if _, err := w.Write(appendRecord(b[:0], id, at)); err != nil {
				return err
			}
		}
		return nil
	})
}

func appendRecord(b []byte, id uuid.UUID, at uint32) []byte {
	from := len(b)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, at)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// Len is the number of ids.
func (l *Log) Len() int { return len(l.ids) }

// Has reports whether the event of an id has been sent.
func (l *Log) Has(id uuid.UUID) bool {
	_, ok := l.ids[id]
	return ok
}

// Note notes that events have been sent: for this Log in any case, and on the disk unless
// there is an error.
func (l *Log) Note(ids []uuid.UUID, now time.Time) error {
	at := uint32(now.Unix())
	b := make([]byte, 0, len(ids)*record)
	for _, id := range ids {
		l.ids[id] = at
		b = appendRecord(b, id, at)
	}
	_, err := l.file.Write(b)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		// What may be there of it would shift all that follows.
		return errors.Join(err, l.file.Truncate(l.size))
	}
	l.size += int64(len(b))
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
