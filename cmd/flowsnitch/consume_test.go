package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
)

// TestConsume reads what a sink has published.
func TestConsume(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "flowsnitch.hits", "flowsnitch.alerts"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := cluster.ListenAddrs()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = brokers
	cfg.CreateTopics = true
	p, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	var events []event.Event
	for i := range 5 {
		events = append(events, event.Event{Kind: event.KindHit, ID: uuid.Must(uuid.NewV7()), Time: time.Now(),
			Offender: netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", i)), Clock: "ok"})
	}
	events = append(events, event.Event{Kind: event.KindAlert, ID: uuid.Must(uuid.NewV7()), Time: time.Now(), Alert: "feed_held_back"})
	if err := p.Send(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(brokers, ",")
	r := command(t, "consume", "--brokers", all, "--from", "first", "--count", "5")
	if r.code != exitDone || r.err != "" || strings.Count(r.out, "\n") != 5 || !strings.Contains(r.out, `"offender":"203.0.113.4"`) {
		t.Errorf("hits: %+v", r)
	}
	config := file(t, "f.yml", fmt.Sprintf("sinks: [{kafka: {brokers: [%q]}}]\n", brokers[0]))
	r = command(t, "consume", "-c", config, "--topic", "flowsnitch.alerts", "--from", "first", "--count", "1", "--meta")
	if r.code != exitDone || !strings.HasPrefix(r.out, "flowsnitch.alerts\t0\t0\t") ||
		!strings.Contains(r.out, "\tkind=alert format=native v=2 content-type=application/json\t{") || !strings.Contains(r.out, "feed_held_back") {
		t.Errorf("alerts: %+v", r)
	}
	r = command(t, "consume", "--brokers", all, "--from", "-2", "--count", "2")
	if r.code != exitDone || strings.Count(r.out, "\n") != 2 || strings.Index(r.out, "203.0.113.3") > strings.Index(r.out, "203.0.113.4") {
		t.Errorf("the latest two: %+v", r)
	}
	for _, wrong := range [][]string{{"--from", "yesterday"}, {"--count", "-1"}} {
		if r = command(t, append([]string{"consume", "--brokers", all}, wrong...)...); r.code != exitUsage || !strings.Contains(r.err, wrong[0]) {
			t.Errorf("%v: %+v", wrong, r)
		}
	}
	r = command(t, "consume", "--brokers", all, "--topic", "none")
	if r.code != exitFailed || !strings.Contains(r.err, "none") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("a topic that is not there: %+v", r)
	}
	if r = command(t, "consume"); r.code != exitUsage || !strings.Contains(r.err, "no Kafka sink in the built-in configuration") {
		t.Errorf("without brokers: %+v", r)
	}
}

// TestConsumeFails: one clear line about each thing that can be wrong, and the end by
// Ctrl-C, which is no failure.
func TestConsumeFails(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "flowsnitch.hits"),
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "snitch", "right"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	broker := cluster.ListenAddrs()[0]
	password := file(t, "password", "wrong\n")
	config := file(t, "f.yml", fmt.Sprintf("sinks: [{kafka: {brokers: [%q], sasl: {mechanism: plain, user: snitch, password_file: %s}}}]\n", broker, password))
	for _, f := range []struct {
		args []string
		want string
	}{
		{[]string{"-c", config}, "password"},
		{[]string{"--brokers", broker}, "does the port require tls.enabled or sasl?"},
		{[]string{"--brokers", unused(t)}, "broker not reachable"},
	} {
		r := command(t, append([]string{"consume"}, f.args...)...)
		if r.code != exitFailed || !strings.Contains(r.err, f.want) || !strings.Contains(r.err, "127.0.0.1:") || strings.Count(r.err, "\n") != 1 ||
			strings.Contains(r.err, "wrong") {
			t.Errorf("%v: %+v", f.args, r)
		}
	}
	if err := os.WriteFile(password, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	p, err := kafka.New(kafka.Config{Brokers: []string{broker}, Topics: kafka.Topics{Hits: "flowsnitch.hits", Alerts: "flowsnitch.hits", Canary: "flowsnitch.hits"},
		Acks: "all", Compression: "none", BatchBytes: 10_000, Timeout: 10 * time.Second,
		SASL: kafka.SASL{Mechanism: "plain", User: "snitch", Password: "right"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	if err := p.Send(t.Context(), []event.Event{{Kind: event.KindHit, ID: uuid.Must(uuid.NewV7())}}); err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	out := &interrupting{interrupt: interrupt}
	if code := execute(ctx, []string{"consume", "-c", config, "--from", "first"}, nil, out, &errOut); code != exitDone || errOut.Len() > 0 || out.lines != 1 {
		t.Errorf("exit code %d, %d lines, %s", code, out.lines, &errOut)
	}
}

// interrupting is an output whose reader presses Ctrl-C after the first line.
type interrupting struct {
	interrupt func()
	lines     int
}

func (w *interrupting) Write(p []byte) (int, error) {
	w.lines += bytes.Count(p, []byte("\n"))
	w.interrupt()
	return len(p), nil
}

// unused gives an address where nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
