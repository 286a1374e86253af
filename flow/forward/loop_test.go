package forward

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/udp"
)

// TestForwardLoopEnds: instances that forward to each other, in a pair or a ring, end
// what goes round, count it, and go on forwarding what is new. They do with copies that
// keep their source, where the test may send such, and without.
func TestForwardLoopEnds(t *testing.T) {
	for _, keeps := range []bool{true, false} {
		for _, n := range []int{2, 3} {
			t.Run(fmt.Sprintf("%d instances, source kept %v", n, keeps), func(t *testing.T) { forwardLoop(t, n, keeps) })
		}
	}
}

func forwardLoop(t *testing.T, n int, keepSource bool) {
	var sockets []*udp.Socket
	for range n {
		sockets = append(sockets, listen(t, "127.0.0.1:0"))
	}
	var forwards []*Forwarder
	var datagrams atomic.Uint64
	var workers sync.WaitGroup
	for i, s := range sockets {
		f := startForwarder(t, sockets[(i+1)%n].LocalAddr().String())
		if !keepSource {
			f.targets[0].route.Load().spoof = nil
		}
		forwards = append(forwards, f)
		workers.Go(func() {
			batch := make([]flow.Datagram, 64)
			for {
				got, err := s.Read(batch)
				if err != nil {
					return
				}
				datagrams.Add(uint64(got))
				f.Send(batch[:got])
			}
		})
	}
	conn, err := net.Dial("udp", sockets[0].LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const sent = 5
	for k := range sent {
		fmt.Fprintf(conn, "datagram %d", k)
	}
	looped := func() (sum uint64) {
		for _, f := range forwards {
			sum += f.Stats()[0].Looped
		}
		return sum
	}
	for end := time.Now().Add(10 * time.Second); looped() < sent && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	for _, s := range sockets {
		s.Drain()
	}
	workers.Wait()
	if got := looped(); got != sent {
		t.Errorf("%d datagrams were found in a loop, want %d", got, sent)
	}
	if got := datagrams.Load(); got > uint64(sent*(2*n+1)) {
		t.Errorf("%d datagrams came of %d", got, sent)
	}
	named := false
	for _, f := range forwards {
		st := f.Stats()[0]
		named = named || st.LoopedFrom.IsValid()
		if st.Sent < sent {
			t.Errorf("%+v", st)
		}
	}
	if !named {
		t.Error("the sender of what went round is not named")
	}
}

// TestLoopGuard: the same again is left out for ten seconds; others, and the same from
// others, are not.
func TestLoopGuard(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	f := startForwarder(t, s.LocalAddr().String())
	now := time.Unix(1_800_000_000, 0)
	send := func(want int, at time.Duration, source string, payloads ...string) {
		t.Helper()
		before := f.Stats()[0]
		batch := datagrams(source, payloads...)
		for i := range batch {
			batch[i].Received = now.Add(at)
		}
		f.Send(batch)
		after := f.Stats()[0]
		if got := after.Sent - before.Sent; got != uint64(want) || after.Looped-before.Looped != uint64(len(payloads)-want) {
			t.Errorf("%v from %s after %v: sent %d, want %d; %+v", payloads, source, at, got, want, after)
		}
	}
	send(3, 0, "127.0.0.9:4000", "a", "b", "c")
	send(2, time.Second, "127.0.0.9:4000", "d", "b", "e", "e")
	send(3, time.Second, "127.0.0.9:4001", "a", "b", "c")
	send(3, time.Second, "127.0.0.8:4000", "a", "b", "c")
	send(0, 9*time.Second, "127.0.0.9:4000", "a")
	send(1, 20*time.Second, "127.0.0.9:4000", "a")
	got := ""
	for _, d := range collect(t, s, 12) {
		got += d.payload
	}
	if want := "abcdeabcabca"; got != want {
		t.Errorf("came %q, want %q", got, want)
	}
}

// TestForwardAllocatesNothing, also while something goes round.
func TestForwardAllocatesNothing(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	f := startForwarder(t, s.LocalAddr().String())
	batch := datagrams("127.0.0.9:4000", "a", "b", "c", "a")
	now := time.Unix(1_800_000_000, 0)
	send := func() {
		now = now.Add(time.Millisecond)
		for i := range batch {
			batch[i].Received = now
		}
		f.Send(batch)
	}
	send()
	if n := testing.AllocsPerRun(100, send); n != 0 {
		t.Errorf("%v allocations for each batch", n)
	}
}
