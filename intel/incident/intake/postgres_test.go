package intake

import (
	"context"
	"database/sql"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
)

// A server that the test may stop: commands of a shell. How long it is away is a duration,
// three seconds without it.
const (
	postgresURL   = "FLOWSNITCH_POSTGRES"
	postgresStop  = "FLOWSNITCH_POSTGRES_STOP"
	postgresStart = "FLOWSNITCH_POSTGRES_START"
	postgresAway  = "FLOWSNITCH_POSTGRES_AWAY"
)

// TestPostgresAway stops the server while events come, and starts it again: the errors are
// shown while it is away, and nothing is lost or counted twice.
func TestPostgresAway(t *testing.T) {
	stop, start := os.Getenv(postgresStop), os.Getenv(postgresStart)
	if stop == "" || start == "" {
		t.Skipf("NOT TESTED: %s, %s and %s are not set", postgresURL, postgresStop, postgresStart)
	}
	away, err := time.ParseDuration(os.Getenv(postgresAway))
	if err != nil {
		away = 3 * time.Second
	}
	cfg := store.DefaultConfig("")
	cfg.Database = newDatabase(t)
	j, r, s := killSetup(t, t.TempDir(), cfg)
	last := map[int]uint32{}
	load := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
			c := len(last)
			if c >= killContacts {
				c = int(time.Now().UnixNano() % killContacts)
			}
			last[c]++
			if err := j.Append([]event.Event{killEvent(c, last[c])}); err != nil {
				t.Fatal(err)
			}
		}
	}
	shell := func(command string) {
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	load(time.Second)
	shell(stop)
	load(away)
	if st := r.Stats(); st.Errors == 0 || st.Pending == 0 {
		t.Errorf("the server is away, and the runner has %+v", st)
	}
	shell(start)
	load(time.Second)
	waitFor(t, func() bool { return r.Stats().Pending == 0 && r.Stats().Held == 0 })
	for o := range killContacts / 8 {
		flows := uint64(0)
		for c := 8 * o; c < 8*o+8; c++ {
			flows += 3 * uint64(last[c])
		}
		if flows == 0 {
			continue
		}
		x, err := s.Get(t.Context(), netip.AddrFrom4([4]byte{203, 0, 113, byte(o)}))
		if err != nil || x.Flows != flows {
			t.Fatalf("got %+v, %v, want %d flows", x, err, flows)
		}
	}
	t.Logf("away for %v; runner %+v", away, r.Stats())
	if err := r.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := j.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// newDatabase makes a PostgreSQL database of the test's own.
func newDatabase(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(os.Getenv(postgresURL))
	if err != nil {
		t.Fatal(err)
	}
	do := func(statement string) {
		admin, err := sql.Open("pgx", u.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = admin.Close() }()
		if _, err := admin.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	name := "flowsnitch_" + uuid.NewString()[:8]
	do("CREATE DATABASE " + name)
	t.Cleanup(func() { do("DROP DATABASE " + name + " WITH (FORCE)") })
	own := *u
	own.Path = "/" + name
	return own.String()
}
