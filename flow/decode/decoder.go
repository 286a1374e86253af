package decode

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
)

// A Handler gets the data records of each datagram, or of each data set that has waited
// for its template, in one set. The set is valid only during the call. No lock is held
// meanwhile.
type Handler interface {
	Records(s *Set)
}

// A Decoder turns datagrams into sets of records. It belongs to one goroutine
// and holds that goroutine's scratch memory; all decoders of a program share one
// [Exporters].
type Decoder struct {
	exporters *Exporters
	handler   Handler
	counters  counters
	cache     map[netip.Addr]*exporter
	last      *exporter
	preloaded byte // see preload
	fresh     bool // the sender had not sent any flow before this datagram
	set       Set
	options   Set // scratch: options data
	msg       message
	site      siteCache
}

// cacheSize bounds the decoder's own look-up of exporters, which spares it the
// shared table's lock.
const cacheSize = 4096

// New makes a decoder that calls h for the records of each datagram.
func New(x *Exporters, h Handler) *Decoder {
	d := &Decoder{exporters: x, handler: h, cache: make(map[netip.Addr]*exporter)}
	d.set.tally, d.set.shared = &d.counters, x
	d.options.tally, d.options.shared = &d.counters, x
	d.set.fields = template.Reader{Clock: &d.set.Clock, InitTime: d.set.initTime}
	d.options.fields = template.Reader{Clock: &d.options.Clock, InitTime: d.options.initTime}
	return d
}

// Stats reads the counters; any goroutine may call it.
func (d *Decoder) Stats() Stats { return d.counters.stats() }

func (d *Decoder) count(r Reason) { d.counters.count(r) }

// Decode reads one datagram. Whatever is wrong with it is counted, and what can
// be used of it is used; there is nothing for the caller to handle.
func (d *Decoder) Decode(dg *flow.Datagram) {
	d.set.empty() // nothing stays of a datagram that ended in a panic
	v, ok := flow.Detect(dg.Payload)
	if !ok {
		d.count(reasonNotExport)
		return
	}
	i := versionIndex(v)
	d.counters.datagrams[i].Add(1)
	d.counters.bytes[i].Add(uint64(len(dg.Payload)))
	e := d.lock(dg)
	switch v {
	case flow.V5:
		d.v5(e, dg)
	case flow.V9, flow.IPFIX:
		d.netflow(e, v, dg)
	case flow.SFlow:
		d.sflow(e, dg)
	}
	if e != nil {
		e.mu.Unlock()
	}
	d.handOver()
}

// lock finds the sender and locks it. It gives nil when there is no room for it.
func (d *Decoder) lock(dg *flow.Datagram) *exporter {
	addr := dg.Source.Addr()
	e := d.last
	if e == nil || e.addr != addr {
		e = d.cache[addr]
	}
	for {
		if e == nil {
			var full bool
			if e, full = d.exporters.get(addr, dg.Received); full {
				d.count(reasonCapExporters)
			}
			if e == nil {
				return nil
			}
			if len(d.cache) >= cacheSize {
				clear(d.cache)
			}
			d.cache[addr] = e
		}
		e.mu.Lock()
		if !e.gone {
			e.last = dg.Received
			e.datagrams++
			d.last, d.fresh = e, e.merit.first.IsZero()
			return e
		}
		e.mu.Unlock()
		delete(d.cache, addr)
		e = nil
	}
}

// enter finds the stream of a datagram, or makes it, and counts the datagram there. It
// gives nil when there is no room for it.
func (d *Decoder) enter(e *exporter, key streamKey, dg *flow.Datagram) *stream {
	if e == nil {
		return nil
	}
	if e.split {
		key.port = dg.Source.Port()
	}
	s := e.recent
	if s == nil || s.key != key {
		if s = d.streamOf(e, key); s == nil {
			return nil
		}
	}
	s.seq.From(dg.Source.Port())
	s.last = dg.Received
	s.totals.Datagrams++
	s.totals.Bytes += uint64(len(dg.Payload))
	return s
}

// streamOf finds a stream, or makes it; nil when there is no room for it.
func (d *Decoder) streamOf(e *exporter, key streamKey) *stream {
	s, full := d.exporters.stream(e, key)
	if full {
		d.count(reasonCapStreams)
	}
	return s
}

// leave notes how many flow records a datagram had, and follows the sequence numbers of
// its stream, which may be nil.
func (d *Decoder) leave(e *exporter, s *stream, flows int, now time.Time, n sequence.Numbering) {
	if flows > 0 {
		d.took(e, s, flows, now)
	}
	if s != nil && s.seq.Follow(s.key.version, n, now) && !e.split {
		d.split(e, s)
	}
}

// took notes flow records for the standing of their sender.
func (d *Decoder) took(e *exporter, s *stream, n int, now time.Time) {
	if e != nil && !e.merit.proven && e.merit.latest != now {
		e.merit.note(now)
	}
	if s != nil {
		s.totals.Records += uint64(n)
		if !s.merit.proven && s.merit.latest != now {
			d.prove(s, now)
		}
	}
}

// prove notes records of a stream. What one without templates has sent is to be known
// after a crash from the first of them on; one with templates has been noted before.
func (d *Decoder) prove(s *stream, now time.Time) {
	if s.merit.first.IsZero() && len(s.plans) == 0 {
		d.exporters.changes.Add(1)
	}
	s.merit.note(now)
}

// handOver gives the records of a datagram to the handler, and before them those that
// had waited for a template in it. The lock of the exporter is free by then, so that
// whatever the handler does keeps nobody from its state.
func (d *Decoder) handOver() {
	s := &d.set
	switch {
	case s.n > 0: // sFlow has no runs
		d.emit(s)
	case len(s.heads) > 0:
		d.handOverAll()
	case len(s.pending) > 0:
		s.take(s.pending)
		d.emit(s)
	}
}

// handOverAll does that where records of several datagrams are pending: one set for each
// of the datagrams.
func (d *Decoder) handOverAll() {
	s := &d.set
	now := s.head
	for all := s.pending; len(all) > 0; {
		n := 1
		for n < len(all) && all[n].head == all[0].head {
			n++
		}
		if s.head = now; all[0].head > 0 {
			s.head = s.heads[all[0].head-1]
		}
		s.take(all[:n])
		d.emit(s)
		all = all[n:]
	}
	clear(s.pending) // what has waited is not kept any longer
	clear(s.heads)
}

// emit hands a filled set to the handler and counts its records.
func (d *Decoder) emit(s *Set) {
	s.exporter.Site = d.siteOf(&s.exporter)
	d.counters.records[versionIndex(s.exporter.Version)].Add(uint64(s.n))
	if s.withoutAddress > 0 {
		d.counters.noAddress.Add(uint64(s.withoutAddress))
	}
	if s.tunnelsSkipped > 0 {
		d.counters.tunnelsSkipped.Add(uint64(s.tunnelsSkipped))
	}
	for range s.tunnelsDeeper {
		d.count(reasonTunnelDepth)
	}
	d.handler.Records(s)
}

// A siteCache has the site of the exporter that a decoder saw last.
type siteCache struct {
	sites       *map[netip.Addr]uint16
	addr, agent netip.Addr
	site        uint16
}

// siteOf gives the site of an exporter.
func (d *Decoder) siteOf(e *flow.Exporter) uint16 {
	sites, c := d.exporters.sites.Load(), &d.site
	if sites == nil {
		return 0
	}
	if c.sites != sites || c.addr != e.Addr || c.agent != e.Agent {
		site, ok := (*sites)[e.Agent]
		if !ok {
			site = (*sites)[e.Addr]
		}
		*c = siteCache{sites, e.Addr, e.Agent, site}
	}
	return c.site
}

// versionIndex gives the place of a protocol's counters.
func versionIndex(v flow.Version) int {
	switch v {
	case flow.V5:
		return 0
	case flow.V9:
		return 1
	case flow.IPFIX:
		return 2
	}
	return 3
}
