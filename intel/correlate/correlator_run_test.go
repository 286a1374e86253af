package correlate

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
)

// journal collects the kinds of published events.
type journal struct {
	mu    sync.Mutex
	kinds []intel.Kind
	flows uint64 // of the last event
	gate  chan struct{}
}

func (j *journal) publish(batch []intel.Event) {
	if j.gate != nil {
		<-j.gate
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kinds = append(j.kinds, kinds(batch)...)
	j.flows = batch[len(batch)-1].Flows
}

func (j *journal) expect(t *testing.T, want ...intel.Kind) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.kinds, want) {
		t.Errorf("published %v, want %v", j.kinds, want)
	}
}

func newLoop(j *journal, queue int) *Loop {
	cfg := DefaultConfig()
	cfg.HitQueue = queue
	return NewLoop(New(cfg, j.publish))
}

// batch makes a batch of hits of one flow.
func batch(t *testing.T, l *Loop, records ...flow.Record) []intel.Hit {
	table := listedTable(t, "v1", c2("feodo", 90))
	b := l.Get()
	for _, r := range records {
		b = append(b, hitOf(t, table, r))
	}
	return b
}

func TestLoopHandlesAndTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(journal)
		l := newLoop(j, 10)
		l.Start()
		l.Start() // once is enough
		if !l.Offer(batch(t, l, scan, scan)) {
			t.Error("an empty queue refuses a batch")
		}
		synctest.Wait()
		j.expect(t, intel.KindHit)
		time.Sleep(time.Minute - time.Second)
		synctest.Wait()
		j.expect(t, intel.KindHit)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		j.expect(t, intel.KindHit, intel.KindUpdate)
		l.Stop()
		j.expect(t, intel.KindHit, intel.KindUpdate)
	})
}

func TestLoopStopHandlesWhatWaits(t *testing.T) {
	for _, started := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			j := new(journal)
			l := newLoop(j, 100)
			for range 10 {
				if !l.Offer(batch(t, l, scan)) {
					t.Error("the queue refuses a batch")
				}
			}
			if got := l.Stats(); got.Queued != 10 {
				t.Errorf("stats %+v, want 10 queued", got)
			}
			if started {
				l.Start()
			}
			l.Stop()
			l.Stop()
			l.Start() // too late
			j.expect(t, intel.KindHit, intel.KindUpdate)
			if j.flows != 10 {
				t.Errorf("%d flows in the last update, want 10", j.flows)
			}
			if l.Offer(batch(t, l, scan, scan)) {
				t.Error("a stopped loop takes a batch")
			}
			if got, want := l.Stats(), (LoopStats{Offered: 12, HitQueueFull: 2}); got != want {
				t.Errorf("stats %+v, want %+v", got, want)
			}
		})
	}
}

func TestLoopNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{gate: make(chan struct{})}
		l := newLoop(j, 5)
		l.Start()
		l.Offer(batch(t, l, scan)) // publishing it blocks
		synctest.Wait()
		var taken []bool
		for _, n := range []int{3, 2, 1, 0} {
			taken = append(taken, l.Offer(batch(t, l, slices.Repeat([]flow.Record{scan}, n)...)))
		}
		if want := []bool{true, true, false, true}; !slices.Equal(taken, want) {
			t.Errorf("batches of 3, 2, 1 and 0 hits are taken: %v, want %v", taken, want)
		}
		if got, want := l.Stats(), (LoopStats{Offered: 7, HitQueueFull: 1, Queued: 5}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
		close(j.gate)
		l.Stop()
		if hits := l.correlator.Stats().Hits; hits != 6 {
			t.Errorf("%d hits handled, want 6", hits)
		}
	})
}

func TestLoopQueueIsBoundedInBatches(t *testing.T) {
	l := newLoop(new(journal), 10)
	for range queueBatches {
		if !l.Offer(nil) {
			t.Fatal("refused too early")
		}
	}
	if l.Offer(nil) {
		t.Error("the queue takes more batches than it holds")
	}
	l.Stop()
}

func TestLoopTakesOneLargeBatch(t *testing.T) {
	l := newLoop(new(journal), 2)
	if !l.Offer(batch(t, l, scan, scan, scan)) {
		t.Error("an empty queue refuses a batch for its size")
	}
	if l.Offer(batch(t, l, scan)) {
		t.Error("the queue takes more hits than it holds")
	}
	l.Stop()
}

func TestLoopRecycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoop(new(journal), 10_000)
		l.Start()
		defer l.Stop()
		b := batch(t, l, scan)
		l.Offer(b)
		synctest.Wait()
		again := l.Get()
		if len(again) != 0 || &again[:1][0] != &b[0] {
			t.Error("the batch did not come back")
		}
		if b[0].Offender.IsValid() || !b[0].Match.Empty() {
			t.Error("the batch that came back holds on to its hits")
		}
		l.Offer(batch(t, l, slices.Repeat([]flow.Record{scan}, maxHits+1)...))
		synctest.Wait()
		if got := l.Get(); cap(got) > maxHits {
			t.Errorf("a batch for %d hits came back, want at most %d", cap(got), maxHits)
		}
	})
}

func TestLoopManyWorkers(t *testing.T) {
	j := new(journal)
	l := newLoop(j, 64)
	l.Start()
	hits := batch(t, l, scan, scan)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 500 {
				l.Offer(append(l.Get(), hits...))
			}
		})
	}
	workers.Wait()
	l.Stop()
	st := l.Stats()
	if hits := l.correlator.Stats().Hits; st.Offered != 4000 || hits+st.HitQueueFull != st.Offered || st.Queued != 0 {
		t.Errorf("%d handled of %+v: they do not add up", hits, st)
	}
	if j.flows != l.correlator.Stats().Hits {
		t.Errorf("%d flows in the last update, want %d", j.flows, l.correlator.Stats().Hits)
	}
}
