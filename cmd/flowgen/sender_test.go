package main

import (
	"context"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// now is a whole second.
var now = time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)

// A fakeTransmitter takes datagrams until its script names an error.
type fakeTransmitter struct {
	script []error // one for each call; nil: everything is taken
	calls  int
	flows  int
	most   int // flows in one call
	always error
}

func (f *fakeTransmitter) send(_ int, messages []message, _ time.Time) (int, error) {
	f.calls++
	if f.always != nil {
		return 0, f.always
	}
	if f.calls <= len(f.script) && f.script[f.calls-1] != nil {
		// Half of the batch goes out before the error, as with a real queue.
		return f.take(messages[:len(messages)/2]), f.script[f.calls-1]
	}
	return f.take(messages), nil
}

func (f *fakeTransmitter) take(messages []message) int {
	flows := 0
	for _, m := range messages {
		flows += m.flows
	}
	f.flows += flows
	f.most = max(f.most, flows)
	return len(messages)
}

func (*fakeTransmitter) Close() error { return nil }

// defaults are the options of a command line without flags.
func defaults() *options {
	o := new(options)
	o.bind(new(cobra.Command))
	return o
}

// newTestSender makes a sender of the arguments that sends to tx; time passes only
// while it sleeps.
func newTestSender(t testing.TB, tx transmitter, change func(*options)) *sender {
	t.Helper()
	o := defaults()
	o.flows = 5000
	change(o)
	p, err := o.plan()
	if err != nil {
		t.Fatal(err)
	}
	p.pcap = os.DevNull // no socket, and a clock that does not wait
	s, err := p.newSender(now)
	if err != nil {
		t.Fatal(err)
	}
	s.tx = tx
	return s
}

// TestPace: over any time, no more flows than the rate allows and the bucket held,
// and no fewer than the rate allows.
func TestPace(t *testing.T) {
	for _, rate := range []float64{3, 100, 1000, 123456, 1e6} {
		tx := new(fakeTransmitter)
		s := newTestSender(t, tx, func(o *options) { o.rate, o.duration = rate, 5*time.Second })
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		budget := rate*5 + s.bucket.burst
		pending := max(float64(s.largest()), rate*minSleep.Seconds())
		if got := float64(tx.flows); got > budget || got < rate*5-pending {
			t.Errorf("rate %g: %g flows in 5 s, want up to %g", rate, got, budget)
		}
		if float64(tx.most) > s.bucket.burst {
			t.Errorf("rate %g: %d flows at once, the bucket holds %g", rate, tx.most, s.bucket.burst)
		}
	}
}

// TestBucket asks at random times, also long ones and backwards, and sums up.
func TestBucket(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		rate := r.Float64() * 1e6
		b := newBucket(rate, 30, now)
		at, granted := now, 0
		for range 500 {
			at = at.Add(time.Duration(r.Int64N(int64(50 * time.Millisecond))))
			b.refill(at)
			for n := 1 + r.IntN(30); b.take(n); n = 1 + r.IntN(30) {
				granted += n
			}
			b.refill(at.Add(-time.Second)) // the clock went back: nothing comes of it
			b.refill(at)
		}
		if budget := rate*(at.Sub(now).Seconds()+500) + b.burst; float64(granted) > budget {
			t.Fatalf("rate %g: %d granted in %v, budget %g", rate, granted, at.Sub(now), budget)
		}
	}
}

// TestSendErrors: a datagram that fails is sent again, and every failure counts.
func TestSendErrors(t *testing.T) {
	tx := &fakeTransmitter{script: []error{syscall.ENOBUFS, syscall.ENOBUFS, syscall.ECONNREFUSED, nil, syscall.EPERM}}
	s := newTestSender(t, tx, func(o *options) { o.rate, o.count = 0, 10000 })
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := (sendErrors{NoBuffer: 2, Refused: 1, Other: 1}); s.sum.Errors != want {
		t.Errorf("errors %+v, want %+v", s.sum.Errors, want)
	}
	if s.sum.Unsent != 0 || s.sum.Flows < 10000 || int(s.sum.Flows) != tx.flows {
		t.Errorf("%d flows taken, summary %+v", tx.flows, s.sum)
	}
}

func TestGivesUp(t *testing.T) {
	tx := &fakeTransmitter{always: syscall.EPERM}
	s := newTestSender(t, tx, func(o *options) { o.rate = 0 })
	err := s.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "giving up") {
		t.Errorf("error %v", err)
	}
	// The rest of the last batch is given up untried.
	stamped := s.exporters[0].enc.Sequence()
	if s.sum.Unsent != uint64(stamped) || s.sum.Errors.Other != maxDead*maxTries || s.sum.Datagrams != 0 {
		t.Errorf("%d datagrams stamped, summary %+v", stamped, s.sum)
	}
}

func TestSendingDoesNotAllocate(t *testing.T) {
	for _, v := range versions {
		s := newTestSender(t, new(fakeTransmitter), func(o *options) { o.version, o.rate, o.exporters = v.String(), 0, 7 })
		s.bucket = newBucket(0, s.largest(), now)
		ctx := context.Background()
		at := now
		if n := testing.AllocsPerRun(200, func() {
			at = at.Add(time.Second)
			s.fill(at)
			if err := s.send(ctx, at); err != nil {
				t.Fatal(err)
			}
			s.turn = (s.turn + 1) % len(s.exporters)
		}); n != 0 {
			t.Errorf("%v: %g allocations a batch", v, n)
		}
	}
}

// TestEvenRing: with one family every datagram is equally full, which makes flows
// countable where only datagrams are numbered.
func TestEvenRing(t *testing.T) {
	s := newTestSender(t, new(fakeTransmitter), func(o *options) { o.version = "v9" })
	for i, m := range s.rings[0] {
		if m.flows != 26 {
			t.Fatalf("datagram %d of %d has %d flows, want 26", i, len(s.rings[0]), m.flows)
		}
	}
	if want := 5000 / 26; len(s.rings[0]) != want {
		t.Errorf("%d datagrams, want %d", len(s.rings[0]), want)
	}
}
