package decode

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A Handler is told about every set of data records. The set is valid only
// during the call.
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
	set       Set
	msg       message
}

// cacheSize bounds the decoder's own look-up of exporters, which spares it the
// shared table's lock.
const cacheSize = 4096

// New makes a decoder that calls h for each set of records.
func New(x *Exporters, h Handler) *Decoder {
	d := &Decoder{exporters: x, handler: h, cache: make(map[netip.Addr]*exporter)}
	d.set.tally = &d.counters
	return d
}

// Stats reads the counters; any goroutine may call it.
func (d *Decoder) Stats() Stats { return d.counters.stats() }

func (d *Decoder) count(r Reason) { d.counters.count(r) }

// Decode reads one datagram. Whatever is wrong with it is counted, and what can
// be used of it is used; there is nothing for the caller to handle.
func (d *Decoder) Decode(dg *flow.Datagram) {
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
			if e = d.exporters.get(addr, dg.Received); e == nil {
				d.count(reasonCapExporters)
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
			d.last = e
			return e
		}
		e.mu.Unlock()
		delete(d.cache, addr)
		e = nil
	}
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

// emit hands a filled set to the handler and counts its records.
func (d *Decoder) emit(s *Set) {
	i := versionIndex(s.exporter.Version)
	d.counters.records[i].Add(uint64(s.n))
	if s.withoutAddress > 0 {
		d.counters.noAddress.Add(uint64(s.withoutAddress))
	}
	if s.stream != nil {
		s.stream.totals.Records += uint64(s.n)
	}
	d.handler.Records(s)
}
