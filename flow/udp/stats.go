package udp

import "sync"

// Stats is what a socket has counted since it was opened. It adds up: every
// datagram that the kernel delivered to the socket's address is in exactly one of
// Datagrams, Refused, Unread and Drops, or still in the kernel's buffer.
type Stats struct {
	Datagrams uint64 // handed out by Read
	Bytes     uint64 // their payload
	Truncated uint64 // of Datagrams, those that were longer than a slot
	Refused   uint64 // from senders that are not on the allow list
	// RefusedUnnamed are those of Refused whose sender Socket.Refused never
	// names, because it remembers too many already.
	RefusedUnnamed uint64
	Unread         uint64 // left in the kernel's buffer by Close
	Drops          uint64 // dropped by the kernel, mostly because the buffer was full
	DropsKnown     bool   // false: the system does not report Drops
	ReadErrors     uint64 // failed reads; no datagram is lost by them
	// BufferConfigured and BufferGranted are the receive buffer's size in bytes as
	// configured and as the kernel gave it, in the same unit (Linux itself
	// reports twice that, its own overhead included).
	BufferConfigured, BufferGranted int
	// Steered means that the senders are spread over the sockets of this address
	// by their address alone. false with several sockets: by address and port, so
	// that an exporter moves when its port changes.
	Steered bool
}

// Stats may be called at any time, also after Close.
func (s *Socket) Stats() Stats {
	st := Stats{
		Datagrams:        s.count.datagrams.Load(),
		Bytes:            s.count.bytes.Load(),
		Truncated:        s.count.truncated.Load(),
		Refused:          s.count.refused.Load(),
		RefusedUnnamed:   s.count.refusedUnnamed.Load(),
		Unread:           s.unread.Load(),
		ReadErrors:       s.count.readErrors.Load(),
		BufferConfigured: s.configured,
		BufferGranted:    s.granted,
		Steered:          s.steered,
	}
	st.Drops, st.DropsKnown = s.Drops()
	return st
}

// Drops asks the kernel how many datagrams it dropped at this socket since it was
// opened. ok is false when the system does not report it. After Close it gives the
// last figure.
func (s *Socket) Drops() (n uint64, ok bool) {
	s.drops.mu.Lock()
	defer s.drops.mu.Unlock()
	if now, ok := s.kernelDrops(); ok {
		s.drops.update(now)
	}
	return s.drops.total, s.drops.known
}

// A dropCounter widens the kernel's 32-bit counter, which wraps.
type dropCounter struct {
	mu    sync.Mutex
	total uint64
	last  uint32
	known bool
}

func (d *dropCounter) update(now uint32) {
	d.total += uint64(now - d.last)
	d.last, d.known = now, true
}
