package syslog

import (
	"context"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks"
)

// process is what one run of the program has: a journal and the runner of a sender.
type process struct {
	t       *testing.T
	journal *sinks.Journal
	runner  *sinks.Runner
}

func startProcess(t *testing.T, dir string, s *Sender) *process {
	t.Helper()
	cfg := sinks.DefaultJournalConfig()
	cfg.Dir = dir
	j, _, err := sinks.OpenJournal(cfg)
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

func (p *process) add(first, n int) {
	p.t.Helper()
	if err := p.journal.Append(events(first, n)); err != nil {
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

// TestRunnerAndJournal: with the journal behind it, everything arrives in order,
// although servers break connections with messages unread.
func TestRunnerAndJournal(t *testing.T) {
	server := serve(t, "tcp", "", Octet, nil)
	address, dir := server.address(), t.TempDir()
	p := startProcess(t, dir, newSender(t, TCP, []string{address}))
	var messages []string
	for i := range 4 {
		p.add(100*i, 50)
		server.wait(50)
		p.add(100*i+50, 50) // of these some are read, maybe
		server.stop()
		messages = append(messages, server.got()...)
		server = serve(t, "tcp", address, Octet, nil)
	}
	p.add(400, 10)
	eventually(t, "the last event", func() bool {
		got := server.got()
		return len(got) > 0 && number(got[len(got)-1]) == 409
	})
	p.stop()
	wantOrder(t, append(messages, server.got()...), 410)
	if s := p.runner.Stats(); s.Repeated == 0 || s.Failed+s.Dropped != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestHeldAcrossRestart: what a server has acknowledged, but not read before we are
// stopped, comes again when we are back; what it has read does not.
func TestHeldAcrossRestart(t *testing.T) {
	deaf := serveDeaf(t)
	dir := t.TempDir()
	first := newSender(t, TCP, []string{deaf.address()}, func(c *Config) { c.Name = "siem" })
	p := startProcess(t, dir, first)
	p.add(0, 20)
	eventually(t, "20 events written", func() bool { return first.Stats().Written == 20 })
	p.stop()
	server := serve(t, "tcp", "", Octet, nil)
	for range 2 {
		s := newSender(t, TCP, []string{server.address()}, func(c *Config) { c.Name = "siem" })
		p = startProcess(t, dir, s)
		wantOrder(t, server.wait(20), 20)
		p.stop()
	}
	if got := len(server.got()); got != 20 {
		t.Errorf("%d messages, want 20: all of them were read before the second stop", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_ = first.Close(ctx)
}
