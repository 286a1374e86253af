package kafka

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestMessages: each kind has its topic, its key, its headers, and the value is the
// line of the hit log.
func TestMessages(t *testing.T) {
	c := newCluster(t)
	p := newProducer(t, c.ListenAddrs())
	four, six := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::9%eth0")
	list := []event.Event{
		{Kind: event.KindHit, ID: id(0), Offender: four, Time: time.Now(), Reason: "\"\n{"},
		{Kind: event.KindUpdate, ID: id(1), Offender: six, Time: time.Now()},
		{Kind: event.KindAlert, ID: id(2), Sensor: "pi-oslo", Alert: "feed_held_back", Time: time.Now()},
		{Kind: event.KindCanary, ID: id(3), Offender: four, Time: time.Now()},
	}
	if err := p.Send(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	want := []struct{ topic, key string }{
		{"flowsnitch.hits", "203.0.113.9"},
		{"flowsnitch.hits", "2001:db8::9"},
		{"flowsnitch.alerts", "pi-oslo"},
		{"flowsnitch.canary", "203.0.113.9"},
	}
	got := readBack(t, c.ListenAddrs(), len(list))
	for i := range list {
		line := event.AppendJSON(nil, &list[i])
		r := find(got, bytes.TrimSuffix(line, []byte("\n")))
		if r == nil {
			t.Errorf("event %d is not there as %q", i, line)
			continue
		}
		if r.Topic != want[i].topic || string(r.Key) != want[i].key {
			t.Errorf("event %d: topic %s, key %q; want %v", i, r.Topic, r.Key, want[i])
		}
		headers := fmt.Sprintf("%s", r.Headers)
		if want := fmt.Sprintf("[{kind %s} {format native} {v 2} {content-type application/json}]", list[i].Kind); headers != want {
			t.Errorf("event %d: headers %s, want %s", i, headers, want)
		}
		if !bytes.Contains(line, []byte(`"v":2,`)) {
			t.Errorf("the form is not of version 2: %s", line)
		}
		if age := time.Since(r.Timestamp); age < 0 || age > patience {
			t.Errorf("event %d: timestamp %v", i, r.Timestamp)
		}
	}
	if s := p.Stats(); s.Delivered != 4 || s.Bytes == 0 || s.Refused+s.Errors != 0 || s.LastError != "" {
		t.Errorf("stats %+v", s)
	}
}

// TestForms: the value is in the form that the configuration names, and headers tell
// which.
func TestForms(t *testing.T) {
	for format, version := range map[string]string{"": "2", "native": "2", "ecs": "8.11.0", "ocsf": "1.5.0"} {
		c := newCluster(t)
		cfg := testConfig(c.ListenAddrs(), func(c *Config) { c.Format = format })
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		e := event.Event{Kind: event.KindAlert, ID: id(0), Sensor: "pi-oslo", Alert: "feed_held_back", Time: time.Now()}
		if err := p.Send(t.Context(), []event.Event{e}); err != nil {
			t.Fatal(err)
		}
		form, err := form.ByName(cmp.Or(format, "native"), form.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := readBack(t, c.ListenAddrs(), 1)[0]
		headers := fmt.Sprintf("%s", got.Headers)
		if want := fmt.Sprintf("[{kind alert} {format %s} {v %s} {content-type application/json}]", form.Name, version); headers != want {
			t.Errorf("headers %s, want %s", headers, want)
		}
		if want := bytes.TrimSuffix(form.Append(nil, &e), []byte("\n")); !bytes.Equal(got.Value, want) {
			t.Errorf("got %s, want %s", got.Value, want)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestDate: the times of messages are by the date that can be trusted.
func TestDate(t *testing.T) {
	c := newCluster(t)
	p := newProducer(t, c.ListenAddrs())
	want := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	p.cfg.Date = func() time.Time { return want }
	list := []event.Event{{Kind: event.KindHit, ID: id(0), Time: time.Now().Add(30 * 365 * 24 * time.Hour)}}
	if err := p.Send(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if got := readBack(t, c.ListenAddrs(), 1)[0].Timestamp; !got.Equal(want) {
		t.Errorf("timestamp %v, want %v", got, want)
	}
}

func find(list []*kgo.Record, value []byte) *kgo.Record {
	for _, r := range list {
		if bytes.Equal(r.Value, value) {
			return r
		}
	}
	return nil
}

// TestPartition: a key goes where the client of another project, which does as the
// Java one, puts it.
func TestPartition(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(17, "flowsnitch.hits", "theirs"))
	p := newProducer(t, c.ListenAddrs())
	list := events(0, 200, 200)
	sendAll(t, p, list)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range list {
		r := &kgo.Record{Topic: "theirs", Key: keyOf(&list[i])}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	places := map[string]int32{}
	for _, r := range readBack(t, c.ListenAddrs(), 400, "flowsnitch.hits", "theirs") {
		if have, ok := places[string(r.Key)]; ok && have != r.Partition {
			t.Errorf("key %s: partitions %d and %d", r.Key, have, r.Partition)
		}
		places[string(r.Key)] = r.Partition
	}
	if len(places) != 200 {
		t.Errorf("%d keys, want 200", len(places))
	}
}

func TestCompressionAndAcks(t *testing.T) {
	for _, compression := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, acks := range []string{AcksAll, AcksOne, AcksNone} {
			t.Run(compression+"/"+acks, func(t *testing.T) {
				c := newCluster(t)
				p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.Compression, cfg.Acks = compression, acks })
				sendAll(t, p, events(0, 300, 20))
				wantAll(t, readBack(t, c.ListenAddrs(), 300), 300, 1)
			})
		}
	}
}

// TestOrder: whatever goes wrong with whatever request, the first occurrences of an
// offender's events are in order, and none is missing.
func TestOrder(t *testing.T) {
	const count, offenders = 5000, 40
	c := newCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(7, "flowsnitch.hits"))
	rng := rand.New(rand.NewPCG(1, 2))
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, errors.New("connection cut"), rng.IntN(4) == 0
	})
	c.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Partitions: []int32{1, 3}, Count: 10},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Partitions: []int32{2}, Count: 10},
	)
	p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.BatchBytes, cfg.Linger = 8000, 0 })
	list := events(0, count, offenders)
	retries := 0
	for first := 0; first < count; {
		n := min(1+rng.IntN(300), count-first)
		retries += sendAll(t, p, list[first:first+n])
		first += n
		if rng.IntN(5) == 0 {
			c.ShufflePartitionLeaders()
		}
	}
	if retries < 10 {
		t.Errorf("%d retries, the faults did not work", retries)
	}
	got := readBack(t, c.ListenAddrs(), count)
	wantAll(t, got, count, count)
	checkOrder(t, list, got)
	t.Logf("%d retries, at least %d messages", retries, len(got))
}

// checkOrder compares the first occurrences of each key with what was sent.
func checkOrder(t *testing.T, sent []event.Event, got []*kgo.Record) {
	t.Helper()
	first := map[string][]string{}
	seen := map[string]bool{}
	for _, r := range got { // each partition comes in order
		if value := string(r.Value); !seen[value] {
			seen[value] = true
			first[string(r.Key)] = append(first[string(r.Key)], value)
		}
	}
	for i := range sent {
		key := string(keyOf(&sent[i]))
		if len(first[key]) == 0 || !strings.Contains(first[key][0], number(int(sent[i].Flows))) {
			t.Fatalf("offender %s: event %d is not the next one in its partition", key, i)
		}
		first[key] = first[key][1:]
	}
}

// TestPartial: one partition cannot be written to. The prefix is what is done before
// its first event; what is done behind it is not sent again.
func TestPartial(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(5, "flowsnitch.hits"))
	p := newProducer(t, c.ListenAddrs())
	list := events(0, 100, 100)
	sendAll(t, p, list) // to learn where each one goes
	place := map[string]int32{}
	for _, r := range readBack(t, c.ListenAddrs(), 100) {
		place[string(r.Key)] = r.Partition
	}
	list = events(1000, 100, 100)
	stuck := place[string(keyOf(&list[30]))]
	prefix := 0
	for place[string(keyOf(&list[prefix]))] != stuck {
		prefix++
	}
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{stuck}, Err: kerr.NotEnoughReplicas, Count: -1})
	for range 3 {
		retry := sendFailing(t, p, list, "too few replicas in sync", "topic flowsnitch.hits")
		if retry.Sent != prefix {
			t.Errorf("%d sent, want %d", retry.Sent, prefix)
		}
		list, prefix = list[retry.Sent:], 0
	}
	fault.Remove()
	sendAll(t, p, list)
	for id, times := range ids(readBack(t, c.ListenAddrs(), 200)) {
		if times != 1 {
			t.Errorf("event %s came %d times", id, times)
		}
	}
	if s := p.Stats(); s.Delivered != 200 || s.Errors != 3 {
		t.Errorf("stats %+v", s)
	}
}

// TestTooLarge: what the topic does not take is given up, named and counted; all
// else is delivered.
func TestTooLarge(t *testing.T) {
	c := newCluster(t)
	if err := c.CreateTopic("small", 2, map[string]string{"max.message.bytes": "3000"}); err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.Topics.Hits = "small" })
	list := events(0, 200, 10)
	for _, i := range []int{0, 77, 199} {
		list[i].Reason = strings.Repeat("x", 900)
		list[i].Indicators = []event.Indicator{
			{Feed: "f", Description: strings.Repeat("y", 256), Ref: strings.Repeat("z", 1000), NativeID: strings.Repeat("n", 128)},
			{Feed: "f", Description: strings.Repeat("y", 256), Ref: strings.Repeat("z", 1000)},
		}
	}
	err := p.Send(t.Context(), list)
	refusal, ok := errors.AsType[*sinks.RefusedError](err)
	if _, again := errors.AsType[*sinks.RetryError](err); !ok || again {
		t.Fatalf("got %v, want a refusal", err)
	}
	t.Log(err)
	for _, want := range []string{"max.message.bytes", "topic small", id(199).String()} {
		if refusal.Count != 3 || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), id(77).String()) {
			t.Errorf("%d refused, want 3, %q in: %v", refusal.Count, want, err)
		}
	}
	if s := p.Stats(); s.Delivered != 197 || s.Refused != 3 || s.LastError == "" {
		t.Errorf("stats %+v", s)
	}
	got := ids(readBack(t, c.ListenAddrs(), 197, "small"))
	for _, i := range []int{0, 77, 199} {
		if got[id(i).String()] != 0 {
			t.Errorf("event %d is there", i)
		}
	}
	if len(got) != 197 {
		t.Errorf("%d events, want 197", len(got))
	}
	sendAll(t, p, events(1000, 5, 5)) // and nothing is told twice
}

// TestRefusedAndStuck: a refusal is told once everything else is delivered, however
// many attempts that takes.
func TestRefusedAndStuck(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "flowsnitch.hits", "flowsnitch.alerts"))
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "flowsnitch.alerts", Err: kerr.LeaderNotAvailable, Count: -1})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "flowsnitch.hits", Err: kerr.InvalidRecord, Count: 1})
	p := newProducer(t, c.ListenAddrs())
	list := events(0, 2, 2)
	list[1].Kind = event.KindAlert
	if retry := sendFailing(t, p, list, "no leader"); retry.Sent != 1 {
		t.Errorf("%d sent, want 1: the refused one is done", retry.Sent)
	}
	fault.Remove()
	err := p.Send(t.Context(), list[1:])
	if refusal, ok := errors.AsType[*sinks.RefusedError](err); !ok || refusal.Count != 1 {
		t.Errorf("got %v, want one refusal", err)
	}
	sendAll(t, p, events(10, 1, 1))
	if s := p.Stats(); s.Delivered != 2 || s.Refused != 1 {
		t.Errorf("stats %+v", s)
	}
}

// TestLinger: small batches that follow each other closely are kept apart a little;
// the end of ctx ends that.
func TestLinger(t *testing.T) {
	c := newCluster(t)
	p := newProducer(t, c.ListenAddrs(), func(cfg *Config) { cfg.Linger = 50 * time.Millisecond })
	sendAll(t, p, events(0, 1, 1))
	begin := p.last
	sendAll(t, p, events(1, 1, 1))
	if gap := p.last.Sub(begin); gap < 50*time.Millisecond {
		t.Errorf("%v between two requests", gap)
	}
	p.last = time.Now().Add(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := p.Send(ctx, events(2, 1, 1))
	if retry, ok := errors.AsType[*sinks.RetryError](err); !ok || retry.Sent != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a RetryError for the cancelled context", err)
	}
	p.last = time.Time{}
	sendAll(t, p, events(2, 1, 1))
	wantAll(t, readBack(t, c.ListenAddrs(), 3), 3, 1)
}
