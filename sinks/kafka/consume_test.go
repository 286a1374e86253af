package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errEnough ends Consume.
var errEnough = errors.New("enough")

// consume reads until n messages have come.
func consume(t *testing.T, cfg ConsumeConfig, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	err := Consume(ctx, cfg, func(topic string, key, value []byte, headers []Header) error {
		got = append(got, fmt.Sprintf("%s %s %s %s", topic, key, headers, value))
		if len(got) == n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("%d messages, want %d: %v", len(got), n, err)
	}
	return got
}

func TestConsume(t *testing.T) {
	for _, compression := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		c := newCluster(t)
		cfg := testConfig(c.ListenAddrs(), func(cfg *Config) { cfg.Compression = compression })
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		sendAll(t, p, events(0, 500, 9))
		got := strings.Join(consume(t, ConsumeConfig{Config: cfg, FromBeginning: true}, 500), "\n")
		for i := range 500 {
			if strings.Count(got, id(i).String()) != 1 {
				t.Errorf("%s: event %d is not there once", compression, i)
			}
		}
		if first, _, _ := strings.Cut(got, "\n"); !strings.HasPrefix(first, "flowsnitch.hits 203.0.113.") ||
			!strings.Contains(first, " [{event hit} {v 1} {content-type application/json}] {\"integration\"") {
			t.Errorf("got %s", first)
		}
	}
}

// TestConsumeNewest: what was there before does not come.
func TestConsumeNewest(t *testing.T) {
	c := newCluster(t)
	p := newProducer(t, c.ListenAddrs())
	sendAll(t, p, events(0, 50, 9))
	ctx, cancel := context.WithCancel(t.Context())
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		for i := 100; ctx.Err() == nil; i++ { // until the reader has found its place
			_ = p.Send(ctx, events(i, 1, 1))
		}
	}()
	for _, m := range consume(t, ConsumeConfig{Config: testConfig(c.ListenAddrs())}, 20) {
		for i := range 50 {
			if strings.Contains(m, id(i).String()) {
				t.Errorf("old event %d came", i)
			}
		}
	}
	cancel()
	<-sending
}

// TestConsumeOutage: the reader goes on where it was, without a message twice.
func TestConsumeOutage(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	options := []kfake.Opt{kfake.Ports(port), kfake.DataDir(dir)}
	c := newCluster(t, options...)
	p := newProducer(t, loopback(port))
	sendAll(t, p, events(0, 100, 9))
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: 2})
	reports := 0
	cfg := ConsumeConfig{Config: testConfig(loopback(port)), FromBeginning: true, Topics: []string{"flowsnitch.hits"}}
	cfg.Report = func(err error) { reports++; t.Log(err) }
	got := map[string]int{}
	err := Consume(t.Context(), cfg, func(_ string, _, value []byte, _ []Header) error {
		got[string(value)]++
		switch len(got) {
		case 100:
			c.Close()
			c = newCluster(t, options...)
			sendAll(t, p, events(100, 100, 9))
		case 200:
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || len(got) != 200 || reports < 2 {
		t.Fatalf("%d messages, %d reports: %v", len(got), reports, err)
	}
	for value, times := range got {
		if times != 1 {
			t.Errorf("%s came %d times", value, times)
		}
	}
}

// TestConsumeDeleted: what was deleted before it could be read is passed over.
func TestConsumeDeleted(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "flowsnitch.hits"))
	p := newProducer(t, c.ListenAddrs())
	sendAll(t, p, events(0, 10, 1))
	if err := c.DeleteRecords("flowsnitch.hits", 0, 6); err != nil {
		t.Fatal(err)
	}
	r := &reader{
		cfg:  ConsumeConfig{Config: testConfig(c.ListenAddrs()), Topics: []string{"flowsnitch.hits"}},
		next: map[place]int64{{"flowsnitch.hits", 0}: 2}, found: true, // as after an outage
		fn: func(_ string, _, value []byte, _ []Header) error {
			if !strings.Contains(string(value), id(6).String()) {
				t.Errorf("the first message is %s", value)
			}
			return errEnough
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.run(ctx); !errors.Is(err, errEnough) {
		t.Error(err)
	}
}

// TestConsumeEnds: errors before the first contact, and the end of ctx.
func TestConsumeEnds(t *testing.T) {
	c := newCluster(t)
	never := func(string, []byte, []byte, []Header) error { return errors.New("called") }
	for want, cfg := range map[string]ConsumeConfig{
		"broker not reachable": {Config: testConfig(loopback(freePort(t)))},
		"unknown there":        {Config: testConfig(c.ListenAddrs()), Topics: []string{"nowhere"}},
		"topic: \"a b\"":       {Config: testConfig(c.ListenAddrs()), Topics: []string{"a b"}},
		"brokers: is missing":  {Config: DefaultConfig()},
	} {
		if err := Consume(t.Context(), cfg, never); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := Consume(ctx, ConsumeConfig{Config: testConfig(c.ListenAddrs())}, never); err != nil {
		t.Error(err)
	}
	host, _, _ := net.SplitHostPort(c.ListenAddrs()[0])
	if host != "127.0.0.1" {
		t.Errorf("the fake cluster listens on %s", host)
	}
}
