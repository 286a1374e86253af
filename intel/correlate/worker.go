package correlate

import (
	"errors"
	"net"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A Source is where a worker gets datagrams: a UDP socket, mostly.
type Source interface {
	// Read fills batch and returns how many datagrams there were. Their payloads
	// are valid until the next Read. It returns 0 about once a second so that the
	// worker shows that it lives, and net.ErrClosed when there is no more.
	Read(batch []flow.Datagram) (int, error)
}

// A Worker reads, decodes and matches in one goroutine, to completion: nothing
// but hits leaves it.
type Worker struct {
	source  Source
	decoder *decode.Decoder
	matcher *Matcher
	batch   []flow.Datagram
	beat    beat
	done    chan struct{}
}

// NewWorker makes a worker that hands its hits to loop. batch is the number of
// datagrams that it asks for at once.
func NewWorker(source Source, x *decode.Exporters, store *lookup.Store, loop *Loop, batch int) *Worker {
	m := NewMatcher(store, &loop.correlator.cfg, loop.Offer)
	return &Worker{
		source: source, matcher: m, decoder: decode.New(x, m), beat: newBeat(),
		batch: make([]flow.Datagram, batch), done: make(chan struct{}),
	}
}

// AskWith is [Matcher.AskWith]; it must be called before Start.
func (w *Worker) AskWith(a Asker) { w.matcher.AskWith(a) }

// Start starts the goroutine. It ends when the source is closed.
func (w *Worker) Start() { go w.run() }

// Wait waits for the goroutine, after the source has been closed.
func (w *Worker) Wait() { <-w.done }

func (w *Worker) run() {
	defer close(w.done)
	for {
		n, err := w.source.Read(w.batch)
		w.beat.turn()
		for i := range n {
			w.decoder.Decode(&w.batch[i])
		}
		w.matcher.Flush()
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// Beat is the time of the last turn of the worker, with its monotonic reading: it
// turns once a second even when nothing comes.
func (w *Worker) Beat() time.Time { return w.beat.time() }

// Decoded are the totals of the worker's decoder.
func (w *Worker) Decoded() decode.Stats { return w.decoder.Stats() }

// Matched is the number of hits that the worker found.
func (w *Worker) Matched() uint64 { return w.matcher.Matched() }
