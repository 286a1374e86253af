package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// busy is the status of a carrier: more of everything than a screen has room for, and
// names of hostile people.
func busy() *app.Status {
	now := time.Now()
	s := &app.Status{Version: "1.2.3", Name: "edge\x1b[2J-1", Since: now.Add(-time.Hour)}
	s.Intel.Indicators = 100_000
	s.Decoded.Versions = map[string]app.VersionStatus{"v9": {Datagrams: 1000, Records: 30_000}}
	s.Health = []app.Finding{
		{Check: "feeds", State: app.Warning, Text: "drop is 3 days old (\x1b]0;pwned\x07\n)"},
		{Check: "loss", State: app.OK, Text: "nothing was lost"},
		{Check: "sinks", State: app.Critical, Text: strings.Repeat("kafka cannot deliver ", 20)},
	}
	for i := range 100 {
		e := decode.ExporterStatus{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}
		e.Streams = []decode.StreamStatus{{Version: "v9", Domain: 7, Records: uint64(1000 * i), LastSeen: now}, {Version: "v9", Domain: canary.DomainTest, LastSeen: now}}
		s.Exporters.List = append(s.Exporters.List, e)
		s.Intel.Feeds = append(s.Intel.Feeds, fetch.Status{Name: fmt.Sprint("feed-", i), Entries: i, Taken: now.Add(-90 * time.Minute)})
		s.Sinks = append(s.Sinks, app.SinkStatus{Name: fmt.Sprintf("webhook:https://a-very-long-name.example.net/hooks/%d", i), Sent: 7})
		s.Recent = append(s.Recent, app.RecentEvent{Text: fmt.Sprintf("12:00:00 high 10.0.0.5 -> 62.0.0.%d 漢字 \x9b31m", i)})
	}
	return s
}

// TestScreen: whatever the terminal, all sections are there, what has no room is counted,
// and nothing of a name moves the cursor.
func TestScreen(t *testing.T) {
	s := busy()
	for _, size := range [][2]int{{23, 80}, {49, 132}, {30, 40}, {0, 0}, {5, 20}, {1, 1}} {
		lines := fit(screen(&app.Status{}, s, 2*time.Second, size[1]), size[0], size[1])
		text := strings.Join(lines, "\n")
		for i, l := range lines {
			if size[1] > 0 && len([]rune(l)) > size[1] {
				t.Errorf("%v: line %d has %d columns", size, i, len([]rune(l)))
			}
			if strings.ContainsAny(l, "\x1b\u009b\x07\n\r") {
				t.Errorf("%v: line %d commands the terminal: %q", size, i, l)
			}
		}
		if size[0] > 0 && len(lines) > size[0] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		if size[0] > 0 && size[0] < 20 {
			continue
		}
		for _, want := range []string{"flowsnitch 1.2.3", "critical sinks", "v9", "losses", "exporter", "sink", "feed", "last hits"} {
			if !strings.Contains(text, want) {
				t.Errorf("%v: no %q in\n%s", size, want, text)
			}
		}
		if more := strings.Count(text, " more)"); (size[0] == 0 && more > 0) || (size[0] > 0 && more < 4) {
			t.Errorf("%v: %d sections say that there is more\n%s", size, more, text)
		}
	}
	text := strings.Join(fit(screen(&app.Status{}, s, 2*time.Second, 0), 0, 0), "\n")
	if strings.Contains(text, fmt.Sprint("domain ", canary.DomainTest)) || !strings.Contains(text, "15.0 k") || !strings.Contains(text, "90m") {
		t.Errorf("the self-test as an exporter, no rate of 15,000, or no age of 90 minutes in\n%s", text)
	}
}

// A tty is as much of a terminal as drawChanges uses.
type tty struct{ lines []string }

func (s *tty) write(t *testing.T, text string) {
	t.Helper()
	row := 0
	for _, part := range strings.Split(text, "\x1b[")[1:] {
		i := strings.IndexFunc(part, func(r rune) bool { return r >= '@' && r <= '~' })
		arg, op, rest := part[:i], part[i], part[i+1:]
		switch {
		case op == 'H':
			row = 0
			_, _ = fmt.Sscanf(arg, "%d;1", &row)
			row = max(row, 1)
			for len(s.lines) < row {
				s.lines = append(s.lines, "")
			}
			if rest != "" {
				old := []rune(s.lines[row-1])
				s.lines[row-1] = rest + string(old[min(len(old), len([]rune(rest))):])
			}
		case op == 'K':
			s.lines[row-1] = string([]rune(s.lines[row-1])[:len([]rune(rest))]) // nothing follows a line
		case op == 'J' && arg == "2":
			s.lines = nil
		case op == 'J':
			s.lines = s.lines[:row-1]
		case op == 'l' || op == 'h':
		default:
			t.Fatalf("unknown: %q", part)
		}
	}
}

// TestDrawChanges: a terminal shows the lines of now, whatever it showed before, and what
// stays is not sent again.
func TestDrawChanges(t *testing.T) {
	var before []string
	var screen tty
	for i, now := range [][]string{{"a", "b", "c"}, {"a", "x", "c"}, {"a"}, {"a", "", "long line", "d"}, {"a", "", "lo", "d"}, {"q", "r"}} {
		var b bytes.Buffer
		drawChanges(&b, before, now)
		// The end of line is erased behind what was written.
		screen.write(t, strings.ReplaceAll(b.String(), "\x1b[K", ""))
		for j := range now {
			if !strings.HasPrefix(screen.lines[j], now[j]) {
				t.Errorf("round %d: line %d is %q, want %q", i, j, screen.lines[j], now[j])
			}
			if before != nil && j < len(before) && before[j] == now[j] && strings.Contains(b.String(), fmt.Sprintf("\x1b[%d;1H%s", j+1, now[j])) && now[j] != "" {
				t.Errorf("round %d: line %d is sent again", i, j)
			}
		}
		if len(screen.lines) != len(now) {
			t.Errorf("round %d: %q, want %q", i, screen.lines, now)
		}
		before = slices.Clone(now)
	}
	same := []string{"a", "b"}
	var b bytes.Buffer
	if drawChanges(&b, same, same); b.Len() > 0 {
		t.Errorf("nothing has changed, and %q is sent", b.String())
	}
}

// A safeBuffer is written by one goroutine and read by another.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestTopWaits: an instance that restarts is waited for; one that never ran is an error.
func TestTopWaits(t *testing.T) {
	dir, err := os.MkdirTemp("", "snitch-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg := configs.Default()
	cfg.StateDir = filepath.Join(dir, "s")
	if err := os.Mkdir(cfg.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out safeBuffer
	if err := top(ctx, &out, cfg, 100*time.Millisecond, 0); err == nil {
		t.Error("there is no instance, and that is no error")
	}
	var records atomic.Uint64
	serve := func() *web.Control {
		since := time.Now()
		c := web.NewControl(cfg.StateDir)
		c.Get("/status", func() any {
			n := records.Add(100)
			s := app.Status{Version: "1.2.3", Since: since.Add(-time.Hour + time.Duration(n))} // byWall is not exact
			s.Decoded.Versions = map[string]app.VersionStatus{"v9": {Datagrams: n, Records: n}}
			return s
		})
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	has := func(text string, from int) int {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			all := out.String()
			if i := strings.Index(all[from:], text); i >= 0 {
				return from + i + len(text)
			}
			if time.Now().After(deadline) {
				t.Fatalf("no %q in\n%s", text, all[from:])
			}
		}
	}
	c := serve()
	done := make(chan error, 1)
	go func() { done <- top(ctx, &out, cfg, 100*time.Millisecond, 0) }()
	at := has("flowsnitch 1.2.3", 0)
	if text := out.String()[has("\nv9 ", at):]; strings.HasPrefix(strings.TrimSpace(text), "0.0       0.0") {
		t.Errorf("100 flows in a tenth of a second are no rate: %s", text)
	}
	c.Stop(ctx)
	at = has("waiting for the instance", at)
	records.Store(0)
	c = serve()
	defer c.Stop(context.Background())
	at = has("flowsnitch 1.2.3", at)
	has("v9", at)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
