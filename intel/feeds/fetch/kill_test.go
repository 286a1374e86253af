package fetch

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/schedule"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// killedDir is set in the process that TestKill kills.
const killedDir = "FLOWSNITCH_TEST_KILLED_DIR"

// TestKill kills a process that does nothing but write generations and states, at any
// moment, many times: what is left is always whole, and the next process uses it.
func TestKill(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		writeForever(dir)
	}
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(9, 10))
	seen := map[int]bool{}
	for range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), killedDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// After its first word it is at work; when it dies is up to chance.
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		seen[afterKill(t, dir)] = true
	}
	if len(seen) < 2 {
		t.Errorf("the process never got beyond generation %v", seen)
	}
}

// afterKill starts a manager on what is left and gives the number of entries.
func afterKill(t *testing.T, dir string) int {
	t.Helper()
	m := New(killConfig(), Options{Dir: dir})
	defer m.Stop()
	table, report, err := m.Build()
	if err != nil {
		t.Fatal(err)
	}
	if good := m.feeds[0].View().Good; good == nil || table.Len() != good.Entries || table.Len() == 0 {
		t.Errorf("%d entries in the table, description %+v, report %+v", table.Len(), good, report)
	}
	if _, err := schedule.Load(nil, fileOf(m, 0, store.ExtState), m.feeds[0].Spec.Origin()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".tmp-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	return table.Len()
}

func killConfig() spec.Config {
	cfg := spec.DefaultConfig()
	cfg.Feeds = []spec.Feed{{Name: "f", URL: plainURL}}
	return cfg
}

// writeForever goes on from what it finds.
func writeForever(dir string) {
	m := New(killConfig(), Options{Dir: dir})
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	must(m.Load())
	r := m.feeds[0]
	for n := 1000; ; n++ {
		if n == 1001 {
			fmt.Print("!")
		}
		s := r.View().State
		s.Begin(time.Now(), &r.Spec)
		must(s.Save(nil, fileOf(m, 0, store.ExtState)))
		w, err := store.NewWriter(nil, dir)
		must(err)
		for i := range n {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{62, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
			must(w.Entry(&document.Entry{Indicator: intel.Indicator{Prefix: p, Ref: fmt.Sprint("https://example.org/", i)}}))
		}
		must(w.Commit(fileOf(m, 0, store.ExtGood), store.Description{Feed: "f", Origin: r.Spec.Origin()}))
	}
}

// BenchmarkLoad is the start of the program: from the last good copy to a table.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{200_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			m := New(killConfig(), Options{Dir: dir})
			r := rand.New(rand.NewPCG(1, 2))
			w, err := store.NewWriter(nil, dir)
			if err != nil {
				b.Fatal(err)
			}
			for i := range n {
				v := 0x20000000 + r.Uint32N(0x90000000)
				a := netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
				_ = w.Entry(&document.Entry{Indicator: intel.Indicator{Prefix: netip.PrefixFrom(a, 32), Description: fmt.Sprint("row ", i%100)}})
			}
			if err := w.Commit(fileOf(m, 0, store.ExtGood), store.Description{Origin: m.feeds[0].Spec.Origin()}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				m := New(killConfig(), Options{Dir: dir})
				if t, _, err := m.Build(); err != nil || t.Len() < n*9/10 {
					b.Fatal(t.Len(), err)
				}
			}
		})
	}
}
