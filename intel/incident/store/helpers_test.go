package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
)

// postgresURL names a PostgreSQL server where the tests may make databases.
const postgresURL = "FLOWSNITCH_POSTGRES"

// t0 is when the tests begin.
var t0 = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// each runs a test on SQLite, and on PostgreSQL where there is one.
func each(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, DefaultConfig(filepath.Join(t.TempDir(), "incidents.db")))
	})
	t.Run("postgres", func(t *testing.T) {
		cfg := DefaultConfig("")
		cfg.Database = newDatabase(t)
		test(t, cfg)
	})
}

// newDatabase makes a PostgreSQL database of the test's own.
func newDatabase(t *testing.T) string {
	t.Helper()
	url := os.Getenv(postgresURL)
	if url == "" {
		t.Skipf("NOT TESTED on PostgreSQL: %s is not set (postgres://user@host/postgres, of a user who may make databases)", postgresURL)
	}
	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	name := "flowsnitch_" + uuid.NewString()[:8]
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := admin.Exec("DROP DATABASE " + name + " WITH (FORCE)")
		if err != nil {
			t.Error(err)
		}
		_ = admin.Close()
	})
	return withName(t, url, name)
}

// open opens a store that is closed at the end of the test.
func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// commit writes events in one batch.
func commit(t testing.TB, s *Store, events ...event.Event) Committed {
	t.Helper()
	var b batch.Batch
	for i := range events {
		b.Add(&events[i])
	}
	done, err := s.Commit(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// get gives an incident.
func get(t testing.TB, s *Store, offender string) *incident.Incident {
	t.Helper()
	x, err := s.Get(t.Context(), netip.MustParseAddr(offender))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// act does what somebody decided.
func act(t testing.TB, s *Store, offender string, what incident.Act, text string) *incident.Incident {
	t.Helper()
	x, err := s.Act(t.Context(), incident.Action{Act: what, Offender: netip.MustParseAddr(offender), Author: "ada", Text: text, At: s.cfg.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// id makes an id of a number.
func id(n int) (u uuid.UUID) {
	copy(u[:], fmt.Sprintf("%016d", n))
	return u
}

// hit is the first event of a contact: an unanswered inbound one to port 22.
func hit(contact int, offender, local string, after time.Duration) event.Event {
	when := t0.Add(after)
	o, l := netip.MustParseAddr(offender), netip.MustParseAddr(local)
	return event.Event{
		Kind: event.KindHit, ID: uuid.New(), Time: when, Sensor: "test", Contact: id(contact), Seq: 1, ContactFirstSeen: when,
		Src: o, Dst: l, SrcPort: 50000, DstPort: 22, HasPorts: true, Protocol: 6, HasProtocol: true,
		Offender: o, Local: l, Role: flow.SideSrc, Direction: event.Inbound, Answered: event.AnsweredNo, Severity: event.Low, Score: 20,
		ServicePort: 22, Reason: "scan listed by dshield (60); inbound", Flows: 1, Packets: 2, Bytes: 100, Sampling: 1,
		Exporter: netip.MustParseAddr("192.0.2.1"), Version: flow.V9,
		Indicators: []event.Indicator{{Prefix: netip.PrefixFrom(o, o.BitLen()), Feed: "dshield", Score: 60, Category: "scan", Ref: "https://example.net/", TLP: "white"}},
	}
}

// update is a later event of the contact of e, with so many flows in all.
func update(e event.Event, seq uint32, flows uint64, after time.Duration) event.Event {
	e.Kind, e.ID, e.Seq, e.Time = event.KindUpdate, uuid.New(), seq, t0.Add(after)
	e.Flows, e.Packets, e.Bytes = flows, 2*flows, 100*flows
	return e
}
