package file

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// anyRow gives a row of a small space, so that keys meet across files.
func anyRow(r *rand.Rand, outsides int) row.Row {
	outside := flow.Addr6Of(netip.AddrFrom4([4]byte{198, 51, byte(r.IntN(outsides) >> 8), byte(r.IntN(outsides))}))
	if r.IntN(5) == 0 {
		outside = flow.Addr6{Hi: 0x20010db8 << 32, Lo: uint64(r.IntN(outsides))}
	}
	first := 1_795_000_000 + uint32(r.IntN(80_000))
	number := func() uint64 { return r.Uint64() >> (1 + r.IntN(63)) }
	one := row.Row{
		Outside: outside, Inside: flow.Addr6Of(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(4))})),
		Protocol: [...]uint8{1, 6, 17, 255}[r.IntN(4)], Port: [...]uint16{0, 53, 443, 65535}[r.IntN(4)],
		Exporter:  [...]netip.Addr{{}, netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}[r.IntN(3)],
		Site:      [...]string{"", "north", "Zürich *"}[r.IntN(3)],
		Direction: uint8(r.IntN(4)), Flags: uint8(r.IntN(16)),
		First: first, Last: first + uint32(r.IntN(4000)), Flows: r.Uint32() >> (1 + r.IntN(31)),
		PacketsOut: number(), PacketsIn: number(), BytesOut: number(), BytesIn: number(),
		Sampling: 1 << r.IntN(12), Hours: r.Uint32() & (1<<24 - 1),
	}
	switch r.IntN(8) {
	case 0:
		one.Inside, one.Folded = flow.Addr6{}, 1+r.Uint32()>>9
	case 1:
		one.Inside = flow.Addr6{} // :: is not a folded row
	case 2:
		one.First, one.Last = 0, ^uint32(0)
	}
	return one
}

// add sums rows up by their keys, the plain way.
func add(sums map[row.Row]row.Row, rows []row.Row) {
	for _, r := range rows {
		key := row.Row{Outside: r.Outside, Inside: r.Inside, Protocol: r.Protocol, Port: r.Port, Exporter: r.Exporter, Site: r.Site, Direction: r.Direction}
		if old, ok := sums[key]; ok {
			old.Add(&r)
			r = old
		}
		sums[key] = r
	}
}

func sorted(sums map[row.Row]row.Row) []row.Row {
	rows := make([]row.Row, 0, len(sums))
	for _, r := range sums {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row.Row) int { return row.Compare(&a, &b) })
	return rows
}

// anyRows gives about n rows, sorted, each key once.
func anyRows(r *rand.Rand, n, outsides int) []row.Row {
	sums := make(map[row.Row]row.Row)
	for range n {
		add(sums, []row.Row{anyRow(r, outsides)})
	}
	return sorted(sums)
}

// put writes a file and gives its path.
func put(t testing.TB, root string, level Level, rows []row.Row) string {
	t.Helper()
	w, err := Create(disk.OS{}, root, Name{From: noon, To: noon.Add(10 * time.Minute), Level: level}, Form{Edge: true}, Info{Program: "flowsnitch test", Home: "10.0.0.0/8", Lost: 3, Folded: 5})
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(rows, 700) {
		if err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	name, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, name.Folder(), name.String())
}

var everything = span.All()

// find gives what is found in a file.
func find(path string, ranges []span.Range) (rows []row.Row, err error) {
	f, err := Open(disk.OS{}, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	err = f.Search(context.Background(), ranges, func(part []row.Row) error {
		rows = append(rows, part...)
		return nil
	})
	return rows, err
}

// equal compares rows and shows the first that differs.
func equal(t testing.TB, got, want []row.Row) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("row %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
}

// inFolder gives all files below a folder.
func inFolder(t testing.TB, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, d.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 15)) }
