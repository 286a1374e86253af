//go:build soak

package kafka

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The full figures.
const (
	hits     = 1_000_000
	hitRate  = 20_000 // a second
	kills    = 5      // of each
	fullHits = 300_000
)

// newStream makes an instance with a hit log and a Kafka sink; journal are further keys
// of the journal.
func newStream(t *testing.T, b *broker, journal string) *instance.Instance {
	t.Helper()
	return instance.New(t, fmt.Sprintf(`
listen: [{udp: %q, receive_buffer: 67108864}]
home: [%s]
intel: {feeds: [], deny: [%s]}
contact: {hit_queue: 1000000}
canary: {every: 0s}
journal: {%s}
sinks:
  - jsonlog: {rotate: none}
  - kafka: {brokers: [%q], create_topics: true, timeout: 5s}
    delivery: {batch: 5000, backoff_max: 1s}
`, instance.FreeUDP(t), instance.Home, instance.Offenders, journal, b.plain))
}

// TestSoak kills the broker and flowsnitch again and again under load.
func TestSoak(t *testing.T) {
	need(t, "kcat", "kcat")
	b := newBroker(t, authority.New(t))
	i := newStream(t, b, "max_bytes: 2147483648")
	i.Start(t)
	gen := i.Generate(t, hits*5/4, hitRate) // some are sent while nobody listens
	brokers := make(chan struct{})
	go func() {
		defer close(brokers)
		for range kills {
			time.Sleep(2 * time.Second)
			b.kill()
			time.Sleep(5*time.Second + rand.N(10*time.Second))
			b.start(t)
		}
	}()
	for range kills {
		time.Sleep(4*time.Second + rand.N(6*time.Second))
		i.LostNothing(t)
		i.Kill()
		i.Start(t)
	}
	<-brokers
	_ = gen.Wait()
	i.Drained(t)
	s := i.LostNothing(t)
	log, topic := i.Logged(t), published(t, b)
	t.Logf("%d hits in the log (%d twice), %d in the topic (%d twice); dropped %d", len(log.Seen), log.Double, len(topic.Seen), topic.Double,
		s.Journal.DroppedFull+s.Journal.DroppedOld)
	if len(log.Seen) < hits {
		t.Errorf("only %d hits in the log", len(log.Seen))
	}
	log.Compare(t, "the topic", topic)
}

// TestFull fills the journal while the broker is away: what is missing in the topic is
// what the counters say.
func TestFull(t *testing.T) {
	need(t, "kcat", "kcat")
	b := newBroker(t, authority.New(t))
	i := newStream(t, b, "max_bytes: 33554432, segment_bytes: 1048576")
	i.Start(t)
	b.kill()
	_ = i.Generate(t, fullHits, hitRate).Wait()
	i.Until(t, "all hits are found", func() bool { return i.LostNothing(t).Hits.Found == fullHits })
	b.start(t)
	s := i.Drained(t)
	log, topic := i.Logged(t), published(t, b)
	missing := uint64(0)
	for id := range log.Seen {
		if !topic.Seen[id] {
			missing++
		}
	}
	t.Logf("%d hits in the log, %d in the topic, %d missing; status: %+v", len(log.Seen), len(topic.Seen), missing, s)
	var dropped uint64
	for _, k := range s.Sinks {
		if strings.HasPrefix(k.Name, "kafka") {
			dropped = k.Dropped
		}
	}
	if missing == 0 || missing != dropped {
		t.Errorf("%d are missing, %d were counted as dropped", missing, dropped)
	}
}
