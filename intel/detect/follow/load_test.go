package follow

import (
	"context"
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/hits"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// edgeRate is what the profile edge lets each state write: both stay below 100 MB a day.
const edgeRate = 500

// stranger is a hit of an address that comes once.
func stranger(n int, at time.Time) event.Event {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 1<<31|uint32(n)*2_654_435_761)
	id := uuid.UUID{15: 1}
	binary.BigEndian.PutUint32(id[:], uint32(n)*2_654_435_761)
	return event.Event{Kind: event.KindHit, Time: at, Start: at, End: at, Contact: id, Seq: 1, Offender: netip.AddrFrom4(a),
		Local: netip.MustParseAddr("10.0.0.5"), ServicePort: 22, Protocol: 6, Direction: event.Inbound, Answered: event.AnsweredNo, Flows: 1,
		Packets: 3, Bytes: 180, Role: flow.SideSrc}
}

// TestWrittenOfHits: with all the groups and contacts that edge may have, no more is written
// than the rate allows, and the journal keeps no more events than it may, however many come.
func TestWrittenOfHits(t *testing.T) {
	for _, perMinute := range []int{20, 500} {
		w := &world{t: t, dir: t.TempDir(), now: noon}
		h := NewHits(HitsConfig{
			Engine: detect.Config{Over: rule.Hits, Rules: shipped(t, "contact_pair", "contact_source", "services_source", "fan_in"), MaxGroups: 7_500, MaxBytes: 6e6},
			Hits:   hits.Config{MaxContacts: 15_000}, FS: disk.OS{}, Path: filepath.Join(w.dir, "hits"),
			Every: 5 * time.Minute, Rate: edgeRate, MaxHeld: 10_000, Now: func() time.Time { return w.now },
		}, w.raised())
		n, most := 0, 0
		send := func(many int) {
			batch := make([]event.Event, many)
			for i := range batch {
				batch[i] = stranger(n, w.now)
				n++
			}
			if err := h.Send(context.Background(), batch); err != nil {
				t.Fatal(err)
			}
			most = max(most, h.Held())
		}
		send(20_000) // all that there is room for
		began := h.Stats().Written
		const hours = 4
		for minute := range hours * 60 {
			w.now = w.now.Add(time.Minute)
			send(perMinute)
			if minute == 10 { // the state of the beginning was written
				most = 0
			}
		}
		s := h.Stats()
		written := s.Written - began
		t.Logf("%d hits a minute: a state of %d KB, %.0f MB written in a day, at most %d events held; %d groups, %d contacts", perMinute, s.Bytes>>10, float64(written)/1e6*24/hours, most, s.Engine.Groups, s.Hits.Contacts)
		if perMinute == 20 && written > edgeRate*3600*hours+2*uint64(s.Bytes) {
			t.Errorf("%d bytes were written in %d hours", written, hours)
		}
		if most > 10_000+6*perMinute { // and those of Every
			t.Errorf("%d events were held", most)
		}
	}
}

// TestLearning: the past is learnt in the background. Stopped in its middle it goes on from the
// last day, with the same result; nothing of it is alerted, and a large state is not written
// every hour.
func TestLearning(t *testing.T) {
	const days = 6
	w := &world{t: t, dir: t.TempDir(), now: noon}
	p := &past{folder: folder.Open(disk.OS{}, filepath.Join(w.dir, "history"))}
	for at := noon.AddDate(0, 0, -days).Truncate(24 * time.Hour); at.Before(noon); at = at.Add(time.Hour) {
		var rows []row.Row
		for i := range 60 {
			rows = append(rows, row.Row{Outside: flow.Mapped(198<<24 | 18<<16 + uint32(at.Unix()/3600)<<6 + uint32(i)), Inside: flow.Mapped(10<<24 + 5), Protocol: 6,
				Port: 25, Direction: row.Inbound, First: uint32(at.Unix()), Last: uint32(at.Unix()), Flows: 1, Sampling: 1, Hours: 1 << at.Hour()})
		}
		p.write(t, at, at.Add(time.Hour-time.Second), rows)
	}
	p.until = noon
	learn := func(path string, rate int) *Contacts {
		return NewContacts(ContactsConfig{
			Engine:  detect.Config{Over: rule.Contacts, Rules: shipped(t, "swarm", "lockstep"), MaxGroups: 1000, MaxBytes: 1 << 20, Seed: 7},
			History: p, FS: disk.OS{}, Path: filepath.Join(w.dir, path), Learn: days * 24 * time.Hour, Rate: rate, Now: func() time.Time { return w.now },
		}, w.raised())
	}
	whole := learn("whole", 0)
	whole.follow(context.Background())
	want := whole.Stats()
	if want.Error != "" || want.Engine.Observations == 0 || len(w.sent) != 0 || want.Written == 0 {
		t.Fatalf("%+v, %d alerts sent", want, len(w.sent))
	}
	for stop := range 4 { // after so many days
		path := "stopped" + string(rune('0'+stop))
		c := learn(path, 0)
		ctx, cancel := context.WithCancel(context.Background())
		c.cfg.FS = &after{FS: disk.OS{}, n: stop, stop: cancel}
		c.follow(ctx)
		cancel()
		c = learn(path, 0)
		c.follow(context.Background())
		if s := c.Stats(); s.Error != "" || string(c.state) != string(whole.state) {
			t.Errorf("stopped after %d states: %q, or another state than without", stop, s.Error)
		} else if stop > 0 && s.Engine.Observations >= want.Engine.Observations {
			t.Errorf("stopped after %d states: everything was read again", stop)
		}
	}
	slow := learn("slow", 1)
	slow.follow(context.Background())
	if s := slow.Stats(); s.Written != uint64(s.Bytes) || s.Place.After(noon.AddDate(0, 0, 1-days)) || string(slow.state) != string(whole.state) {
		t.Errorf("%d bytes were written of a state of %d", s.Written, s.Bytes)
	}
}

// An after stops after n files were renamed.
type after struct {
	disk.FS
	n    int
	stop func()
}

func (a *after) Rename(from, to string) error {
	err := a.FS.Rename(from, to)
	if a.n--; a.n <= 0 {
		a.stop()
	}
	return err
}
