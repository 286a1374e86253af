package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks/internal/sinktest"
)

// records gives the bytes of n records numbered from first on, and where each begins.
func records(first, n int) (b []byte, begins []int) {
	for _, e := range sinktest.Numbered(first, n) {
		begins = append(begins, len(b))
		b, _ = Append(b, e.Flows, &e)
	}
	return b, begins
}

// found gives the numbers of all records in b, in one piece.
func found(b []byte) (all []uint64) {
	for {
		r, _, end, ok := Find(b, true)
		if !ok {
			return all
		}
		all = append(all, r.Number)
		b = b[end:]
	}
}

// readAll reads a segment as a cursor does.
func readAll(t *testing.T, path string, size int64, n int) (all []uint64) {
	t.Helper()
	r := NewReader(disk.OS{})
	defer r.Close()
	for number := uint64(0); ; {
		recs, err := r.Read(path, size, number, n)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 {
			return all
		}
		for _, rec := range recs {
			all = append(all, rec.Number)
			number = rec.Number + 1
		}
	}
}

func TestFindRecord(t *testing.T) {
	b, begins := records(0, 3)
	broken := bytes.Clone(b)
	broken[begins[1]+header+20] ^= 1
	tests := []struct {
		name  string
		b     []byte
		final bool
		at    int
		ok    bool
	}{
		{"whole", b, false, 0, true},
		{"behind rubbish", append([]byte("fs fsj fsj\x01 rubbish"), b...), false, 19, true},
		{"unfinished", b[:begins[1]-1], false, 0, false},
		{"unfinished at the end", b[:begins[1]-1], true, begins[1] - 1, false},
		{"half a header", b[:header-1], false, 0, false},
		{"half a magic", []byte("rubbish fs"), false, 8, false},
		{"half a magic at the end", []byte("rubbish fs"), true, 10, false},
		{"nothing", nil, false, 0, false},
		{"broken", broken[begins[1]:], false, begins[2] - begins[1], true},
		{"broken header", append([]byte(nil), append(b[:7:7], b[8:]...)...), false, begins[1] - 1, true},
	}
	for _, tt := range tests {
		_, at, end, ok := Find(tt.b, tt.final)
		if at != tt.at || ok != tt.ok || ok && end <= at {
			t.Errorf("%s: got %d to %d, %v, want %d, %v", tt.name, at, end, ok, tt.at, tt.ok)
		}
	}
}

// TestNoRecordWithinARecord holds that foreign text which looks like a record does
// not become one when the record that it lies in is damaged.
func TestNoRecordWithinARecord(t *testing.T) {
	forged, _ := records(1, 1)
	e := eventtest.Hit()
	e.Reason = string(forged)
	b, _ := Append(nil, 0, &e)
	b[len(b)-1] ^= 1
	next, _ := records(2, 1)
	if got := found(append(b, next...)); !slices.Equal(got, []uint64{2}) {
		t.Errorf("got %v, want 2 alone", got)
	}
}

// TestReaderFindsTheSame compares reading a damaged segment in windows with looking
// at all of it at once.
func TestReaderFindsTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	whole, _ := records(0, 4000) // more than two windows
	for range 30 {
		b := bytes.Clone(whole)
		for range rand.IntN(50) {
			b[rand.IntN(len(b))] ^= 1 << rand.IntN(8)
		}
		b = b[:len(b)-rand.IntN(100)]
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, want := readAll(t, path, int64(len(b)), 1+rand.IntN(1000)), found(b)
		if !slices.Equal(got, want) {
			t.Fatalf("got %d records, want %d", len(got), len(want))
		}
	}
}

func TestReaderTakesLongRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	e := eventtest.Longest()
	eventtest.Poison(&e, string(make([]byte, 20_000)))
	var b []byte
	for i := range 3 {
		b, _ = Append(b, uint64(i), &e)
	}
	if len(b) < 3*readBytes {
		t.Fatalf("%d bytes are not long", len(b))
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, path, int64(len(b)), 10); !slices.Equal(got, []uint64{0, 1, 2}) {
		t.Errorf("got %v", got)
	}
}

func TestReaderGoesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	b, _ := records(0, 10)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r := NewReader(disk.OS{})
	defer r.Close()
	for _, number := range []uint64{0, 7, 3, 9, 0} {
		recs, err := r.Read(path, int64(len(b)), number, 2)
		if err != nil || len(recs) == 0 || recs[0].Number != number {
			t.Fatalf("got %v, %v, want from %d on", recs, err, number)
		}
	}
	if recs, err := r.Read(filepath.Join(t.TempDir(), "none"), 1, 0, 1); len(recs) != 0 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a segment that was taken away: got %v, %v", recs, err)
	}
}

// FuzzSegment reads any bytes as a segment: at once, in windows, and at opening.
func FuzzSegment(f *testing.F) {
	b, begins := records(5, 4)
	f.Add(b)
	f.Add(b[begins[1]-3:])
	f.Add(b[:len(b)-7])
	f.Add(append([]byte("fsj\x01\xff\xff\xff\xff"), b...))
	dir := f.TempDir()
	path := Path(dir, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var want []uint64 // as a cursor wants them: each number once, going up
		for _, n := range found(b) {
			if len(want) == 0 && n < 1<<63 || len(want) > 0 && n > want[len(want)-1] && n < 1<<63 {
				want = append(want, n)
			} else if n >= 1<<63 {
				return // not a number that any journal gets to
			}
		}
		if got := readAll(t, path, int64(len(b)), 3); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		files, err := List(disk.OS{}, dir)
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		s, err := Scan(disk.OS{}, files[0].Path, files[0].First)
		if err != nil || s.Good+s.Torn != int64(len(b)) || s.Damaged > s.Good || int(s.Records) != len(want) {
			t.Errorf("got %+v, %v of %d bytes with %d records", s, err, len(b), len(want))
		}
	})
}

// TestRecordIsStable holds the form to what was written by the first version.
// A change here makes every journal on the world's disks unreadable: new fields go
// to the end, and the old record stays in testdata.
func TestRecordIsStable(t *testing.T) {
	const path = "testdata/journal-v1.hex"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	r, at, end, ok := Find(b, true)
	if !ok || at != 0 || end != len(b) || r.Number != 7 {
		t.Fatalf("got %+v at %d to %d of %d", r, at, end, len(b))
	}
	if e, ok := r.Event(); !ok || !reflect.DeepEqual(e, eventtest.Hit()) {
		t.Errorf("got %+v, want %+v", e, eventtest.Hit())
	}
}

// TestUnknownFormIsCounted: a record of a version to come, or an event of one, is never
// taken for something else.
func TestUnknownFormIsCounted(t *testing.T) {
	e := eventtest.Hit()
	b, _ := Append(nil, 0, &e)
	later := bytes.Clone(b)
	later[header]++ // the version of the event
	seal(later, 0, version)
	sealed := bytes.Clone(b)
	seal(sealed, 0, version+1)
	empty := make([]byte, header)
	seal(empty, 0, version)
	for _, b := range [][]byte{later, sealed, empty} {
		r, _, _, ok := Find(b, true)
		if _, known := r.Event(); !ok || known {
			t.Errorf("%x: found %v, known %v", b[:header+1], ok, known)
		}
	}
}
