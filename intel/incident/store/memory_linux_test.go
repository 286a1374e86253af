package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
)

// TestMillionMemory measures what a store of 1,000,000 incidents takes: for itself, for a commit of
// 20,000 contacts, and for the largest one, its batch included; with the settings of a small machine
// for 100,000 incidents. See TestMillionWritten for the variables; a number above 1 is that of the
// incidents.
func TestMillionMemory(t *testing.T) {
	n := 0
	_, _ = fmt.Sscan(os.Getenv(millionVariable), &n)
	if n == 0 {
		t.Skipf("NOT MEASURED: %s is not set", millionVariable)
	}
	if n == 1 {
		n = 1_000_000
	}
	for _, c := range []struct {
		name      string
		edge      bool
		incidents int
		most      int // contacts of the largest commit: what the intake holds
		limit     int // MB in all
	}{{"edge", true, min(n, 100_000), 4_000, 8}, {"default", false, n, 60_000, 64}} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig(filepath.Join(t.TempDir(), "incidents.db"))
			cfg.Edge = c.edge
			now := t0
			cfg.Now = func() time.Time { return now }
			defer debug.SetGCPercent(debug.SetGCPercent(20)) // so that what is seen is in use
			before := memoryNow(t)
			s := open(t, cfg)
			m := &writer{t: t, s: s, now: &now, most: c.most, live: 1}
			m.measure("first sight", c.incidents, func(i int) event.Event { return m.event(i, false) })
			t.Logf("%d incidents: %+v more than before", c.incidents, memoryNow(t).minus(before))
			for _, contacts := range []int{min(20_000, c.most), c.most} {
				var b batch.Batch
				for len(b.Contacts) < contacts && b.Bytes() < m.most*400 {
					e := m.event(rand.IntN(c.incidents), false)
					b.Add(&e)
				}
				peak := peakOf(t, func() {
					if _, err := s.Commit(context.Background(), &b); err != nil {
						t.Error(err)
					}
				}).minus(before)
				t.Logf("commit of %d contacts, batch of %d MB: %+v more than before", len(b.Contacts), b.Bytes()>>20, peak)
				cache := cfg.database().Cache * 3 / 2 // of SQLite, its readers included
				if all := (peak.heap + cache) >> 20; all >= c.limit {
					t.Errorf("a commit of %d contacts takes %d MB with the cache of SQLite, at most %d are for incidents", len(b.Contacts), all, c.limit)
				}
				runtime.KeepAlive(&b)
			}
		})
	}
}

// A memory is bytes of Go's heap in use, and of the process.
type memory struct{ heap, resident int }

func (m memory) minus(o memory) memory { return memory{m.heap - o.heap, m.resident - o.resident} }

// String gives megabytes.
func (m memory) String() string {
	return fmt.Sprintf("%.1f MB of heap, %.1f MB resident", float64(m.heap)/(1<<20), float64(m.resident)/(1<<20))
}

// memoryNow is what is in use after everything else was given back.
func memoryNow(t *testing.T) memory {
	debug.FreeOSMemory()
	return memory{heapNow(), residentBytes(t, "VmRSS:")}
}

func heapNow() int {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

func residentBytes(t *testing.T, key string) (n int) {
	_, _ = fmt.Sscan(strings.TrimSuffix(status(t, key), " kB"), &n)
	return n << 10
}

// peakOf gives the most that was in use while f ran.
func peakOf(t *testing.T, f func()) (peak memory) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the highest begins anew
		t.Log(err)
	}
	done, seen := make(chan struct{}), make(chan int)
	go func() {
		most := 0
		for {
			select {
			case <-done:
				seen <- most
				return
			case <-time.After(5 * time.Millisecond):
				most = max(most, heapNow())
			}
		}
	}()
	f()
	close(done)
	return memory{<-seen, residentBytes(t, "VmHWM:")}
}
