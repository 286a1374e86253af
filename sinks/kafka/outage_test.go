package kafka

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestDownFromStart: no broker is there; when it comes, nothing needs a restart.
func TestDownFromStart(t *testing.T) {
	port := freePort(t)
	p := newProducer(t, loopback(port))
	list := events(0, 10, 3)
	for range 2 {
		if retry := sendFailing(t, p, list, "broker not reachable", loopback(port)[0]); retry.Sent != 0 {
			t.Errorf("%d sent to nobody", retry.Sent)
		}
	}
	c := newCluster(t, kfake.Ports(port))
	sendAll(t, p, list)
	wantAll(t, readBack(t, c.ListenAddrs(), 10), 10, 1)
	if s := p.Stats(); s.Errors < 2 || s.Delivered != 10 || !strings.Contains(s.LastError, "not reachable") {
		t.Errorf("stats %+v", s)
	}
}

// TestDownLater: a broker that has worked goes and comes back with what it had.
func TestDownLater(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	c := newCluster(t, kfake.Ports(port), kfake.DataDir(dir))
	p := newProducer(t, loopback(port))
	sendAll(t, p, events(0, 10, 10))
	c.Close()
	list := events(10, 10, 10)
	sendFailing(t, p, list, "broker")
	sendFailing(t, p, list, "broker not reachable")
	newCluster(t, kfake.Ports(port), kfake.DataDir(dir))
	sendAll(t, p, list)
	wantAll(t, readBack(t, loopback(port), 20), 20, 1)
}

// TestOneOfTwoDown: one broker goes, the other one takes over, the first comes back.
func TestOneOfTwoDown(t *testing.T) {
	c := newCluster(t, kfake.NumBrokers(2))
	p := newProducer(t, c.ListenAddrs())
	sendAll(t, p, events(0, 10, 10))
	if err := c.RemoveNode(0); err != nil {
		t.Fatal(err)
	}
	sendAll(t, p, events(10, 10, 10))
	if _, _, err := c.AddNode(0, 0); err != nil {
		t.Fatal(err)
	}
	c.ShufflePartitionLeaders()
	sendAll(t, p, events(20, 10, 10))
	wantAll(t, readBack(t, c.ListenAddrs(), 30), 30, 5)
}

// TestLeaderMoves: a new leader is found without waiting for old knowledge to age.
func TestLeaderMoves(t *testing.T) {
	c := newCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(1, "flowsnitch.hits"))
	p := newProducer(t, c.ListenAddrs())
	for i := range 6 {
		if err := c.MoveTopicPartition("flowsnitch.hits", 0, int32(i%3)); err != nil {
			t.Fatal(err)
		}
		if retries := sendAll(t, p, events(i, 1, 1)); retries > 1 {
			t.Errorf("move %d: %d retries, want 1 at most", i, retries)
		}
	}
	wantAll(t, readBack(t, c.ListenAddrs(), 6), 6, 1)
}

func TestUnknownTopic(t *testing.T) {
	c := newCluster(t)
	p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.Topics.Hits = "later" })
	list := events(0, 3, 3)
	list[1].Kind = event.KindAlert
	if retry := sendFailing(t, p, list, "topic later: unknown there, create it or set create_topics"); retry.Sent != 0 {
		t.Errorf("%d sent, want 0", retry.Sent)
	}
	if err := c.CreateTopic("later", 2, nil); err != nil {
		t.Fatal(err)
	}
	sendAll(t, p, list)
	wantAll(t, readBack(t, c.ListenAddrs(), 3, "later", "flowsnitch.alerts"), 3, 1) // the alert was not sent again
}

func TestCreateTopics(t *testing.T) {
	c := newCluster(t)
	p := newProducer(t, c.ListenAddrs(), func(cfg *Config) {
		cfg.Topics = Topics{"new.hits", "new.hits", "flowsnitch.canary"}
		cfg.CreateTopics, cfg.Partitions, cfg.Replication = true, 4, 1
	})
	sendAll(t, p, events(0, 20, 20))
	info := c.TopicInfo("new.hits")
	if info == nil || len(c.PartitionInfos("new.hits")) != 4 {
		t.Fatalf("topic %+v, want one with 4 partitions", info)
	}
	if policy := info.Configs["cleanup.policy"]; policy == nil || *policy != "delete" {
		t.Errorf("configs %v", info.Configs)
	}
	wantAll(t, readBack(t, c.ListenAddrs(), 20, "new.hits"), 20, 1)
}

// silent listens, accepts and never says anything. With read it at least takes what
// it is sent.
func silent(t *testing.T, read bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			if read {
				go io.Copy(io.Discard, c)
			}
		}
	}()
	return l.Addr().String()
}

// TestSilent: a server that accepts and answers nothing is told from one that is
// away; the end of ctx and Close do not wait for it, and nothing is left behind.
func TestSilent(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, read := range []bool{true, false} {
		for _, secure := range []bool{true, false} {
			p := newProducer(t, []string{silent(t, read)}, func(cfg *Config) {
				cfg.Timeout, cfg.TLS.Enabled = 200*time.Millisecond, secure
			})
			sendFailing(t, p, events(0, 1, 1), "no answer in time", p.cfg.Brokers[0])
		}
	}
	p := newProducer(t, []string{silent(t, true)}, func(cfg *Config) { cfg.Timeout = time.Minute })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Send(ctx, events(0, 1, 1)) }()
	select {
	case err := <-done:
		if _, ok := errors.AsType[*sinks.RetryError](err); !ok {
			t.Errorf("got %v, want a RetryError", err)
		}
	case <-time.After(patience):
		t.Fatal("Send goes on after the end of its context")
	}
	waitGoroutines(t, before)
}

// TestSilentLater: a broker that works stops answering in the midst of everything.
func TestSilentLater(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Metadata, kmsg.SASLHandshake, kmsg.SASLAuthenticate} {
		t.Run(key.Name(), func(t *testing.T) {
			before := runtime.NumGoroutine()
			c := newCluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "snitch", "secret"))
			c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, nil, true })
			p := newProducer(t, c.ListenAddrs(), plainUser("secret"), func(cfg *Config) { cfg.Timeout = 500 * time.Millisecond })
			sendFailing(t, p, events(0, 1, 1), "no answer in time")
			sendAll(t, p, events(0, 1, 1))
			_ = p.Close(t.Context())
			c.Close()
			waitGoroutines(t, before)
		})
	}
}

// waitGoroutines waits until there are no more goroutines than before.
func waitGoroutines(t *testing.T, before int) {
	t.Helper()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before+4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// TestNotKafka: something else answers.
func TestNotKafka(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	p := newProducer(t, []string{l.Addr().String()})
	sendFailing(t, p, events(0, 1, 1), "closed the connection, does the port require tls.enabled or sasl?")
	p = newProducer(t, []string{"no-such-host.invalid:9092"})
	sendFailing(t, p, events(0, 1, 1), "no-such-host.invalid")
}

// TestClose: it does not wait, and may come before and after anything.
func TestClose(t *testing.T) {
	c := newCluster(t)
	p := newProducer(t, c.ListenAddrs())
	for range 2 {
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		sendAll(t, p, events(0, 1, 1))
	}
}
