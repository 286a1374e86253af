package memory

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/internal/sinktest"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// numbersIn gives the numbers of records side by side.
func numbersIn(b []byte) (all []uint64) {
	for r, _, end, ok := record.Find(b, true); ok; r, _, end, ok = record.Find(b, true) {
		all = append(all, r.Number)
		b = b[end:]
	}
	return all
}

// TestTail writes, settles and drops at random, and holds the tail to a list of numbers: every
// event is written once, is dropped, or is still there, and what is being written is not
// dropped.
func TestTail(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var tail Tail
	var next uint64
	now := time.Now()
	const waiting, onDisk, nowhere = 0, 1, 2
	state := map[uint64]int{} // of the events that were pushed
	var from, to uint64       // being written
	var lent []byte
	event := sinktest.Numbered(0, 1)[0]
	event.Reason = string(make([]byte, 10_000))
	for range 20_000 {
		switch random.IntN(8) {
		case 0, 1, 2:
			tail.Push(next, &event, now)
			state[next] = waiting
			next++
		case 3:
			if from < to {
				continue
			}
			if lent, from, to = tail.Write(next); lent != nil && (state[from] != waiting || from > 0 && state[from-1] == waiting) {
				t.Fatalf("writes from %d on", from)
			}
		case 4:
			if from == to {
				continue
			}
			got := numbersIn(lent)
			if uint64(len(got)) != to-from || got[0] != from {
				t.Fatalf("what was lent changed: %v, want %d to %d", got, from, to)
			}
			if random.IntN(4) == 0 {
				tail.Wrote(0)
			} else {
				tail.Wrote(to)
				for n := from; n < to; n++ {
					state[n] = onDisk
				}
			}
			from, to = 0, 0
		case 5:
			a, b, ok := tail.Drop(random.IntN(2) == 0)
			for n := a; ok && n < b; n++ {
				if state[n] != waiting || n >= from && n < to {
					t.Fatalf("drops %d, which is %d", n, state[n])
				}
				state[n] = nowhere
			}
		case 6:
			if random.IntN(20) == 0 && from == to {
				settled := next - min(next, uint64(random.IntN(100)))
				tail.Settled(settled)
				for n := range settled {
					if state[n] == waiting {
						state[n] = onDisk // need not be
					}
				}
			}
		case 7:
			tail.Release(next-min(next, 10), next)
		}
		var want, gone uint64
		for n := next - min(next, 2_000); n < next; n++ {
			if state[n] == waiting {
				want++
			}
			if state[n] == nowhere {
				gone++
			}
		}
		if got := tail.Dropped(next-min(next, 2_000), next); got != gone {
			t.Fatalf("%d events were dropped, want %d", got, gone)
		}
		if got := tail.Only(next - min(next, 2_000)); got != want {
			t.Fatalf("%d events are only here, want %d", got, want)
		}
	}
}

// TestDropOutOfOrder: a chunk that was being written while the next one was dropped, and is
// dropped after that has failed, counts as well.
func TestDropOutOfOrder(t *testing.T) {
	var tail Tail
	event := sinktest.Numbered(0, 1)[0]
	event.Reason = string(make([]byte, 10_000))
	for n := range uint64(100) {
		tail.Push(n, &event, time.Now())
	}
	_, from, to := tail.Write(100)
	if from != 0 || to == 0 {
		t.Fatalf("writes %d to %d", from, to)
	}
	a, b, ok := tail.Drop(false)
	if !ok || a != to {
		t.Fatalf("drops %d to %d, %v", a, b, ok)
	}
	tail.Wrote(0) // it has failed
	if again, end, ok := tail.Drop(false); !ok || again != from || end != to {
		t.Fatalf("drops %d to %d, %v", again, end, ok)
	}
	if got := tail.Dropped(0, 100); got != b {
		t.Errorf("%d events were dropped, want %d", got, b)
	}
}

// TestDropOld: a chunk goes when its latest event is too old, and not while it is written.
func TestDropOld(t *testing.T) {
	var tail Tail
	now := time.Now()
	for i, e := range sinktest.Numbered(0, 10) {
		tail.Push(uint64(i), &e, now)
	}
	if _, _, ok := tail.DropOld(now.Add(time.Minute), time.Minute); ok {
		t.Error("dropped too soon")
	}
	tail.Write(10)
	if _, _, ok := tail.DropOld(now.Add(time.Hour), time.Minute); ok {
		t.Error("dropped while it is written")
	}
	tail.Wrote(0)
	if from, to, ok := tail.DropOld(now.Add(time.Hour), time.Minute); !ok || from != 0 || to != 10 || tail.Bytes != 0 {
		t.Errorf("dropped %d to %d, %d bytes are left", from, to, tail.Bytes)
	}
}
