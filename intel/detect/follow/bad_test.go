package follow

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/disk/disktest"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// full is a disk without room as long as full is set.
type full struct {
	disktest.Faults
	full bool
}

func newFull() *full {
	f := &full{}
	f.Hook = func(c disktest.Call) error {
		if f.full && c.What == "write" {
			return syscall.ENOSPC
		}
		return nil
	}
	return f
}

// ids gives those of the alerts that were sent, and fails if one was sent twice.
func (w *world) ids() (all []uuid.UUID) {
	w.t.Helper()
	for _, a := range w.sent {
		if slices.Contains(all, a.ID) {
			w.t.Errorf("%s was sent twice", a.ID)
		}
		all = append(all, a.ID)
	}
	return all
}

// TestHitsFullDisk: without room for the state rules go on, the place stays behind, and what is
// judged again after a kill is not sent again.
func TestHitsFullDisk(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon}
	fs := newFull()
	h := w.hitsOn(fs)
	journal := tries(15)
	fs.full = true
	for i := range journal {
		w.now = noon.Add(time.Duration(i) * 10 * time.Second)
		if err := h.Send(context.Background(), journal[i:i+1]); err != nil && i == 0 {
			t.Fatal(err)
		}
	}
	if s := h.Stats(); s.Errors == 0 || s.Error == "" || h.Held() != 15 || len(w.ids()) != 1 {
		t.Errorf("%+v, %d held, %d sent", s, h.Held(), len(w.sent))
	}
	h = w.hitsOn(fs) // killed: all events come again
	if err := h.Send(context.Background(), journal); err != nil || len(w.ids()) != 1 {
		t.Error(err, w.sent)
	}
	fs.full = false
	w.now = w.now.Add(time.Minute)
	if err := h.Send(context.Background(), nil); err != nil || h.Held() != 0 || h.Stats().Error != "" {
		t.Errorf("%v, %d held, %+v", err, h.Held(), h.Stats())
	}
}

// TestBadStateOfHits: of a state that is cut, or has a bit flipped anywhere, or is of a newer
// version, nothing is used, and that is shown; of one of other rules what fits is.
func TestBadStateOfHits(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon}
	h := w.hits()
	if err := h.Send(context.Background(), tries(9)); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, "hits")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) []byte { return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)) }
	newer := slices.Clone(good[:len(good)-4])
	n := binary.BigEndian.Uint32(newer)
	inner := newer[4 : 4+n-4]
	inner[0]++
	binary.BigEndian.PutUint32(newer[n:], crc32.Checksum(inner, castagnoli))
	bad := map[string][]byte{"empty": {}, "newer": sum(newer)}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		i := rnd.IntN(len(good))
		flipped := slices.Clone(good)
		flipped[i] ^= 1 << rnd.IntN(8)
		bad[fmt.Sprint("flipped ", i)] = flipped
		bad[fmt.Sprint("cut ", i)] = good[:i]
	}
	for name, b := range bad {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		h := w.hits()
		if s := h.Stats(); s.Damaged == "" {
			t.Errorf("%s: nothing is shown", name)
		}
		if g := h.engine.Stats().Groups; g != 0 || h.hits.Stats().Contacts != 0 {
			t.Errorf("%s: %d groups", name, g)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	h = w.hits()
	if s := h.Stats(); s.Damaged != "" || h.engine.Stats().Groups == 0 {
		t.Errorf("the good state: %+v", s)
	}
	h = w.hitsOf(disk.OS{}, "fan_in", "same_service")
	if s := h.Stats(); s.Damaged != "" || h.hits.Stats().Contacts != 9 {
		t.Errorf("of other rules: %+v", s)
	}
}

// TestClockOfHits: a clock that was a day ahead does not leave rules blind for a day.
func TestClockOfHits(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), now: noon}
	h := w.hits()
	ahead := tries(1)
	ahead[0].Contact[0], ahead[0].Time = 9, noon.Add(24*time.Hour)
	w.now = ahead[0].Time
	if err := h.Send(context.Background(), ahead); err != nil {
		t.Fatal(err)
	}
	w.now = noon.Add(time.Minute)
	if err := h.Send(context.Background(), tries(10)); err != nil || len(w.sent) != 1 {
		t.Error(err, w.sent)
	}
	if s := h.Stats().Engine; s.Rewound != 1 || s.Late != 0 {
		t.Errorf("%+v", s)
	}
	w.now = noon.Add(48 * time.Hour) // and ahead again: windows are empty, nothing else
	late := tries(9)
	for i := range late {
		late[i].Contact[0], late[i].Time = 8, w.now
	}
	if err := h.Send(context.Background(), late); err != nil || len(w.sent) != 1 {
		t.Error(err, w.sent)
	}
}

// A lockstepWorld follows a history in which two addresses probe a host in step.
type lockstepWorld struct {
	*world
	*past
	fs    disk.FS
	ports int
}

func newLockstepWorld(t *testing.T, fs disk.FS) *lockstepWorld {
	w := &world{t: t, dir: t.TempDir(), now: noon}
	return &lockstepWorld{world: w, past: &past{folder: folder.Open(disk.OS{}, filepath.Join(w.dir, "history"))}, fs: fs}
}

func (w *lockstepWorld) open() *Contacts {
	return NewContacts(ContactsConfig{
		Engine:  detect.Config{Over: rule.Contacts, Rules: shipped(w.t, "lockstep"), MaxGroups: 1000, MaxBytes: 1 << 20},
		History: w.past, FS: w.fs, Path: filepath.Join(w.dir, "contacts"), Learn: 24 * time.Hour, Now: func() time.Time { return w.now },
	}, w.raised())
}

// interval writes ten minutes with so many ports, and lets the rules look.
func (w *lockstepWorld) interval(c *Contacts, ports int) {
	w.t.Helper()
	from := w.now
	var rows []row.Row
	for range ports {
		w.ports++
		at := uint32(from.Unix()) + uint32(w.ports%500)
		for _, outside := range []uint32{198<<24 | 51<<16 | 100<<8 | 21, 203<<24 | 113<<8 | 21} {
			rows = append(rows, row.Row{Outside: flow.Mapped(outside), Inside: flow.Mapped(10<<24 + 5), Protocol: 6,
				Port: uint16(w.ports), Direction: row.Inbound, First: at, Last: at, Flows: 1, Sampling: 1, Hours: 1 << from.Hour()})
		}
	}
	w.now = from.Add(10 * time.Minute)
	w.write(w.t, from, w.now, rows)
	c.follow(context.Background())
}

// TestContactsFullDisk: without room for the state contacts are judged, each hour once, and the
// state is written as soon as there is room.
func TestContactsFullDisk(t *testing.T) {
	fs := newFull()
	w := newLockstepWorld(t, fs)
	c := w.open()
	fs.full = true
	for i := range 18 { // three hours
		ports := 0
		if i > 8 && i < 13 {
			ports = 5
		}
		w.interval(c, ports)
	}
	s := c.Stats()
	if s.Errors == 0 || s.Error == "" || len(w.ids()) != 1 || !s.Until.Equal(w.now) || !c.place.Equal(noon.Add(3*time.Hour)) {
		t.Errorf("%+v, %d sent", s, len(w.sent))
	}
	w.open().follow(context.Background()) // after a kill everything is read again, and nothing sent
	if n := len(w.ids()); n != 1 {
		t.Errorf("%d alerts after a kill", n)
	}
	fs.full = false
	c.follow(context.Background())
	if s := c.Stats(); s.Error != "" || c.unsaved != nil {
		t.Errorf("%+v", s)
	}
	if again := w.open(); !again.place.Equal(c.place) || !bytes.Equal(again.state, c.state) {
		t.Errorf("the state is of %s, want %s", again.place, c.place)
	}
}

// TestBadStateOfContacts: a state that is cut or flipped anywhere is not used; what the history
// has is learnt again.
func TestBadStateOfContacts(t *testing.T) {
	w := newLockstepWorld(t, disk.OS{})
	c := w.open()
	for range 8 {
		w.interval(c, 1)
	}
	path := filepath.Join(w.dir, "contacts")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 5 {
		for _, b := range [][]byte{good[:i], append(append(slices.Clone(good[:i]), good[i]^1<<(i%8)), good[i+1:]...)} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if c := w.open(); c.Stats().Damaged == "" || c.state != nil || !c.place.Equal(w.now.Add(-24*time.Hour).Truncate(time.Hour)) {
				t.Fatalf("byte %d of %d: %+v", i, len(good), c.Stats())
			}
		}
	}
}

// TestClockOfContacts: after a clock that was ahead contacts are judged at once, not when its
// time has come again.
func TestClockOfContacts(t *testing.T) {
	w := newLockstepWorld(t, disk.OS{})
	c := w.open()
	w.interval(c, 2)
	w.now = noon.Add(30 * time.Hour)
	for range 8 {
		w.interval(c, 1)
	}
	w.now = noon.Add(20 * time.Minute)
	for range 5 {
		w.interval(c, 4)
	}
	if n := len(w.ids()); n != 1 {
		t.Errorf("%d alerts, want 1", n)
	}
	if s := c.Stats(); s.Engine.Rewound != 1 || s.Error != "" {
		t.Errorf("%+v", s)
	}
}

// TestErasedHistory: files that go are no trouble for what comes.
func TestErasedHistory(t *testing.T) {
	w := newLockstepWorld(t, disk.OS{})
	c := w.open()
	for range 8 {
		w.interval(c, 1)
	}
	if err := os.RemoveAll(w.folder.Root()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		w.interval(c, 4)
	}
	if s := c.Stats(); len(w.ids()) != 1 || s.Error != "" || s.Errors > 0 {
		t.Errorf("%d alerts, %+v", len(w.sent), s)
	}
}
