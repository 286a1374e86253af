package decode

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// unprovenIdle is the silence after which an exporter that has no template and
// no name in the configuration makes room for a newcomer when the table is full.
const unprovenIdle = time.Minute

// Exporters is what is known of all exporters: templates, samplers, sequence
// numbers. All decoders share it.
type Exporters struct {
	limits  Limits
	tunnels bool

	mu     sync.RWMutex
	byAddr map[netip.Addr]*exporter
	named  map[netip.Addr]bool
	swept  time.Time

	templates     atomic.Int64
	templateBytes atomic.Int64
	stateBytes    atomic.Int64
	changes       atomic.Uint64 // of anything that is persisted
	forgotten     atomic.Uint64
	lost          Losses // of exporters that were forgotten; under mu
	early         earlyTotals
}

// NewExporters makes an empty table.
func NewExporters(limits Limits) *Exporters {
	return &Exporters{limits: limits, byAddr: make(map[netip.Addr]*exporter), tunnels: true}
}

// ReadTunnels tells whether the packet inside a tunnel that an sFlow sample shows
// (IP in IP, GRE, VXLAN, SRv6) is read as the inner pair of its record, as it is
// unless this says otherwise. It is called before the first datagram is decoded.
func (x *Exporters) ReadTunnels(on bool) { x.tunnels = on }

// SetNamed tells which exporters stand in the configuration: they always find
// room, and are never forgotten for an unknown one.
func (x *Exporters) SetNamed(addrs []netip.Addr) {
	named := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		named[a.Unmap()] = true
	}
	x.mu.Lock()
	x.named = named
	x.mu.Unlock()
}

// An exporter is one sender. Its lock is held while one of its datagrams is
// decoded and guards everything in it: an exporter sends to one socket, so that
// nobody waits for it.
type exporter struct {
	mu          sync.Mutex
	addr        netip.Addr
	streams     map[streamKey]*stream
	recent      *stream // the one of the last datagram: most exporters have only one
	templates   int
	state       int       // bytes, of limits.StateBytes
	samplers    samplers  // of all domains together, the last resort
	earlySize   int       // of the sets that wait for their template
	earlyOldest time.Time // no set came before this
	split       bool      // streams are told apart by UDP source port, too
	last        time.Time
	gone        bool // forgotten: whoever still holds it looks it up again
}

// A streamKey tells the streams of one exporter apart. port is 0 unless two
// processes behind one address contradict each other.
type streamKey struct {
	version flow.Version
	domain  uint32
	agent   netip.Addr
	port    uint16
}

// A stream is one sequence of datagrams: a v5 engine, a v9 source id, an IPFIX
// observation domain, an sFlow sub-agent.
type stream struct {
	key       streamKey
	plans     map[uint16]*plan // data and options templates
	samplers  samplers
	init      int64 // systemInitTimeMilliseconds from options data, 0 = not told
	seq       sequence
	ports     ports
	contested bool // two ports mean different things by one template
	totals    VersionStats
	last      time.Time         // of receipt
	rate      uint32            // that v5 headers or sFlow samples told last
	unknown   map[uint16]uint64 // sets of unknown templates, by id; capped
	history   []TemplateChange
	early     map[uint16][]earlySet // data sets that wait for a template, by its id
}

// get finds an exporter, or makes room for it. It returns nil when the table is
// full.
func (x *Exporters) get(addr netip.Addr, now time.Time) *exporter {
	x.mu.RLock()
	e := x.byAddr[addr]
	x.mu.RUnlock()
	if e != nil {
		return e
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byAddr[addr]; e != nil {
		return e
	}
	if len(x.byAddr) >= x.limits.Exporters && !x.named[addr] {
		x.sweep(now, unprovenIdle)
		if len(x.byAddr) >= x.limits.Exporters {
			return nil
		}
	}
	e = &exporter{addr: addr, streams: make(map[streamKey]*stream, 1), last: now}
	x.byAddr[addr] = e
	return e
}

// sweep forgets exporters that have been silent for long: unproven ones after
// idle, the others after limits.Forget. It looks at the table once a second at
// most, so that a flood of spoofed senders costs one look-up each.
func (x *Exporters) sweep(now time.Time, idle time.Duration) {
	if since := now.Sub(x.swept); since >= 0 && since < time.Second {
		return
	}
	x.swept = now
	for addr, e := range x.byAddr {
		if !e.mu.TryLock() {
			continue // at work
		}
		silent := now.Sub(e.last)
		if silent > x.limits.Forget || silent > idle && e.templates == 0 && !x.named[addr] {
			x.forget(e)
		}
		x.expireEarly(e, now)
		e.mu.Unlock()
	}
}

// Sweep forgets what has been silent for long. The owner calls it now and then.
func (x *Exporters) Sweep(now time.Time) {
	x.mu.Lock()
	x.sweep(now, x.limits.Forget)
	x.mu.Unlock()
}

// forget removes an exporter. Both locks are held.
func (x *Exporters) forget(e *exporter) {
	for _, s := range e.streams {
		x.lost.add(s)
		for id := range s.plans {
			x.dropTemplate(e, s, id)
		}
	}
	x.early.release(e)
	x.stateBytes.Add(-int64(e.state))
	e.gone = true
	delete(x.byAddr, e.addr)
	x.forgotten.Add(1)
	x.changes.Add(1)
}

// stream finds a stream of the exporter, or makes it; nil when it has too many.
func (x *Exporters) stream(e *exporter, key streamKey) *stream {
	if e.recent != nil && e.recent.key == key {
		return e.recent
	}
	if s := e.streams[key]; s != nil {
		e.recent = s
		return s
	}
	if len(e.streams) >= x.limits.DomainsPerExporter || !x.roomFor(e, streamCost) {
		return nil
	}
	s := &stream{key: key}
	e.streams[key] = s
	x.changes.Add(1) // what it has sent is to be known after a crash
	if whole := key; key.port != 0 {
		whole.port = 0
		if from := e.streams[whole]; from != nil {
			x.inherit(e, s, from)
		}
	}
	return s
}

// define gives a template its place, for the one of the same id if there is one.
// When a cap is reached it reports false, and the id has no template any more:
// what it meant before is not what the exporter means now.
func (x *Exporters) define(e *exporter, s *stream, p *plan) bool {
	x.dropTemplate(e, s, p.id)
	cost := p.cost()
	if e.templates >= x.limits.TemplatesPerExporter ||
		x.templates.Load() >= int64(x.limits.Templates) ||
		x.templateBytes.Load()+cost > int64(x.limits.TemplateBytes) {
		return false
	}
	if s.plans == nil {
		s.plans = make(map[uint16]*plan)
	}
	s.plans[p.id] = p
	e.templates++
	x.templates.Add(1)
	x.templateBytes.Add(cost)
	return true
}

// dropTemplate forgets the template of that id.
func (x *Exporters) dropTemplate(e *exporter, s *stream, id uint16) {
	p := s.plans[id]
	if p == nil {
		return
	}
	delete(s.plans, id)
	e.templates--
	x.templates.Add(-1)
	x.templateBytes.Add(-p.cost())
}
