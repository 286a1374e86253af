package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// A probe is a try from outside, as an exporter reports it.
type probe struct {
	at       time.Duration // since the beginning of the scenario
	from, to string
	port     uint16
	exporter byte
}

func (p probe) record(begin time.Time) flow.Record {
	at := begin.Add(p.at)
	return flow.Record{
		Exporter: flow.Exporter{Addr: netip.AddrFrom4([4]byte{192, 0, 2, p.exporter})}, Received: at, Start: at, End: at,
		Src: netip.MustParseAddr(p.from), Dst: netip.MustParseAddr(p.to), SrcPort: 50_000, DstPort: p.port, Protocol: 6, TCPFlags: 2,
		Packets: 1, Bytes: 40, Has: flow.HasProtocol | flow.HasPackets | flow.HasBytes | flow.HasSrcPort | flow.HasDstPort | flow.HasTCPFlags,
	}
}

// scenario is an evening of probes of which four are to be found: a swarm, twice two addresses
// in step, and one that tries many hosts, so that its contacts are folded. The others are not:
// fifteen ports in step, one address that two exporters see, and two that merely overlap.
func scenario() (all []probe) {
	minute, second := time.Minute, time.Second
	for i := range 240 { // over three hours
		all = append(all, probe{time.Duration(i) * 45 * second, fmt.Sprintf("198.18.%d.%d", i/200, 1+i%200), "10.0.0.25", 25, 1})
	}
	for i := range 17 { // across a full hour
		at := 50*minute + time.Duration(i)*70*second
		all = append(all, probe{at, "203.0.113.21", "10.0.0.5", uint16(444 + 3*i), 1}, probe{at + second, "203.0.113.22", "10.0.0.5", uint16(444 + 3*i), 2})
	}
	for i := range 15 {
		at := 20*minute + time.Duration(i)*90*second
		all = append(all, probe{at, "203.0.113.31", "10.0.0.6", uint16(700 + i), 1}, probe{at + second, "203.0.113.32", "10.0.0.6", uint16(700 + i), 1})
	}
	for i := range 30 {
		at := 30*minute + time.Duration(i)*41*second
		all = append(all, probe{at, "203.0.113.41", "10.0.0.7", uint16(800 + i), 1}, probe{at, "203.0.113.41", "10.0.0.7", uint16(800 + i), 2})
	}
	for i := range 60 { // of sixty ports each, the seconds of twenty happen to be the same
		at := 40*minute + time.Duration(i)*21*second
		all = append(all, probe{at, "203.0.113.51", "10.0.0.8", uint16(900 + i), 1})
		if i%3 > 0 {
			at += 7 * second
		}
		all = append(all, probe{at, "203.0.113.52", "10.0.0.8", uint16(900 + i), 1})
	}
	for i := range 70 { // in step for twenty ports, and no more afterwards
		at := 40*minute + time.Duration(i)*15*second
		all = append(all, probe{at, "203.0.113.71", "10.0.0.9", uint16(1000 + i), 1}, probe{at + time.Duration(i/20)*5*second, "203.0.113.72", "10.0.0.9", uint16(1000 + i), 1})
	}
	for i := range 900 {
		all = append(all, probe{65*minute + time.Duration(i)*second, "203.0.113.61", fmt.Sprintf("10.0.%d.%d", 1+i/200, 1+i%200), 22, 1})
	}
	slices.SortStableFunc(all, func(a, b probe) int { return cmp.Compare(a.at, b.at) })
	return all
}

// foldedRule counts flows of contacts that the table of an interval folds.
const foldedRule = `
name: many_tries
title: Many tries of one address
over: contacts
where: {direction: inbound, service_port: 22}
correlation: {type: event_count, group-by: [outside], timespan: 1h, condition: {gte: 200}}
`

// A quickDisk does not wait until files are on the disk: power does not fail here.
type quickDisk struct{ disk.OS }

type quickFile struct{ disk.File }

func (quickFile) Sync() error { return nil }

func (d quickDisk) Open(path string) (disk.File, error) { return d.OpenFile(path, os.O_RDONLY, 0) }

func (d quickDisk) OpenFile(path string, flag int, mode fs.FileMode) (disk.File, error) {
	f, err := d.OS.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	return quickFile{f}, nil
}

// A machine is an instance as far as contacts are concerned: workers, history, rules.
type machine struct {
	t       *testing.T
	workers int
	flush   time.Duration
	world   *world
	history *history.History
	rules   *Contacts
	taps    []collect.Tap
	levels  map[file.Level]bool // of the files that there were
}

// start starts a machine now.
func (m *machine) start() {
	m.levels = make(map[file.Level]bool)
	extra, bad := rule.Read("many_tries", []byte(foldedRule))
	if len(bad) > 0 {
		m.t.Fatal(bad)
	}
	rules, bad := rule.Check(append(shipped(m.t, "swarm", "lockstep"), extra...))
	if len(bad) > 0 {
		m.t.Fatal(bad)
	}
	m.world = &world{t: m.t, dir: m.t.TempDir(), now: noon}
	cfg := history.DefaultConfig()
	cfg.Flush, cfg.MaxBytes, cfg.MaxContacts, cfg.MaxContacts6 = m.flush, 1e9, 4096, 1024
	m.history = history.New(cfg, history.Deps{
		Root: m.root(), Disk: quickDisk{}, Program: "test", Home: "10.0.0.0/8", Sites: []string{""},
		Homes: []home.Home{home.New(home.NewNetworks([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}), nil)},
		Now:   time.Now, Unsynced: func() bool { return false },
		Space: func(string) (uint64, uint64, error) { return 50e9, 100e9, nil },
	})
	if err := m.history.Start(); err != nil {
		m.t.Fatal(err)
	}
	for range m.workers {
		m.taps = append(m.taps, m.history.Tap())
	}
	m.rules = NewContacts(ContactsConfig{
		Engine:  detect.Config{Over: rule.Contacts, Rules: rules, MaxGroups: 10_000, MaxBytes: 16 << 20},
		History: m.history, FS: quickDisk{}, Path: filepath.Join(m.world.dir, "contacts"), Learn: 24 * time.Hour, Now: time.Now,
	}, m.world.raised())
	m.rules.Start()
}

func (m *machine) root() string { return filepath.Join(m.world.dir, "history") }

// look looks which levels of files there are.
func (m *machine) look() {
	names, err := filepath.Glob(filepath.Join(m.root(), "*", "*", "*", "*"))
	if err != nil {
		m.t.Error(err)
	}
	for _, path := range names {
		if n, err := file.ParseName(filepath.Base(path)); err == nil {
			m.levels[n.Level] = true
		}
	}
}

// stop stops it, and gives what the rules have found: the last alert of each group, without its
// time.
func (m *machine) stop() (found []string) {
	if s := m.rules.Stats(); s.Errors > 0 || len(s.Read.Bad) > 0 || time.Since(s.Until) > m.flush+time.Minute {
		m.t.Errorf("%+v", s)
	}
	if err := errors.Join(m.rules.Stop(context.Background()), m.history.Stop(context.Background())); err != nil {
		m.t.Error(err)
	}
	last := make(map[string]string)
	for _, a := range m.world.sent {
		text := fmt.Sprint(a.ID, " ", a.Rule.Name, a.Group, a.Threshold)
		if a.Rule.Name == "swarm" { // the counts of others are those of the moment at which they had grown enough
			text += fmt.Sprint(" ", a.Count, a.Sources, a.Histogram)
		}
		last[fmt.Sprint(a.Rule.Name, a.Group)] = text
	}
	return slices.Sorted(maps.Values(last))
}

// TestSameAlerts: contacts raise the same alerts with however many workers, however often
// tables are written, and while files are merged.
func TestSameAlerts(t *testing.T) {
	if os.Getenv("RULES_EVENING") == "" {
		// In a process of its own: the reader of files keeps goroutines for whoever is next,
		// and those of a bubble can serve nobody else.
		cmd := exec.Command(os.Args[0], "-test.run=^TestSameAlerts$", "-test.v")
		cmd.Env = append(os.Environ(), "RULES_EVENING=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestSameAlerts") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20*time.Hour + 3*time.Minute + 300*time.Millisecond) // so that midnight comes, and a day is merged
		machines := []*machine{{workers: 1, flush: 10}, {workers: 2, flush: 1}, {workers: 8, flush: 60}}
		for _, m := range machines {
			m.t, m.flush = t, m.flush*time.Minute
			m.start()
		}
		evening(machines)
		var first []string
		for i, m := range machines {
			found := m.stop()
			if !m.levels[file.Flush] || m.flush < time.Hour && (!m.levels[file.Hour] || !m.levels[file.Day]) { // of few files none are merged
				t.Errorf("%d workers, %s: levels of files %v", m.workers, m.flush, m.levels)
			}
			if i == 0 {
				if first = found; len(first) != 4 {
					t.Errorf("%q", first)
				}
			}
			if !slices.Equal(found, first) {
				t.Errorf("%d workers, %s:\n%s\ninstead of\n%s", m.workers, m.flush, strings.Join(found, "\n"), strings.Join(first, "\n"))
			}
		}
	})
}

// evening has all machines see the scenario.
func evening(machines []*machine) {
	probes, begin := scenario(), time.Now()
	var s decode.Set
	for n := 0; n < 5*3600; n++ {
		for ; len(probes) > 0 && !begin.Add(probes[0].at).After(time.Now()); probes = probes[1:] {
			s.Fill([]flow.Record{probes[0].record(begin)})
			for _, m := range machines {
				m.taps[len(probes)%m.workers].Records(&s)
			}
		}
		for _, m := range machines {
			for _, tap := range m.taps {
				tap.(collect.Flusher).Flush()
			}
			if n%(5*60) == 0 {
				m.look()
			}
		}
		time.Sleep(time.Second)
	}
	synctest.Wait()
}
