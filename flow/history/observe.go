package history

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
)

// writing is what became of the tables, as the writer reports it.
type writing struct {
	waiting int    // tables
	lost    uint64 // flows
	err     string // why the last attempt to write failed; empty = it did not
}

// Stats are what is kept, and what is not.
type Stats struct {
	Enabled bool   `json:"enabled" name:"history_enabled" help:"1 while contacts are kept."`
	Off     string `json:"off,omitempty" show:"some" words:"no contacts are kept"` // why not, though they should be
	// Until is the time until which everything received is in the files.
	Until    time.Time `json:"complete_until,omitzero" name:"history_complete_timestamp_seconds" help:"Time until which all contacts received are on the disk."`
	MaxBytes uint64    `json:"max_bytes" name:"history_max_bytes" help:"Bytes that all files of the history may have."`
	Waiting  int       `json:"tables_waiting" name:"history_tables_waiting" help:"Tables of workers that wait to be written." show:"some" words:"tables wait to be written"`
	// Unwritten flows were kept in tables that could not be written at last.
	Unwritten uint64 `json:"unwritten" name:"history_unwritten_flows_total" help:"Flows whose contacts could not be written to the disk and were given up." loss:"true" check:"history" remedy:"look for a full or broken disk" words:"flows given up, as their contacts could not be written"`
	Trouble   string `json:"trouble,omitempty"` // why files are not written now
	Disk      string `json:"disk,omitempty"`    // a call to the disk that hangs

	Recorded recorder.Stats `json:"recorded"`
	Files    store.Stats    `json:"files"`
}

// Stats gives the state now.
func (h *History) Stats() Stats {
	h.mu.Lock()
	s := Stats{
		Enabled: h.on, Off: h.off, Until: h.written, MaxBytes: uint64(h.bound), Waiting: h.state.waiting,
		Unwritten: h.state.lost, Trouble: h.state.err,
	}
	files := h.store
	h.mu.Unlock()
	if err := h.disk.Hangs(time.Now(), disk.SlowAfter); err != nil {
		s.Disk = err.Error()
	}
	s.Recorded = h.pool.Stats()
	if files != nil {
		s.Files = files.Stats()
	}
	return s
}

// config is the configuration in force.
func (h *History) config() Config {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cfg
}

// holds notes how many tables wait.
func (h *History) holds(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.waiting = n
}

// unwritten counts flows that are given up.
func (h *History) unwritten(flows uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.lost += flows
	h.state.waiting = 0
}

// isComplete notes that everything received until a time is on the disk.
func (h *History) isComplete(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.written = until
}

// hasFiled notes that an interval was written as a file.
func (h *History) hasFiled() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.filed = time.Now()
}

// wrote notes the outcome of a write. The store makes it known.
func (h *History) wrote(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state.err = ""; err != nil {
		h.state.err = err.Error()
	}
}

// trouble is why files are not written now; empty = they are.
func (h *History) trouble() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.err
}

// failure is trouble as an error.
func (h *History) failure() error {
	if text := h.trouble(); text != "" {
		return failure(text)
	}
	return nil
}

type failure string

func (f failure) Error() string { return string(f) }
