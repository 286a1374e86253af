package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/udp"
)

func startForwarder(t testing.TB, targets ...string) *Forwarder {
	t.Helper()
	c := udp.DefaultConfig()
	c.Forward = targets
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	t.Cleanup(f.Stop)
	return f
}

func datagrams(source string, payloads ...string) []flow.Datagram {
	var batch []flow.Datagram
	for _, p := range payloads {
		batch = append(batch, flow.Datagram{Payload: []byte(p), Source: netip.MustParseAddrPort(source)})
	}
	return batch
}

// checkSum holds a target to its promise: every datagram has one fate.
func checkSum(t testing.TB, st TargetStats, offered uint64) {
	t.Helper()
	if st.Sent+st.Dropped+st.Failed != offered || st.SourceLost > st.Sent {
		t.Errorf("%d offered: %+v", offered, st)
	}
}

func TestForwardToSeveral(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	f := startForwarder(t, a.LocalAddr().String(), b.LocalAddr().String())
	want := []string{"", "x", strings.Repeat("y", 9000)}
	f.Send(datagrams("127.0.0.9:4000", want...))
	for i, s := range []*udp.Socket{a, b} {
		for k, d := range collect(t, s, len(want)) {
			if d.payload != want[k] {
				t.Errorf("target %d, datagram %d: %d bytes", i, k, len(d.payload))
			}
		}
		st := f.Stats()[i]
		checkSum(t, st, 3)
		if st.Sent != 3 || st.Err != "" || st.Addr != s.LocalAddr() || st.Target != s.LocalAddr().String() {
			t.Errorf("%+v", st)
		}
	}
}

func TestForwardMoreThanOneSendBatch(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	f := startForwarder(t, s.LocalAddr().String())
	var payloads []string
	for i := range 200 {
		payloads = append(payloads, fmt.Sprint(i))
	}
	f.Send(datagrams("127.0.0.9:4000", payloads...))
	for i, d := range collect(t, s, 200) {
		if d.payload != payloads[i] {
			t.Fatalf("datagram %d is %q", i, d.payload)
		}
	}
}

func TestForwardToDeadPort(t *testing.T) {
	dead := listen(t, "127.0.0.1:0")
	live := listen(t, "127.0.0.1:0")
	dead.Close()
	f := startForwarder(t, dead.LocalAddr().String(), live.LocalAddr().String())
	within(t, "Send", func() {
		for range 50 {
			f.Send(datagrams("192.0.2.1:4000", "a", "b"))
		}
	})
	if got := len(collect(t, live, 100)); got != 100 {
		t.Errorf("the live target got %d", got)
	}
	for _, st := range f.Stats() {
		checkSum(t, st, 100)
	}
}

func TestForwardResolves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := udp.DefaultConfig()
		c.Forward = []string{"collector.example:9"}
		f, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var answer []netip.Addr
		fail, asked := errors.New("no such host"), 0
		f.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			if asked++; host != "collector.example" {
				t.Errorf("asked for %q", host)
			}
			return answer, fail
		}
		defer f.Stop()
		f.Start()
		f.Send(datagrams("192.0.2.1:1", "x"))
		if st := f.Stats()[0]; st.Dropped != 1 || st.Addr.IsValid() || !strings.Contains(st.Err, "no such host") {
			t.Errorf("unresolved: %+v", st)
		}
		step := func(what string, after time.Duration, addrs []netip.Addr, err error, want string) {
			t.Helper()
			mu.Lock()
			answer, fail = addrs, err
			mu.Unlock()
			time.Sleep(after)
			synctest.Wait()
			if st := f.Stats()[0]; st.Addr.Addr().String() != want || (st.Err != "") != (err != nil || addrs == nil) {
				t.Errorf("%s: %+v, want %s", what, st, want)
			}
		}
		one, two := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
		step("an empty answer", retryEvery, nil, nil, "invalid IP")
		step("resolved", retryEvery, []netip.Addr{one}, nil, "127.0.0.1")
		first := f.targets[0].route.Load()
		step("still in the answer", refreshEvery, []netip.Addr{two, one}, nil, "127.0.0.1")
		if f.targets[0].route.Load() != first {
			t.Error("an unchanged route was replaced")
		}
		step("the last good address stays", refreshEvery, nil, errors.New("timeout"), "127.0.0.1")
		step("moved", refreshEvery, []netip.Addr{two}, nil, "127.0.0.2")
		if asked != 6 {
			t.Errorf("asked %d times", asked)
		}
	})
}

func TestForwardRefusesItself(t *testing.T) {
	for _, tc := range []struct {
		listen, target string
		loop           bool
	}{
		{":2055", "127.0.0.1:2055", true}, {":2055", "[::1]:2055", true}, {":2055", "0.0.0.0:2055", true},
		{":2055", "127.0.0.1:2056", false}, {"127.0.0.1:2055", "127.0.0.1:2055", true}, {"127.0.0.1:2055", "127.0.0.2:2055", false},
		{"0.0.0.0:2055", "127.0.0.3:2055", true}, {":2055", "192.0.2.77:2055", false},
	} {
		c := udp.DefaultConfig()
		c.Listen, c.Forward = tc.listen, []string{tc.target}
		f, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.leadsBack(netip.MustParseAddrPort(tc.target)); got != tc.loop {
			t.Errorf("%s to %s: got %v", tc.listen, tc.target, got)
		}
		f.Start()
		if st := f.Stats()[0]; tc.loop && (st.Addr.IsValid() || !strings.Contains(st.Err, "itself")) {
			t.Errorf("%s to %s: %+v", tc.listen, tc.target, st)
		}
		f.Stop()
		f.Stop()
	}
	if addrs, _ := net.InterfaceAddrs(); len(addrs) > 0 {
		if p, err := netip.ParsePrefix(addrs[0].String()); err != nil || !isLocal(p.Addr()) {
			t.Errorf("%v is not local", addrs[0])
		}
	}
}

func TestForwarderWithoutTargets(t *testing.T) {
	f := startForwarder(t)
	f.Send(datagrams("192.0.2.1:1", "x"))
	f.Stop()
	inert, err := New(udp.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	inert.Stop()
}

func TestForwardDropsWithoutBlocking(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	f := startForwarder(t, s.LocalAddr().String())
	f.Stop() // the routes are gone: what is sent now has nowhere to go
	within(t, "Send", func() { f.Send(datagrams("192.0.2.1:1", "x", "y")) })
	st := f.Stats()[0]
	checkSum(t, st, 2)
	if st.Dropped != 2 {
		t.Errorf("%+v", st)
	}
}
