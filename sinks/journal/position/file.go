package position

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
)

// castagnoli is computed by one instruction on amd64 and arm64.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A cursor's file is two lines of 4,096 bytes, each a CRC-32C in hex, a blank, one
// JSON object and blanks to the end. They are written in turn, so that the one
// before is whole whatever happens to a write, and in place: a file made anew and
// renamed for each batch costs an SD card a hundred times more.
const (
	lineBytes = 4096
	suffix    = ".cursor"
	// damagedSuffix is behind the name of one that could not be read.
	damagedSuffix = ".damaged"
	// unreadableSuffix is behind that of one that may be readable again, but too late.
	unreadableSuffix = ".unreadable"
	// maxName bounds the name of a sink: in JSON a byte takes six at most.
	maxName = 512
)

// state is the JSON object.
type state struct {
	Name   string `json:"name"`
	Serial uint64 `json:"serial"` // the higher of the two lines is the newer
	Clean  bool   `json:"clean"`  // written by a regular stop
	Start  uint64 `json:"start"`
	Next   uint64 `json:"next"` // of the journal then
	// Journal is the identity of the journal; empty in the first version.
	Journal string `json:"journal,omitempty"`
	// Since is when the cursor was made, in seconds since 1970; 0 = by a version that did
	// not note it.
	Since int64 `json:"since,omitempty"`
	Mark
}

// Path gives the file for a sink: what a person recognises of its name, and
// a sum, for names hold slashes and may differ in these alone.
func Path(dir, name string) string {
	sum := sha256.Sum256([]byte(name))
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, name)
	return filepath.Join(dir, plain[:min(len(plain), 60)]+"-"+hex.EncodeToString(sum[:6])+suffix)
}

// errDamaged is within the errors about files that were read and found wrong.
var errDamaged = errors.New("damaged")

// load reads a cursor's file, and what the next number of the journal was. An
// error with errDamaged means that it is of no use.
func load(d disk.FS, path string, at folder.Moment) (c *Place, next uint64, err error) {
	file, err := d.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	s, seen, err := read(file, at)
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	c = newPlace("", s.Name, s.Position)
	c.start, c.done, c.saved, c.serial, c.mayRepeat = s.Start, s.Mark, s.Mark, s.Serial, !s.Clean
	c.journal, c.since = s.Journal, s.Since
	c.path, c.file, c.seen = path, file, seen
	return c, s.Next, nil
}

func read(file disk.File, at folder.Moment) (s state, seen time.Time, err error) {
	info, err := file.Stat()
	if err != nil {
		return s, seen, err
	}
	b, err := io.ReadAll(io.LimitReader(file, 2*lineBytes))
	if err != nil {
		return s, seen, err
	}
	s, ok := newest(b)
	if !ok {
		return s, seen, fmt.Errorf("%w: no line of it is whole", errDamaged)
	}
	return s, at.Stamp(info.ModTime()), nil
}

// newest gives the newer of the whole lines in b.
func newest(b []byte) (newest state, ok bool) {
	for len(b) >= lineBytes {
		if s, good := parse(b[:lineBytes]); good && (!ok || s.Serial > newest.Serial) {
			newest, ok = s, true
		}
		b = b[lineBytes:]
	}
	return newest, ok
}

func parse(line []byte) (s state, ok bool) {
	if !unmarshal(line, &s) {
		return s, false
	}
	m := s.Mark
	return s, s.Start+m.Delivered+m.Failed+m.Filtered+m.Limited+m.Dropped == m.Position
}

// unmarshal reads a line that appendLine made. It is false when the line is not
// whole; then v may hold anything.
func unmarshal(line []byte, v any) bool {
	var sum uint32
	if len(line) < 8 {
		return false
	}
	if _, err := fmt.Sscanf(string(line[:8]), "%08x", &sum); err != nil || sum != crc32.Checksum(line[8:], castagnoli) {
		return false
	}
	return json.Unmarshal(line[8:], v) == nil
}

// appendLine appends v as a line of at least size bytes: a CRC-32C of what follows, in
// hex, a blank, the JSON object and blanks to the end.
func appendLine(b []byte, v any, size int) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	line := append(bytes.Repeat([]byte{' '}, max(size, 9+len(text)+1)-1), '\n')
	copy(line[9:], text)
	copy(line, fmt.Sprintf("%08x", crc32.Checksum(line[8:], castagnoli)))
	return append(b, line...), nil
}

// write saves m, and next, the next number of the journal; with sync it sees to it that
// the disk has them. After an error the file is closed, for the handle may be stale, and
// what a failed sync covered is never looked at again: the next line goes to the other
// place. Only one goroutine at a time may call it.
func (c *Place) write(d disk.FS, m Mark, next uint64, sync, clean bool) error {
	err := c.writeLine(d, m, next, clean)
	if err == nil && sync {
		err = c.file.Sync()
	}
	if err != nil && c.file != nil {
		_ = c.file.Close()
		c.file = nil
	}
	return err
}

func (c *Place) writeLine(d disk.FS, m Mark, next uint64, clean bool) error {
	s := state{Name: c.name, Serial: c.serial + 1, Clean: clean, Start: c.start, Next: next, Journal: c.journal, Since: c.since, Mark: m}
	line, err := appendLine(nil, s, lineBytes)
	if err != nil {
		return err
	}
	path := c.path
	if c.file == nil {
		c.file, err = d.OpenFile(path, os.O_RDWR, 0)
	}
	if errors.Is(err, fs.ErrNotExist) { // made aside: a crash must not leave one without a line
		path += folder.NewSuffix
		c.file, err = disk.OpenNew(d, path, os.O_RDWR, 0o640)
	}
	if err != nil {
		return err
	}
	n, err := c.file.WriteAt(line, int64(s.Serial%2)*lineBytes)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	if err == nil && path != c.path {
		err = d.Rename(path, c.path)
	}
	if err != nil {
		return err
	}
	c.serial = s.Serial
	return nil
}
