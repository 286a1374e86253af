package udp

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flowsnitch/flowsnitch/flow"
)

// The benchmarks drain a full kernel buffer: what a datagram of the size of a v9
// export costs the reader, beside the same system call without anything around it.
const (
	benchBurst = 1024
	benchSize  = 1428
)

// benchDrain fills the buffer untimed, then times drain, which returns how many
// datagrams it took.
func benchDrain(b *testing.B, c Config, drain func(s *Socket) int) {
	s := listenOne(b, c)
	from := sendTo(b, "", s.LocalAddr())
	payload := make([]byte, benchSize)
	total := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range benchBurst {
			write(b, from, payload)
		}
		b.StartTimer()
		for n := 0; n < benchBurst; {
			n += drain(s)
		}
		total += benchBurst
	}
	if st := s.Stats(); st.Drops > 0 {
		b.Fatalf("the buffer is too small for the burst: %+v", st)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/datagram")
}

func BenchmarkRead(b *testing.B) {
	c := testConfig("127.0.0.1:0")
	c.ReceiveBuffer = 8 << 20
	c.Allow = prefixes("10.0.0.0/8", "127.0.0.0/8", "192.168.0.0/16")
	batch := make([]flow.Datagram, c.Batch)
	benchDrain(b, c, func(s *Socket) int {
		n, err := s.Read(batch)
		if err != nil {
			b.Fatal(err)
		}
		return n
	})
}

func BenchmarkBareRecvmmsg(b *testing.B) {
	c := testConfig("127.0.0.1:0")
	c.ReceiveBuffer = 8 << 20
	benchDrain(b, c, func(s *Socket) (n int) {
		r := s.in.(*ring)
		_ = r.prepare(c.Batch)
		_ = control(s.raw, func(fd int) error {
			if r.recvmmsg(uintptr(fd)); r.errno != 0 && r.errno != unix.EAGAIN {
				b.Fatal(r.errno)
			}
			return nil
		})
		return r.n
	})
}
