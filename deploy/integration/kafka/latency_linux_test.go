//go:build soak

package kafka

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
)

// What the latency is measured with.
const (
	measured = 30_000
	perTick  = 1 // hits a millisecond
)

// A stopwatch knows when each hit was sent, and when each reader got it. A hit is told
// by its offender, which no other has.
type stopwatch struct {
	sent    [measured]atomic.Int64 // ns
	begin   time.Time
	mu      sync.Mutex
	readers map[string][]time.Duration
}

func (s *stopwatch) now() int64 { return int64(time.Since(s.begin)) }

// offender is the address of a hit.
func offender(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{62, byte(i >> 16), byte(i >> 8), byte(i)})
}

// got notes that a reader has a line.
func (s *stopwatch) got(reader, line string) {
	at := s.now()
	var addr string
	for _, key := range []string{`"offender":"`, "dst="} {
		if _, rest, ok := strings.Cut(line, key); ok {
			addr = strings.TrimRight(strings.FieldsFunc(rest, func(r rune) bool { return r == '"' || r == ' ' })[0], ",")
			break
		}
	}
	a, err := netip.ParseAddr(addr)
	if err != nil || !strings.Contains(line, "hit") {
		return
	}
	b := a.As4()
	i := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if i >= measured {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers[reader] = append(s.readers[reader], time.Duration(at-s.sent[i].Load()))
}

func (s *stopwatch) count(reader string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.readers[reader])
}

// tail reads a file that grows.
func (s *stopwatch) tail(ctx context.Context, path string) {
	var in *bufio.Reader
	var part string
	for ctx.Err() == nil {
		if in == nil {
			f, err := os.Open(path)
			if err != nil {
				time.Sleep(time.Millisecond)
				continue
			}
			defer f.Close()
			in = bufio.NewReader(f)
		}
		text, err := in.ReadString('\n')
		part += text
		if err != nil {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		s.got("hit log", part)
		part = ""
	}
}

// receive reads syslog over TCP, one message a line.
func (s *stopwatch) receive(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for in := bufio.NewReader(c); ; {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				s.got("syslog tcp", line)
			}
		}()
	}
}

func (s *stopwatch) receiveUDP(c net.PacketConn) {
	for b := make([]byte, 1<<16); ; {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		s.got("syslog udp", string(b[:n]))
	}
}

// TestLatency measures the time from the sending of a datagram to the receipt of its hit
// by a reader of each sink, at 1,000 hits a second, and prints a table.
func TestLatency(t *testing.T) {
	b := newBroker(t, authority.New(t))
	s := &stopwatch{begin: time.Now(), readers: make(map[string][]time.Duration)}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	i := instance.New(t, fmt.Sprintf(`
home: [10.0.0.0/8]
intel: {feeds: [], deny: [62.0.0.0/8]}
sinks:
  - jsonlog: {rotate: none}
  - kafka: {brokers: [%q], create_topics: true}
  - syslog: {servers: [%q], transport: tcp, framing: lf}
  - syslog: {servers: [%q], transport: udp}
`, b.plain, tcp.Addr(), udp.LocalAddr()))
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	i.Start(t)
	i.Contact(t, "62.255.255.255") // the topic comes with the first event
	readers.Go(func() { s.tail(ctx, filepath.Join(i.Dir, "hits.json")) })
	go s.receive(tcp)
	go s.receiveUDP(udp)
	cfg := config(b.plain)
	readers.Go(func() {
		for ctx.Err() == nil {
			_ = kafka.Consume(ctx, kafka.ConsumeConfig{Config: cfg, Topics: []string{"flowsnitch.hits"}, From: kafka.From{First: true}},
				func(m *kafka.Message) error { s.got("kafka", string(m.Value)); return nil })
			time.Sleep(100 * time.Millisecond)
		}
	})
	i.Until(t, "every sink is at work", func() bool {
		var st instance.StreamStatus
		if !i.Status(t, &st) || len(st.Sinks) != 4 {
			return false
		}
		for _, k := range st.Sinks {
			if k.Pending != 0 {
				return false
			}
		}
		return true
	})
	time.Sleep(time.Second) // the Kafka reader has found the topic
	send := s.play(t, i.Address(t))
	t.Logf("%d hits sent in %v", measured, send.Round(time.Millisecond))
	names := []string{"hit log", "kafka", "syslog tcp", "syslog udp"}
	for _, name := range names {
		i.Until(t, "all hits are at "+name, func() bool { return s.count(name) >= measured })
	}
	out := "\n| reader | p50 | p90 | p99 | worst |\n| --- | --- | --- | --- | --- |\n"
	for _, name := range names {
		list := s.readers[name]
		slices.Sort(list)
		at := func(p float64) time.Duration { return list[int(p*float64(len(list)-1))].Round(10 * time.Microsecond) }
		out += fmt.Sprintf("| %s | %v | %v | %v | %v |\n", name, at(0.5), at(0.9), at(0.99), at(1))
	}
	t.Log(out)
}

// play sends the hits at their rate.
func (s *stopwatch) play(t *testing.T, to string) time.Duration {
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	enc, err := synth.NewEncoder(synth.Config{Version: flow.V5})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; i < measured; {
		<-tick.C
		for due := int(time.Since(begin)/time.Millisecond) * perTick; i < min(due, measured); i++ {
			f := synth.Flow{Src: netip.MustParseAddr("10.0.0.5"), Dst: offender(i), SrcPort: 40000, DstPort: 443, Protocol: 6, Packets: 5, Bytes: 500}
			d, _, err := enc.Encode(nil, []synth.Flow{f}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			s.sent[i].Store(s.now())
			if _, err := conn.Write(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	return time.Since(begin)
}
