package decode

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
)

// Exporters is what is known of all exporters: templates, samplers, sequence
// numbers. All decoders share it.
type Exporters struct {
	limits  Limits
	tunnels bool
	ours    func(netip.Addr) bool // ends of tunnels; nil = all

	mu        sync.RWMutex
	byAddr    map[netip.Addr]*exporter
	named     atomic.Pointer[map[netip.Addr]bool]   // never changed
	sites     atomic.Pointer[map[netip.Addr]uint16] // never changed; nil = none
	fruitless time.Time                             // nobody gave way to an exporter that is not proven; under mu

	templates     atomic.Int64
	templateBytes atomic.Int64
	stateBytes    atomic.Int64
	changes       atomic.Uint64 // of anything that is persisted
	unrest        atomic.Uint64 // of what may wait to be persisted
	forgotten     atomic.Uint64
	gaveWay       atomic.Uint64
	lost          Losses // of exporters that were forgotten; under mu
	early         earlyTotals
}

// NewExporters makes an empty table.
func NewExporters(limits Limits) *Exporters {
	x := &Exporters{limits: limits, byAddr: make(map[netip.Addr]*exporter), tunnels: true}
	x.SetNamed(nil)
	return x
}

// ReadTunnels sets whether the packet inside a tunnel that an sFlow sample shows (IP
// in IP, GRE, VXLAN, SRv6) is read as the inner pair of its record; it is by default.
// Anybody can send a packet that looks like a tunnel: with ours, which reports whether
// an address is an end of our own tunnels, only what goes between two of those is
// read, in frame sections of IPFIX, too, and the rest is counted. ours must be safe for
// concurrent use. ReadTunnels is called before the first datagram is decoded.
func (x *Exporters) ReadTunnels(on bool, ours func(netip.Addr) bool) { x.tunnels, x.ours = on, ours }

// SetNamed sets the exporters that the configuration names: they always find room,
// and are never forgotten for another one.
func (x *Exporters) SetNamed(addrs []netip.Addr) {
	named := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		named[a.Unmap()] = true
	}
	x.named.Store(&named)
}

// SetSites sets the site of exporters, see [flow.Exporter], by UDP source address or sFlow
// agent address; a site by agent address comes first. Exporters without one are at none.
func (x *Exporters) SetSites(sites map[netip.Addr]uint16) {
	if len(sites) == 0 {
		x.sites.Store(nil)
		return
	}
	own := make(map[netip.Addr]uint16, len(sites))
	for a, site := range sites {
		own[a.Unmap()] = site
	}
	x.sites.Store(&own)
}

// An exporter is one sender. Its lock is held while one of its datagrams is
// parsed, not while a [Handler] works, and guards everything in it: an exporter sends to
// one socket, so that nobody waits for it.
type exporter struct {
	mu            sync.Mutex
	addr          netip.Addr
	streams       map[streamKey]*stream
	recent        *stream // the one of the last datagram: most exporters have only one
	merit         merit
	templates     int
	templateBytes int64
	state         int            // bytes, of limits.StateBytes
	fruitless     time.Time      // nobody gave way to it
	dropped       time.Time      // unused templates were dropped
	lost          Losses         // of streams that were forgotten
	samplers      sampling.Rates // of all domains together, the last resort
	init          int64          // systemInitTimeMilliseconds that any domain sent last
	earlySize     int            // of the sets that wait for their template
	earlyOldest   time.Time      // no set came before this
	datagrams     uint64         // so far
	split         bool           // streams are distinguished by UDP source port, too
	last          time.Time
	gone          bool // forgotten: whoever still holds it looks it up again
}

// A streamKey distinguishes the streams of one exporter. port is 0 unless two
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
	merit     merit
	state     int                    // bytes, of limits.StateBytes
	plans     map[uint16]*definition // data and options templates
	lately    [2]*definition         // of plans, those of the last data sets
	samplers  sampling.Rates
	init      int64 // systemInitTimeMilliseconds from options data, 0 = none
	seq       sequence.Tracker
	contested bool // two ports mean different things by one template
	totals    VersionStats
	last      time.Time         // of receipt
	rate      uint32            // that v5 headers or sFlow samples had last
	unknown   map[uint16]uint64 // sets of unknown templates, by id; capped
	history   []TemplateChange
	early     map[uint16][]earlySet // data sets that wait for a template, by its id
}

// get finds an exporter, or makes room for it: e is nil when the table is full of
// those that are proven. full reports that the limit was reached.
func (x *Exporters) get(addr netip.Addr, now time.Time) (e *exporter, full bool) {
	x.mu.RLock()
	e = x.byAddr[addr]
	x.mu.RUnlock()
	if e != nil {
		return e, false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byAddr[addr]; e != nil {
		return e, false
	}
	full = len(x.byAddr) >= x.limits.Exporters && !x.isNamed(addr)
	if full && !x.displace() {
		return nil, true
	}
	e = &exporter{addr: addr, streams: make(map[streamKey]*stream, 1), last: now}
	x.byAddr[addr] = e
	return e, full
}

// Sweep forgets exporters, their streams and early data that have been silent or
// have waited for long. The owner calls it now and then.
func (x *Exporters) Sweep(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.byAddr {
		if !e.mu.TryLock() {
			continue // at work
		}
		if now.Sub(e.last) > x.limits.patience(x.standing(e)) {
			x.forget(e)
		} else {
			x.expireEarly(e, now)
			x.expireStreams(e, now)
		}
		e.mu.Unlock()
	}
}

// forget removes an exporter. Both locks are held.
func (x *Exporters) forget(e *exporter) {
	for _, s := range e.streams {
		x.dropStream(e, s)
	}
	x.lost.sum(e.lost)
	x.stateBytes.Add(-int64(e.state))
	e.state = 0
	e.gone = true
	delete(x.byAddr, e.addr)
	x.forgotten.Add(1)
	x.unrest.Add(1)
}

// stream finds a stream of the exporter, or makes it: s is nil when there is no room
// for one more. full reports that a limit was reached.
func (x *Exporters) stream(e *exporter, key streamKey) (s *stream, full bool) {
	if s := e.streams[key]; s != nil {
		e.recent = s
		return s, false
	}
	full = len(e.streams) >= x.limits.DomainsPerExporter
	if full && !x.displaceStream(e) {
		return nil, true
	}
	s = &stream{key: key, last: e.last}
	if !x.room(e, s, streamCost) {
		return nil, true
	}
	e.streams[key] = s
	if whole := key; key.port != 0 {
		whole.port = 0
		if from := e.streams[whole]; from != nil {
			x.inherit(e, s, from)
		}
	}
	return s, full
}
