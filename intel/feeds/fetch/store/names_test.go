package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// named makes a name of any evidence, as far as a copy keeps that.
func named(r *rand.Rand, i int) document.Entry {
	e := randomEntry(r)
	n := document.Entry{Name: fmt.Sprintf("n%d.example.org", i), OfURL: r.IntN(2) == 0, Offline: e.Offline}
	n.Score, n.Category, n.TLP, n.NativeID = e.Score, e.Category, e.TLP, e.NativeID
	n.FirstSeen, n.LastSeen, n.Expires = e.FirstSeen, e.LastSeen, e.Expires
	return n
}

// TestGenerationNames: names and entries that come among each other are read again each by
// themselves; nothing but the generation is left in the folder.
func TestGenerationNames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	path := filepath.Join(dir, "x.good")
	var all, names, entries []document.Entry
	for i := range 5000 {
		if e := named(r, i); r.IntN(2) == 0 {
			all, names = append(all, e), append(names, e)
		} else {
			e := randomEntry(r)
			all, entries = append(all, e), append(entries, e)
		}
	}
	writeGeneration(t, path, nil, all)
	d, _, got, err := readGeneration(path)
	if err != nil || d.Names == nil || d.Names.Count != len(names) || d.Entries != len(entries) || !reflect.DeepEqual(got, entries) {
		t.Fatalf("%v, %+v, %d entries", err, d, len(got))
	}
	in, err := Open(nil, path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	i := 0
	if err := in.EachName(func(e *document.Entry) error {
		if !reflect.DeepEqual(*e, names[i]) {
			t.Fatalf("%+v, want %+v", *e, names[i])
		}
		i++
		return nil
	}); err != nil || i != len(names) {
		t.Errorf("%d names, %v", i, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%v", files)
	}
	w, err := NewWriter(nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Entry(&names[0]); err != nil {
		t.Fatal(err)
	}
	w.Discard()
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("after Discard %v", files)
	}
}

// TestNamesInBoundedMemory: names are in memory neither when they are written nor when they are
// read.
func TestNamesInBoundedMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.good")
	w, err := NewWriter(nil, filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	e := document.Entry{}
	for i := range 100_000 {
		e.Name = fmt.Sprintf("n%d.a-name-of-usual-length.example.org", i)
		if err := w.Entry(&e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(path, Description{}); err != nil {
		t.Fatal(err)
	}
	in, err := Open(nil, path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	n := 0
	if err := in.EachName(func(*document.Entry) error { n++; return nil }); err != nil || n != 100_000 {
		t.Fatalf("%d names, %v", n, err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if more := int64(after.HeapAlloc) - int64(before.HeapAlloc); more > 1<<20 {
		t.Errorf("%d bytes are in use", more)
	}
	t.Logf("%d bytes a name on the disk", in.Names.Bytes/100_000)
}
