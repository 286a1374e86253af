//go:build integration || soak

package incidents

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// away is how long the server is away while events come.
var away = 5 * time.Second

// TestPostgreSQL runs on a server of its own the tests that otherwise run on SQLite alone.
func TestPostgreSQL(t *testing.T) {
	s := newServer(t)
	s.run(t, "start")
	t.Cleanup(func() { s.run(t, "stop") })
	// Of the store, all tests that run on both; of the intake, those of PostgreSQL alone.
	// One package at a time: those of the intake stop the server.
	test := exec.Command("go", "test", "-p=1", "-count=1", "-timeout", "25m", "-v", "-run", "/postgres|Postgres",
		"./intel/incident/store", "./intel/incident/intake")
	test.Dir = "../../.."
	test.Env = append(os.Environ(), "FLOWSNITCH_POSTGRES="+s.url, "FLOWSNITCH_POSTGRES_STOP="+s.command("stop"),
		"FLOWSNITCH_POSTGRES_START="+s.command("start"), "FLOWSNITCH_POSTGRES_AWAY="+away.String())
	out, err := test.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"TestCommit/postgres", "TestBeat/postgres", "TestPostgresKill", "TestPostgresAway"} {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not run", name)
		}
	}
	t.Logf("%s", out)
}

// A server is PostgreSQL in a directory, of the user postgres: it refuses to run as root.
type server struct {
	bin, dir, url string
	port          int
}

func newServer(t *testing.T) *server {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Fatal("there is no PostgreSQL in /usr/lib/postgresql: install the package postgresql")
	}
	slices.Sort(found)
	dir, err := os.MkdirTemp("", "flowsnitch-postgresql-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	own(t, dir)
	s := &server{bin: found[len(found)-1], dir: dir, port: instance.FreePort(t)}
	s.url = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
	s.shell(t, fmt.Sprintf("%s/initdb -D %s/data -A trust -E UTF8 --locale=C", s.bin, s.dir))
	return s
}

// own gives a directory to the user postgres.
func own(t *testing.T, dir string) {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
}

// command gives the command of a shell that starts the server, or stops it as a crash does.
func (s *server) command(what string) string {
	ctl := fmt.Sprintf("%s/pg_ctl -D %s/data -w -s", s.bin, s.dir)
	if what == "stop" {
		ctl += " -m immediate stop"
	} else {
		ctl += fmt.Sprintf(" -l %s/log -o '-p %d -c listen_addresses=127.0.0.1 -k %s' start", s.dir, s.port, s.dir)
	}
	return `su postgres -s /bin/sh -c "` + ctl + ` </dev/null >/dev/null 2>&1"`
}

func (s *server) run(t *testing.T, what string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", s.command(what)).CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		t.Fatalf("%s: %v\n%s\n%s", what, err, out, log)
	}
}

func (s *server) shell(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("su", "postgres", "-s", "/bin/sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}
