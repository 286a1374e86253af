package app_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"go.uber.org/zap"
)

// TestHitLogFaults does to the directory of a hit log what people and their tools do, while
// hits come: all files together have what a hit log that was left alone has, every line
// whole and once.
func TestHitLogFaults(t *testing.T) {
	for name, do := range map[string]func(f *hitLog){
		"renamed":           func(f *hitLog) { f.move(f.path, filepath.Join(f.dir, fmt.Sprintf("hits.%d", len(f.old)))) },
		"removed":           func(f *hitLog) { f.move(f.path, f.path+".gone"); f.remove(f.path + ".gone") },
		"directory renamed": func(f *hitLog) { f.move(f.dir, f.dir+fmt.Sprint(len(f.old))) },
		"directory removed": func(f *hitLog) { f.move(f.dir, f.dir+".gone"); f.remove(f.dir + ".gone") },
		"directory is a file": func(f *hitLog) {
			f.move(f.dir, f.dir+fmt.Sprint(len(f.old)))
			if os.WriteFile(f.dir, nil, 0o600) == nil { // else the log was faster
				f.send(50)
				_ = os.Remove(f.dir)
			}
		},
		"reloaded": func(f *hitLog) {
			for range 50 {
				if err := f.app.Reload(); err != nil {
					f.t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newHitLog(t)
			for range 20 { // 1,000 reloads
				f.send(50)
				do(f)
			}
			f.send(50)
			f.settle()
			want := lines(t, f.reference)
			for _, o := range f.old {
				f.got = append(f.got, lines(t, o)...)
			}
			f.got = append(f.got, lines(t, f.path)...)
			if !slices.Equal(f.got, want) || len(want) != f.sent {
				t.Errorf("%d hits sent, %d in the log that was left alone, %d in the files of the other one, or not in order", f.sent, len(want), len(f.got))
			}
		})
	}
}

// A hitLog is an app with two hit logs, of which one is treated badly.
type hitLog struct {
	t                    *testing.T
	app                  *app.App
	dir, path, reference string
	old                  []string // files that were moved away, the oldest first
	got                  []string // lines of files that are gone
	sent                 int
	conn                 net.Conn
	enc                  *synth.Encoder
}

func newHitLog(t *testing.T) *hitLog {
	t.Helper()
	state := stateDir(t)
	f := &hitLog{t: t, dir: filepath.Join(state, "log"), reference: filepath.Join(state, "reference.json")}
	f.path = filepath.Join(f.dir, "hits.json")
	f.app = app.New(config(t, state, fmt.Sprintf(`
listen: [{udp: "127.0.0.1:0"}]
canary: {every: 0s}
sinks:
  - jsonlog: {path: %s, rotate: none}
    delivery: {backoff_min: 1ms, backoff_max: 2ms}
  - jsonlog: {path: %s, rotate: none}
`, f.path, f.reference)), app.Options{}, zap.NewNop())
	if err := f.app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.app.Stop() })
	var err error
	if f.conn, err = net.Dial("udp", f.app.Status().Listeners[0].Address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.conn.Close() })
	if f.enc, err = synth.NewEncoder(synth.Config{Version: flow.V5}); err != nil {
		t.Fatal(err)
	}
	return f
}

// send sends flows of which each is a hit of its own, and waits until they are events.
// What becomes of these goes on meanwhile.
func (f *hitLog) send(n int) {
	f.t.Helper()
	for range n {
		f.sent++
		local := netip.AddrFrom4([4]byte{10, 0, byte(f.sent >> 8), byte(f.sent)})
		contact := synth.Flow{Src: local, Dst: netip.MustParseAddr("203.0.113.9"), SrcPort: 40000, DstPort: 443, Protocol: 6, Packets: 5, Bytes: 500}
		d, _, err := f.enc.Encode(nil, []synth.Flow{contact}, time.Now())
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := f.conn.Write(d); err != nil {
			f.t.Fatal(err)
		}
	}
	f.until("the hits are events", func(s *app.Status) bool { return s.Journal.Appended >= uint64(f.sent) })
}

func (f *hitLog) until(what string, done func(*app.Status) bool) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s := f.app.Status()
		if done(&s) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("not within %v: %s; %+v", patience, what, s.Sinks)
		}
	}
}

// settle waits until both logs have everything.
func (f *hitLog) settle() {
	f.t.Helper()
	f.until("nothing waits", func(s *app.Status) bool {
		for _, k := range s.Sinks {
			if k.Dropped+k.Failed > 0 {
				f.t.Fatalf("lost: %+v", k)
			}
		}
		return s.Sinks[0].Pending+s.Sinks[1].Pending == 0
	})
}

// move renames the log or its directory, if there is one: after the last move there may be
// none yet.
func (f *hitLog) move(from, to string) {
	f.t.Helper()
	if err := os.Rename(from, to); os.IsNotExist(err) {
		return
	} else if err != nil {
		f.t.Fatal(err)
	}
	file := to
	if from == f.dir {
		file = filepath.Join(to, filepath.Base(f.path))
	}
	f.old = append(f.old, file)
}

// remove removes what was moved away, and notes what a reader that follows the file sees of
// it: the log may write there until it looks at the path again.
func (f *hitLog) remove(path string) {
	f.t.Helper()
	if n := len(f.old); n > 0 && strings.HasPrefix(f.old[n-1], path) {
		f.settle()
		f.got = append(f.got, lines(f.t, f.old[n-1])...)
		f.old = f.old[:n-1]
	}
	if err := os.RemoveAll(path); err != nil {
		f.t.Fatal(err)
	}
}

// lines gives the identities of the hits in a file, which may not be there. Half a line is
// an error.
func lines(t *testing.T, path string) (ids []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, `{"integration":"flowsnitch"`) || !strings.HasSuffix(line, "}\n") || strings.Count(line, `"integration"`) != 1 {
			t.Errorf("half a line in %s: %q", path, line)
		}
		_, id, _ := strings.Cut(line, `"id":"`)
		ids = append(ids, id[:36])
	}
	return ids
}
