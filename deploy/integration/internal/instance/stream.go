//go:build linux && (integration || soak)

package instance

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// FreeUDP gives an address of loopback that nobody listens on.
func FreeUDP(t testing.TB) string {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

// Offenders are what the flows of Generate go to, Home is where they come from.
const (
	Offenders = "62.0.0.0/20"
	Home      = "10.0.0.0/8"
)

// Generate starts to send flows, of which every one is a hit of a contact of its own, at
// a rate a second. The process ends by itself.
func (i *Instance) Generate(t testing.TB, flows, rate int) *exec.Cmd {
	t.Helper()
	args := slices.Concat(i.Prefix, []string{Binary(t, "flowgen"), "--to", i.Address(t), "--version", "v9", "--home", Home, "--hits", "1",
		"--hit-list", Offenders, "--flows", strconv.Itoa(flows), "--count", strconv.Itoa(flows), "--rate", strconv.Itoa(rate)})
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// A StreamStatus is what a test of the way from the socket to the sinks reads.
type StreamStatus struct {
	Listeners []struct {
		KernelDrops uint64 `json:"kernel_drops"`
	} `json:"listeners"`
	Hits struct {
		Found     uint64 `json:"found"`
		QueueFull uint64 `json:"hit_queue_full"`

		Correlator struct {
			HitEvents uint64 `json:"hit_events"`
		} `json:"correlator"`
	} `json:"hits"`
	Journal struct {
		DroppedFull uint64 `json:"dropped_full"`
		DroppedOld  uint64 `json:"dropped_old"`
	} `json:"journal"`
	Sinks []struct {
		Name    string `json:"name"`
		Pending uint64 `json:"pending"`
		Dropped uint64 `json:"dropped"`
		Failed  uint64 `json:"failed"`
	} `json:"sinks"`
}

// LostNothing makes sure that the decode side has lost nothing.
func (i *Instance) LostNothing(t testing.TB) (s StreamStatus) {
	t.Helper()
	if !i.Status(t, &s) || len(s.Listeners) == 0 {
		return s
	}
	if s.Listeners[0].KernelDrops != 0 || s.Hits.QueueFull != 0 {
		t.Errorf("the decode side lost something: %+v", s)
	}
	return s
}

// Drained waits until no sink has anything waiting.
func (i *Instance) Drained(t testing.TB) (s StreamStatus) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		s = StreamStatus{}
		waiting := uint64(0)
		if i.Status(t, &s) && len(s.Sinks) > 0 {
			for _, k := range s.Sinks {
				waiting += k.Pending
			}
			if waiting == 0 {
				return s
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("events still wait: %+v", s)
		}
	}
}

// An Account is the hits of one place: per offender the ids in order of their first
// occurrence, those of high and critical severity apart, as they are a lane of the
// journal of their own, and how many came again.
type Account struct {
	IDs    map[string][]string // by offender and lane
	Seen   map[string]bool
	Double int
}

// start is how every event begins.
const start = `{"integration"`

// AccountOf takes the id and the offender of every hit out of lines of JSON. Half a line
// is an error, unless torn is set because the writer was killed: then what another one has
// appended to it counts.
func AccountOf(t testing.TB, in io.Reader, torn bool) Account {
	t.Helper()
	a := Account{IDs: make(map[string][]string), Seen: make(map[string]bool)}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		begin := strings.LastIndex(line, start)
		whole := begin == 0 && strings.HasSuffix(line, "}")
		if !whole && !torn {
			t.Errorf("half a line: %q", line)
		}
		if begin < 0 || !strings.HasSuffix(line, "}") {
			continue
		}
		line = line[begin:]
		if !strings.Contains(line, `"kind":"hit"`) {
			continue
		}
		id, offender := field(line, `"id":"`), field(line, `"offender":"`)
		if a.Seen[id] {
			a.Double++
			continue
		}
		a.Seen[id] = true
		if s := field(line, `"severity":"`); s == "high" || s == "critical" {
			offender += ", urgent"
		}
		a.IDs[offender] = append(a.IDs[offender], id)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return a
}

func field(line, key string) string {
	_, rest, _ := strings.Cut(line, key)
	value, _, _ := strings.Cut(rest, `"`)
	return strings.Clone(value)
}

// AccountOfFile is AccountOf for a file.
func AccountOfFile(t testing.TB, path string, torn bool) Account {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return AccountOf(t, f, torn)
}

// Logged is the account of the hit log.
func (i *Instance) Logged(t testing.TB) Account {
	t.Helper()
	return AccountOfFile(t, filepath.Join(i.Dir, "hits.json"), false)
}

// Compare makes sure that another place has the same hits, in the same order for each
// offender.
func (a Account) Compare(t testing.TB, place string, other Account) {
	t.Helper()
	for offender, ids := range a.IDs {
		if !slices.Equal(ids, other.IDs[offender]) {
			t.Errorf("offender %s: %d events in the log, %d in %s, or in another order", offender, len(ids), len(other.IDs[offender]), place)
		}
	}
	if len(a.Seen) != len(other.Seen) {
		t.Errorf("%d events in the log, %d in %s", len(a.Seen), len(other.Seen), place)
	}
}
