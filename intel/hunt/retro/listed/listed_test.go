package listed

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
)

func prefix(r *rand.Rand) netip.Prefix {
	if r.IntN(4) == 0 {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(r.IntN(3)), 15: byte(r.IntN(4))})
		return netip.PrefixFrom(a, []int{32, 48, 64, 127, 128}[r.IntN(5)]).Masked()
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{62, byte(r.IntN(3)), 0, byte(r.IntN(8))}), []int{8, 16, 24, 31, 32}[r.IntN(5)]).Masked()
}

type key struct {
	prefix   netip.Prefix
	port     uint16
	operator bool
}

func quietly(p netip.Prefix) bool { return p.Addr().Is4() && p.Addr().As4()[3] == 5 }

// TestLife compares generations of random sets, written and read again each time, with a plain
// map of times: what is new, what has left, what covers an address at a time.
func TestLife(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "known")
	times := map[key][][2]uint32{} // since and until
	var known []Entry
	for generation := range 60 {
		at := uint32(1000 * (generation + 1))
		set := map[key]bool{}
		for range r.IntN(60) {
			set[key{prefix(r), uint16(r.IntN(3)), r.IntN(5) == 0}] = true
		}
		now := func(yield func(Entry) bool) {
			for k := range set {
				for range 1 + r.IntN(2) {
					if !yield(Of(k.prefix, k.port, k.operator)) {
						return
					}
				}
			}
		}
		change := Diff(known, now, at, quietly)
		for i := range change {
			e := &change[i]
			k := key{e.Prefix(), e.Port, e.Operator}
			if e.Until == 0 && (e.Since != at || e.Quiet != quietly(k.prefix) || !set[k]) {
				t.Fatalf("new at %d: %+v", at, e)
			}
		}
		known = Apply(Apply(known, change), change)
		for k := range set {
			if n := len(times[k]); n == 0 || times[k][n-1][1] != 0 {
				times[k] = append(times[k], [2]uint32{at, 0})
			}
		}
		for k, list := range times {
			if n := len(list); list[n-1][1] == 0 && !set[k] {
				list[n-1][1] = at
			}
		}
		if err := Write(disk.OS{}, path, uint64(generation), known); err != nil {
			t.Fatal(err)
		}
		number, again, err := Read(disk.OS{}, path)
		if err != nil || number != uint64(generation) || !slices.Equal(again, known) {
			t.Fatalf("%d %v, %v, want %v", number, again, err, known)
		}
		if again := Diff(known, now, at+1, quietly); len(again) != 0 {
			t.Fatalf("nothing has changed: %v", again)
		}
		x := NewIndex(known)
		for range 30 {
			a := prefix(r).Addr()
			var got, want []string
			for e := range x.Covering(flow.Addr6Of(a)) {
				got = append(got, fmt.Sprint(e.Prefix(), e.Port, e.Operator, e.Since, e.Until))
			}
			for k, list := range times {
				for _, d := range list {
					if k.prefix.Contains(a) {
						want = append(want, fmt.Sprint(k.prefix, k.port, k.operator, d[0], d[1]))
					}
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("%s is covered by %v, want %v", a, got, want)
			}
		}
	}
	n := len(known)
	left, dropped := Trim(slices.Clone(known), 30_000, 1<<30)
	for _, e := range left {
		if e.Until != 0 && e.Until < 30_000 {
			t.Errorf("%+v is left", e)
		}
	}
	if dropped != 0 || len(left) == n {
		t.Errorf("%d of %d left, %d made room", len(left), n, dropped)
	}
	few, dropped := Trim(slices.Clone(left), 0, 10)
	gone := 0
	for _, e := range few {
		if e.Until != 0 {
			gone++
		}
	}
	if dropped != len(left)-len(few) || gone < 10 || gone > 60 {
		t.Errorf("%d that have left are kept, %d made room", gone, dropped)
	}
}

// TestDamage: no flipped byte and no cut gives other entries.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known")
	list := []Entry{Of(netip.MustParsePrefix("62.0.0.1/32"), 443, true), Of(netip.MustParsePrefix("2001:db8::/32"), 0, false)}
	list[0].Since, list[1].Since, list[1].Until = 1, 2, 3
	if err := Write(disk.OS{}, path, 7, list); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(path)
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 4
		for _, b := range [][]byte{b, whole[:i]} {
			if _, got, err := parse(b); err == nil {
				t.Fatalf("byte %d: %v", i, got)
			}
		}
	}
	if _, got, err := parse(whole); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	path := filepath.Join(f.TempDir(), "known")
	r := rand.New(rand.NewPCG(3, 4))
	var list []Entry
	for i := range 20 {
		e := Of(prefix(r), uint16(r.IntN(2)), i%3 == 0)
		e.Since = uint32(i)
		list = append(list, e)
	}
	Sort(list)
	if err := Write(disk.OS{}, path, 1, list); err != nil {
		f.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	f.Add(b[:len(b)-4])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, list, err := parse(sealed(b)) // else nothing gets past the checksum
		if err == nil {
			NewIndex(list)
		}
	})
}

func BenchmarkDiff(b *testing.B) {
	const n = 1_000_000
	list := make([]Entry, n)
	for i := range list {
		list[i] = Of(netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + i>>20), byte(i >> 12), byte(i >> 4), byte(i << 4)}), 32), 0, false)
	}
	Sort(list)
	b.ReportAllocs()
	for b.Loop() {
		if change := Diff(list, slices.Values(list), 1, quietly); len(change) > 0 {
			b.Fatal(len(change))
		}
	}
}

// sealed puts the checksum behind b.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(b), crc32.Checksum(b, castagnoli))
}
