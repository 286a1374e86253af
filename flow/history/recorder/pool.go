package recorder

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// Config is what recorders are made with.
type Config struct {
	// Homes are by the number of a site, see [flow.Exporter]. The first is that of
	// exporters at none, and of those whose site has none here. Without any, nothing is ours.
	Homes []home.Home
	// Sites are the names of the sites by the same number; the first is empty.
	Sites []string
	// Exclude are networks whose flows are not kept: one end in there is enough.
	Exclude []netip.Prefix
	// Sampling are the rates that the operator configures, by the address of an exporter
	// or of an sFlow agent, which comes first: they replace what is exported.
	Sampling map[netip.Addr]uint32
	// Scaled is set when counters come multiplied by the sampling rate already.
	Scaled bool
	// Caps are those of one table. Each worker has two.
	Caps table.Caps
	// Early is how many full tables a worker hands over in one interval. Those beyond lose
	// contacts.
	Early int
	// Unsynced reports whether the wall clock is not synchronised; nil = it is. It is asked
	// when a worker begins a table, and must not wait.
	Unsynced func() bool
}

// maxExporters is how many exporters get a number of their own. All others share 0.
const maxExporters = 1<<16 - 1

// maxHanded is how many tables may wait to be written. There are two for each worker, so
// that this is never reached with less than 512 workers.
const maxHanded = 1024

// A view is what may change while recorders work. It is replaced as a whole.
type view struct {
	on       bool
	interval uint32
	exclude  *home.Networks // nil = none
}

// A Pool is what the recorders of all workers share. Its methods may be called from any
// goroutine.
type Pool struct {
	cfg    Config
	homes  []home.Home // one or more
	view   atomic.Pointer[view]
	handed chan Handed

	mu        sync.Mutex
	recorders []*Recorder
	numbers   map[netip.Addr]uint16
	exporters []netip.Addr // by number
	crowded   uint64       // exporters that got no number
}

// NewPool makes a pool that is enabled.
func NewPool(cfg Config) *Pool {
	p := &Pool{
		cfg: cfg, homes: cfg.Homes, handed: make(chan Handed, maxHanded),
		numbers: make(map[netip.Addr]uint16), exporters: []netip.Addr{{}},
	}
	if len(p.homes) == 0 {
		p.homes = []home.Home{home.New(new(home.Networks), nil)}
	}
	v := view{on: true}.excluding(cfg.Exclude)
	p.view.Store(&v)
	return p
}

// change replaces the view.
func (p *Pool) change(f func(view) view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := f(*p.view.Load())
	p.view.Store(&v)
}

func (v view) excluding(prefixes []netip.Prefix) view {
	v.exclude = nil
	if len(prefixes) > 0 {
		v.exclude = home.NewNetworks(prefixes)
	}
	return v
}

// Turn begins a new interval: each recorder hands its table over at its next Flush, not
// before: what is decoded before a Turn is in a table that is handed over because of it. A
// recorder without contacts hands over no table, so that there is one Handed for each
// recorder. One whose other table has not come back yet does so when it has. The result is the
// number of the new interval.
func (p *Pool) Turn() (interval uint32) {
	p.change(func(v view) view {
		v.interval++
		interval = v.interval
		return v
	})
	return interval
}

// Enable switches the recorders on or off. While they are off, they count no flows; what their
// tables hold is handed over after the next Turn, and the memory of the tables is given up.
func (p *Pool) Enable(on bool) {
	p.change(func(v view) view {
		v.on = on
		return v
	})
}

// SetExclude replaces Config.Exclude for flows that come from now on.
func (p *Pool) SetExclude(prefixes []netip.Prefix) {
	p.change(func(v view) view { return v.excluding(prefixes) })
}

// Why a table was handed over.
type Why uint8

// The reasons.
const (
	WhyInterval Why = iota // Turn was called
	WhyFull                // it had no room
	WhyShutdown            // Drain was called
)

// Handed is a table that a worker has handed over. It belongs to the receiver until Return.
type Handed struct {
	// Table is nil where the worker had no contacts.
	Table *table.Table
	// Interval is the number of turns before the table was begun, Next that of turns before
	// the one with which the recorder goes on.
	Interval, Next uint32
	Why            Why
	// Counts are the flows that were meant for the table: kept and folded ones are in it.
	// The table's own Counts also have the further rows of flows that have several.
	Counts table.Counts

	from *Recorder // nil without a table
}

// Handed gives the tables that are handed over. The workers never wait for a receiver.
func (p *Pool) Handed() <-chan Handed { return p.handed }

// Return empties a table that has been written, and gives it back to its worker.
func (p *Pool) Return(h Handed) {
	r := h.from
	if r == nil {
		return
	}
	h.Table.Reset()
	select {
	case r.free <- h.Table:
	default: // it has been returned before
	}
}

// Drain gives the tables that the recorders still hold, after all workers have ended. What
// has been handed over before is still in the channel.
func (p *Pool) Drain() (all []Handed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.recorders {
		r.spillAll()
		if r.table != nil && (r.table.Len() > 0 || r.counts != table.Counts{}) {
			all = append(all, r.hand(WhyShutdown, r.interval))
			r.handovers[WhyShutdown].Add(1)
		}
		r.publish()
	}
	return all
}

// Workers is the number of recorders.
func (p *Pool) Workers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.recorders)
}

// Names gives what the numbers in the tables stand for. Numbers that are given out later are
// not in it, so it is to be asked for after a table has been handed over.
func (p *Pool) Names() table.Names {
	p.mu.Lock()
	defer p.mu.Unlock()
	return table.Names{Exporters: slices.Clip(p.exporters), Sites: p.cfg.Sites}
}

// number gives the number of an exporter, 0 when there is none left.
func (p *Pool) number(a netip.Addr) uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.numbers[a]; ok || !a.IsValid() {
		return n
	}
	if len(p.exporters) > maxExporters {
		p.crowded++
		return 0
	}
	n := uint16(len(p.exporters))
	p.exporters = append(p.exporters, a)
	p.numbers[a] = n
	return n
}

// sampling gives the configured rate of an exporter, 0 when there is none.
func (p *Pool) sampling(e *flow.Exporter) uint32 {
	if n, ok := p.cfg.Sampling[e.Agent]; ok {
		return n
	}
	return p.cfg.Sampling[e.Addr]
}
