package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
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
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// busy is the status of a carrier: more of everything than a screen has room for, and
// names of hostile people.
func busy() *app.Status {
	now := time.Now()
	s := &app.Status{InstanceStatus: app.InstanceStatus{BuildStatus: app.BuildStatus{Version: "1.2.3"}, Name: "edge\x1b[2J-1", Since: now.Add(-time.Hour)}}
	s.Intel.Indicators = 100_000
	s.Decoded.Versions = map[string]app.VersionStatus{"v9": {Datagrams: 1000, Records: 30_000}}
	s.Health = []observe.Finding{
		{Check: "feeds", State: observe.Warning, Text: "drop is 3 days old (\x1b]0;pwned\x07\n)"},
		{Check: "loss", State: observe.OK, Text: "nothing was lost"},
		{Check: "sinks", State: observe.Critical, Text: strings.Repeat("kafka cannot deliver ", 20)},
	}
	for i := range 100 {
		e := decode.ExporterStatus{Name: "edge-7", Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}
		e.Streams = []decode.StreamStatus{{Version: "v9", Domain: 7, Records: uint64(1000 * i), LastSeen: now}, {Version: "v9", Domain: canary.DomainTest, LastSeen: now}}
		s.Exporters.List = append(s.Exporters.List, e)
		s.Intel.Feeds = append(s.Intel.Feeds, fetch.Status{Name: fmt.Sprint("feed-", i), Entries: i, Taken: now.Add(-90 * time.Minute)})
		s.Sinks = append(s.Sinks, app.SinkStatus{Name: fmt.Sprintf("webhook:https://a-very-long-name.example.net/hooks/%d", i), Sent: 7})
		s.Latest = append(s.Latest, app.LatestStatus{Kind: event.KindUpdate, Time: now, Severity: "high", Direction: event.Outbound, Role: "src", Protocol: "tcp", ServicePort: 443,
			Local: netip.MustParseAddr("10.0.0.5"), Offender: netip.AddrFrom4([4]byte{62, 0, 0, byte(i)}), Feeds: []string{"c2 漢字 \x9b31m"}, Reason: "why\n\x1b[2J"})
	}
	return s
}

// linesOf gives the text of lines as it would be drawn without colours.
func linesOf(lines []line) (out []string) {
	for _, l := range lines {
		out = append(out, l.draw(false))
	}
	return out
}

// TestScreen: whatever the terminal, no line is too long, what has no room is counted or
// left out by its rank, nothing of a name moves the cursor, and no heading is cut where
// there are 80 columns.
func TestScreen(t *testing.T) {
	s := busy()
	for _, size := range [][2]int{{24, 80}, {50, 200}, {50, 132}, {30, 40}, {0, 0}, {8, 40}, {5, 20}, {1, 1}} {
		list := fit(screen(&app.Status{}, s, 2*time.Second, size[1]), size[0], size[1])
		lines := linesOf(list)
		all := strings.Join(lines, "\n")
		for i, l := range lines {
			if size[1] > 0 && len([]rune(l)) > size[1] {
				t.Errorf("%v: line %d has %d columns", size, i, len([]rune(l)))
			}
			if coloured := list[i].draw(true); strings.ContainsAny(l, "\x1b\u009b\x07\n\r") || strings.ContainsAny(strings.ReplaceAll(coloured, "\x1b", ""), "\u009b\x07\n\r") || strings.Contains(coloured, "\x1b[2J") {
				t.Errorf("%v: line %d commands the terminal: %q", size, i, coloured)
			}
		}
		if size[0] > 0 && len(lines) > size[0] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		if size[0] >= 24 && len(lines) < size[0] {
			t.Errorf("%v: only %d lines", size, len(lines))
		}
		var wants []string
		if size[1] != 1 {
			wants = append(wants, "flowsnitch 1.2.3")
		}
		if size[0] == 0 || size[0] >= 8 {
			wants = append(wants, "critical  sinks", "contact", "62.0.0.0")
		}
		if size[0] == 0 || size[0] >= 24 {
			wants = append(wants, "losses", "exporter", "edge-7 (192.0.2.0) domain")
		}
		if size[1] == 0 || size[1] >= 80 {
			wants = append(wants, "2 checks not OK", "v9", "severity  changed ", "flows  listed by", "proto ", "sampling", "waiting     lost  self-test        since", "entries  confirmed", "hits/day", "10.0.0.5 -> 62.0.0.0:443 tcp", "losses: none since ")
		}
		if size[1] >= 200 || size[1] == 0 {
			wants = append(wants, "answered      bytes  first seen", "reason", "last error", "restarts")
		}
		for _, want := range wants {
			if !strings.Contains(all, want) {
				t.Errorf("%v: no %q in\n%s", size, want, all)
			}
		}
		if more := strings.Count(all, " more"); (size[0] == 0 && more > 0) || (size[0] >= 24 && more < 3) {
			t.Errorf("%v: %d sections say that there is more\n%s", size, more, all)
		}
	}
	all := strings.Join(linesOf(fit(screen(&app.Status{}, s, 2*time.Second, 0), 0, 0)), "\n")
	if strings.Contains(all, fmt.Sprint("domain ", canary.DomainTest)) || !strings.Contains(all, "15.0 k") || !strings.Contains(all, "90m") {
		t.Errorf("the self-test as an exporter, no rate of 15,000, or no age of 90 minutes in\n%s", all)
	}
}

// TestScreenLosses: a loss has a row, refused senders their addresses, and unknown sampling
// is said; the first round has no rates.
func TestScreenLosses(t *testing.T) {
	s := busy()
	s.Sinks, s.Exporters.List = s.Sinks[:1], s.Exporters.List[:1]
	s.Listeners = []app.ListenerStatus{{Listen: ":2055", Refused: 12, RefusedSenders: []app.RefusedSender{{Address: netip.MustParseAddr("198.51.100.77"), Datagrams: 12, Last: time.Now()}}}}
	s.Losses = []observe.Sample{{Section: "listeners", Words: "refused", Value: 12, Loss: true}}
	for i := range s.Latest {
		s.Latest[i].Severity = []string{"low", "critical"}[i/99] // the last one
	}
	if all := strings.Join(linesOf(fit(screen(s, s, 0, 80), 24, 80)), "\n"); !strings.Contains(all, " more, 1 critical)  ") {
		t.Errorf("a critical contact without room is not counted in\n%s", all)
	}
	for _, columns := range []int{60, 80, 200} {
		all := strings.Join(linesOf(fit(screen(s, s, 0, columns), 50, columns)), "\n")
		for _, want := range []string{"refused - 12", "198.51.100.77", " unknown"} {
			if !strings.Contains(regexp.MustCompile(" +").ReplaceAllString(all, " "), want) && !strings.Contains(all, want) {
				t.Errorf("%d columns: no %q in\n%s", columns, want, all)
			}
		}
	}
}

// TestEnds: our end is on the left, and the arrow shows who began, whichever way the flow
// that was seen went.
func TestEnds(t *testing.T) {
	ours, theirs := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::9")
	for want, c := range map[string]app.LatestStatus{
		"10.0.0.5 -> [2001:db8::9]:443 tcp":             {Direction: event.Outbound, Role: "src", Local: ours, ServicePort: 443},
		"10.0.0.5:22 <- 2001:db8::9 tcp":                {Direction: event.Inbound, Role: "dst", Local: ours, ServicePort: 22, ServiceLocal: true},
		"10.0.0.5 -> [2001:db8::9]:443 tcp transit":     {Direction: event.Transit, Role: "nat_dst", Local: ours, ServicePort: 443},
		"10.0.0.5:22 <- 2001:db8::9 tcp internal":       {Direction: event.Internal, Role: "inner_src", Local: ours, ServicePort: 22, ServiceLocal: true},
		"32 hosts, 9 ports <- 2001:db8::9 tcp":          {Direction: event.Inbound, Folded: true, Hosts: 32, Ports: 9},
		"ALERT own_address_listed 2001:db8::9 a reason": {Kind: event.KindAlert, Alert: "own_address_listed", Reason: "a reason"},
	} {
		c.Offender, c.Protocol = theirs, "tcp"
		if got := ends(&c).String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestTable: no row is wider than the terminal down to what columns that always stay take,
// and room that is left goes to cells that need it.
func TestTable(t *testing.T) {
	table := table{columns: []column{{heading: "name", min: 5, max: 12}, {heading: "n", min: 3, right: true, rank: 1}, {heading: "text", min: 4, max: 100, rank: 2}}}
	table.rows = [][]line{{plain("a-long-name"), plain("7"), plain(strings.Repeat("x", 50))}}
	for columns, want := range map[int]string{
		5:   "a-lo…",
		10:  "a-long-name"[:4] + "…    7",
		16:  "a-lo…    7  xxx…",
		24:  "a-long-name    7  xxxxx…",
		100: "a-long-name    7  " + strings.Repeat("x", 50),
		0:   "a-long-name    7  " + strings.Repeat("x", 50),
	} {
		_, rows := table.lay(columns)
		if got := rows[0].draw(false); got != want {
			t.Errorf("%d columns: got %q, want %q", columns, got, want)
		}
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
			s.lines[row-1] = rest // a line is erased before it is written
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
		screen.write(t, b.String())
		for j := range now {
			if screen.lines[j] != now[j] {
				t.Errorf("round %d: line %d is %q, want %q", i, j, screen.lines[j], now[j])
			}
			if before != nil && j < len(before) && before[j] == now[j] && strings.Contains(b.String(), fmt.Sprintf("\x1b[%d;1H\x1b[K%s", j+1, now[j])) && now[j] != "" {
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
	if err := top(ctx, nil, &out, cfg.StateDir, 100*time.Millisecond, 0); err == nil {
		t.Error("there is no instance, and that is no error")
	}
	var records atomic.Uint64
	serve := func() *web.Control {
		since := time.Now()
		c := web.NewControl(cfg.StateDir)
		answer := func(path string, f func() any) observe.Route {
			h := observe.JSON(func(*http.Request) (any, error) { return f(), nil })
			return observe.Route{Method: http.MethodGet, Path: path, Role: observe.Local, Handler: h}
		}
		c.Serve([]observe.Route{answer("/status", func() any {
			n := records.Add(100)
			s := app.Status{InstanceStatus: app.InstanceStatus{BuildStatus: app.BuildStatus{Version: "1.2.3"}, Since: since.Add(-time.Hour + time.Duration(n))}} // byWall is not exact
			s.Decoded.Versions = map[string]app.VersionStatus{"v9": {Datagrams: n, Records: n}}
			return s
		}), answer("/status/samples", func() any { return []observe.Sample{} })})
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
	go func() { done <- top(ctx, nil, &out, cfg.StateDir, 100*time.Millisecond, 0) }()
	at := has("flowsnitch 1.2.3", 0)
	if text := out.String()[has("\nv9 ", at):]; strings.HasPrefix(strings.TrimSpace(text), "0.0 ") {
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
