package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A host of ours opens a connection to a listed one, and the listed one scans it.
var (
	beacon = tcp("10.0.0.5", 51515, "203.0.113.9", 443)
	scan   = tcp("203.0.113.9", 40000, "10.0.0.5", 22)
)

// tcp makes a record of one packet with SYN.
func tcp(src string, sport uint16, dst string, dport uint16) flow.Record {
	return flow.Record{
		Exporter: flow.Exporter{Addr: netip.MustParseAddr("192.0.2.1"), Version: flow.V9},
		Has:      flow.HasProtocol | flow.HasBytes | flow.HasPackets | flow.HasSrcPort | flow.HasDstPort | flow.HasTCPFlags,
		Src:      netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: sport, DstPort: dport,
		Protocol: flow.ProtocolTCP, TCPFlags: 2, Bytes: 100, Packets: 1, Rate: 1,
	}
}

// hitOf makes the hit of a record of one of these.
func hitOf(t testing.TB, r flow.Record) lookup.Hit {
	t.Helper()
	h := lookup.Hit{Record: &r, Offender: netip.MustParseAddr("203.0.113.9"), Side: flow.SideSrc}
	if r.Dst == h.Offender {
		h.Side = flow.SideDst
	}
	h.Match = lookup.MatchOf("v1", netip.Addr{}, []intel.Indicator{{Prefix: netip.PrefixFrom(h.Offender, 32), Feed: "feodo", Score: 90, Category: "c2"}})
	return h
}

// journal collects the kinds of published events.
type journal struct {
	mu    sync.Mutex
	kinds []event.Kind
	flows uint64 // of the last event
	gate  chan struct{}
}

func (j *journal) publish(batch []event.Event) {
	if j.gate != nil {
		<-j.gate
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range batch {
		j.kinds = append(j.kinds, batch[i].Kind)
	}
	j.flows = batch[len(batch)-1].Flows
}

func (j *journal) expect(t *testing.T, want ...event.Kind) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.kinds, want) {
		t.Errorf("published %v, want %v", j.kinds, want)
	}
}

func newLoop(j *journal, queue int) *Loop {
	return NewLoop(correlate.New(correlate.DefaultConfig(), j.publish), queue)
}

// handled gives the number of hits that the correlator has handled.
func handled(l *Loop) uint64 { return l.handler.(*correlate.Correlator).Stats().Hits }

// offer offers hits of the records, in as few batches as there can be.
func offer(t testing.TB, l *Loop, records ...flow.Record) {
	t.Helper()
	var b Batch
	for _, r := range records {
		h := hitOf(t, r)
		if b.add(int(l.handler.Bound(&h)), &r, []lookup.Hit{h}) {
			l.Offer(&b)
		}
	}
	l.Offer(&b)
	b.Reset()
}

func TestLoopHandlesAndTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(journal)
		l := newLoop(j, 10)
		l.Start()
		l.Start() // once is enough
		offer(t, l, scan, scan)
		synctest.Wait()
		j.expect(t, event.KindHit)
		time.Sleep(time.Minute - time.Second)
		synctest.Wait()
		j.expect(t, event.KindHit)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		j.expect(t, event.KindHit, event.KindUpdate)
		l.Stop()
		j.expect(t, event.KindHit, event.KindUpdate)
	})
}

func TestLoopStopHandlesWhatWaits(t *testing.T) {
	for _, started := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			j := new(journal)
			l := newLoop(j, 100)
			for range 10 {
				offer(t, l, scan)
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
			j.expect(t, event.KindHit, event.KindUpdate)
			if j.flows != 10 {
				t.Errorf("%d flows in the last update, want 10", j.flows)
			}
			offer(t, l, scan, beacon)
			if got, want := l.Stats(), (Stats{Offered: 12, HitQueueFull: 2, LostBySeverity: [4]uint64{1, 0, 0, 1}}); got != want {
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
		offer(t, l, scan) // publishing it blocks
		synctest.Wait()
		for _, n := range []int{3, 3, 1, 0} { // two of the second find room
			offer(t, l, slices.Repeat([]flow.Record{scan}, n)...)
		}
		if got, want := l.Stats(), (Stats{Offered: 8, HitQueueFull: 2, LostBySeverity: [4]uint64{2}, Queued: 5}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
		close(j.gate)
		l.Stop()
		if hits := handled(l); hits != 6 {
			t.Errorf("%d hits handled, want 6", hits)
		}
	})
}

// TestLoopIsBoundedInMemory: batches of a single hit, which take more room than their
// hits, are bounded as well.
func TestLoopIsBoundedInMemory(t *testing.T) {
	l := newLoop(new(journal), correlate.DefaultConfig().HitQueue)
	for range l.maxChunks() + 10 {
		offer(t, l, scan)
	}
	if s := l.Stats(); s.Queued != l.maxChunks() || s.HitQueueFull != 10 {
		t.Errorf("stats %+v, want %d queued", s, l.maxChunks())
	}
	if perHit := unsafe.Sizeof(chunk{}) * uintptr(l.maxChunks()) / uintptr(l.size); perHit > 1300 {
		t.Errorf("the queue holds up to %d bytes for each hit of hit_queue, want at most 1,300", perHit)
	}
	l.Stop()
}

// TestLoopGivesWayFromTheLeastSevereUp offers hits of random severities to a queue that
// nobody empties. What waits in the end are the most severe of all, and they are handled in the
// order in which they came.
func TestLoopGivesWayFromTheLeastSevereUp(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 4))
		l := newLoop(new(journal), 1+rng.IntN(300))
		var offered [numLanes]int
		added := 0
		for range rng.IntN(60) {
			var b Batch
			for range rng.IntN(30) {
				lane := rng.IntN(canaryLane)
				n := 1 + rng.IntN(int(flow.NumSides))
				r := flow.Record{FrameSize: uint32(added)}
				offered[lane] += n
				added += n
				if b.add(lane, &r, make([]lookup.Hit, n)) {
					break
				}
			}
			l.Offer(&b)
			b.Reset()
		}
		s, left := l.Stats(), l.size
		if l.chunks > l.maxChunks() {
			t.Fatalf("seed %d: %d chunks wait, at most %d may", seed, l.chunks, l.maxChunks())
		}
		for lane := canaryLane - 1; lane >= 0; lane-- {
			kept := min(left, offered[lane])
			left -= kept
			if got := offered[lane] - int(s.LostBySeverity[lane]); got != kept {
				t.Fatalf("seed %d: %d hits of severity %d wait, want %d of %d", seed, got, lane, kept, offered)
			}
		}
		last, total := -1, 0
		var b Batch
		for l.take(&b) {
			for _, h := range b.AppendHits(nil) {
				if int(h.Record.FrameSize) < last {
					t.Fatalf("seed %d: a hit was overtaken", seed)
				}
				last = int(h.Record.FrameSize)
				total++
			}
			b.Reset()
		}
		if total != s.Queued || l.Stats().Queued != 0 {
			t.Fatalf("seed %d: %d hits of %d came out", seed, total, s.Queued)
		}
	}
}

// TestBatchKeepsTheOrder: hits of all lanes come out in the order in which they were added.
func TestBatchKeepsTheOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	for range 1000 {
		var b Batch
		n := 0
		for {
			r := flow.Record{FrameSize: uint32(n)}
			n++
			if b.add(rng.IntN(numLanes), &r, make([]lookup.Hit, 1)) {
				break
			}
		}
		hits := b.AppendHits(nil)
		if len(hits) != n || b.Len() != n {
			t.Fatalf("%d hits of %d, length %d", len(hits), n, b.Len())
		}
		for i := range hits {
			if int(hits[i].Record.FrameSize) != i {
				t.Fatalf("hit %d in place %d", hits[i].Record.FrameSize, i)
			}
		}
		b.Reset()
	}
}

// TestCanariesHaveRoomOfTheirOwn: a queue full of critical hits has room for a canary, and
// a flood of canaries takes none from hits.
func TestCanariesHaveRoomOfTheirOwn(t *testing.T) {
	l := newLoop(new(journal), 32)
	offer(t, l, slices.Repeat([]flow.Record{beacon}, 50)...)
	canary := func() {
		var b Batch
		b.add(canaryLane, &beacon, []lookup.Hit{{Canary: new(event.Canary)}})
		l.Offer(&b)
		b.Reset()
	}
	canary()
	want := Stats{Offered: 51, HitQueueFull: 18, LostBySeverity: [4]uint64{3: 18}, Queued: 33}
	if got := l.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	var b Batch
	for l.take(&b) {
		b.Reset()
	}
	for range maxCanaryChunks + 5 {
		canary()
	}
	offer(t, l, slices.Repeat([]flow.Record{scan}, 32)...)
	if got := l.Stats(); got.CanariesLost != 5 || got.HitQueueFull != 18 || got.Queued != maxCanaryChunks+32 {
		t.Errorf("stats %+v, want 5 canaries lost and 32 hits queued", got)
	}
	for l.take(&b) {
		b.Reset()
	}
	l.Stop()
	canary()
	if got := l.Stats(); got.CanariesLost != 6 {
		t.Errorf("stats %+v, want 6 canaries lost", got)
	}
}

// TestBatchHoldsOnToNothing: what comes back keeps no table and no record.
func TestBatchHoldsOnToNothing(t *testing.T) {
	h := hitOf(t, beacon)
	var b Batch
	b.add(0, &beacon, []lookup.Hit{h, h})
	c := b.lanes[0]
	c.cut(1)
	b.Reset()
	c.batch, c.order = 0, [chunkHits]uint16{}
	if !reflect.DeepEqual(c, new(chunk)) {
		t.Error("the chunk that came back holds on to its hits")
	}
}

func TestLoopManyWorkers(t *testing.T) {
	j := new(journal)
	l := newLoop(j, 64)
	l.Start()
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 500 {
				offer(t, l, scan, scan)
			}
		})
	}
	workers.Wait()
	l.Stop()
	st := l.Stats()
	if hits := handled(l); st.Offered != 4000 || hits+st.HitQueueFull != st.Offered || st.Queued != 0 {
		t.Errorf("%d handled of %+v: they do not add up", hits, st)
	}
	if j.flows != handled(l) {
		t.Errorf("%d flows in the last update, want %d", j.flows, handled(l))
	}
}

// TestLoopBeat: an idle loop turns once a second, one whose sink side hangs does not.
func TestLoopBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		l := NewLoop(correlate.New(correlate.DefaultConfig(), func([]event.Event) { <-hang }), 100)
		l.Start()
		for range 10 {
			time.Sleep(time.Minute)
			if silent := time.Since(l.Beat()); silent > 2*tickEvery {
				t.Errorf("an idle loop is silent for %v", silent)
			}
		}
		offer(t, l, beacon)
		time.Sleep(time.Minute)
		if silent := time.Since(l.Beat()); silent < 50*time.Second {
			t.Errorf("a loop that hangs for a minute is silent for %v", silent)
		}
		close(hang)
		time.Sleep(2 * tickEvery)
		if silent := time.Since(l.Beat()); silent > 2*tickEvery {
			t.Errorf("a loop that goes on is silent for %v", silent)
		}
		l.Stop()
	})
}

// TestSettle: it waits for what was offered before, also while that is handled, and not for
// what comes afterwards.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{gate: make(chan struct{})}
		l := newLoop(j, 100)
		if err := l.Settle(t.Context()); err != nil {
			t.Error("nothing was offered:", err)
		}
		l.Start()
		defer l.Stop()
		offer(t, l, scan)
		offer(t, l, beacon)
		short := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			return l.Settle(ctx)
		}
		if err := short(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the first batch is handled: %v", err)
		}
		settled := make(chan error)
		go func() { settled <- l.Settle(t.Context()) }()
		synctest.Wait()
		offer(t, l, scan)
		j.gate <- struct{}{}
		if err := short(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the second one is: %v", err)
		}
		j.gate <- struct{}{}
		if err := <-settled; err != nil {
			t.Error(err)
		}
		close(j.gate)
	})
}
