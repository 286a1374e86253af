package past

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/past/hours"
	"github.com/flowsnitch/flowsnitch/flow/history/past/imports"
	"github.com/flowsnitch/flowsnitch/flow/history/past/ipfix"
	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/field"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// home is the networks of the tests.
var ours = home.New(home.NewNetworks([]netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("2001:db8::/32")}), nil)

// config is that of an import into a new folder.
func config(t testing.TB, name string) Config {
	t.Helper()
	return Config{
		Root: filepath.Join(t.TempDir(), "import"), Name: name, MaxBytes: 1e9, Disk: disk.OS{}, Zone: time.UTC,
		Recorder:  recorder.Config{Homes: []home.Home{ours}, Sites: []string{""}, Caps: table.Caps{V4: 4096, V6: 4096}},
		Exporters: func() *decode.Exporters { return decode.NewExporters(decode.DefaultLimits()) },
		Space:     func(string) (uint64, uint64, error) { return 100e9, 200e9, nil },
	}
}

// load imports inputs.
func load(cfg Config, inputs ...[]byte) (Total, error) {
	im, err := Open(cfg)
	if err != nil {
		return Total{}, err
	}
	defer im.Abort()
	for _, in := range inputs {
		if _, err := im.Read(context.Background(), "input", bytes.NewReader(in)); err != nil {
			return Total{}, err
		}
	}
	return im.Finish(context.Background())
}

// rows gives all rows of a history.
func rows(t testing.TB, root string) (all []row.Row) {
	t.Helper()
	done, err := folder.Open(disk.OS{}, root).Search(t.Context(), folder.Query{
		Ranges: span.OfAll([]netip.Prefix{netip.MustParsePrefix("::/0"), netip.MustParsePrefix("0.0.0.0/0")}),
		Emit: func(_ folder.Entry, rows []row.Row) error {
			all = append(all, rows...)
			return nil
		},
	})
	if err != nil || len(done.Bad) > 0 {
		t.Fatal(err, done.Bad)
	}
	return all
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("nfdump", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tree is what is in a folder.
func tree(t testing.TB, root string) (all []string) {
	t.Helper()
	_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, path)
			all = append(all, rel)
		}
		return nil
	})
	return all
}

// TestNfdump: what nfdump has printed becomes contacts, as the same flows would have been.
func TestNfdump(t *testing.T) {
	cfg := config(t, "nf")
	total, err := load(cfg, sample(t, "v171.json"))
	if err != nil {
		t.Fatal(err)
	}
	if total.Flows() != 39 || total.Lost != 0 || total.NoAddress != 0 {
		t.Errorf("%+v", total)
	}
	got := rows(t, filepath.Join(cfg.Root, "nf"))
	at := time.Date(2026, 11, 30, 13, 25, 0, 0, time.UTC)
	find := func(outside string, protocol uint8, port uint16) *row.Row {
		for i := range got {
			if r := &got[i]; r.Outside.Addr().Unmap().String() == outside && r.Protocol == protocol && r.Port == port {
				return r
			}
		}
		t.Fatalf("%s %d %d is missing", outside, protocol, port)
		return nil
	}
	for _, want := range []struct {
		outside, inside, exporter string
		protocol                  uint8
		port                      uint16
		direction, flags          uint8
		first, last               int // s after at
		flows                     uint32
		out, in, bytesOut         uint64
		sampling                  uint32
	}{
		// NSEL: the inside address before translation, the way back in the same record.
		{"203.0.113.9", "192.168.1.10", "127.0.0.7", 6, 443, row.Outbound, row.Answered, 5, 9, 1, 9, 11, 1200, 1},
		{"203.0.113.9", "192.168.1.11", "127.0.0.7", 6, 80, row.Outbound, row.Blocked, 5, 9, 1, 1, 0, 60, 1},
		// The destination after translation.
		{"203.0.113.77", "192.168.1.5", "127.0.0.7", 6, 22, row.Inbound, row.Answered, 5, 9, 1, 6, 7, 800, 1},
		// Sampled: counters as they stand, both ways in one row.
		{"203.0.113.50", "192.168.2.1", "127.0.0.8", 6, 443, row.Outbound, row.Answered, 0, 5, 2, 300, 400, 150000, unknownRate},
		{"203.0.113.51", "192.168.2.2", "127.0.0.8", 1, 0, row.Unknown, row.Refused, 0, 5, 1, 0, 500, 0, unknownRate},
	} {
		r := find(want.outside, want.protocol, want.port)
		if r.Inside.Addr().Unmap().String() != want.inside || r.Exporter.String() != want.exporter || r.Direction != want.direction ||
			r.Flags != want.flags || int(r.First)-int(at.Unix()) != want.first || int(r.Last)-int(at.Unix()) != want.last ||
			r.Flows != want.flows || r.PacketsOut != want.out || r.PacketsIn != want.in || r.BytesOut != want.bytesOut || r.Sampling != want.sampling {
			t.Errorf("%s %d\n%+v, want\n%+v", want.outside, want.port, *r, want)
		}
	}
	var packets uint64
	for i := range got {
		if got[i].Direction == row.Transit {
			continue // two rows each
		}
		packets += got[i].PacketsIn + got[i].PacketsOut
	}
	if total.Transit == 0 && packets != 2959 {
		t.Errorf("%d packets, want 2959", packets)
	}
}

// TestForms: csv of both kinds and JSON of one file make the same contacts, but for what csv
// does not have.
func TestForms(t *testing.T) {
	var want []row.Row
	for _, name := range []string{"v171.json", "v175.json", "v175.ndjson", "v175-chosen.csv", "legacy.csv"} {
		cfg := config(t, "x")
		if _, err := load(cfg, sample(t, name)); err != nil {
			t.Fatal(name, err)
		}
		got := rows(t, filepath.Join(cfg.Root, "x"))
		for i := range got {
			got[i].Sampling = 1
		}
		switch {
		case want == nil:
			want = got
		case name == "legacy.csv": // without NAT and events
			if len(got) < len(want) {
				t.Errorf("%s: %d rows, want at least %d", name, len(got), len(want))
			}
		case !slices.Equal(got, want):
			t.Errorf("%s: other contacts than of v171.json: %d, want %d", name, len(got), len(want))
		}
	}
}

// days makes csv of one flow in each hour, from a day on.
func days(from time.Time, hours int, outside string) []byte {
	var b strings.Builder
	b.WriteString("firstSeen,lastSeen,received,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes\n")
	for h := range hours {
		at := from.Add(time.Duration(h) * time.Hour).Add(10 * time.Minute)
		fmt.Fprintf(&b, "%[1]s,%[1]s,%[1]s,6,192.168.1.1,%[2]d,%[3]s,443,1,%[4]d\n", at.Format("2006-01-02 15:04:05.000"), 40000+h%1000, outside, 100+h)
	}
	return []byte(b.String())
}

var march = time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)

// TestDays: the files of an import are one for each day, with the hours of each contact.
func TestDays(t *testing.T) {
	cfg := config(t, "march")
	total, err := load(cfg, days(march, 31*24, "203.0.113.9"))
	if err != nil {
		t.Fatal(err)
	}
	if total.Kept != 31*24 || total.Files != 31 {
		t.Errorf("%+v", total)
	}
	got := rows(t, filepath.Join(cfg.Root, "march"))
	if len(got) != 31 {
		t.Fatalf("%d rows, want 31", len(got))
	}
	for _, r := range got {
		if r.Flows != 24 || r.Hours != 1<<24-1 {
			t.Fatalf("%+v", r)
		}
	}
	list, err := imports.List(disk.OS{}, cfg.Root)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	e := list[0]
	if e.Name != "march" || e.Rows != 31 || e.Files != 31 || !e.From.Equal(march) || !e.To.Equal(march.AddDate(0, 1, 0)) || e.Bytes != total.Bytes || len(e.Damaged) != 0 {
		t.Errorf("%+v", e)
	}
}

// TestSources: the files of several routers, one after the other, are as if they had come
// together; what does not fit into the open hours is merged.
func TestSources(t *testing.T) {
	cfg := config(t, "two")
	total, err := load(cfg, days(march, 3*24, "203.0.113.9"), days(march, 3*24, "203.0.113.10"), days(march, 3*24, "203.0.113.9"))
	if err != nil {
		t.Fatal(err)
	}
	if total.Kept != 9*24 || total.Files != 3 {
		t.Errorf("%+v", total)
	}
	flows := uint32(0)
	for _, r := range rows(t, filepath.Join(cfg.Root, "two")) {
		flows += r.Flows
	}
	if flows != 9*24 {
		t.Errorf("%d flows, want %d", flows, 9*24)
	}
}

// TestOrder: an input without order is refused before it makes a file of each row.
func TestOrder(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(string(days(march, 400, "203.0.113.9"))), "\n")
	var b strings.Builder
	b.WriteString(lines[0] + "\n")
	for i := range 4000 {
		b.WriteString(lines[1+i*149%400] + "\n")
	}
	cfg := config(t, "mixed")
	cfg.mostAgain = 100
	if _, err := load(cfg, []byte(b.String())); !errors.Is(err, hours.ErrOrder) {
		t.Errorf("%v, want %v", err, hours.ErrOrder)
	}
	if got := tree(t, cfg.Root); !slices.Equal(got, []string{".lock"}) {
		t.Errorf("left: %v", got)
	}
}

// TestNames: a name is there once, unless it is added to.
func TestNames(t *testing.T) {
	cfg := config(t, "a")
	if _, err := load(cfg, days(march, 48, "203.0.113.9")); err != nil {
		t.Fatal(err)
	}
	if _, err := load(cfg, days(march, 48, "203.0.113.9")); !errors.Is(err, imports.ErrExists) {
		t.Errorf("%v, want %v", err, imports.ErrExists)
	}
	cfg.Append = true
	if _, err := load(cfg, days(march.AddDate(0, 0, 1), 48, "203.0.113.10")); err != nil {
		t.Fatal(err)
	}
	got := rows(t, filepath.Join(cfg.Root, "a"))
	if len(got) != 4 {
		t.Errorf("%d rows, want 4", len(got))
	}
	// The same once more counts twice, which is said.
	total, err := load(cfg, days(march.AddDate(0, 0, 1), 48, "203.0.113.10"))
	if err != nil || total.Again != 2 {
		t.Errorf("%+v, %v", total, err)
	}
	for _, name := range []string{"", ".a", "A", "a/b", "..", strings.Repeat("a", 65), "a b", "-a"} {
		bad := cfg
		bad.Name = name
		if _, err := Open(bad); err == nil {
			t.Errorf("name %q is taken", name)
		}
		if err := imports.Remove(disk.OS{}, cfg.Root, name); err == nil {
			t.Errorf("name %q is removed", name)
		}
	}
	if err := imports.Remove(disk.OS{}, cfg.Root, "b"); !errors.Is(err, imports.ErrNone) {
		t.Errorf("%v, want %v", err, imports.ErrNone)
	}
	if err := imports.Remove(disk.OS{}, cfg.Root, "a"); err != nil {
		t.Fatal(err)
	}
	if left := tree(t, cfg.Root); !slices.Equal(left, []string{".lock"}) {
		t.Errorf("left: %v", left)
	}
}

// TestBusy: one import at a time, and none is removed meanwhile.
func TestBusy(t *testing.T) {
	cfg := config(t, "a")
	im, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Abort()
	other := cfg
	other.Name = "b"
	if _, err := Open(other); !errors.Is(err, imports.ErrBusy) {
		t.Errorf("%v, want %v", err, imports.ErrBusy)
	}
	if err := imports.Remove(disk.OS{}, cfg.Root, "a"); !errors.Is(err, imports.ErrBusy) {
		t.Errorf("%v, want %v", err, imports.ErrBusy)
	}
}

// TestLimits: an import that is too large, or would fill the disk, ends with a clear error
// and leaves nothing.
func TestLimits(t *testing.T) {
	small := config(t, "a")
	small.MaxBytes = 20_000
	full := config(t, "a")
	full.Space = func(string) (uint64, uint64, error) { return 400e6, 200e9, nil }
	for want, cfg := range map[error]Config{ErrFull: small, ErrNoRoom: full} {
		_, err := load(cfg, days(march, 240, "203.0.113.9"))
		if !errors.Is(err, want) || !Fatal(err) {
			t.Errorf("%v, want %v", err, want)
		}
		if got := tree(t, cfg.Root); !slices.Equal(got, []string{".lock"}) {
			t.Errorf("left: %v", got)
		}
	}
}

// TestFullOnce: what cannot be written ends an import at once, however many messages are open:
// at the end of an input, and where there are too many of them.
func TestFullOnce(t *testing.T) {
	for _, exporters := range []int{20, maxMessages + 20} {
		cfg := config(t, "a")
		looks := 0
		cfg.Space = func(string) (uint64, uint64, error) {
			looks++
			return 400e6, 200e9, nil
		}
		var in strings.Builder
		for i := range exporters {
			at := march.Add(time.Duration(i) * time.Hour).Format("2006-01-02T15:04:05.000")
			fmt.Fprintf(&in, "{\"type\":\"FLOW\",\"first\":%[1]q,\"last\":%[1]q,\"received\":%[1]q,\"in_packets\":1,\"in_bytes\":40,\"proto\":6,\"src_port\":1,\"dst_port\":2,"+
				"\"src4_addr\":\"192.168.1.1\",\"dst4_addr\":\"203.0.113.9\",\"ip4_router\":\"198.18.%[2]d.%[3]d\"}\n", at, i>>8, i&255)
		}
		_, err := load(cfg, []byte(in.String()))
		if !errors.Is(err, ErrNoRoom) || !Fatal(err) || strings.Count(err.Error(), ErrNoRoom.Error()) != 1 || looks != 1 {
			t.Errorf("%d exporters: %d files were made; %v", exporters, looks, err)
		}
	}
}

// TestEnded: a context that ends leaves nothing.
func TestEnded(t *testing.T) {
	cfg := config(t, "a")
	im, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	im.cfg.Progress = func(at time.Time) {
		if at.After(march.AddDate(0, 0, 5)) {
			end()
		}
	}
	if _, err := im.Read(ctx, "input", bytes.NewReader(days(march, 240, "203.0.113.9"))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	im.Abort()
	if got := tree(t, cfg.Root); !slices.Equal(got, []string{".lock"}) {
		t.Errorf("left: %v", got)
	}
}

// TestInputs: what cannot be imported says what it is.
func TestInputs(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(days(march, 3, "203.0.113.9"))
	_ = z.Close()
	if total, err := load(config(t, "a"), zipped.Bytes()); err != nil || total.Kept != 3 {
		t.Errorf("gzip: %+v, %v", total, err)
	}
	for in, want := range map[string]string{
		"\x0c\xa5\x01\x00 nfcapd":   "input: a file of nfcapd; print it with 'nfdump -r FILE -o json' (or -o csv) and give that on standard input",
		"\x28\xb5\x2f\xfd...":       "input: compressed with zstd; unpack it with zstdcat and give that on standard input",
		"hello":                     `input: neither a capture nor csv or json of nfdump; it begins with "hello"`,
		"":                          "input: it is empty",
		"\x1f\x8bno":                "input: damaged gzip file: ",
		"\xd4\xc3\xb2\xa1":          "input: the file ends within ",
		string(zipped.Bytes()[:60]): "input: ",
	} {
		_, err := load(config(t, "a"), []byte(in))
		if err == nil || !strings.HasPrefix(err.Error(), want) || Fatal(err) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	// Each magic number of a capture is that of a capture here, too: what package file reads.
	for _, magic := range []string{"\xa1\xb2\xc3\xd4", "\xd4\xc3\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x4d\x3c\xb2\xa1",
		"\xa1\xb2\xcd\x34", "\x34\xcd\xb2\xa1", "\x0a\x0d\x0d\x0a"} {
		if _, err := load(config(t, "a"), []byte(magic)); err == nil || !strings.HasPrefix(err.Error(), "input: the file ends within ") {
			t.Errorf("% x: %v", magic, err)
		}
	}
	if _, err := load(config(t, "a"), []byte("[\n]\n")); !errors.Is(err, ErrNothing) {
		t.Errorf("without rows: %v", err)
	}
}

// TestCapture: a capture goes through the decoder with its own time as the clock.
func TestCapture(t *testing.T) {
	var b bytes.Buffer
	w := capture.NewWriter(&b)
	m := ipfix.Message{Exporter: netip.MustParseAddr("198.51.100.1")}
	for h := range 30 {
		m.Begin(march.Add(time.Duration(h) * time.Hour).UnixMilli())
		f := nfFlow(march.Add(time.Duration(h) * time.Hour))
		m.Add(&f, 1)
		if err := w.Write(m.Datagram(), netip.MustParseAddrPort("198.51.100.2:4739")); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config(t, "pcap")
	total, err := load(cfg, b.Bytes())
	if err != nil || total.Kept != 30 || total.Files != 2 {
		t.Fatalf("%+v, %v", total, err)
	}
	got := rows(t, filepath.Join(cfg.Root, "pcap"))
	if len(got) != 2 || got[0].Exporter.String() != "198.51.100.1" || got[0].Flows+got[1].Flows != 30 {
		t.Errorf("%+v", got)
	}
}

// TestCrash: an import or an addition that is interrupted at any step leaves the import as it
// was, or complete, once the next command has come.
func TestCrash(t *testing.T) {
	for _, add := range []bool{false, true} {
		cfg := config(t, "a")
		old := 0
		if add {
			if _, err := load(cfg, days(march, 3, "203.0.113.9")); err != nil {
				t.Fatal(err)
			}
			old, cfg.Append = len(rows(t, filepath.Join(cfg.Root, "a"))), true
		}
		more := days(march.Add(23*time.Hour), 3, "203.0.113.10")
		done, stride := false, 1
		if raceDetector { // ten times slower
			stride = 37
		}
		for step := 1; !done; step += stride {
			copied := cfg
			copied.Root = filepath.Join(t.TempDir(), "import")
			if err := os.CopyFS(copied.Root, os.DirFS(cfg.Root)); err != nil && add {
				t.Fatal(err)
			}
			copied.Disk = &disktest.Faults{Hook: func(c disktest.Call) error {
				if c.Index < step || c.What == "close" { // the end of the process closes files
					return nil
				}
				return syscall.EIO
			}}
			_, err := load(copied, more)
			done = err == nil
			if err := imports.Changing(disk.OS{}, copied.Root, func() error { return nil }); err != nil && !errors.Is(err, imports.ErrNone) {
				t.Fatalf("step %d: %v", step, err)
			}
			got := len(rows(t, filepath.Join(copied.Root, "a")))
			if got != old && got != old+2 || done && got != old+2 {
				t.Fatalf("addition %v, step %d: %d rows, want %d or %d", add, step, got, old, old+2)
			}
			for _, path := range tree(t, copied.Root) {
				if strings.Contains(path, ".part") || strings.HasSuffix(path, ".tmp") {
					t.Fatalf("step %d: %s is left", step, path)
				}
			}
			if step > 10_000 {
				t.Fatal("no end")
			}
		}
	}
}

// nfFlow is a flow as nfdump prints it.
func nfFlow(at time.Time) field.Flow {
	return field.Flow{
		Src: netip.MustParseAddr("192.168.1.1"), Dst: netip.MustParseAddr("203.0.113.9"), SrcPort: 40000, DstPort: 443, Protocol: 6,
		First: at.UnixMilli() - 5000, Last: at.UnixMilli() - 1000, Received: at.UnixMilli(), Bytes: 100, Packets: 2,
	}
}
