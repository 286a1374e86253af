package intake

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
)

// killDir names the directory of the child that TestKill starts, killRounds how often one is
// killed: 3 times without it.
const (
	killDir    = "FLOWSNITCH_TEST_INCIDENTS_DIR"
	killRounds = "FLOWSNITCH_KILLS"
	// Where the database of the child is.
	killPath     = "FLOWSNITCH_TEST_INCIDENTS_PATH"
	killDatabase = "FLOWSNITCH_TEST_INCIDENTS_DATABASE"
)

// killContacts are the contacts that a child has events of, eight for each offender.
const killContacts = 400

// A taker makes a sink of an intake, as the program does.
type taker struct{ *Intake }

func (s taker) Send(ctx context.Context, events []event.Event) error {
	err := s.Intake.Send(ctx, events)
	if taken, ok := errors.AsType[*TakenError](err); ok {
		return &sinks.RetryError{Sent: taken.Taken, Err: err}
	}
	return err
}

// killSetup opens the journal and the store in dir, and joins them.
func killSetup(t *testing.T, dir string, cfg store.Config) (*journal.Journal, *sinks.Runner, *store.Store) {
	t.Helper()
	jc := journal.DefaultConfig()
	jc.Dir, jc.Durability, jc.MaxBytes = filepath.Join(dir, "journal"), journal.Always, 1<<30
	j, report, err := journal.Open(jc)
	if err != nil || report.MissingEvents > 0 || len(report.BadCursors) > 0 {
		t.Fatal(report, err)
	}
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	rc := sinks.DefaultRunnerConfig()
	rc.Batch, rc.BackoffMin, rc.BackoffMax = 40, time.Millisecond, 20*time.Millisecond
	r, err := sinks.NewRunner(j, taker{New(s, Config{Every: 5 * time.Millisecond, MaxContacts: 60, MaxBytes: 1 << 20})}, rc)
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	r.Start()
	return j, r, s
}

// killEvent is the event of a contact with a number. Its totals follow from the number.
func killEvent(contact int, seq uint32) event.Event {
	e := eventtest.Hit()
	e.ID, e.Seq, e.Kind = uuid.New(), seq, event.KindUpdate
	e.Contact = uuid.UUID{6: 0x70, 8: 0x80, 14: byte(contact >> 8), 15: byte(contact)}
	e.Offender = netip.AddrFrom4([4]byte{203, 0, 113, byte(contact / 8)})
	e.Flows, e.Bytes, e.BytesBack = 3*uint64(seq), 500*uint64(seq), 70*uint64(seq)
	e.Severity = event.Severity(rand.IntN(4)) // of both lanes
	return e
}

// killChild appends events until it is killed. It notes what it is about to append, and
// what was.
func killChild(t *testing.T, dir string) {
	last := killNumbers(t, filepath.Join(dir, "begun"))
	begun, done := appendTo(t, filepath.Join(dir, "begun")), appendTo(t, filepath.Join(dir, "done"))
	own := store.DefaultConfig(os.Getenv(killPath))
	own.Database = os.Getenv(killDatabase)
	j, _, _ := killSetup(t, dir, own)
	if _, err := fmt.Fprintln(appendTo(t, filepath.Join(dir, "starts")), 1); err != nil {
		t.Fatal(err)
	}
	for {
		var events []event.Event
		var lines []byte
		for range 1 + rand.IntN(50) {
			c := rand.IntN(killContacts)
			last[c]++
			events = append(events, killEvent(c, last[c]))
			lines = fmt.Appendf(lines, "%d %d\n", c, last[c])
		}
		if _, err := begun.Write(lines); err != nil {
			t.Fatal(err)
		}
		if j.Append(events) != nil {
			continue
		}
		if _, err := done.Write(lines); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	}
}

// killNumbers reads the highest number of each contact.
func killNumbers(t *testing.T, path string) map[int]uint32 {
	t.Helper()
	last := map[int]uint32{}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for l := bufio.NewScanner(bytes.NewReader(b)); l.Scan(); {
		var c int
		var seq uint32
		if n, _ := fmt.Sscan(l.Text(), &c, &seq); n == 2 {
			last[c] = max(last[c], seq)
		}
	}
	return last
}

func appendTo(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !what(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it does not come to an end")
		}
	}
}

// TestKill kills a process with -9 at random moments, again and again over one journal and
// one database: in the end the sums of every contact are those of the journal.
func TestKill(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		killChild(t, dir)
	}
	killAll(t, store.DefaultConfig(filepath.Join(t.TempDir(), "incidents.db")))
}

// TestPostgresKill does the same with PostgreSQL.
func TestPostgresKill(t *testing.T) {
	if os.Getenv(postgresURL) == "" {
		t.Skipf("NOT TESTED on PostgreSQL: %s is not set", postgresURL)
	}
	cfg := store.DefaultConfig("")
	cfg.Database = newDatabase(t)
	killAll(t, cfg)
}

func killAll(t *testing.T, cfg store.Config) {
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv(killRounds)); err == nil {
		rounds = n
	}
	dir := t.TempDir()
	starts := filepath.Join(dir, "starts")
	for range rounds {
		child := exec.Command(os.Args[0], "-test.run=^TestKill$")
		child.Env = append(os.Environ(), killDir+"="+dir, killPath+"="+cfg.Path, killDatabase+"="+cfg.Database)
		var said bytes.Buffer
		child.Stdout, child.Stderr = &said, &said
		before, _ := os.ReadFile(starts)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { now, _ := os.ReadFile(starts); return len(now) > len(before) })
		time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
		_ = child.Process.Kill()
		if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
			t.Fatalf("the child ended by itself: %v, %s", child.ProcessState, &said)
		}
	}
	killCheck(t, dir, cfg)
}

// killContactsOf reads the number of the last event of each contact that the database has.
func killContactsOf(t *testing.T, cfg store.Config) map[int]uint32 {
	t.Helper()
	driver, where := "sqlite", cfg.Path
	if cfg.Database != "" {
		driver, where = "pgx", cfg.Database
	}
	db, err := sql.Open(driver, where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Query("SELECT id, top, flows FROM contact")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	last := map[int]uint32{}
	for rows.Next() {
		var id []byte
		var top, flows int64
		if err := rows.Scan(&id, &top, &flows); err != nil || flows != 3*top {
			t.Fatal(err, top, flows)
		}
		last[int(id[14])<<8|int(id[15])] = uint32(top)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return last
}

// killCheck lets everything arrive, and compares.
func killCheck(t *testing.T, dir string, cfg store.Config) {
	t.Helper()
	j, r, s := killSetup(t, dir, cfg)
	waitFor(t, func() bool { return r.Stats().Pending == 0 && r.Stats().Held == 0 })
	if err := errors.Join(r.Stop(t.Context()), j.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	begun, done := killNumbers(t, filepath.Join(dir, "begun")), killNumbers(t, filepath.Join(dir, "done"))
	counted := killContactsOf(t, cfg)
	events := uint64(0)
	for o := range killContacts / 8 {
		var want incident.Sums
		var least incident.Sums
		contacts, exact := uint64(0), uint64(0)
		for c := 8 * o; c < 8*o+8; c++ {
			top := counted[c]
			if top < done[c] || top > begun[c] {
				t.Errorf("contact %d: event %d is the last, it must be from %d to %d", c, top, done[c], begun[c])
			}
			exact += 3 * uint64(top)
			n, m := uint64(begun[c]), uint64(done[c])
			want.Flows, least.Flows = want.Flows+3*n, least.Flows+3*m
			if n > 0 {
				contacts++
			}
			events += m
		}
		if contacts == 0 {
			continue
		}
		x, err := s.Get(t.Context(), netip.AddrFrom4([4]byte{203, 0, 113, byte(o)}))
		if err != nil {
			t.Fatal(err)
		}
		// What was under way when the process was killed may be in the journal or not.
		if x.Flows < least.Flows || x.Flows > want.Flows || x.Flows != exact || x.BytesOut != x.Flows/3*500 || x.BytesIn != x.Flows/3*70 || x.Contacts > contacts {
			t.Fatalf("%s has %+v of %d contacts, it must be %+v to %+v of %d, and %d flows by its contacts", x.Offender, x.Sums, x.Contacts, least, want, contacts, exact)
		}
	}
	t.Logf("%d events acknowledged by the journal, runner %+v", events, r.Stats())
	if err := s.Close(t.Context()); err != nil || events == 0 {
		t.Error(err, events)
	}
}
