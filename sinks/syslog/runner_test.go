package syslog

import (
	"context"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
)

// process is what one run of the program has: a journal and the runner of a sender.
type process struct {
	t       *testing.T
	journal *journal.Journal
	runner  *sinks.Runner
}

func startProcess(t *testing.T, dir string, s sinks.Sink) *process {
	t.Helper()
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.Durability = dir, journal.OnOutage // Append waits for no disk under load
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

// waitFor waits until a server has the event of a number.
func (p *process) waitFor(s *server, n int) {
	p.t.Helper()
	eventually(p.t, "the last event", func() bool {
		got := s.got()
		return len(got) > 0 && number(got[len(got)-1]) == n
	})
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
	p.waitFor(server, 399) // without another event
	p.stop()
	wantOrder(t, append(messages, server.got()...), 400)
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

// TestDeafThenWell: what a server's kernel took while the server read nothing comes
// again, although it is older than resend. It is told of once, and is over when a server
// reads.
func TestDeafThenWell(t *testing.T) {
	deaf := serveDeaf(t)
	address := deaf.address()
	s := newSender(t, TCP, []string{address}, func(c *Config) { c.Timeout, c.Resend = 300*time.Millisecond, 10*time.Millisecond })
	p := startProcess(t, t.TempDir(), s)
	const n = 30_000 // more than the kernels' buffers hold
	for first := 0; first < n; first += 1000 {
		p.add(first, 1000)
	}
	eventually(t, "two failures", func() bool { return p.runner.Stats().Errors >= 2 })
	for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if p.runner.Stats().Failing == 0 {
			t.Fatal("it is taken for well")
		}
	}
	deaf.stop()
	server := serve(t, "tcp", address, Octet, nil)
	p.waitFor(server, n-1)
	wantOrder(t, server.got(), n)
	eventually(t, "it is well", func() bool { s := p.runner.Stats(); return s.Failing == 0 && s.Held == 0 })
	p.stop()
}

// TestHangsUp: a server that hangs up on every connection is tried ever more rarely.
func TestHangsUp(t *testing.T) {
	server := serve(t, "tcp", "", Octet, nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				server.hangUp()
			}
		}
	}()
	p := startProcess(t, t.TempDir(), newSender(t, TCP, []string{server.address()}))
	began := time.Now()
	p.add(0, 1)
	eventually(t, "three failures", func() bool { return p.runner.Stats().Errors >= 3 })
	// Pauses of 0.1 and 0.2 s lie between them.
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("tried three times within %v", took)
	}
	p.stop()
}
