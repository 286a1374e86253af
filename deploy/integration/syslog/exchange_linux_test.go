//go:build integration || soak

package syslog

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
	"github.com/google/uuid"
)

// formats are all of them.
var formats = []string{form.Text, form.JSON, form.ECS, form.OCSF, form.CEF, form.LEEF, form.LEEF1}

// config is the configuration for one server.
func config(t *testing.T, ca *authority.Authority, transport, address string) syslog.Config {
	t.Helper()
	cfg := syslog.DefaultConfig()
	cfg.Transport, cfg.Servers = transport, []string{address}
	if transport == syslog.TLS {
		cfg.TLS.CA = ca.File
		cfg.TLS.Cert, cfg.TLS.Key = ca.Issue(t)
	}
	return cfg
}

func newSender(t *testing.T, cfg syslog.Config) *syslog.Sender {
	t.Helper()
	s, err := syslog.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// exchange sends events of every sort and checks the lines that the daemon makes of
// them: one each, in order, whole, with the fields of the header at their places.
func exchange(t *testing.T, d *daemon, file string, cfg syslog.Config) {
	t.Helper()
	before := len(d.lines(t, file))
	s := newSender(t, cfg)
	sent := events(20)
	for i := range sent {
		if err := s.Send(t.Context(), sent[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if cfg.Transport != syslog.UDP && s.Held() != 0 {
		t.Errorf("%d events held after the server had closed the connection", s.Held())
	}
	eventually(t, "all lines", func() bool { return len(d.lines(t, file)) >= before+len(sent) })
	lines := d.lines(t, file)[before:]
	if len(lines) != len(sent) {
		t.Fatalf("%d lines for %d events:\n%s", len(lines), len(sent), strings.Join(lines, "\n"))
	}
	for i, line := range lines {
		checkLine(t, cfg, &sent[i], line)
	}
}

// checkLine checks one line: facility and severity, host, program, message id, body.
func checkLine(t *testing.T, cfg syslog.Config, e *event.Event, line string) {
	t.Helper()
	fields := strings.SplitN(line, " ", 5)
	if len(fields) != 5 || fields[0] != "local0.crit" || !strings.Contains(line, e.ID.String()) {
		t.Errorf("got %s", line)
		return
	}
	// What comes from the local socket has no host name: it is that of the machine.
	if cfg.Transport != syslog.Unix && fields[1] != e.Sensor {
		t.Errorf("host %s in %s", fields[1], line)
	}
	if cfg.Protocol == syslog.RFC5424 && fields[3] != string(e.Kind) {
		t.Errorf("message id %s in %s", fields[3], line)
	}
	switch cfg.Format {
	case "text":
		if fields[2] != "flowsnitch" || !strings.HasPrefix(strings.TrimSpace(fields[4]), "hit src=10.0.0.5 spt=51515 dst=") {
			t.Errorf("no text of ours: %s", line)
		}
	case "ecs", "ocsf":
		if !json.Valid([]byte(strings.TrimSpace(fields[4]))) || fields[2] != "flowsnitch" {
			t.Errorf("no JSON of ours: %s", line)
		}
	case "json":
		var doc struct{ Integration, ID string }
		if err := json.Unmarshal([]byte(fields[4]), &doc); err != nil || doc.ID != e.ID.String() || fields[2] != "flowsnitch" {
			t.Errorf("%v: %s", err, line)
		}
	default:
		// Of CEF and LEEF, which have no tag, some daemons take the first word for one.
		if n := strings.Count(line, "|flowsnitch|flowsnitch|0|c2|"); n != 1 {
			t.Errorf("the form begins %d times: %s", n, line)
		}
	}
}

// events gives hits, among them some with hostile and long texts.
func events(n int) []event.Event {
	list := make([]event.Event, n)
	texts := []string{
		"c2 listed by feodo (90); outbound, answered", "line\nbreak <13>1 - - - - - - forged", `"quotes" \ ] } | = ^`,
		"emoji 👩‍👩‍👧 é \u2028", strings.Repeat("long ", 180), "",
	}
	for i := range list {
		id, err := uuid.NewV7()
		if err != nil {
			panic(err)
		}
		offender := netip.AddrFrom4([4]byte{203, 0, 113, byte(i % 50)})
		list[i] = event.Event{
			Kind: event.KindHit, ID: id, Time: time.Now(), Sensor: "pi-oslo", Flows: uint64(i),
			Src: netip.AddrFrom4([4]byte{10, 0, 0, 5}), SrcPort: 51515, Dst: offender, DstPort: 443, HasPorts: true,
			Protocol: 6, HasProtocol: true, Offender: offender, Severity: event.Critical, Score: 95, Direction: event.Outbound,
			Reason:     texts[i%len(texts)],
			Indicators: []event.Indicator{{Feed: "feodo", Category: "c2", Score: 90, Description: texts[i%len(texts)]}},
		}
	}
	return list
}

// occurs reports whether a line has the id.
func occurs(lines []string, id string) bool {
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.Contains(lines[i], id) {
			return true
		}
	}
	return false
}

// checkOrder checks that every event is there, the first occurrences in order.
func checkOrder(t *testing.T, lines []string, sent []event.Event) {
	t.Helper()
	place := map[string]int{}
	for i := range sent {
		place[sent[i].ID.String()] = i
	}
	next := 0
	for _, line := range lines {
		_, rest, _ := strings.Cut(line, " id=")
		id, _, _ := strings.Cut(rest, " ")
		switch i, ok := place[id]; {
		case !ok: // a message cut in two by the end of a connection comes again, whole
			t.Logf("not a whole event: %.200s", line)
		case i == next:
			next++
		case i > next:
			t.Fatalf("event %d comes before event %d", i, next)
		}
	}
	if next != len(sent) {
		t.Errorf("%d of %d events are there", next, len(sent))
	}
}

func wantError(t *testing.T, s *syslog.Sender, want string) {
	t.Helper()
	if err := s.Send(t.Context(), events(1)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// process is what the program has: a journal, and the runner of a sender.
type process struct {
	t       *testing.T
	journal *journal.Journal
	runner  *sinks.Runner
}

func startProcess(t *testing.T, s *syslog.Sender) *process {
	t.Helper()
	cfg := journal.DefaultConfig()
	cfg.Dir = t.TempDir()
	j, _, err := journal.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	r, err := sinks.NewRunner(j, s, sinks.DefaultRunnerConfig())
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	return &process{t, j, r}
}

func (p *process) add(list []event.Event) {
	p.t.Helper()
	if err := p.journal.Append(list); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) stop() {
	p.t.Helper()
	if err := p.runner.Stop(p.t.Context()); err != nil {
		p.t.Error(err)
	}
	if err := p.journal.Stop(p.t.Context()); err != nil {
		p.t.Error(err)
	}
}
