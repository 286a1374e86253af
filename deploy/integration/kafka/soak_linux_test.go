//go:build soak

package kafka

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// The full figures.
const (
	hits     = 1_000_000
	hitRate  = 20_000 // a second
	kills    = 5      // of each
	fullHits = 300_000
)

// A stream is flowsnitch with a hit log and a Kafka sink, and a generator of hits.
type stream struct {
	*instance.Instance
	broker *broker
	gen    *exec.Cmd
}

// newStream makes a stream; journal are further keys of the journal.
func newStream(t *testing.T, b *broker, journal string) *stream {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := c.LocalAddr().String()
	c.Close()
	return &stream{broker: b, Instance: instance.New(t, fmt.Sprintf(`
listen: [{udp: %q, receive_buffer: 67108864}]
home: [10.0.0.0/8]
intel: {feeds: [], deny: [62.0.0.0/20]}
contact: {hit_queue: 1000000}
journal: {%s}
sinks:
  - jsonlog: {rotate: none}
  - kafka: {brokers: [%q], create_topics: true, timeout: 5s}
    delivery: {batch: 5000, backoff_max: 1s}
`, to, journal, b.plain))}
}

// generate sends flows of which every one is a hit of a contact of its own.
func (s *stream) generate(t *testing.T, flows int) {
	t.Helper()
	s.gen = exec.Command(instance.Binary(t, "flowgen"), "--to", s.Address(t), "--version", "v9", "--home", "10.0.0.0/8",
		"--hits", "1", "--hit-list", "62.0.0.0/20", "--flows", strconv.Itoa(flows), "--count", strconv.Itoa(flows), "--rate", strconv.Itoa(hitRate))
	s.gen.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.gen.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.gen.Process.Kill() })
}

// A state is what the test reads of the status.
type state struct {
	Listeners []struct {
		KernelDrops uint64 `json:"kernel_drops"`
	} `json:"listeners"`
	Hits struct {
		Found     uint64 `json:"found"`
		QueueFull uint64 `json:"hit_queue_full"`
	} `json:"hits"`
	Journal struct {
		DroppedFull uint64 `json:"dropped_full"`
		DroppedOld  uint64 `json:"dropped_old"`
	} `json:"journal"`
	Sinks []struct {
		Name    string `json:"name"`
		Pending uint64 `json:"pending"`
		Dropped uint64 `json:"dropped"`
		Failed  uint64 `json:"failed"`
	} `json:"sinks"`
}

// lostNothing checks the decode side.
func (s *stream) lostNothing(t *testing.T) (st state) {
	t.Helper()
	if !s.Status(t, &st) || len(st.Listeners) == 0 {
		return st
	}
	if st.Listeners[0].KernelDrops != 0 || st.Hits.QueueFull != 0 {
		t.Errorf("the decode side lost something: %+v", st)
	}
	return st
}

// drained waits until no sink has anything waiting.
func (s *stream) drained(t *testing.T) (st state) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		st = state{}
		if s.Status(t, &st) && len(st.Sinks) == 2 && st.Sinks[0].Pending == 0 && st.Sinks[1].Pending == 0 {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("events still wait: %+v", st)
		}
	}
}

// An account is the events of one place: per offender the ids in order of their first
// occurrence, and how many came again.
type account struct {
	ids    map[string][]string
	seen   map[string]bool
	double int
}

// accountOf takes the id and the offender of every event out of lines.
func accountOf(t *testing.T, in io.Reader) account {
	t.Helper()
	a := account{ids: make(map[string][]string), seen: make(map[string]bool)}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasSuffix(line, "}") {
			t.Errorf("half a line: %q", line)
			continue
		}
		if !strings.Contains(line, `"event":"hit"`) {
			continue
		}
		id, offender := field(line, `"id":"`), field(line, `"offender":"`)
		if a.seen[id] {
			a.double++
			continue
		}
		a.seen[id] = true
		a.ids[offender] = append(a.ids[offender], id)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return a
}

func field(line, key string) string {
	_, rest, _ := strings.Cut(line, key)
	value, _, _ := strings.Cut(rest, `"`)
	return strings.Clone(value)
}

func (s *stream) logged(t *testing.T) account {
	t.Helper()
	f, err := os.Open(filepath.Join(s.Dir, "hits.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return accountOf(t, f)
}

func (s *stream) published(t *testing.T) account {
	t.Helper()
	cmd := exec.Command("kcat", "-C", "-q", "-e", "-m", "60", "-b", s.broker.plain, "-t", "flowsnitch.hits", "-o", "beginning")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := accountOf(t, out)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestSoak kills the broker and flowsnitch again and again under load.
func TestSoak(t *testing.T) {
	need(t, "kcat", "kcat")
	b := newBroker(t, newAuthority(t))
	s := newStream(t, b, "max_bytes: 2147483648")
	s.Start(t)
	s.generate(t, hits*5/4) // some are sent while nobody listens
	r := rand.New(rand.NewPCG(3, 4))
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
		time.Sleep(4*time.Second + time.Duration(r.Int64N(int64(6*time.Second))))
		s.lostNothing(t)
		s.Kill()
		s.Start(t)
	}
	<-brokers
	_ = s.gen.Wait()
	s.drained(t)
	st := s.lostNothing(t)
	log, topic := s.logged(t), s.published(t)
	t.Logf("%d hits in the log (%d twice), %d in the topic (%d twice); dropped %d", len(log.seen), log.double, len(topic.seen), topic.double,
		st.Journal.DroppedFull+st.Journal.DroppedOld)
	if len(log.seen) < hits {
		t.Errorf("only %d hits in the log", len(log.seen))
	}
	compare(t, log, topic)
}

// compare makes sure that both places have the same events, in the same order for each
// offender.
func compare(t *testing.T, log, topic account) {
	t.Helper()
	for offender, ids := range log.ids {
		if !slices.Equal(ids, topic.ids[offender]) {
			t.Errorf("offender %s: %d events in the log, %d in the topic, or in another order", offender, len(ids), len(topic.ids[offender]))
		}
	}
	if len(topic.seen) != len(log.seen) {
		t.Errorf("%d events in the log, %d in the topic", len(log.seen), len(topic.seen))
	}
}

// TestFull fills the journal while the broker is away: what is missing in the topic is
// what the counters say.
func TestFull(t *testing.T) {
	need(t, "kcat", "kcat")
	b := newBroker(t, newAuthority(t))
	s := newStream(t, b, "max_bytes: 33554432, segment_bytes: 1048576")
	s.Start(t)
	b.kill()
	s.generate(t, fullHits)
	_ = s.gen.Wait()
	s.Until(t, "all hits are found", func() bool { return s.lostNothing(t).Hits.Found == fullHits })
	b.start(t)
	st := s.drained(t)
	log, topic := s.logged(t), s.published(t)
	missing := uint64(0)
	for id := range log.seen {
		if !topic.seen[id] {
			missing++
		}
	}
	t.Logf("%d hits in the log, %d in the topic, %d missing; status: %+v", len(log.seen), len(topic.seen), missing, st)
	var dropped uint64
	for _, k := range st.Sinks {
		if strings.HasPrefix(k.Name, "kafka") {
			dropped = k.Dropped
		}
	}
	if missing == 0 || missing != dropped {
		t.Errorf("%d are missing, %d were counted as dropped", missing, dropped)
	}
}
