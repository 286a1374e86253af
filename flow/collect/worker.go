package collect

import (
	"errors"
	"net"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// A Source is where a worker gets datagrams: a UDP socket, mostly.
type Source interface {
	// Read fills batch and returns how many datagrams there were. Their payloads
	// are valid until the next Read. It returns 0 about once a second so that the
	// worker shows that it lives, and net.ErrClosed when there is no more.
	Read(batch []flow.Datagram) (int, error)
}

// A Tap gets all flow records of a worker, one call for each datagram. The set is valid
// only during the call, and a tap copies what it needs: the socket is not read meanwhile.
// It belongs to the goroutine of its worker.
type Tap interface{ Records(*decode.Set) }

// A Flusher is a tap that keeps something back until all datagrams of a read have been
// decoded.
type Flusher interface{ Flush() }

// A Worker reads, decodes and hands the records to its taps in one goroutine, to
// completion.
type Worker struct {
	source   Source
	decoder  *decode.Decoder
	flushers []Flusher
	batch    []flow.Datagram
	beat     clock.Beat
	done     chan struct{}
}

// taps are called in their order.
type taps []Tap

func (t taps) Records(s *decode.Set) {
	for _, tap := range t {
		tap.Records(s)
	}
}

// NewWorker makes a worker. batch is the number of datagrams that it reads at once at
// most. Each set goes to the taps in their order.
func NewWorker(source Source, x *decode.Exporters, batch int, list ...Tap) *Worker {
	w := &Worker{
		source: source, decoder: decode.New(x, taps(list)), beat: clock.NewBeat(),
		batch: make([]flow.Datagram, batch), done: make(chan struct{}),
	}
	for _, tap := range list {
		if f, ok := tap.(Flusher); ok {
			w.flushers = append(w.flushers, f)
		}
	}
	return w
}

// Start starts the goroutine. It ends when the source is closed.
func (w *Worker) Start() { go w.run() }

// Wait waits for the goroutine, after the source has been closed.
func (w *Worker) Wait() { <-w.done }

func (w *Worker) run() {
	defer close(w.done)
	for {
		n, err := w.source.Read(w.batch)
		w.beat.Turn()
		for i := range n {
			w.decoder.Decode(&w.batch[i])
		}
		for _, f := range w.flushers {
			f.Flush()
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// Beat is the time of the last turn of the worker, with its monotonic reading: it
// turns once a second even when nothing comes.
func (w *Worker) Beat() time.Time { return w.beat.Time() }

// Decoded are the totals of the worker's decoder.
func (w *Worker) Decoded() decode.Stats { return w.decoder.Stats() }
