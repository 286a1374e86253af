//go:build integration

package kafka

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/google/uuid"
	kafkago "github.com/segmentio/kafka-go"
)

// TestKafka runs everything against one broker, for that takes some seconds to start.
func TestKafka(t *testing.T) {
	need(t, "kcat", "kcat")
	snake := python(t)
	ca := authority.New(t)
	b := newBroker(t, ca)
	t.Run("outage", func(t *testing.T) { testOutage(t, b, snake) })
	t.Run("sasl", func(t *testing.T) { testSASL(t, b, ca) })
	t.Run("tls", func(t *testing.T) { testTLS(t, b, ca) })
	t.Run("compression", func(t *testing.T) { testCompression(t, b, snake) })
	t.Run("forms", func(t *testing.T) { testForms(t, b, snake) })
	t.Run("readme", func(t *testing.T) { testReadme(t, b, snake) })
	t.Run("consume", func(t *testing.T) { testConsume(t, b, ca) })
	t.Run("unknown topic", func(t *testing.T) { testUnknownTopic(t, b) })
	t.Run("too large", func(t *testing.T) { testTooLarge(t, b) })
	t.Run("faults", func(t *testing.T) { testFaults(t, b, ca) })
	t.Run("not authorised", func(t *testing.T) { testNotAuthorised(t, b) })
}

// testOutage kills the broker under way.
func testOutage(t *testing.T, b *broker, snake string) {
	const count, offenders, batch = 10_000, 97, 100
	cfg := config(b.plain)
	cfg.CreateTopics = true
	p := producer(t, cfg)
	list := events(count, offenders)
	for first := 0; first < count; first += batch {
		if first == count/2 {
			go b.kill()
		}
		sendAll(t, p, list[first:first+batch], func(err error) {
			t.Log(err)
			if b.hasEnded() {
				b.start(t)
			}
		})
	}
	if s := p.Stats(); s.Delivered != count || s.Errors < 1 {
		t.Errorf("%+v: no attempt has failed, or not every event was delivered", s)
	}
	check(t, kcat(t, b, "flowsnitch.hits"), list)
	check(t, consumePython(t, b, snake, "flowsnitch.hits"), list)
	checkConsume(t, cfg, list)
}

// testForms publishes in the forms of Elastic and OCSF. A consumer in Python gets documents
// that have the event's id and offender where these schemas have them.
func testForms(t *testing.T, b *broker, snake string) {
	for format, version := range map[string]string{form.ECS: "8.11.0", form.OCSF: "1.5.0"} {
		cfg := config(b.plain)
		cfg.CreateTopics, cfg.Format = true, format
		cfg.Topics = kafka.Topics{Hits: "hits." + format, Alerts: "alerts." + format, Canary: "canary." + format}
		p := producer(t, cfg)
		sent := events(500, 13)
		for i := range sent {
			sent[i].Exporter = netip.MustParseAddr("192.0.2.1")
		}
		sendAll(t, p, sent)
		out, err := consumePython(t, b, snake, "hits."+format).Output()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for line := range strings.Lines(string(out)) {
			f := strings.SplitN(line, "\t", 4)
			var doc struct {
				Event      struct{ ID string }
				Observer   struct{ IP []string }
				Metadata   struct{ UID string }
				Flowsnitch struct{ Offender string }
				Unmapped   struct{ Offender, Exporter string }
			}
			if err := json.Unmarshal([]byte(f[3]), &doc); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if f[2] != "kind=hit,format="+format+",v="+version+",content-type=application/json" || doc.Flowsnitch.Offender+doc.Unmapped.Offender != f[1] ||
				strings.Join(doc.Observer.IP, "")+doc.Unmapped.Exporter != "192.0.2.1" {
				t.Errorf("got %s", line)
			}
			seen[doc.Event.ID+doc.Metadata.UID] = true
		}
		for i := range sent {
			if !seen[sent[i].ID.String()] {
				t.Errorf("%s: event %d has not arrived", format, i)
			}
		}
		t.Logf("%s: %d sent, %d arrived", format, len(sent), len(seen))
	}
}

// kcat prints every message of a topic: partition, key, headers and value.
func kcat(t *testing.T, b *broker, topic string) *exec.Cmd {
	return exec.CommandContext(t.Context(), "kcat", "-C", "-q", "-e", "-m", "60", "-b", b.plain, "-t", topic, "-o", "beginning", "-f", `%p\t%k\t%h\t%s\n`)
}

// consumePython does what kcat does.
func consumePython(t *testing.T, b *broker, snake, topic string) *exec.Cmd {
	return exec.CommandContext(t.Context(), snake, "consume.py", b.plain, topic)
}

// check runs a consumer and compares what it prints with what was sent: every event is
// there, and the first occurrences of each offender's are in order.
func check(t *testing.T, consumer *exec.Cmd, sent []event.Event) {
	t.Helper()
	var problems bytes.Buffer
	consumer.Stderr = &problems
	out, err := consumer.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", consumer.Args[0], err, &problems)
	}
	seen := seen{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		partition, rest, _ := strings.Cut(lines.Text(), "\t")
		key, rest, _ := strings.Cut(rest, "\t")
		headers, value, _ := strings.Cut(rest, "\t")
		if headers != "kind=hit,format=native,v=2,content-type=application/json" {
			t.Fatalf("headers %s", headers)
		}
		seen.add(t, partition, key, value)
	}
	t.Logf("%s: %d messages", consumer.Args[0], seen.messages)
	seen.compare(t, sent)
}

// checkConsume is check for our own consumer.
func checkConsume(t *testing.T, cfg kafka.Config, sent []event.Event) {
	t.Helper()
	enough := errors.New("enough")
	seen := seen{}
	err := kafka.Consume(t.Context(), kafka.ConsumeConfig{Config: cfg, Topics: []string{"flowsnitch.hits"}, From: kafka.From{First: true}},
		func(m *kafka.Message) error {
			seen.add(t, strconv.Itoa(m.Partition), string(m.Key), string(m.Value))
			if len(seen.ids) == len(sent) {
				return enough
			}
			return nil
		})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	seen.compare(t, sent)
}

// seen is what a consumer has seen.
type seen struct {
	messages int
	ids      map[string]bool
	byKey    map[string][]string // first occurrences of ids
	place    map[string]string   // partition by key
}

func (s *seen) add(t *testing.T, partition, key, value string) {
	t.Helper()
	var event struct {
		ID         string
		Flowsnitch struct{ Offender string }
	}
	if err := json.Unmarshal([]byte(value), &event); err != nil || event.Flowsnitch.Offender != key {
		t.Fatalf("key %s, value %q: %v", key, value, err)
	}
	if s.ids == nil {
		s.ids, s.byKey, s.place = map[string]bool{}, map[string][]string{}, map[string]string{}
	}
	if have, ok := s.place[key]; ok && have != partition {
		t.Fatalf("offender %s is in partitions %s and %s", key, have, partition)
	}
	s.place[key] = partition
	s.messages++
	if !s.ids[event.ID] {
		s.ids[event.ID] = true
		s.byKey[key] = append(s.byKey[key], event.ID)
	}
}

func (s *seen) compare(t *testing.T, sent []event.Event) {
	t.Helper()
	want := map[string][]string{}
	for i := range sent {
		key := sent[i].Offender.String()
		want[key] = append(want[key], sent[i].ID.String())
	}
	for key, ids := range want {
		if got := s.byKey[key]; strings.Join(got, " ") != strings.Join(ids, " ") {
			t.Errorf("offender %s: %d events of %d, or not in their order", key, len(got), len(ids))
		}
	}
}

func testSASL(t *testing.T, b *broker, ca *authority.Authority) {
	for _, mechanism := range []string{kafka.SASLPlain, kafka.SASLSCRAM256, kafka.SASLSCRAM512} {
		cfg := config(b.sasl)
		cfg.SASL = kafka.SASL{Mechanism: mechanism, User: user, Password: password}
		sendAll(t, producer(t, cfg), events(10, 3))
		secure := cfg
		secure.Brokers, secure.TLS = []string{b.saslSSL}, kafka.TLS{Enabled: true, CA: ca.File}
		sendAll(t, producer(t, secure), events(10, 3))
		cfg.SASL.Password = "battery-staple"
		wantRetry(t, producer(t, cfg), "authentication failed, check sasl.user and the password")
	}
	wantRetry(t, producer(t, config(b.sasl)), "sasl")
}

func testTLS(t *testing.T, b *broker, ca *authority.Authority) {
	cfg := config(b.ssl)
	cert, key := ca.Issue(t)
	cfg.TLS = kafka.TLS{Enabled: true, CA: ca.File, Cert: cert, Key: key}
	sendAll(t, producer(t, cfg), events(10, 3))
	cfg.TLS.CA = authority.New(t).File
	wantRetry(t, producer(t, cfg), "unknown authority, name it in tls.ca")
	cfg.TLS = kafka.TLS{Enabled: true, CA: ca.File}
	wantRetry(t, producer(t, cfg), "check tls.cert and tls.key")
	cfg.Brokers = []string{b.server} // this one asks for no certificate
	sendAll(t, producer(t, cfg), events(10, 3))
}

func testCompression(t *testing.T, b *broker, snake string) {
	for _, compression := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		cfg := config(b.plain)
		cfg.Compression, cfg.CreateTopics, cfg.Topics.Hits = compression, true, "hits."+compression
		list := events(500, 9)
		sendAll(t, producer(t, cfg), list)
		check(t, kcat(t, b, cfg.Topics.Hits), list)
		check(t, consumePython(t, b, snake, cfg.Topics.Hits), list)
	}
}

func testUnknownTopic(t *testing.T, b *broker) {
	cfg := config(b.plain)
	cfg.Topics.Hits = "later"
	p := producer(t, cfg)
	wantRetry(t, p, "topic later: unknown there")
	createTopic(t, b, "later")
	sendAll(t, p, events(10, 3))
}

func testTooLarge(t *testing.T, b *broker) {
	createTopic(t, b, "small", kafkago.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "3000"})
	cfg := config(b.plain)
	cfg.Topics.Hits = "small"
	p := producer(t, cfg)
	list := events(100, 3)
	list[50].Reason = strings.Repeat("x", 1000)
	list[50].Indicators = []event.Indicator{{Feed: "f", Ref: strings.Repeat("y", 1000)}, {Feed: "g", Ref: strings.Repeat("z", 1000)}}
	err := send(t, p, list) // a new topic has no leader yet, in the beginning
	if refusal, ok := errors.AsType[*sinks.RefusedError](err); !ok || refusal.Count != 1 || !strings.Contains(err.Error(), list[50].ID.String()) {
		t.Fatalf("got %v, want the refusal of event %v", err, list[50].ID)
	}
	t.Log(err)
	check(t, kcat(t, b, "small"), append(list[:50:50], list[51:]...))
}

func testNotAuthorised(t *testing.T, b *broker) {
	createTopic(t, b, "forbidden")
	denyWriting(t, b, "forbidden")
	cfg := config(b.sasl)
	cfg.SASL = kafka.SASL{Mechanism: kafka.SASLPlain, User: user, Password: password}
	cfg.Topics.Hits = "forbidden"
	wantRetry(t, producer(t, cfg), "not authorised, the user needs Write and Describe on the topic")
}

func createTopic(t *testing.T, b *broker, name string, entries ...kafkago.ConfigEntry) {
	t.Helper()
	res, err := client(b).CreateTopics(t.Context(), &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{
		Topic: name, NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: entries,
	}}})
	if err == nil {
		err = res.Errors[name]
	}
	if err != nil {
		t.Fatal(err)
	}
}

func producer(t *testing.T, cfg kafka.Config) *kafka.Producer {
	t.Helper()
	p, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	return p
}

func events(count, offenders int) []event.Event {
	list := make([]event.Event, count)
	for i := range list {
		id, err := uuid.NewV7()
		if err != nil {
			panic(err)
		}
		offender := netip.AddrFrom4([4]byte{203, 0, 113, byte(i % offenders)})
		list[i] = event.Event{
			Kind: event.KindHit, ID: id, Time: time.Now(), Sensor: "test", Flows: uint64(i), Offender: offender,
			Src: netip.AddrFrom4([4]byte{10, 0, 0, 5}), Dst: offender, Reason: "because",
		}
	}
	return list
}

// sendAll sends as a queue does, and tells of failures. Nothing may be given up.
func sendAll(t *testing.T, p *kafka.Producer, list []event.Event, failed ...func(error)) {
	t.Helper()
	if err := send(t, p, list, failed...); err != nil {
		t.Fatal(err)
	}
}

// send sends until nothing is asked for again.
func send(t *testing.T, p *kafka.Producer, list []event.Event, failed ...func(error)) error {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := p.Send(t.Context(), list)
		retry, again := errors.AsType[*sinks.RetryError](err)
		if !again {
			return err
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		list = list[retry.Sent:]
		for _, f := range failed {
			f(err)
		}
	}
}

// wantRetry waits for an error that says what is wrong. There may be others before, as
// a new topic has no leader in the beginning, and a busy broker answers late.
func wantRetry(t *testing.T, p *kafka.Producer, want string) {
	t.Helper()
	var err error
	eventually(t, fmt.Sprintf("a RetryError with %q", want), func() bool {
		now := p.Send(t.Context(), events(3, 3))
		if fmt.Sprint(now) != fmt.Sprint(err) {
			t.Log(now)
		}
		err = now
		_, ok := errors.AsType[*sinks.RetryError](err)
		return ok && strings.Contains(err.Error(), want)
	})
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}
