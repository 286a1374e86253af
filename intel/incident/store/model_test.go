package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
)

// A model is what a store must have, kept in plain maps: every event once, whenever it comes.
type model struct {
	seen  map[string]event.Event        // by contact and number
	top   map[uuid.UUID]event.Event     // the event of each contact with the highest number
	of    map[netip.Addr][]uuid.UUID    // contacts of an offender
	days  map[netip.Addr]map[int32]bool // of an offender
	hosts map[netip.Addr]map[netip.Addr]bool
}

func newModel() *model {
	return &model{map[string]event.Event{}, map[uuid.UUID]event.Event{}, map[netip.Addr][]uuid.UUID{}, map[netip.Addr]map[int32]bool{},
		map[netip.Addr]map[netip.Addr]bool{}}
}

func (m *model) add(e event.Event) {
	contact, seq := e.Contact, e.Seq
	if e.Retro {
		contact, seq = e.ID, 1
	}
	k := fmt.Sprint(contact, seq)
	if _, ok := m.seen[k]; ok {
		return
	}
	m.seen[k] = e
	if t, ok := m.top[contact]; !ok {
		m.of[e.Offender] = append(m.of[e.Offender], contact)
		m.top[contact] = e
	} else if seq > t.Seq {
		m.top[contact] = e
	}
	if m.days[e.Offender] == nil {
		m.days[e.Offender], m.hosts[e.Offender] = map[int32]bool{}, map[netip.Addr]bool{}
	}
	m.days[e.Offender][incident.DayOf(e.Time)] = true
	if e.Retro {
		m.days[e.Offender][incident.DayOf(e.ContactFirstSeen)] = true
	}
	m.hosts[e.Offender][e.Local] = true
}

// want gives what is known of an offender.
func (m *model) want(o netip.Addr) (x incident.Incident) {
	x.Contacts, x.Days, x.Hosts = uint64(len(m.of[o])), len(m.days[o]), len(m.hosts[o])
	for _, c := range m.of[o] {
		e := m.top[c]
		x.Flows += e.Flows
		x.BytesIn += e.Bytes
		x.PacketsIn += e.Packets
	}
	for _, e := range m.seen {
		if e.Offender != o {
			continue
		}
		x.Answered = x.Answered || e.Answered == event.AnsweredYes
		x.Retro = x.Retro || e.Retro
		x.Worst = max(x.Worst, e.Severity)
		if e.Silenced != "" {
			x.Silenced++
		}
		if x.First.IsZero() || e.ContactFirstSeen.Before(x.First) {
			x.First = e.ContactFirstSeen
		}
		if e.Time.After(x.Last) {
			x.Last = e.Time
		}
	}
	return x
}

// modelEvents makes the events of some contacts over some days, as they come out of the two
// lanes: the urgent ones first, some a second time.
func modelEvents(r *rand.Rand, n int) []event.Event {
	var ordinary, urgent []event.Event
	for range n {
		offender, local := fmt.Sprintf("203.0.113.%d", r.IntN(20)), fmt.Sprintf("10.0.0.%d", r.IntN(6))
		at := time.Duration(r.IntN(6*24*3600)) * time.Second
		e := hit(0, offender, local, at)
		e.Contact = uuid.Must(uuid.NewV7())
		if r.IntN(10) == 0 {
			e.Retro, e.Contact, e.Seq = true, uuid.UUID{}, 0
			e.ContactFirstSeen = e.Time.Add(-time.Duration(r.IntN(5*24)) * time.Hour)
			e.Flows = uint64(1 + r.IntN(9))
			ordinary = append(ordinary, e)
			continue
		}
		for seq := range uint32(1 + r.IntN(6)) {
			if seq > 0 {
				at += time.Duration(r.IntN(20*3600)) * time.Second
				e = update(e, seq+1, e.Flows+uint64(r.IntN(5)), at)
			}
			e.Severity = event.Severity(r.IntN(4))
			e.Silenced = []string{"", "", "abcdefgh"}[r.IntN(3)]
			if r.IntN(5) == 0 {
				e.Answered = event.AnsweredYes
			}
			if e.Severity >= event.High {
				urgent = append(urgent, e)
			} else {
				ordinary = append(ordinary, e)
			}
		}
	}
	all := append(urgent, ordinary...)
	for range len(all) / 4 {
		all = append(all, all[r.IntN(len(all))])
	}
	for range len(all) / 2 { // and some out of order
		i, j := r.IntN(len(all)), r.IntN(len(all))
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// TestModel holds a store equal to the model, whatever comes in whatever order, in batches
// of any size that are sometimes committed twice, and over a restart.
func TestModel(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		r := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
		m := newModel()
		s := open(t, cfg)
		for range 4 {
			events := modelEvents(r, 60)
			for len(events) > 0 {
				n := min(1+r.IntN(60), len(events))
				var b batch.Batch
				for i := range events[:n] {
					b.Add(&events[i])
					m.add(events[i])
				}
				for range 1 + r.IntN(2) {
					if _, err := s.Commit(t.Context(), &b); err != nil {
						t.Fatal(err)
					}
				}
				events = events[n:]
			}
			m.check(t, s)
			if err := s.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			s = open(t, cfg)
			m.check(t, s)
		}
	})
}

// check compares every incident, and holds that rows of days, hosts and services add up.
func (m *model) check(t *testing.T, s *Store) {
	t.Helper()
	for o := range m.of {
		x, want := get(t, s, o.String()), m.want(o)
		if x.Flows != want.Flows || x.BytesIn != want.BytesIn || x.PacketsIn != want.PacketsIn || x.Contacts != want.Contacts || x.Days != want.Days ||
			x.Hosts != want.Hosts || x.Answered != want.Answered || x.Retro != want.Retro || x.Worst != want.Worst || x.Silenced != want.Silenced ||
			x.First.Unix() != want.First.Unix() || x.Last.Unix() != want.Last.Unix() {
			t.Fatalf("%s: got %+v, want %+v", o, x, want)
		}
		for _, table := range []string{"incident_day", "incident_host", "incident_service"} {
			var rows int
			var flows uint64
			if err := s.db.Read().QueryRow("SELECT count(*), sum(flows) FROM "+table+" WHERE incident = $1", x.ID).Scan(&rows, &flows); err != nil {
				t.Fatal(err)
			}
			if flows != x.Flows || table == "incident_day" && rows != x.Days {
				t.Fatalf("%s: %s has %d flows in %d rows, the incident %d, and %d days", o, table, flows, rows, x.Flows, x.Days)
			}
		}
	}
	var inDays, inHosts uint64
	if err := s.db.Read().QueryRow("SELECT (SELECT sum(flows) FROM incident_day), (SELECT sum(flows) FROM host_day)").Scan(&inDays, &inHosts); err != nil || inDays != inHosts {
		t.Fatal(inDays, inHosts, err)
	}
}
