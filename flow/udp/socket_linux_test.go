package udp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flowsnitch/flowsnitch/flow"
)

func TestReadBatches(t *testing.T) {
	c := testConfig("127.0.0.1:0")
	c.Batch = 16
	s := listenOne(t, c)
	from := sendTo(t, "", s.LocalAddr())
	for i := range 40 {
		write(t, from, fmt.Append(nil, i))
	}
	batch := make([]flow.Datagram, 64)
	next := 0
	for _, want := range []int{16, 16, 8} {
		n, err := s.Read(batch)
		if n != want || err != nil {
			t.Fatalf("got %d, %v, want %d", n, err, want)
		}
		for _, d := range batch[:n] {
			if string(d.Payload) != fmt.Sprint(next) {
				t.Errorf("datagram %d is %q", next, d.Payload)
			}
			next++
		}
	}
	write(t, from, []byte("x"))
	write(t, from, []byte("y"))
	if n, err := s.Read(batch[:1]); n != 1 || err != nil || string(batch[0].Payload) != "x" {
		t.Errorf("a batch of one: %d, %v, %q", n, err, batch[0].Payload)
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	for _, at := range []string{"127.0.0.1", "::1", linkLocal()} {
		t.Run(at, func(t *testing.T) {
			if at == "" || strings.Contains(at, ":") && !hasIPv6(t) {
				t.Skip("no such address on this machine")
			}
			c := testConfig(":0")
			c.Allow = prefixes("127.0.0.0/8", "::1/128", "fe80::/10", "192.0.2.0/24")
			s := listenOne(t, c)
			to := netip.AddrPortFrom(netip.MustParseAddr(at), s.LocalAddr().Port())
			from := sendTo(t, "", to)
			batch := make([]flow.Datagram, c.Batch)
			payload := make([]byte, 1400)
			cycle := func() {
				for range 10 {
					from.Write(payload)
				}
				for n := 0; n < 10; {
					k, err := s.Read(batch)
					if err != nil {
						t.Fatal(err)
					}
					n += k
				}
			}
			// The least of several: the tick of once a second makes an error value.
			best := 1.0
			for range 5 {
				best = min(best, testing.AllocsPerRun(100, cycle))
			}
			if best != 0 {
				t.Errorf("%v allocations for 10 datagrams", best)
			}
			if got := batch[0].Source.Addr(); got != netip.MustParseAddr(at) {
				t.Errorf("from %v, want %v", got, at)
			}
		})
	}
}

// linkLocal gives a link-local address of this machine with its zone, or "".
func linkLocal() string {
	ifs, _ := net.Interfaces()
	for _, ifi := range ifs {
		addrs, _ := ifi.Addrs()
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() && ifi.Flags&net.FlagUp != 0 {
				return p.Addr().WithZone(ifi.Name).String()
			}
		}
	}
	return ""
}

func TestTruncatedIsCounted(t *testing.T) {
	s := listenOne(t, testConfig("127.0.0.1:0"))
	small, err := newRing(s.raw, 4, 100)
	if err != nil {
		t.Fatal(err)
	}
	s.in.release()
	s.in = small
	c := sendTo(t, "", s.LocalAddr())
	for _, size := range []int{100, 101, 5000, 3} {
		write(t, c, bytes.Repeat([]byte{7}, size))
	}
	for i, d := range collect(t, s, 4) {
		if want := []int{100, 100, 100, 3}[i]; len(d.payload) != want {
			t.Errorf("datagram %d: %d bytes, want %d", i, len(d.payload), want)
		}
	}
	if st := s.Stats(); st.Truncated != 2 || st.Datagrams != 4 {
		t.Errorf("%+v", st)
	}
}

// TestSumsAddUp overruns a tiny buffer that nobody reads, then reads some of it,
// drains or closes: every datagram sent is in one of the counters.
func TestSumsAddUp(t *testing.T) {
	const count = 5000
	for _, end := range []string{"read", "drain", "close"} {
		t.Run(end, func(t *testing.T) {
			c := testConfig("127.0.0.1:0")
			c.ReceiveBuffer = minReceiveBuffer * 8
			c.Batch = 8 // so that closing leaves some unread
			s := listenOne(t, c)
			from := sendTo(t, "", s.LocalAddr())
			for range count {
				write(t, from, make([]byte, 500))
			}
			drops, ok := s.Drops()
			if !ok || drops == 0 || drops >= count {
				t.Fatalf("drops %d, %v", drops, ok)
			}
			switch end {
			case "read":
				collect(t, s, int(count-drops))
			case "drain":
				s.Drain()
				write(t, from, []byte("late")) // refused by the kernel, counted there
				drain(t, s)
				if n, _ := s.Drops(); n != drops+1 {
					t.Errorf("%d drops after one late datagram, %d before", n, drops)
				}
			case "close":
				collect(t, s, 5)
			}
			s.Close()
			st := s.Stats()
			sum := st.Datagrams + st.Drops + st.Unread
			want := uint64(count)
			if end == "drain" {
				want++
			}
			if sum != want || (st.Unread > 0) != (end == "close") || !st.DropsKnown {
				t.Errorf("sum %d, want %d: %+v", sum, want, st)
			}
		})
	}
}

func drain(t *testing.T, s *Socket) (n int) {
	t.Helper()
	batch := make([]flow.Datagram, 8)
	within(t, "draining", func() {
		for {
			k, err := s.Read(batch)
			if err == net.ErrClosed {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			n += k
		}
	})
	return n
}

func TestDrainWakesReader(t *testing.T) {
	s := listenOne(t, testConfig("127.0.0.1:0"))
	var wg sync.WaitGroup
	wg.Go(func() { drain(t, s) })
	s.Drain()
	within(t, "the drained reader", wg.Wait)
}

func TestDropsTableAgreesWithMemInfo(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", ":0"} {
		c := testConfig(at)
		c.ReceiveBuffer = minReceiveBuffer
		s := listenOne(t, c)
		from := sendTo(t, "", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.LocalAddr().Port()))
		for range 200 {
			write(t, from, make([]byte, 500))
		}
		_ = control(s.raw, func(fd int) error {
			a, okA := memInfoDrops(fd)
			b, okB := procDrops(fd)
			if !okA || !okB || a != b || a == 0 {
				t.Errorf("%s: SO_MEMINFO %d, %v; /proc %d, %v", at, a, okA, b, okB)
			}
			return nil
		})
	}
}

func TestDropsColumn(t *testing.T) {
	const table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n" +
		" 2711: 0100007F:0807 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 37        \n" +
		" 2712: 0100007F:0808 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 x        \n"
	if n, ok := dropsColumn(table, 4711); n != 37 || !ok {
		t.Errorf("got %d, %v", n, ok)
	}
	for _, inode := range []uint64{471, 4712, 0} {
		if n, ok := dropsColumn(table, inode); ok {
			t.Errorf("inode %d: got %d", inode, n)
		}
	}
}

func TestReceiveBufferIsReported(t *testing.T) {
	c := testConfig("127.0.0.1:0")
	c.ReceiveBuffer = 100_000 // any system grants that
	if st := listenOne(t, c).Stats(); st.BufferConfigured != 100_000 || st.BufferGranted != 100_000 {
		t.Errorf("%+v", st)
	}
}

// TestUnusedSlotsAreNotResident looks at the pages of the ring after ordinary and
// after large datagrams.
func TestUnusedSlotsAreNotResident(t *testing.T) {
	s := listenOne(t, testConfig("127.0.0.1:0"))
	c := sendTo(t, "", s.LocalAddr())
	resident := func() (pages int) {
		vec := make([]byte, len(s.in.(*ring).buf)/os.Getpagesize())
		if err := mincore(s.in.(*ring).buf, vec); err != nil {
			t.Fatal(err)
		}
		for _, v := range vec {
			pages += int(v & 1)
		}
		return pages
	}
	for range 128 {
		write(t, c, make([]byte, 1400))
	}
	collect(t, s, 128)
	if got := resident(); got > 64 {
		t.Errorf("%d pages are resident after datagrams of 1400 bytes, want one a slot", got)
	}
	write(t, c, make([]byte, 65000))
	collect(t, s, 1)
	if got := resident(); got > 64+16 {
		t.Errorf("%d pages are resident after one of 65000", got)
	}
}

func TestSteeringKeepsAnExporterOnOneSocket(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", ":0"} {
		c := testConfig(at)
		c.Sockets = 4
		sockets := listen(t, c)
		if len(sockets) != 4 || !sockets[0].Stats().Steered {
			t.Fatalf("%d sockets, %+v", len(sockets), sockets[0].Stats())
		}
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), sockets[0].LocalAddr().Port())
		const sources, ports = 20, 10
		for i := range sources {
			for range ports {
				write(t, sendTo(t, fmt.Sprintf("127.0.%d.%d:0", i%3, i+1), to), []byte("x"))
			}
		}
		home := homes(t, sockets)
		used := map[int]bool{}
		for src, n := range home {
			if len(n) != 1 {
				t.Errorf("%s: %v is spread over %v", at, src, n)
			}
			for i, count := range n {
				used[i] = true
				if count != ports {
					t.Errorf("%s: %d of %d datagrams of %v", at, count, ports, src)
				}
			}
		}
		if len(home) != sources || len(used) < 3 {
			t.Errorf("%s: %d sources on sockets %v", at, len(home), used)
		}
	}
}

// homes drains the sockets and counts datagrams by source and socket.
func homes(t *testing.T, sockets []*Socket) map[netip.Addr]map[int]int {
	t.Helper()
	home := map[netip.Addr]map[int]int{}
	batch := make([]flow.Datagram, 64)
	for i, s := range sockets {
		s.Drain()
		for {
			n, err := s.Read(batch)
			if err != nil {
				break
			}
			for _, d := range batch[:n] {
				a := d.Source.Addr()
				if home[a] == nil {
					home[a] = map[int]int{}
				}
				home[a][i]++
			}
		}
	}
	return home
}

func TestSenderOfEveryFamily(t *testing.T) {
	var r ring
	in4 := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: [4]byte{192, 0, 2, 1}}
	in4.Port = htons(2055)
	var sa unix.RawSockaddrInet6
	*(*unix.RawSockaddrInet4)(ptr(&sa)) = in4
	if got := r.sender(&sa).String(); got != "192.0.2.1:2055" {
		t.Error(got)
	}
	for text, want := range map[string]string{
		"::ffff:192.0.2.1": "192.0.2.1:2055", "2001:db8::1": "[2001:db8::1]:2055", "fe80::1": "[fe80::1%999999]:2055",
	} {
		sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: netip.MustParseAddr(text).As16(), Port: htons(2055)}
		if strings.HasPrefix(text, "fe80") {
			sa.Scope_id = 999999 // no such interface: the number stands for its name
		}
		if got := r.sender(&sa).String(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for scope := range uint32(1000) {
		r.zones.name(scope + 1<<20)
	}
	if len(r.zones) > maxZones {
		t.Errorf("%d zone names are held", len(r.zones))
	}
}

func TestListenClosesWhatItOpened(t *testing.T) {
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(fds)
	}
	taken := listenOne(t, testConfig("127.0.0.1:0"))
	c := testConfig(taken.LocalAddr().String())
	before := open()
	for _, n := range []int{1, 4} {
		c.Sockets = n
		if _, err := Listen(c); err == nil {
			t.Fatal("no error")
		} else if !strings.Contains(err.Error(), "port in use by another process; choose another with") {
			t.Errorf("%v", err)
		}
	}
	if after := open(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestPrivilegedPortIsExplained(t *testing.T) {
	err := explain(":514", &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", unix.EACCES)})
	for _, want := range []string{"listen udp :514: ", "1024", "permission denied"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestManySendersAtOnce(t *testing.T) {
	const senders, each = 20, 100
	c := testConfig(":0")
	c.Sockets = 2
	c.ReceiveBuffer = 8 << 20
	sockets := listen(t, c)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), sockets[0].LocalAddr().Port())
	var readers, writers sync.WaitGroup
	seen := make([][]string, len(sockets))
	for i, s := range sockets {
		readers.Go(func() {
			batch := make([]flow.Datagram, c.Batch)
			for {
				n, err := s.Read(batch)
				if err != nil {
					return
				}
				for _, d := range batch[:n] {
					seen[i] = append(seen[i], string(d.Payload))
				}
			}
		})
	}
	for i := range senders {
		conn := sendTo(t, fmt.Sprintf("127.0.0.%d:0", i+1), to)
		writers.Go(func() {
			for k := range each {
				conn.Write(fmt.Appendf(nil, "%d/%d", i, k))
			}
		})
	}
	within(t, "the run", func() {
		writers.Wait()
		for _, s := range sockets {
			s.Drain()
		}
		readers.Wait()
	})
	all := slices.Concat(seen...)
	slices.Sort(all)
	var drops uint64
	for _, s := range sockets {
		drops += s.Stats().Drops
	}
	if got := len(slices.Compact(all)); got+int(drops) != senders*each {
		t.Errorf("%d different datagrams and %d drops, want %d", got, drops, senders*each)
	}
}
