package record

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// Suffix is at the end of the name of a file of records; before it is the number of the
// first, in 20 digits.
const Suffix = ".events"

// Least is less than any record has: so many there are at most in a file.
const Least = header + 8

// Path gives the file in dir for records from a number on.
func Path(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, Suffix))
}

// A File is one of those in a directory.
type File struct {
	Path  string
	First uint64    // number of the first record, by the name
	Size  int64     // bytes
	Date  time.Time // of the last change
}

// List gives the files of records in dir, the oldest first.
func List(d disk.FS, dir string) ([]File, error) {
	names, err := d.Names(dir)
	if err != nil {
		return nil, err
	}
	var list []File
	for _, name := range names {
		number, ok := strings.CutSuffix(name, Suffix)
		first, err := strconv.ParseUint(number, 10, 64)
		if !ok || err != nil || len(number) != 20 {
			continue
		}
		info, err := d.Lstat(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			list = append(list, File{filepath.Join(dir, name), first, info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b File) int { return cmp.Compare(a.First, b.First) })
	return list, nil
}

// scanBytes is how much of a segment is in memory while it is looked at: enough for
// any record, however long a broken file system claims the file to be.
const scanBytes = header + maxPayload

// Scan looks at every record of a file, whose first has a number, or should have.
func Scan(d disk.FS, path string, first uint64) (found Found, err error) {
	file, err := d.Open(path)
	if err != nil {
		return found, err
	}
	defer func() { _ = file.Close() }()
	found.End = first
	in := bufio.NewReaderSize(file, scanBytes)
	for {
		b, err := in.Peek(scanBytes)
		final := errors.Is(err, io.EOF)
		if err != nil && !final {
			return found, err
		}
		_, _ = in.Discard(found.take(b, final)) // it is in the buffer
		if final {
			return found, nil
		}
	}
}

// take looks at what follows what it was given before, and reports with how many bytes
// it is done: with final all.
func (f *Found) take(b []byte, final bool) (done int) {
	for {
		r, at, end, ok := Find(b[done:], final)
		if !ok {
			f.Torn += int64(at)
			return done + at
		}
		done += end
		damaged := f.Torn + int64(at)
		f.Good += f.Torn + int64(end)
		f.Damaged += damaged
		f.Torn = 0
		if r.Number < f.End {
			continue
		}
		if damaged > 0 { // else the number was not used, see loadPlaces
			f.Missing += r.Number - f.End
		}
		f.End = r.Number + 1
		f.Records++
	}
}

// Found is what is in a file.
type Found struct {
	Records uint64
	Missing uint64 // numbers without a record before the last
	End     uint64 // number behind the last record
	Good    int64  // bytes up to its end
	Damaged int64  // of them, those that are no record
	Torn    int64  // bytes behind it
}

// Share gives about the part of the bytes of the records from one number to before another
// that lies from number on.
func Share(size int64, first, end, number uint64) int64 {
	if number <= first || end <= first {
		return size
	}
	if number >= end {
		return 0
	}
	return int64(float64(size) * float64(end-number) / float64(end-first))
}
