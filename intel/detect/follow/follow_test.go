package follow

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/file/filetest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/hits"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// shipped are the rules of shipped files.
func shipped(t testing.TB, names ...string) (good []*rule.Rule) {
	t.Helper()
	all := slices.DeleteFunc(rulebook.Shipped(), func(r *rule.Rule) bool {
		return !slices.Contains(names, strings.TrimSuffix(strings.TrimPrefix(r.File, rulebook.ShippedPrefix), ".yml"))
	})
	good, bad := rule.Check(all)
	if len(bad) > 0 || len(good) < len(names) {
		t.Fatal(len(good), bad)
	}
	return good
}

// A world is what a process leaves behind: the state directory, and what the sinks got.
type world struct {
	t     *testing.T
	dir   string
	now   time.Time
	sent  []detect.Alert
	fails error
}

func (w *world) send(alerts []detect.Alert) error {
	if w.fails != nil {
		return w.fails
	}
	w.sent = append(w.sent, alerts...)
	return nil
}

func (w *world) raised() *Raised {
	r, err := OpenRaised(disk.OS{}, filepath.Join(w.dir, "raised"), func() time.Time { return w.now }, w.send)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = r.Close() })
	return r
}

func (w *world) hits() *Hits { return w.hitsOn(disk.OS{}) }

func (w *world) hitsOn(fs disk.FS) *Hits { return w.hitsOf(fs, "contact_pair", "fan_in") }

func (w *world) hitsOf(fs disk.FS, names ...string) *Hits {
	return NewHits(HitsConfig{
		Engine: detect.Config{Over: rule.Hits, Rules: shipped(w.t, names...), MaxGroups: 1000, MaxBytes: 1 << 20},
		Hits:   hits.Config{MaxContacts: 1000}, FS: fs, Path: filepath.Join(w.dir, "hits"),
		Every: 10 * time.Second, Rate: 100_000, Now: func() time.Time { return w.now },
	}, w.raised())
}

// tries are hits of one offender at one host, of contacts of their own.
func tries(n int) (all []event.Event) {
	for i := range n {
		at := noon.Add(time.Duration(i) * time.Second)
		all = append(all, event.Event{Kind: event.KindHit, Time: at, Start: at, End: at, Contact: uuid.UUID{15: byte(i + 1)}, Seq: 1,
			Offender: netip.MustParseAddr("203.0.113.9"), Local: netip.MustParseAddr("10.0.0.5"), ServicePort: uint16(i + 1), Protocol: 6,
			Direction: event.Inbound, Answered: event.AnsweredNo, Flows: 1})
	}
	return all
}

// TestHitsAfterAKill: whenever the process dies, the events that no saved state has come again,
// and each alert is sent once.
func TestHitsAfterAKill(t *testing.T) {
	journal := tries(25)
	for kill := range len(journal) {
		w := &world{t: t, dir: t.TempDir(), now: noon}
		h, place := w.hits(), 0
		for i := range journal {
			w.now = noon.Add(time.Duration(i) * time.Second)
			if err := h.Send(context.Background(), journal[i:i+1]); err != nil {
				t.Fatal(err)
			}
			if place = i + 1 - h.Held(); i == kill {
				break
			}
		}
		h = w.hits() // without a Close
		if err := h.Send(context.Background(), journal[place:]); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(context.Background()); err != nil || h.Held() != 0 {
			t.Fatal(err, h.Held())
		}
		var ids []uuid.UUID
		for _, a := range w.sent {
			ids = append(ids, a.ID)
		}
		if n := len(w.sent); n != 2 || len(slices.Compact(ids)) != n || w.sent[0].Count != 10 || !w.sent[1].Update {
			t.Fatalf("killed after event %d: %d alerts, %v", kill, n, w.sent)
		}
	}
}

// TestHitsWithoutSinks: alerts that cannot be sent are kept, and the place stays behind.
func TestHitsWithoutSinks(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon, fails: errors.New("no room")}
	h := w.hits()
	if err := h.Send(context.Background(), tries(10)); !errors.Is(err, w.fails) {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
	if err := h.Send(context.Background(), nil); !errors.Is(err, w.fails) || h.Held() != 10 || h.Stats().Error == "" {
		t.Fatal(err, h.Held())
	}
	w.fails = nil
	if err := h.Send(context.Background(), nil); err != nil || h.Held() != 0 || len(w.sent) != 1 {
		t.Fatal(err, h.Held(), w.sent)
	}
}

// TestDamagedState: rules begin anew, and that is shown.
func TestDamagedState(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon}
	if err := disk.Replace(disk.OS{}, filepath.Join(w.dir, "hits"), []byte("nonsense of some length"), 0o640); err != nil {
		t.Fatal(err)
	}
	h := w.hits()
	if h.Stats().Damaged == "" {
		t.Error("nothing is shown of a damaged state")
	}
	if err := h.Send(context.Background(), tries(10)); err != nil || len(w.sent) != 1 {
		t.Error(err, w.sent)
	}
}

// TestQuarantine: a rule that raises more than a hundred alerts in an hour is quiet for an hour.
func TestQuarantine(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon}
	r := w.raised()
	one := func(i int) []detect.Alert {
		return []detect.Alert{{ID: uuid.UUID{0: byte(i >> 8), 1: byte(i)}, Rule: &rule.Rule{Name: "loud"}}}
	}
	for i := range 300 {
		if err := r.Raise(one(i)); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.Stats(); s.Sent != MostAlerts || s.Quarantined != 200 || quarantined(r) != 1 {
		t.Errorf("%+v", s)
	}
	w.now = w.now.Add(61 * time.Minute)
	if err := r.Raise(one(1000)); err != nil || r.Stats().Sent != MostAlerts+1 || quarantined(r) != 0 {
		t.Errorf("%v %+v", err, r.Stats())
	}
}

// A past is a history that the test writes.
type past struct {
	folder *folder.Folder
	until  time.Time
}

func (p *past) Folder() *folder.Folder { return p.folder }
func (p *past) Written() time.Time     { return p.until }

// write writes the contacts of an interval.
func (p *past) write(t *testing.T, from, to time.Time, rows []row.Row) {
	t.Helper()
	p.until = to
	if len(rows) == 0 {
		return
	}
	slices.SortFunc(rows, func(a, b row.Row) int { return row.Compare(&a, &b) })
	filetest.Put(t, p.folder.Root(), file.Name{From: from, To: to, Level: file.Flush}, file.Form{Edge: true}, file.Info{}, rows)
}

// TestContactsAfterAKill: two addresses probe a host in step; the process dies after any
// interval, and the alert is sent once.
func TestContactsAfterAKill(t *testing.T) {
	for kill := -1; kill < 12; kill++ {
		w := &world{t: t, dir: t.TempDir(), now: noon}
		p := &past{folder: folder.Open(disk.OS{}, filepath.Join(w.dir, "history"))}
		open := func() *Contacts {
			return NewContacts(ContactsConfig{
				Engine:  detect.Config{Over: rule.Contacts, Rules: shipped(t, "lockstep"), MaxGroups: 1000, MaxBytes: 1 << 20},
				History: p, FS: disk.OS{}, Path: filepath.Join(w.dir, "contacts"), Learn: 24 * time.Hour, Now: func() time.Time { return w.now },
			}, w.raised())
		}
		c := open()
		for i := range 12 { // intervals of ten minutes, five ports in each from 12:40 on
			from := noon.Add(time.Duration(i) * 10 * time.Minute)
			var rows []row.Row
			for port := range 5 {
				at := uint32(from.Add(time.Duration(port) * 100 * time.Second).Unix())
				for _, outside := range []string{"198.51.100.21", "203.0.113.21"} {
					if i >= 4 && i < 8 {
						rows = append(rows, row.Row{Outside: flow.Addr6Of(netip.MustParseAddr(outside)), Inside: flow.Mapped(10<<24 + 5), Protocol: 6,
							Port: uint16(100*i + port), Direction: row.Inbound, First: at, Last: at, Flows: 1, Sampling: 1, Hours: 1 << from.Hour()})
					}
				}
			}
			w.now = from.Add(10 * time.Minute)
			p.write(t, from, w.now, rows)
			c.follow(context.Background())
			if s := c.Stats(); s.Error != "" {
				t.Fatal(s.Error)
			} else if kill < 0 && s.Engine.Observations != uint64(max(0, min(i-3, 4))*10) {
				t.Fatalf("interval %d: %d observations in all, each counts once", i, s.Engine.Observations)
			}
			if i == kill {
				c = open()
			}
		}
		if len(w.sent) != 1 || w.sent[0].Rule.Name != "lockstep" || len(w.sent[0].Sources) != 2 {
			t.Errorf("killed after interval %d: %s", kill, fmt.Sprint(w.sent))
		}
	}
}

// TestContactsOtherRules: other rules leave those that have not changed where they were; one that
// has changed begins anew with the hour that is open, and so does one that has come.
func TestContactsOtherRules(t *testing.T) {
	counts := func(name string, least int) *rule.Rule {
		list, bad := rule.Read(name, fmt.Appendf(nil, "title: x\nname: %s\nover: contacts\ncorrelation: {type: event_count, group-by: [inside], timespan: 2h, condition: {gte: %d}}\n", name, least))
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		return list[0]
	}
	w := &world{t: t, dir: t.TempDir(), now: noon}
	p := &past{folder: folder.Open(disk.OS{}, filepath.Join(w.dir, "history"))}
	lockstep := shipped(t, "lockstep")
	c := NewContacts(ContactsConfig{
		Engine:  detect.Config{Over: rule.Contacts, Rules: append(slices.Clone(lockstep), counts("stays", 35), counts("changes", 1000), counts("goes", 35)), MaxGroups: 1000, MaxBytes: 1 << 20},
		History: p, FS: disk.OS{}, Path: filepath.Join(w.dir, "contacts"), Learn: 24 * time.Hour, Now: func() time.Time { return w.now },
	}, w.raised())
	for i := range 8 { // intervals of ten minutes, five ports in each from 12:40 on
		from := noon.Add(time.Duration(i) * 10 * time.Minute)
		var rows []row.Row
		for port := range 5 {
			at := uint32(from.Add(time.Duration(port) * 100 * time.Second).Unix())
			for _, outside := range []string{"198.51.100.21", "203.0.113.21"} {
				if i >= 4 {
					rows = append(rows, row.Row{Outside: flow.Addr6Of(netip.MustParseAddr(outside)), Inside: flow.Mapped(10<<24 + 5), Protocol: 6,
						Port: uint16(100*i + port), Direction: row.Inbound, First: at, Last: at, Flows: 1, Sampling: 1, Hours: 1 << from.Hour()})
				}
			}
		}
		w.now = from.Add(10 * time.Minute)
		p.write(t, from, w.now, rows)
		if i == 7 {
			if len(w.sent) != 0 {
				t.Fatal(fmt.Sprint(w.sent))
			}
			c.Use(append(slices.Clone(lockstep), counts("stays", 35), counts("changes", 25), counts("comes", 15)))
		}
		c.follow(context.Background())
		if s := c.Stats(); s.Error != "" {
			t.Fatal(s.Error)
		}
	}
	var names []string
	for _, a := range w.sent {
		names = append(names, fmt.Sprint(a.Rule.Name, " ", a.Count))
	}
	slices.Sort(names)
	if got := fmt.Sprint(names); got != "[comes 20 lockstep 20 stays 40]" {
		t.Error(got)
	}
}

// TestNothingOfThePast: what happened before the rules ran is known, and not alerted.
func TestNothingOfThePast(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon}
	p := &past{folder: folder.Open(disk.OS{}, filepath.Join(w.dir, "history"))}
	var rows []row.Row
	for port := range 20 {
		at := uint32(noon.Add(-2*time.Hour + time.Duration(port)*time.Minute).Unix())
		for _, outside := range []string{"198.51.100.21", "203.0.113.21"} {
			rows = append(rows, row.Row{Outside: flow.Addr6Of(netip.MustParseAddr(outside)), Inside: flow.Mapped(10<<24 + 5), Protocol: 6,
				Port: uint16(port + 1), Direction: row.Inbound, First: at, Last: at, Flows: 1, Sampling: 1})
		}
	}
	p.write(t, noon.Add(-2*time.Hour), noon.Add(-time.Hour), rows)
	c := NewContacts(ContactsConfig{
		Engine:  detect.Config{Over: rule.Contacts, Rules: shipped(t, "lockstep"), MaxGroups: 1000, MaxBytes: 1 << 20},
		History: p, FS: disk.OS{}, Path: filepath.Join(w.dir, "contacts"), Learn: 24 * time.Hour, Now: func() time.Time { return w.now },
	}, w.raised())
	c.follow(context.Background())
	if s := c.Stats(); s.Error != "" || s.Read.Rows != 40 || len(w.sent) != 0 || s.Engine.Alerts != 1 {
		t.Errorf("%+v, sent %v", s, w.sent)
	}
}
