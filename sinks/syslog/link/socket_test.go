package link

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// noControl is of a pipe, which has no queue.
type noControl struct{}

func (noControl) Control(func(uintptr)) error    { return errors.ErrUnsupported }
func (noControl) Read(func(uintptr) bool) error  { return errors.ErrUnsupported }
func (noControl) Write(func(uintptr) bool) error { return errors.ErrUnsupported }

// pipe gives a socket and what reads from it.
func pipe(timeout time.Duration) (*socket, net.Conn) {
	ours, theirs := net.Pipe()
	return &socket{Conn: ours, control: noControl{}, timeout: timeout}, theirs
}

// TestSlow: a server that takes something within each timeout may take its time, one
// that takes nothing may not.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reader := pipe(time.Second)
		go func() {
			for range 20 {
				time.Sleep(700 * time.Millisecond)
				_, _ = io.ReadFull(reader, make([]byte, 100))
			}
		}()
		began := time.Now()
		if n, err := s.Write(make([]byte, 2000)); n != 2000 || err != nil || time.Since(began) != 14*time.Second {
			t.Errorf("%d bytes, %v after %v", n, err, time.Since(began))
		}
		began = time.Now()
		n, err := s.Write(make([]byte, 10))
		if took := time.Since(began); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || took > time.Second || took < time.Second/2 {
			t.Errorf("%d bytes, %v after %v", n, err, took)
		}
		if got := s.acked(); got != 2000 {
			t.Errorf("%d bytes acknowledged", got)
		}
	})
}

// TestInterrupted: the end of the context ends a write at once, also one that begins
// then.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := pipe(time.Hour)
		l := &Link{conn: s, raw: s}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		for range 2 {
			if err := l.Write(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		}
	})
}

// TestStopsReading: events that the server's kernel has not taken in the timeout are held,
// however old they are: when it stopped reading they were young.
func TestStopsReading(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	const timeout = time.Minute
	l, err := Dial(t.Context(), "tcp", server.Addr().String(), timeout, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(t.Context(), []byte("five events")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(timeout); l.raw.acked() < l.raw.written.Load() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // the other kernel takes it
	}
	clock := time.Now()
	l.Sent(5, clock)
	l.window.parts[0].end++ // as if a byte were still in the send queue
	_ = l.Broken(clock)
	if err := l.Broken(clock.Add(timeout / 2)); err != nil {
		t.Errorf("broken too soon: %v", err)
	}
	clock = clock.Add(2 * timeout)
	if n := l.Held(clock, 10*time.Second); n != 5 {
		t.Errorf("%d held, want 5", n)
	}
	if err := l.Broken(clock); err == nil || err.Error() != "the server reads nothing, for 2m0s now" {
		t.Errorf("got %v", err)
	}
	_ = l.Abandon()
}
