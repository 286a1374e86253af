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
	err := Consume(ctx, cfg, func(m *Message) error {
		got = append(got, fmt.Sprintf("%s %s %s %s", m.Topic, m.Key, m.Headers, m.Value))
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
		got := strings.Join(consume(t, ConsumeConfig{Config: cfg, From: From{First: true}}, 500), "\n")
		for i := range 500 {
			if strings.Count(got, id(i).String()) != 1 {
				t.Errorf("%s: event %d is not there once", compression, i)
			}
		}
		if first, _, _ := strings.Cut(got, "\n"); !strings.HasPrefix(first, "flowsnitch.hits 203.0.113.") ||
			!strings.Contains(first, " [{kind hit} {format native} {v 2} {content-type application/json}] {\"integration\"") {
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
	cfg := ConsumeConfig{Config: testConfig(loopback(port)), From: From{First: true}, Topics: []string{"flowsnitch.hits"}}
	cfg.Report = func(err error) { reports++; t.Log(err) }
	got := map[string]int{}
	err := Consume(t.Context(), cfg, func(m *Message) error {
		got[string(m.Value)]++
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
		fn: func(m *Message) error {
			if !strings.Contains(string(m.Value), id(6).String()) {
				t.Errorf("the first message is %s", m.Value)
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

// TestConsumeRecreated: a topic that was deleted and made again has fewer messages than were
// read of the old one; it is read from its beginning.
func TestConsumeRecreated(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "flowsnitch.hits"))
	sendAll(t, newProducer(t, c.ListenAddrs()), events(0, 10, 1))
	r := &reader{
		cfg:  ConsumeConfig{Config: testConfig(c.ListenAddrs()), Topics: []string{"flowsnitch.hits"}},
		next: map[place]int64{{"flowsnitch.hits", 0}: 1000}, found: true,
		fn: func(m *Message) error {
			if m.Offset != 0 || !strings.Contains(string(m.Value), id(0).String()) {
				t.Errorf("the first message is %d, %s", m.Offset, m.Value)
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
	never := func(*Message) error { return errors.New("called") }
	for want, cfg := range map[string]ConsumeConfig{
		"broker not reachable": {Config: testConfig(loopback(freePort(t)))},
		"unknown there":        {Config: testConfig(c.ListenAddrs()), Topics: []string{"nowhere"}},
		"topic: \"a b\"":       {Config: testConfig(c.ListenAddrs()), Topics: []string{"a b"}},
		"brokers: required":    {Config: DefaultConfig()},
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

// TestConsumeFrom: where reading begins in a partition of which the first messages were
// deleted.
func TestConsumeFrom(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "flowsnitch.hits"))
	var at time.Time
	p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.Date = func() time.Time { return at } })
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range 10 { // message i is i minutes younger than begin
		at = begin.Add(time.Duration(i) * time.Minute)
		sendAll(t, p, events(i, 1, 1))
	}
	if err := c.DeleteRecords("flowsnitch.hits", 0, 3); err != nil {
		t.Fatal(err)
	}
	for text, first := range map[string]int64{
		"first": 3, "0": 3, "1": 3, "5": 5, "-2": 8, "-100": 3, "30000000m": 3,
		begin.Format(time.RFC3339): 3, begin.Add(5*time.Minute - time.Second).Format(time.RFC3339): 5,
	} {
		from, err := ParseFrom(text, begin.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		next := first
		err = Consume(t.Context(), ConsumeConfig{Config: testConfig(c.ListenAddrs()), Topics: []string{"flowsnitch.hits"}, From: from}, func(m *Message) error {
			if m.Offset != next || !m.Time.Equal(begin.Add(time.Duration(next)*time.Minute)) || !strings.Contains(string(m.Value), id(int(next)).String()) {
				t.Errorf("%s: got %d of %v, want %d", text, m.Offset, m.Time, next)
			}
			if next++; next == 10 {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"last", "-0", "10", "99", begin.Add(time.Hour).Format(time.RFC3339)} {
		from, err := ParseFrom(text, begin)
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(testConfig(c.ListenAddrs()), []string{"flowsnitch.hits"})
		if n, err := s.begin(t.Context(), place{"flowsnitch.hits", 0}, from); n != 10 || err != nil {
			t.Errorf("%s: begins with %d, %v, want 10", text, n, err)
		}
		s.close()
	}
	for _, text := range []string{"", "begin", "1.5", "-1h", "2026-11-20"} {
		if _, err := ParseFrom(text, begin); err == nil || !strings.Contains(err.Error(), "is not first, last") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
