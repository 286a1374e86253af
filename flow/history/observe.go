package history

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
)

// writing is what became of the tables, as the writer reports it.
type writing struct {
	waiting int       // tables
	lost    uint64    // flows
	err     error     // of the last attempt to write
	until   time.Time // until which everything that was received is on the disk
	filed   time.Time // when an interval was last written as a file, by the steady clock
}

// Stats are what is kept, and what is not.
type Stats struct {
	Enabled bool   `json:"enabled" name:"history_enabled" help:"1 while contacts are kept."`
	Off     string `json:"off,omitempty" show:"some" words:"no contacts are kept"` // why not, though they should be
	// Until is the time until which everything received is in the files.
	Until    time.Time `json:"complete_until,omitzero" name:"history_complete_timestamp_seconds" help:"Time until which all contacts received are on the disk."`
	MaxBytes uint64    `json:"max_bytes" name:"history_max_bytes" help:"Bytes that all files of the history may have."`
	Waiting  int       `json:"tables_waiting" name:"history_tables_waiting" help:"Tables of workers that wait to be written." show:"some" words:"tables wait to be written"`
	// Unwritten flows were kept in tables that could not be written and were given up.
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
		Enabled: h.on, Off: h.off, Until: h.state.until, MaxBytes: uint64(h.bound), Waiting: h.state.waiting,
		Unwritten: h.state.lost,
	}
	if h.state.err != nil {
		s.Trouble = h.state.err.Error()
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

// note changes what became of the tables.
func (h *History) note(f func(*writing)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.state)
}

// failure is why files are not written now; nil = they are.
func (h *History) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.err
}
