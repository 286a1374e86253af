package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"go.uber.org/zap"
)

// A kept is an app with a history, in a state directory of its own.
type kept struct {
	*App
	dir string
}

// keeping starts an app with so many sockets.
func keeping(t *testing.T, dir string, sockets int, more string) kept {
	t.Helper()
	cfg, err := configs.Parse("test", fmt.Appendf(nil, `
state_dir: %s
listen: [{udp: "127.0.0.1:0", sockets: %d}]
canary: {every: 0s}
web: {listen: ''}
sinks: [{jsonlog: {}}]
intel: {feeds: [], deny: [62.0.0.9]}
history: {max_bytes: 100MB, exclude: [198.51.100.0/24]%s}
`, dir, sockets, more))
	if err != nil {
		t.Fatal(err)
	}
	a := New(cfg, Options{Out: io.Discard}, zap.NewNop())
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { within(t, "the stop", func() { a.Stop() }) })
	return kept{a, dir}
}

// The flows that send makes of each number, and what becomes of them.
func historyFlow(i int) synth.Flow {
	now := time.Now()
	f := synth.Flow{
		Src: netip.AddrFrom4([4]byte{10, 0, byte(i % 7), byte(i % 50)}), Dst: netip.AddrFrom4([4]byte{62, byte(i >> 16), byte(i >> 8), byte(i)}),
		SrcPort: uint16(40000 + i%20000), DstPort: 443, Protocol: 6, Bytes: 1000, Packets: 10, TCPFlags: 0x1b, Start: now, End: now,
	}
	switch i % 10 {
	case 0: // internal
		f.Dst = netip.AddrFrom4([4]byte{192, 168, 1, byte(i)})
	case 1: // excluded
		f.Dst = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
	case 2: // transit
		f.Src = netip.AddrFrom4([4]byte{63, 0, 0, byte(i)})
	case 3, 4: // a scanner
		f.Src, f.Dst = netip.AddrFrom4([4]byte{64, 0, 0, 1}), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		f.DstPort, f.Bytes, f.Packets, f.TCPFlags = 22, 40, 1, 2
	}
	return f
}

// send sends flows from one number to another one, with the protocols and source ports in
// turn, and waits until they are decoded.
func (k kept) send(t *testing.T, from, to int) {
	t.Helper()
	before := k.records()
	type exporter struct {
		enc  *synth.Encoder
		conn net.Conn
	}
	var exporters []exporter
	for i, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.V9, flow.IPFIX, flow.V5, flow.V9, flow.IPFIX} {
		enc, err := synth.NewEncoder(synth.Config{Version: v, Domain: uint32(i + 1)})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("udp", k.Status().Listeners[0].Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if b := enc.Templates(nil, time.Now()); len(b) > 0 {
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		exporters = append(exporters, exporter{enc, conn})
	}
	for i, n := from, 0; i < to; n++ {
		var flows []synth.Flow
		for ; i < to && len(flows) < 20; i++ {
			flows = append(flows, historyFlow(i))
		}
		for e := &exporters[n%len(exporters)]; len(flows) > 0; {
			b, done, err := e.enc.Encode(nil, flows, time.Now())
			if err == nil {
				_, err = e.conn.Write(b)
			}
			if err != nil {
				t.Fatal(err)
			}
			flows = flows[done:]
		}
		if n%50 == 49 {
			time.Sleep(time.Millisecond) // for the buffer of the socket
		}
	}
	until(t, "all flows are decoded", func() bool { return k.records()-before == uint64(to-from) })
}

// records is the number of flow records that were decoded.
func (k kept) records() uint64 {
	d := k.listeners.decoded()
	return d.V5.Records + d.V9.Records + d.IPFIX.Records + d.SFlow.Records
}

// found is what the files of a history have.
type found struct {
	flows, folded, transit uint64
	outside                map[netip.Addr]uint64 // flows
}

func filesOf(t *testing.T, dir string) (all found) {
	t.Helper()
	all.outside = make(map[netip.Addr]uint64)
	f := folder.Open(disk.OS{}, filepath.Join(dir, HistoryDir))
	everything := span.OfAll([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	done, err := f.Search(context.Background(), folder.Query{Ranges: everything, Emit: func(_ folder.Entry, rows []row.Row) error {
		for i := range rows {
			r := &rows[i]
			all.flows += uint64(r.Flows)
			if r.Folded > 0 {
				all.folded += uint64(r.Flows)
			}
			if r.Direction == row.Transit {
				all.transit += uint64(r.Flows)
			}
			all.outside[r.Outside.Addr().Unmap()] += uint64(r.Flows)
		}
		return nil
	}})
	if err != nil || len(done.Bad) > 0 {
		t.Fatalf("%v, %+v", err, done)
	}
	return all
}

// TestHistoryCounts: every flow that was decoded is in one of the counters, and what was kept
// or folded is in the files, with one socket and with several.
func TestHistoryCounts(t *testing.T) {
	for _, sockets := range []int{1, 2, 4} {
		if sockets > 1 && runtime.GOOS != "linux" {
			continue
		}
		dir := shortDir(t)
		k := keeping(t, dir, sockets, "")
		const n = 20_000
		k.send(t, 0, n)
		within(t, "the stop", func() {
			if err := k.Stop(); err != nil {
				t.Error(err)
			}
		})
		r := k.history.Stats().Recorded
		if sum := r.Kept + r.Folded + r.Lost + r.Internal + r.Excluded + r.NoAddress; sum != n || k.records() != n {
			t.Errorf("%d sockets: %d of %d flows are counted, %d decoded: %+v", sockets, sum, n, k.records(), r)
		}
		if r.Internal != n/10 || r.Excluded != n/10 || r.Transit != n/10 || r.Lost != 0 || r.Folded == 0 {
			t.Errorf("%d sockets: %+v", sockets, r)
		}
		all := filesOf(t, dir)
		if all.flows != r.Kept+r.Folded+r.Transit || all.folded != r.Folded || all.transit != 2*r.Transit {
			t.Errorf("%d sockets: %d flows in files, %d folded, %d transit; counted %+v", sockets, all.flows, all.folded, all.transit, r)
		}
		if got := all.outside[netip.MustParseAddr("64.0.0.1")]; got != 2*n/10 {
			t.Errorf("%d sockets: the scanner has %d flows, want %d", sockets, got, 2*n/10)
		}
		for i := range n {
			if f := historyFlow(i); i%10 > 4 && all.outside[f.Dst] != 1 {
				t.Errorf("%d sockets: %s has %d flows, want 1", sockets, f.Dst, all.outside[f.Dst])
				break
			}
		}
	}
}

// TestHistoryRestart: what was kept before a stop is there afterwards, once, and so is what
// came later. No file of a self-test is made.
func TestHistoryRestart(t *testing.T) {
	dir := shortDir(t)
	sum := uint64(0)
	for i := range 3 {
		k := keeping(t, dir, 1, "")
		k.send(t, 1000*i, 1000*(i+1))
		if err := k.Stop(); err != nil {
			t.Fatal(err)
		}
		r := k.history.Stats().Recorded
		sum += r.Kept + r.Folded + r.Transit
		if all := filesOf(t, dir); all.flows != sum {
			t.Errorf("run %d: %d flows in files, want %d", i, all.flows, sum)
		}
	}
}

// TestHistoryReload: the history is switched off and on without a restart; while it is off
// nothing is kept.
func TestHistoryReload(t *testing.T) {
	f := startFiled(t, "intel: {feeds: []}\n")
	k := kept{f.App, filepath.Dir(f.path)}
	set := func(text string, on bool) {
		t.Helper()
		f.write(t, "intel: {feeds: []}\n"+text)
		if err := f.Reload(); err != nil {
			t.Fatal(err)
		}
		until(t, "the history is switched", func() bool { return f.history.Stats().Enabled == on })
	}
	k.send(t, 5, 10)
	set("history: {enabled: false}\n", false)
	until(t, "what was kept is written", func() bool { return filesOf(t, k.dir).flows == 5 })
	k.send(t, 15, 20)
	set("history: {exclude: [62.0.0.0/8]}\n", true)
	k.send(t, 25, 30)
	set("", true)
	until(t, "the exclusion has ended", func() bool {
		k.send(t, 36, 37)
		s := k.history.Stats().Recorded
		return s.Kept > 5
	})
	if n := f.logs.FilterMessageSnippet("after a restart").Len(); n != 0 {
		t.Error("a key that is applied is named as one that needs a restart")
	}
	set("history: {max_contacts: 5000}\n", true)
	if n := f.logs.FilterMessageSnippet("after a restart").Len(); n != 1 {
		t.Error("a key that needs a restart is not named")
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	all := filesOf(t, k.dir)
	for i := range 30 {
		if n := all.outside[historyFlow(i).Dst]; (n > 0) != (i >= 5 && i < 10) {
			t.Errorf("flow %d is kept %d times", i, n)
		}
	}
}

// removed removes a folder in which files may just be made.
func removed(t *testing.T, root string) error {
	until(t, "the folder is removed", func() bool { return os.RemoveAll(root) == nil })
	return nil
}

// TestHistoryDisk: a folder that is read-only, removed, or a file instead of a folder keeps
// nothing from being received, and is named.
func TestHistoryDisk(t *testing.T) {
	for name, spoil := range map[string]func(root string) error{
		"removed": func(root string) error { return removed(t, root) },
		"a file": func(root string) error {
			if err := removed(t, root); err != nil {
				return err
			}
			return os.WriteFile(root, nil, 0o600)
		},
	} {
		dir := shortDir(t)
		k := keeping(t, dir, 1, "")
		if err := spoil(filepath.Join(dir, HistoryDir)); err != nil {
			t.Fatal(err)
		}
		k.send(t, 5, 10)
		_, err := k.history.Flush(t.Context())
		k.send(t, 15, 20)
		s := k.history.Stats()
		if name == "removed" {
			if err != nil || s.Trouble != "" {
				t.Errorf("%s: %v, %+v", name, err, s)
			}
		} else if err == nil || s.Files.Trouble == "" {
			t.Errorf("%s: %v, %+v", name, err, s)
		}
		if err := k.Stop(); (err == nil) != (name == "removed") {
			t.Errorf("%s: the stop: %v", name, err)
		}
		if r := k.history.Stats().Recorded; k.records() != 10 || r.Kept != 10 {
			t.Errorf("%s: %d decoded, %+v", name, k.records(), r)
		}
		if name == "removed" {
			if all := filesOf(t, dir); all.flows != 10 {
				t.Errorf("%s: %d flows in files", name, all.flows)
			}
		}
	}
}

// killedEnv is the state directory of the process that TestHistoryKill kills.
const killedEnv = "FLOWSNITCH_TEST_KILLED"

// TestHistoryKill: everything that was flushed survives a kill -9, exactly, and the next run
// goes on with it.
func TestHistoryKill(t *testing.T) {
	if dir := os.Getenv(killedEnv); dir != "" {
		k := keeping(t, dir, 1, "")
		for i, in := 0, bufio.NewScanner(os.Stdin); in.Scan(); i++ {
			k.send(t, 3000*i, 3000*(i+1))
			if in.Text() == "flush" {
				if _, _, err := k.history.Erase(context.Background(), nil); err != nil { // without the wait of a minute
					t.Fatal(err)
				}
			}
			s := k.history.Stats().Recorded
			fmt.Printf("kept %d\n", s.Kept+s.Folded+s.Transit)
		}
		return
	}
	dir := shortDir(t)
	c := exec.Command(os.Args[0], "-test.run=^TestHistoryKill$", "-test.count=1")
	c.Env = append(os.Environ(), killedEnv+"="+dir)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	lines := bufio.NewScanner(out)
	step := func(word string) (n uint64) {
		fmt.Fprintln(in, word)
		for lines.Scan() {
			if _, err := fmt.Sscanf(lines.Text(), "kept %d", &n); err == nil {
				return n
			}
		}
		t.Fatal("the process has ended by itself")
		return 0
	}
	step("flush")
	flushed := step("flush")
	if later := step("keep"); later <= flushed {
		t.Fatalf("%d flows, then %d", flushed, later)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if all := filesOf(t, dir); all.flows != flushed {
		t.Errorf("%d flows in files after the kill, %d had been flushed", all.flows, flushed)
	}
	k := keeping(t, dir, 1, "")
	k.send(t, 5, 10)
	if err := k.Stop(); err != nil {
		t.Error(err)
	}
	if all := filesOf(t, dir); all.flows != flushed+5 {
		t.Errorf("%d flows in files after the next run, want %d", all.flows, flushed+5)
	}
}

// TestHistoryForm: files are for the user and the group only, and the folders too.
func TestHistoryForm(t *testing.T) {
	dir := shortDir(t)
	k := keeping(t, dir, 1, "")
	k.send(t, 5, 10)
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(dir, HistoryDir), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		want := os.FileMode(0o640)
		if d.IsDir() {
			want = 0o750
		}
		if err == nil && info.Mode().Perm()&^want != 0 {
			t.Errorf("%s has mode %v, at most %v", path, info.Mode(), want)
		}
		files++
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files and folders, %v", files, err)
	}
}
