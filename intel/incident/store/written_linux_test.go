package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
)

// TestMillionWritten measures a store of 1,000,000 incidents: how many are changed in a second, and
// what is written to the disk for each, its log and its checkpoints included.
//
//	FLOWSNITCH_MILLION=1 go test ./intel/incident/store -run MillionWritten -v
//
// A number of FLOWSNITCH_MILLION above 1 is that of the incidents. FLOWSNITCH_MILLION_DIR keeps
// the file for another run, FLOWSNITCH_MILLION_EDGE=1 takes the settings of a small machine,
// FLOWSNITCH_MILLION_POSTGRES is the URL of an empty database.
func TestMillionWritten(t *testing.T) {
	n := 0
	_, _ = fmt.Sscan(os.Getenv("FLOWSNITCH_MILLION"), &n)
	switch {
	case n == 0:
		t.Skip("NOT MEASURED: FLOWSNITCH_MILLION is not set")
	case n == 1:
		n = 1_000_000
	}
	dir := os.Getenv("FLOWSNITCH_MILLION_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	cfg := DefaultConfig(filepath.Join(dir, "incidents.db"))
	if cfg.Edge = os.Getenv("FLOWSNITCH_MILLION_EDGE") != ""; cfg.Edge {
		cfg.Max = 100_000
	}
	cfg.Database = os.Getenv("FLOWSNITCH_MILLION_POSTGRES")
	now := t0
	cfg.Now = func() time.Time { return now }
	s := open(t, cfg)
	m := &writer{t: t, s: s, now: &now, most: 60_000, live: 200_000}
	if cfg.Edge {
		m.most = 4_000 // as the intake
	}
	if checkpoint = 65_536; cfg.Edge {
		checkpoint = 1_000
	}
	if n < 1_000_000 && !cfg.Edge { // everything in the same proportion
		m.most, m.live = m.most*(n/1000)/1000, m.live*(n/1000)/1000
		checkpoint = checkpoint * (n / 1000) / 1000
		run(t, s, []string{fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", checkpoint), fmt.Sprintf("PRAGMA cache_size = -%d", 16<<10*(n/1000)/1000)})
	}
	var have int
	if err := s.db.Read().QueryRow("SELECT count(*) FROM incident").Scan(&have); err != nil {
		t.Fatal(err)
	}
	m.measure("first sight", n-have, func(i int) event.Event { return m.event(have+i, false) })
	now = t0.Add(24 * time.Hour)
	m.measure("changes", 6*m.most, func(int) event.Event { return m.event(rand.IntN(n), true) })
	now = t0.Add(25 * time.Hour)
	m.measure("first of a day", n, func(i int) event.Event { return m.event(i, false) })
	m.measure("changes", 6*m.most, func(int) event.Event { return m.event(rand.IntN(n), true) })
	m.byTable(m.most, func(int) event.Event { return m.event(rand.IntN(n), true) })
	now = t0.Add(26 * time.Hour)
	r := rand.New(rand.NewPCG(16, 2026))
	few := func(int) event.Event { return m.event(scattered(skewed(r, n), n), true) }
	m.measure("most of few", 12*m.most, few)
	m.byTable(m.most, few)
	now = t0.Add(27 * time.Hour)
	lively := min(n/20, n)
	m.open = nil
	m.measure("changes of the latest twentieth", 6*m.most, func(int) event.Event { return m.event(n-1-rand.IntN(lively), true) })
	info := time.Now()
	var ok string
	if !s.db.Postgres {
		if err := s.db.Read().QueryRow("PRAGMA quick_check(1)").Scan(&ok); err != nil || ok != "ok" {
			t.Error(ok, err)
		}
	}
	t.Logf("quick_check: %v; file and log %d MB", time.Since(info).Round(time.Millisecond), s.Size()>>20)
}

// checkpoint is after how many pages of the log they go into the file.
var checkpoint int

// scattered gives the number below n of the rank below n: the busiest are everywhere in the file.
func scattered(rank, n int) int { return int(uint64(rank) * 2_654_435_761 % uint64(n)) }

// A writer makes events and measures.
type writer struct {
	t    *testing.T
	s    *Store
	now  *time.Time
	most int // contacts of a commit
	live int // contacts that may have further events
	open []live
}

// event is of a new contact of an offender, or of one that there was lately.
func (m *writer) event(offender int, again bool) event.Event {
	var c *live
	if again && len(m.open) > 0 && rand.IntN(2) == 0 {
		c = &m.open[rand.IntN(len(m.open))]
	} else if at := rand.IntN(m.live); at < len(m.open) {
		c = &m.open[at]
		*c = live{uuid.Must(uuid.NewV7()), uint32(offender), 0}
	} else {
		m.open = append(m.open, live{uuid.Must(uuid.NewV7()), uint32(offender), 0})
		c = &m.open[len(m.open)-1]
	}
	c.seq++
	e := hit(0, "203.0.113.9", "10.0.0.5", 0)
	o := c.offender * 2_654_435_761
	a := netip.AddrFrom4([4]byte{byte(o >> 24), byte(o >> 16), byte(o >> 8), byte(o)})
	e.ID, e.Contact, e.Seq, e.Time, e.ContactFirstSeen = uuid.New(), c.id, c.seq, *m.now, *m.now
	e.Flows, e.Bytes, e.Offender, e.Src = uint64(c.seq)*3, uint64(c.seq)*1000, a, a
	e.Local = netip.AddrFrom4([4]byte{10, 0, byte(c.id[15] % 8), c.id[14]})
	e.ServicePort = [...]uint16{22, 23, 80, 443, 445, 3389, 5060, 8080}[c.id[13]%8]
	feed := c.offender % 40
	e.Indicators = []event.Indicator{{Prefix: netip.PrefixFrom(a, 32), Feed: fmt.Sprintf("feed-%d", feed), Category: "scan", Score: 60,
		Ref: "https://example.net/ip/" + a.String(), TLP: "white"}}
	e.Reason = fmt.Sprintf("scan listed by feed-%d (60); inbound", feed)
	return e
}

// A live contact may have further events.
type live struct {
	id            uuid.UUID
	offender, seq uint32
}

func (m *writer) measure(what string, n int, next func(i int) event.Event) {
	var b batch.Batch
	var total Committed
	var commits int
	var took time.Duration
	before := written(m.t)
	cpu := time.Duration(0)
	flush := func() {
		begun, busy := time.Now(), cpuTime(m.t)
		done, err := m.s.Commit(context.Background(), &b)
		if err != nil {
			m.t.Fatal(err)
		}
		took += time.Since(begun)
		cpu += cpuTime(m.t) - busy
		total.Changed += done.Changed
		total.Events += done.Events
		commits++
		b.Reset()
		*m.now = m.now.Add(time.Minute)
	}
	most := 0
	for i := range n {
		e := next(i)
		b.Add(&e)
		most = max(most, b.Bytes())
		if len(b.Contacts) >= m.most || b.Bytes() >= 24<<20 {
			flush()
		}
	}
	if b.Events > 0 {
		flush()
	}
	if total.Changed == 0 {
		return
	}
	wrote := written(m.t) - before
	runtime.GC()
	debug.FreeOSMemory()
	m.t.Logf("%-12s %8d incidents changed by %d events in %d commits: %.0f a second (%.0f a second of processor), %d B written for each; batch %d MB, resident %s, highest %s", what, total.Changed,
		total.Events, commits, float64(total.Changed)/took.Seconds(), float64(total.Changed)/cpu.Seconds(), wrote/uint64(total.Changed), most>>20, status(m.t, "VmRSS:"), status(m.t, "VmHWM:"))
}

// byTable prints how many bytes of the log the tables and indexes take for each incident that one
// commit changes, and how long a row is.
func (m *writer) byTable(n int, next func(i int) event.Event) {
	if m.s.db.Postgres {
		return
	}
	var b batch.Batch
	for i := range n {
		e := next(i)
		b.Add(&e)
	}
	if _, err := m.s.db.Read().Exec("PRAGMA query_only = 0"); err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.s.db.Read().Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		m.t.Fatal(err)
	}
	run(m.t, m.s, []string{"PRAGMA wal_autocheckpoint = 0"})
	done, err := m.s.Commit(context.Background(), &b)
	if err != nil {
		m.t.Fatal(err)
	}
	run(m.t, m.s, []string{fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", checkpoint)})
	log, err := os.ReadFile(m.s.cfg.Path + "-wal")
	if err != nil {
		m.t.Fatal(err)
	}
	size := int(binary.BigEndian.Uint32(log[8:]))
	frames := map[int]int{}
	for at := 32; at+24+size <= len(log); at += 24 + size {
		frames[int(binary.BigEndian.Uint32(log[at:]))]++
	}
	type sum struct{ pages, cells, payload, frames int }
	sums := map[string]*sum{}
	rows, err := m.s.db.Read().Query("SELECT name, pageno, ncell, payload FROM dbstat")
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var page, cells, payload int
		if err := rows.Scan(&name, &page, &cells, &payload); err != nil {
			m.t.Fatal(err)
		}
		x := sums[name]
		if x == nil {
			x = &sum{}
			sums[name] = x
		}
		x.pages, x.cells, x.payload, x.frames = x.pages+1, x.cells+cells, x.payload+payload, x.frames+frames[page]
	}
	names := slices.SortedFunc(maps.Keys(sums), func(a, b string) int { return sums[b].frames - sums[a].frames })
	for _, name := range names {
		if x := sums[name]; x.frames > 0 {
			m.t.Logf("%-28s %7d pages, %6.1f B a row; a commit of %d changes writes %7d pages, %5d B for each", name, x.pages, float64(x.payload)/float64(max(1, x.cells)),
				done.Changed, x.frames, x.frames*size/done.Changed)
		}
	}
}

// cpuTime is the time that this process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// written is how many bytes this process has written to disks.
func written(t *testing.T) (n uint64) {
	return number(t, "/proc/self/io", "write_bytes:")
}

func number(t *testing.T, file, key string) (n uint64) {
	_, _ = fmt.Sscan(field(t, file, key), &n)
	return n
}

func status(t *testing.T, key string) string { return field(t, "/proc/self/status", key) }

func field(t *testing.T, file, key string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for l := bufio.NewScanner(bytes.NewReader(b)); l.Scan(); {
		if rest, ok := strings.CutPrefix(l.Text(), key); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("%s has no %s", file, key)
	return ""
}
