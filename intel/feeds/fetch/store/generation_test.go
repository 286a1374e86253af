package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// randomEntry makes an entry with any evidence.
func randomEntry(r *rand.Rand) document.Entry {
	word := func(n int) string {
		if r.IntN(3) == 0 {
			return ""
		}
		return strings.Repeat(fmt.Sprint("wörd", r.IntN(9000)), 1+r.IntN(n))
	}
	at := func() time.Time {
		if r.IntN(3) == 0 {
			return time.Time{}
		}
		return time.Unix(r.Int64N(1<<33), 0).UTC()
	}
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	addr := netip.AddrFrom16(b)
	if r.IntN(2) == 0 {
		addr = netip.AddrFrom4([4]byte(b[:4]))
	}
	p, _ := addr.Prefix(1 + r.IntN(addr.BitLen()))
	return document.Entry{
		Exclude: r.IntN(9) == 0, Offline: r.IntN(9) == 0,
		Indicator: intel.Indicator{
			Prefix: p, Port: uint16(r.IntN(3) * r.IntN(65536)), Score: uint8(r.IntN(101)), Category: word(1),
			Ref: word(30), Description: word(20), NativeID: word(2), TLP: word(1),
			FirstSeen: at(), LastSeen: at(), Expires: at(),
		},
	}
}

func writeGeneration(t testing.TB, path string, objects []Object, entries []document.Entry) {
	t.Helper()
	w, err := NewWriter(nil, filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := w.Object(o); err != nil {
			t.Fatal(err)
		}
	}
	for i := range entries {
		if err := w.Entry(&entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(path, Description{Feed: "f", Origin: "o", ETag: "x"}); err != nil {
		t.Fatal(err)
	}
}

func readGeneration(path string) (d Description, objects []Object, entries []document.Entry, err error) {
	r, err := Open(nil, path)
	if err != nil {
		return d, nil, nil, err
	}
	defer r.Close()
	err = r.Each(func(o Object) error { objects = append(objects, o); return nil },
		func(e *document.Entry) error { entries = append(entries, *e); return nil })
	return r.Description, objects, entries, err
}

// TestGeneration: what is written is read again.
func TestGeneration(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var objects []Object
	var entries []document.Entry
	for i := range 20_000 {
		entries = append(entries, randomEntry(r))
		objects = append(objects, Object{fmt.Sprint("id", i), "group", r.Int64() - r.Int64(), r.Uint32()})
	}
	path := filepath.Join(t.TempDir(), "x.good")
	writeGeneration(t, path, objects, entries)
	d, gotObjects, gotEntries, err := readGeneration(path)
	if err != nil {
		t.Fatal(err)
	}
	if d.Entries != len(entries) || d.Objects != len(objects) || d.ETag != "x" {
		t.Errorf("%+v", d)
	}
	if !slices.Equal(gotObjects, objects) {
		t.Error("objects differ")
	}
	for i := range entries {
		if !reflect.DeepEqual(gotEntries[i], entries[i]) {
			t.Fatalf("entry %d: got %+v, want %+v", i, gotEntries[i], entries[i])
		}
	}
}

// TestBrokenGeneration: a file that is cut or changed anywhere is noticed before a
// record of it is used.
func TestBrokenGeneration(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var entries []document.Entry
	for range 20 {
		entries = append(entries, randomEntry(r))
	}
	path := filepath.Join(t.TempDir(), "x.good")
	writeGeneration(t, path, []Object{{ID: "a"}}, entries)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, entries, err := readGeneration(path); !errors.Is(err, errBroken) || entries != nil {
			t.Errorf("%s: %d entries, %v", what, len(entries), err)
		}
	}
	for n := range len(whole) {
		check(fmt.Sprint("cut to ", n), whole[:n])
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		check(fmt.Sprint("byte ", i), b)
	}
	check("longer", append(bytes.Clone(whole), 0))
}

// FuzzGeneration: whatever is in a file with a right checksum, reading it ends with
// entries or an error.
func FuzzGeneration(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for n := range 3 {
		path := filepath.Join(f.TempDir(), "x")
		writeGeneration(f, path, []Object{{ID: "a"}}, []document.Entry{randomEntry(r), randomEntry(r)}[:n])
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:len(b)-4])
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, body []byte) {
		path := filepath.Join(dir, "fuzz")
		b := binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, entries, err := readGeneration(path)
		for _, e := range entries {
			if !e.Prefix.IsValid() {
				t.Errorf("an invalid prefix, error %v", err)
			}
		}
	})
}

// TestMerge compares with a map of objects.
func TestMerge(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.good")
	r := rand.New(rand.NewPCG(7, 8))
	state := map[string][]netip.Prefix{}
	var old *Reader
	for round := range 200 {
		d := NewDelta()
		for range r.IntN(6) {
			id := fmt.Sprint(r.IntN(12))
			var p Page
			if r.IntN(4) == 0 {
				p.Removed = []string{id}
				delete(state, id)
			} else {
				p.Objects = []Object{{ID: id, Modified: int64(round)}}
				state[id] = nil
				for range r.IntN(4) {
					e := randomEntry(r)
					e.NativeID = id
					p.Entries = append(p.Entries, e)
					state[id] = append(state[id], e.Prefix)
				}
			}
			d.Apply(p)
		}
		if r.IntN(10) == 0 {
			d.Gone = func(o Object) bool { return o.Modified < int64(round)-5 }
			for id := range goneIDs(t, path, round, d) {
				delete(state, id)
			}
		}
		w, err := NewWriter(nil, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Merge(old, w); err != nil {
			t.Fatal(err)
		}
		if old != nil {
			old.Close()
		}
		if err := w.Commit(path, Description{}); err != nil {
			t.Fatal(err)
		}
		compareState(t, path, state)
		if old, err = Open(nil, path); err != nil {
			t.Fatal(err)
		}
	}
	old.Close()
}

// goneIDs gives the objects of a file that a full reading would take out.
func goneIDs(t *testing.T, path string, round int, d *Delta) map[string]bool {
	out := map[string]bool{}
	_, objects, _, err := readGeneration(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, o := range objects {
		if _, changed := d.Objects[o.ID]; !changed && o.Modified < int64(round)-5 {
			out[o.ID] = true
		}
	}
	return out
}

func compareState(t *testing.T, path string, want map[string][]netip.Prefix) {
	t.Helper()
	_, objects, entries, err := readGeneration(path)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]netip.Prefix{}
	for _, o := range objects {
		if _, twice := got[o.ID]; twice {
			t.Fatalf("object %s is there twice", o.ID)
		}
		got[o.ID] = nil
	}
	for _, e := range entries {
		got[e.NativeID] = append(got[e.NativeID], e.Prefix)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}
