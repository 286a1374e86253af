package forward

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flowsnitch/flowsnitch/flow"
)

// canSendRaw tells whether this process may keep the source, after saying so.
func canSendRaw(t *testing.T) bool {
	raw, err := dialSpoofing(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Logf("the source cannot be kept here: %v", err)
		return false
	}
	raw.Close()
	return true
}

func TestForwardKeepsTheSource(t *testing.T) {
	if !canSendRaw(t) {
		t.Skip("needs CAP_NET_RAW: run as root")
	}
	for _, tc := range []struct{ listen, source string }{
		{"127.0.0.1:0", "127.0.0.77:4000"},
		{"127.0.0.1:0", "192.0.2.1:65535"}, // not ours, yet on loopback it arrives
		{"[::1]:0", "[::1]:4000"},
		{"[::1]:0", "[2001:db8::77]:4000"},
	} {
		t.Run(tc.source, func(t *testing.T) {
			if strings.HasPrefix(tc.listen, "[") && !hasIPv6(t) {
				t.Skip("needs IPv6")
			}
			s := listen(t, tc.listen)
			f := startForwarder(t, s.LocalAddr().String())
			want := []string{"", "x", strings.Repeat("z", 1401), strings.Repeat("y", 65000)}
			f.Send(datagrams(tc.source, want...))
			st := f.Stats()[0]
			checkSum(t, st, 4)
			if !st.KeepsSource || st.Sent != 4 || st.SourceLost != 0 {
				t.Fatalf("%+v", st)
			}
			for i, d := range collect(t, s, 4) {
				if d.payload != want[i] || d.source != netip.MustParseAddrPort(tc.source) {
					t.Errorf("datagram %d: %d bytes from %v", i, len(d.payload), d.source)
				}
			}
		})
	}
}

func TestForwardAcrossFamiliesLosesTheSource(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	f := startForwarder(t, s.LocalAddr().String())
	batch := append(datagrams("[2001:db8::1]:4000", "six"), datagrams("127.0.0.5:4000", "four")...)
	f.Send(append(batch, datagrams("[fe80::1%lo]:4000", "link")...))
	lost := 0
	for _, d := range collect(t, s, 3) {
		if d.source.Addr() == netip.MustParseAddr("127.0.0.1") {
			lost++
		}
	}
	if st := f.Stats()[0]; st.Sent != 3 || int(st.SourceLost) != lost || lost < 2 {
		t.Errorf("%d came from our address: %+v", lost, st)
	}
}

// TestForwardFallsBack sends what the raw socket cannot: a UDP payload beyond what
// the kernel lets through it goes out plainly or is counted, never forgotten.
func TestForwardFallsBack(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	f := startForwarder(t, s.LocalAddr().String())
	f.Send(datagrams("127.0.0.5:4000", strings.Repeat("a", 65507), strings.Repeat("b", 65508), "c"))
	st := f.Stats()[0]
	checkSum(t, st, 3)
	if st.Sent != 2 || st.Failed != 1 {
		t.Errorf("%+v", st)
	}
	if all := collect(t, s, 2); len(all[0].payload) != 65507 || all[1].payload != "c" {
		t.Errorf("%d and %d bytes came", len(all[0].payload), len(all[1].payload))
	}
}

func TestForwardCountsAFullBuffer(t *testing.T) {
	var o outbox
	o.init()
	// A scripted connection in place of the kernel: two go, then there is no room.
	script := &scripted{o: &o, results: []scriptedResult{{n: 2}, {errno: unix.ECONNREFUSED}, {n: 1}, {errno: unix.EPERM}, {errno: unix.EAGAIN}}}
	o.flush(script, 8)
	want := []fate{sent, sent, refused, sent, failed, full, full, full}
	for i, w := range want {
		if o.fates[i] != w {
			t.Errorf("message %d: got %d, want %d", i, o.fates[i], w)
		}
	}
}

type scriptedResult struct {
	n     int
	errno syscall.Errno
}

// scripted is a syscall.RawConn that answers for the kernel.
type scripted struct {
	o       *outbox
	results []scriptedResult
}

func (s *scripted) Control(func(uintptr)) error   { return errors.ErrUnsupported }
func (s *scripted) Read(func(uintptr) bool) error { return errors.ErrUnsupported }
func (s *scripted) Write(func(uintptr) bool) error {
	s.o.n, s.o.errno = s.results[0].n, s.results[0].errno
	s.results = s.results[1:]
	return nil
}

func TestForwardDoesNotAllocate(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	f := startForwarder(t, s.LocalAddr().String())
	batch := append(datagrams("127.0.0.5:4000", "abc", "def"), datagrams("[::1]:1", "six")...)
	f.Send(batch) // the scratch memory is made now
	if n := testing.AllocsPerRun(100, func() { f.Send(batch) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestForwardAfterTheRouteIsGone is the race of Send with a changed address: the
// sockets are closed, the datagrams are counted.
func TestForwardAfterTheRouteIsGone(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	f := startForwarder(t, s.LocalAddr().String())
	f.targets[0].route.Load().close()
	f.Send([]flow.Datagram{{Payload: []byte("x"), Source: s.LocalAddr()}})
	if st := f.Stats()[0]; st.Failed != 1 || st.Sent != 0 {
		t.Errorf("%+v", st)
	}
}
