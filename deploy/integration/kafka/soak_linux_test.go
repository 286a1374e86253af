//go:build soak

package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// fullHits fill the journal of TestFull, and more.
const (
	fullHits = 300_000
	fullRate = 20_000 // a second
)

// newStream makes an instance with a hit log and a Kafka sink; journal are further keys
// of the journal.
func newStream(t *testing.T, b *broker, journal string) *instance.Instance {
	t.Helper()
	return instance.New(t, instance.StormConfig(t, journal)+fmt.Sprintf(`
sinks:
  - jsonlog: {rotate: none}
  - kafka: {brokers: [%q], create_topics: true, timeout: 5s}
    delivery: {batch: 5000, backoff_max: 1s}
`, b.plain))
}

// A node is a broker in a storm.
type node struct{ *broker }

func (n node) Kill()              { n.kill() }
func (n node) Start(t *testing.T) { n.start(t) }

// TestSoak kills the broker and flowsnitch again and again under load.
func TestSoak(t *testing.T) {
	need(t, "kcat", "kcat")
	b := newBroker(t, authority.New(t))
	instance.Storm{
		Place: "the topic", Server: node{b},
		Account: func(t *testing.T) instance.Account { return published(t, b) },
	}.Run(t, newStream(t, b, "max_bytes: 2147483648"))
}

// TestFull fills the journal while the broker is away, and kills flowsnitch meanwhile and
// when it is full: what is missing in the topic is what the counters say.
func TestFull(t *testing.T) {
	need(t, "kcat", "kcat")
	b := newBroker(t, authority.New(t))
	i := newStream(t, b, "max_bytes: 33554432, segment_bytes: 1048576")
	i.Start(t)
	b.kill()
	gen := i.Generate(t, fullHits, fullRate)
	for range 3 {
		time.Sleep(3 * time.Second)
		i.LostNothing(t)
		i.Kill()
		i.Start(t)
	}
	_ = gen.Wait()
	i.Until(t, "the hit log has everything", func() bool { s := i.LostNothing(t); return len(s.Sinks) > 0 && s.Sinks[0].Pending == 0 })
	i.Kill()
	i.Start(t)
	b.start(t)
	s := i.Drained(t)
	log, topic := i.Logged(t), published(t, b)
	missing := uint64(0)
	for id := range log.Seen {
		if !topic.Seen[id] {
			missing++
		}
	}
	var dropped uint64
	for _, k := range s.Sinks {
		if strings.HasPrefix(k.Name, "kafka") {
			dropped = k.Dropped
		}
	}
	t.Logf("%d flows sent, %d hits in the log, %d in the topic, %d missing, %d counted as dropped", fullHits, len(log.Seen), len(topic.Seen), missing, dropped)
	if missing == 0 || missing != dropped {
		t.Errorf("%d are missing, %d were counted as dropped", missing, dropped)
	}
}
