package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/internal/disk"
)

const segmentSuffix = ".events"

// leastRecord is less than any record has: so many there are at most in a file.
const leastRecord = recordHeader + 8

// A segment is one file of the journal. The journal's lock guards it; the path
// never changes.
type segment struct {
	path  string
	first uint64    // number of the first record
	end   uint64    // behind the last
	size  int64     // bytes, whole records only
	stamp time.Time // when the last came
	dated time.Time // what the file was last dated, apart from writes

	file   disk.File // for writing; nil when it is sealed and synced
	dirty  bool      // written since the latest sync
	fresh  bool      // the directory was not synced since it was made
	failed bool      // a sync of it has failed: what it covered is to be written again

	synced     uint64 // number before which the disk has all for good
	syncedSize int64  // bytes up to there
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// listSegments gives the segments in dir, the oldest first. Where each ends is
// taken from where the next begins: only the last one is looked into, for the
// others were whole when they were left.
func listSegments(d disk.FS, dir string, at moment) ([]*segment, error) {
	names, err := d.Names(dir)
	if err != nil {
		return nil, err
	}
	var list []*segment
	for _, name := range names {
		number, ok := strings.CutSuffix(name, segmentSuffix)
		first, err := strconv.ParseUint(number, 10, 64)
		if !ok || err != nil || len(number) != 20 {
			continue
		}
		info, err := d.Lstat(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		list = append(list, &segment{
			path: filepath.Join(dir, name), first: first, size: info.Size(),
			stamp: at.stamp(info.ModTime()), dated: info.ModTime(),
		})
	}
	slices.SortFunc(list, func(a, b *segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	for i := 1; i < len(list); i++ {
		list[i-1].end, list[i-1].synced = list[i].first, list[i].first
	}
	return list, nil
}

// scanBytes is how much of a segment is in memory while it is looked at: enough for
// any record, however long a broken file system says that the file is.
const scanBytes = recordHeader + maxPayload

// scan looks at every record of a segment that has just been opened.
func (s *segment) scan(d disk.FS) (found scanned, err error) {
	file, err := d.Open(s.path)
	if err != nil {
		return found, err
	}
	defer func() { _ = file.Close() }()
	found.end = s.first
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

// take looks at what follows what it was given before, and tells with how many bytes
// it is done: with final all.
func (f *scanned) take(b []byte, final bool) (done int) {
	for {
		r, at, end, ok := findRecord(b[done:], final)
		if !ok {
			f.torn += int64(at)
			return done + at
		}
		done += end
		damaged := f.torn + int64(at)
		f.good += f.torn + int64(end)
		f.damaged += damaged
		f.torn = 0
		if r.number < f.end {
			continue
		}
		if damaged > 0 { // else the number was not used, see loadPlaces
			f.missing += r.number - f.end
		}
		f.end = r.number + 1
		f.records++
	}
}

// scanned is what is in a segment.
type scanned struct {
	records uint64
	missing uint64 // numbers without a record before the last
	end     uint64 // number behind the last record
	good    int64  // bytes up to its end
	damaged int64  // of them, those that are no record
	torn    int64  // bytes behind it
}

// A reader reads the segments for one cursor. It remembers where it was.
type reader struct {
	disk   disk.FS
	file   disk.File
	path   string
	at     int64  // everything before has been read
	number uint64 // behind the last record that was
	buf    []byte
	recs   []record
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
	*r = reader{disk: r.disk}
}

// open goes to the beginning of another segment.
func (r *reader) open(path string) error {
	r.close()
	file, err := r.disk.Open(path)
	if err != nil {
		return err
	}
	r.file, r.path = file, path
	return nil
}

// read gives up to n records of the segment, from number on. They are borrowed
// until the next call. None means that the file has none up to size.
func (r *reader) read(path string, size int64, number uint64, n int) ([]record, error) {
	if r.path != path {
		if err := r.open(path); err != nil {
			return nil, err
		}
	}
	if number < r.number { // wanted again
		r.at, r.number = 0, 0
	}
	r.recs = r.recs[:0]
	for window := int64(chunkBytes); r.at < size && len(r.recs) == 0; {
		b, err := r.fill(min(window, size-r.at))
		if err != nil {
			return nil, err
		}
		if used := r.parse(b, r.at+int64(len(b)) >= size, number, n); used > 0 {
			r.at += int64(used)
		} else {
			window *= 2 // a record that is longer; maxPayload bounds it
		}
	}
	return r.recs, nil
}

// memory gives the records in b. It lets go of the segment: the cursor keeps up.
func (r *reader) memory(b []byte, number uint64) []record {
	if r.file != nil {
		r.close()
	}
	r.recs = r.recs[:0]
	r.parse(b, true, number, len(b))
	return r.recs
}

// fill reads n bytes, fewer where the file ends before it should.
func (r *reader) fill(n int64) ([]byte, error) {
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	got, err := r.file.ReadAt(r.buf[:n], r.at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if int64(got) < n { // cut short by someone else
		clear(r.buf[got:n])
	}
	return r.buf[:n], nil
}

// parse collects the records in b and gives the number of bytes it is done with.
func (r *reader) parse(b []byte, final bool, number uint64, n int) (used int) {
	for len(r.recs) < n {
		rec, at, end, ok := findRecord(b[used:], final)
		if !ok {
			return used + at
		}
		used += end
		r.number = rec.number + 1
		if rec.number >= number {
			r.recs = append(r.recs, rec)
			number = r.number
		}
	}
	return used
}
