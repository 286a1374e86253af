package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is when something counts as hung.
const patience = time.Minute

// newCluster starts a fake cluster of one broker with our topics, unless opts say
// otherwise.
func newCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	opts = append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, DefaultConfig().Topics.all()...)}, opts...)
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// newProducer makes a producer for brokers.
func newProducer(t *testing.T, brokers []string, change ...func(*Config)) *Producer {
	t.Helper()
	p, err := New(testConfig(brokers, change...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

func testConfig(brokers []string, change ...func(*Config)) Config {
	cfg := DefaultConfig()
	cfg.Brokers = brokers
	cfg.Timeout = 5 * time.Second
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

// events gives hits of n offenders in turn, numbered in Flows from first on.
func events(first, count, offenders int) []event.Event {
	list := make([]event.Event, count)
	for i := range list {
		n := first + i
		list[i] = event.Event{
			Kind: event.KindHit, ID: id(n), Time: time.Now(), Sensor: "pi-oslo", Flows: uint64(n),
			Offender: netip.AddrFrom4([4]byte{203, 0, 113, byte(n % offenders)}), Reason: "because",
		}
	}
	return list
}

// id gives the identity of event n.
func id(n int) (u uuid.UUID) {
	u[6], u[8] = 0x70, 0x80
	u[15], u[14], u[13] = byte(n), byte(n>>8), byte(n>>16)
	return u
}

// sendAll does what a queue does: it asks again for what was not delivered, without
// its pauses. It fails the test for any other error.
func sendAll(t *testing.T, p *Producer, list []event.Event) (retries int) {
	t.Helper()
	for end := time.Now().Add(patience); ; retries++ {
		err := p.Send(t.Context(), list)
		if err == nil {
			return retries
		}
		retry, ok := errors.AsType[*sinks.RetryError](err)
		if !ok || time.Now().After(end) {
			t.Fatal(err)
		}
		list = list[retry.Sent:]
		time.Sleep(20 * time.Millisecond)
	}
}

// sendFailing sends and wants a RetryError that says all of want.
func sendFailing(t *testing.T, p *Producer, list []event.Event, want ...string) *sinks.RetryError {
	t.Helper()
	err := p.Send(t.Context(), list)
	retry, ok := errors.AsType[*sinks.RetryError](err)
	if !ok {
		t.Fatalf("got %v, want a RetryError", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in the error: %v", w, err)
		}
	}
	t.Log(err)
	return retry
}

// readBack reads n messages of topics with a client that is not ours.
func readBack(t *testing.T, brokers []string, n int, topics ...string) []*kgo.Record {
	t.Helper()
	if len(topics) == 0 {
		topics = DefaultConfig().Topics.all()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var list []*kgo.Record
	for len(list) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d messages: %v", len(list), n, err)
		}
		list = append(list, fetches.Records()...)
	}
	return list
}

// ids counts the identities in messages.
func ids(list []*kgo.Record) map[string]int {
	seen := map[string]int{}
	for _, r := range list {
		_, rest, _ := strings.Cut(string(r.Value), `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		seen[id]++
	}
	return seen
}

// wantAll checks that events 0 to n-1 are there, at most most times each.
func wantAll(t *testing.T, list []*kgo.Record, n, most int) {
	t.Helper()
	seen := ids(list)
	for i := range n {
		if times := seen[id(i).String()]; times < 1 || times > most {
			t.Errorf("event %d came %d times, want 1 to %d", i, times, most)
		}
	}
	if len(seen) != n {
		t.Errorf("%d different events, want %d", len(seen), n)
	}
}

// freePort gives a port that nobody listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func loopback(port int) []string { return []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))} }

func number(i int) string { return fmt.Sprintf(`"flows":%d,`, i) }
