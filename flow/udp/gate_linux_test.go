package udp

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
)

func TestAllowListAtTheSocket(t *testing.T) {
	c := testConfig("127.0.0.1:0")
	c.Allow = prefixes("127.0.0.1/32", "10.0.0.0/8")
	s := listenOne(t, c)
	good := sendTo(t, "127.0.0.1:0", s.LocalAddr())
	bad := sendTo(t, "127.0.0.2:0", s.LocalAddr())
	for range 5 {
		write(t, bad, []byte("bad"))
		write(t, good, []byte("good"))
	}
	for _, d := range collect(t, s, 5) {
		if d.payload != "good" {
			t.Errorf("%q from %v", d.payload, d.source)
		}
	}
	if st := s.Stats(); st.Datagrams != 5 || st.Refused != 5 || st.RefusedUnnamed != 0 || st.Bytes != 20 {
		t.Errorf("%+v", st)
	}
	if r := s.Refused(); len(r) != 1 || r[0] != netip.MustParseAddr("127.0.0.2") {
		t.Errorf("refused: %v", r)
	}
	s.SetAllow(prefixes("127.0.0.2/32"))
	write(t, good, []byte("good"))
	write(t, bad, []byte("bad"))
	if d := collect(t, s, 1); d[0].payload != "bad" {
		t.Errorf("after the swap: %v", d)
	}
	s.SetAllow(nil)
	write(t, good, []byte("good"))
	if d := collect(t, s, 1); d[0].payload != "good" {
		t.Errorf("with everybody admitted: %v", d)
	}
}

func TestSwapAllowListUnderLoad(t *testing.T) {
	const count = 3000
	s := listenOne(t, testConfig("127.0.0.1:0"))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			s.SetAllow(prefixes([]string{"127.0.0.0/8", "192.0.2.0/24"}[i%2]))
			s.Refused()
			s.Stats()
		}
	})
	c := sendTo(t, "", s.LocalAddr())
	wg.Go(func() {
		defer close(stop)
		for range count {
			write(t, c, []byte("x"))
		}
	})
	batch := make([]flow.Datagram, 64)
	within(t, "the reader", func() {
		for sum := uint64(0); sum < count; {
			if _, err := s.Read(batch); err != nil {
				t.Error(err)
				return
			}
			st := s.Stats()
			sum = st.Datagrams + st.Refused + st.Drops
		}
		wg.Wait()
	})
	if st := s.Stats(); st.Datagrams+st.Refused+st.Drops != count {
		t.Errorf("%+v", st)
	}
}
