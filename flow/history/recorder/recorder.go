package recorder

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// tablesPerWorker: one is filled while the other one is written.
const tablesPerWorker = 2

// maxDevices bounds a recorder's own look-up of exporters.
const maxDevices = 4096

// A Recorder is the tap of one worker, and belongs to its goroutine.
type Recorder struct {
	pool *Pool
	view *view // that was seen last

	// Of the set at work.
	home           *home.Home
	exclude        *home.Networks
	exporter, site uint16
	received       int64 // ms since 1970
	earliest       int64 // of the times that are believed
	unsynchronised uint8 // flag of all flows in the table

	// The exporter of the last set, and others.
	device  device
	devices map[deviceKey]device

	main  pile // flows that have not gone into the table yet
	extra pile // further rows of flows that have several
	pairs pairs
	rec   flow.Record

	table    *table.Table // nil before the first flow
	interval uint32       // that it was begun in
	early    int          // hand-overs of full tables in this interval
	counts   table.Counts // of the table, without those of extra rows
	free     chan *table.Table
	tables   []held

	outcomes  outcomes
	total     table.Counts // since the start
	lostRows  uint64       // extra ones, since the start
	shown     shown
	handovers [WhyShutdown + 1]atomic.Uint64
}

// held is a table of the worker, wherever it is, and its memory when it was handed over.
type held struct {
	table *table.Table
	bytes int
}

// A device is an exporter as a recorder needs it.
type device struct {
	key    deviceKey
	number uint16
	rate   uint32 // as configured, 0 = as exported
}

type deviceKey struct{ addr, agent netip.Addr }

// Recorder makes the recorder of one worker, before the worker starts.
func (p *Pool) Recorder() *Recorder {
	v := p.view.Load()
	r := &Recorder{
		pool: p, view: v, interval: v.interval, exclude: v.exclude, home: &p.homes[0],
		devices: make(map[deviceKey]device), free: make(chan *table.Table, tablesPerWorker),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recorders = append(p.recorders, r)
	return r
}

// Records takes the flows of a set.
func (r *Recorder) Records(s *decode.Set) {
	v := r.pool.view.Load()
	if v != r.view {
		r.look(v)
	}
	if !v.on {
		return
	}
	if r.table == nil {
		r.begin()
	}
	r.prepare(s)
	c := s.Columns(needed)
	for from, n := 0, s.Len(); from < n; {
		to := min(n, from+pileSize-r.main.n)
		r.take(s, c, from, to, &r.main)
		if from = to; r.main.n == pileSize {
			r.spill(&r.main, true)
		}
	}
}

// Flush puts what has been taken into the table, hands it over if a Turn came, and shows the
// counters.
func (r *Recorder) Flush() {
	v := r.pool.view.Load()
	if v != r.view {
		r.look(v)
	}
	r.spillAll()
	if v.interval != r.interval && r.handOver(WhyInterval, v.interval) {
		r.interval, r.early = v.interval, 0
		if r.table != nil { // it was empty, and stays
			r.askClock()
		}
	}
	for !v.on && len(r.free) > 0 { // its memory is not needed
		t := <-r.free
		r.tables = slices.DeleteFunc(r.tables, func(h held) bool { return h.table == t })
	}
	r.publish()
}

// look takes up a new view.
func (r *Recorder) look(v *view) {
	r.spillAll()
	r.view, r.exclude = v, v.exclude
}

// prepare sets what all flows of a set share.
func (r *Recorder) prepare(s *decode.Set) {
	e := s.Exporter()
	if key := (deviceKey{e.Addr, e.Agent}); key != r.device.key {
		r.find(key, &e)
	}
	r.exporter, r.site = r.device.number, e.Site
	if r.home = &r.pool.homes[0]; int(e.Site) < len(r.pool.homes) {
		r.home = &r.pool.homes[e.Site]
	}
	const first, last = maxSkew, (1<<32-1)*1000 - maxSkew // for times that fit into 32 bits
	r.received = min(max(s.Received().UnixMilli(), first), last)
	r.earliest = r.received - maxSkew
}

// find looks an exporter up.
func (r *Recorder) find(key deviceKey, e *flow.Exporter) {
	d, ok := r.devices[key]
	if !ok {
		if len(r.devices) >= maxDevices {
			clear(r.devices)
		}
		d = device{key, r.pool.number(e.Addr), r.pool.sampling(e)}
		r.devices[key] = d
	}
	r.device = d
}

// spillAll puts all flows into the table.
func (r *Recorder) spillAll() {
	if r.main.n > 0 {
		r.spill(&r.main, true)
	}
	if r.extra.n > 0 {
		r.spill(&r.extra, false)
	}
}

// spill puts the flows of a pile into the table, or into the next one when it is full. Those
// of extra rows are not counted as flows.
func (r *Recorder) spill(p *pile, counted bool) {
	b := p.batch()
	p.n = 0
	for from := 0; from < b.Len(); {
		if r.table == nil && !r.begin() {
			r.count(table.Counts{Lost: uint64(b.Len() - from)}, counted)
			return
		}
		from = r.update(&b, from, false, counted)
		if from < b.Len() && !r.handOver(WhyFull, r.interval) {
			from = r.update(&b, from, true, counted)
		}
	}
}

// update puts flows into the table.
func (r *Recorder) update(b *table.Batch, from int, lose, counted bool) int {
	before := r.table.Counts()
	n := r.table.Update(b, from, lose)
	now := r.table.Counts()
	r.count(table.Counts{Kept: now.Kept - before.Kept, Folded: now.Folded - before.Folded, Lost: now.Lost - before.Lost}, counted)
	return n
}

// count counts what became of rows. Of extra ones only what is lost is counted: their flows
// are counted with their first row.
func (r *Recorder) count(n table.Counts, counted bool) {
	if !counted {
		r.lostRows += n.Lost
		return
	}
	for _, c := range [...]*table.Counts{&r.total, &r.counts} {
		c.Kept, c.Folded, c.Lost = c.Kept+n.Kept, c.Folded+n.Folded, c.Lost+n.Lost
	}
}

// begin takes an empty table, and reports whether there is one.
func (r *Recorder) begin() bool {
	select {
	case r.table = <-r.free:
	default:
		if len(r.tables) >= tablesPerWorker {
			return false
		}
		r.table = table.New(r.pool.cfg.Caps)
		r.tables = append(r.tables, held{table: r.table})
	}
	r.askClock()
	return true
}

// askClock notes whether the flows from now on come while the clock is not synchronised.
func (r *Recorder) askClock() {
	r.unsynchronised = 0
	if f := r.pool.cfg.Unsynced; f != nil && f() {
		r.unsynchronised = row.Unsynchronised
	}
}

// handOver hands the table over and begins another one. It reports false where that cannot
// be: the other one is still being written, or enough full tables have been handed over in
// this interval.
func (r *Recorder) handOver(why Why, next uint32) bool {
	empty := r.table == nil || r.table.Len() == 0 // a full table is empty when nothing fits into it
	switch {
	case why == WhyFull && (empty || r.early >= r.pool.cfg.Early):
		return false
	case empty:
		h := Handed{Interval: r.interval, Next: next, Why: why, Counts: r.counts}
		if !r.send(h) {
			return false
		}
		r.counts = table.Counts{}
		return true
	case r.view.on && len(r.free) == 0 && len(r.tables) >= tablesPerWorker:
		return false
	}
	h := r.hand(why, next)
	if !r.send(h) {
		r.table, r.counts = h.Table, h.Counts
		return false
	}
	if why == WhyFull {
		r.early++
	}
	return true
}

// hand takes the table from the recorder.
func (r *Recorder) hand(why Why, next uint32) Handed {
	h := Handed{Table: r.table, Interval: r.interval, Next: next, Why: why, Counts: r.counts, from: r}
	r.counts = table.Counts{}
	for i := range r.tables {
		if r.tables[i].table == r.table {
			r.tables[i].bytes = r.table.Bytes()
		}
	}
	r.table = nil
	return h
}

// send offers a table, and never waits.
func (r *Recorder) send(h Handed) bool {
	select {
	case r.pool.handed <- h:
		r.handovers[h.Why].Add(1)
		return true
	default:
		return false
	}
}

// addr6 gives an address as in columns: zero when there is none.
func addr6(a netip.Addr) flow.Addr6 {
	if !a.IsValid() || a.IsUnspecified() {
		return flow.Addr6{}
	}
	return flow.Addr6Of(a)
}
