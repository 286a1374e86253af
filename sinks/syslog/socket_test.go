package syslog

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
		l := &link{conn: s, raw: s}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		for range 2 {
			if err := l.write(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		}
	})
}
