package decode

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// An earlySet is a data set that came before its template. It keeps what the
// records need of their own datagram.
type earlySet struct {
	stream   *stream
	id       uint16
	body     []byte
	received time.Time
	frame    int
	source   netip.AddrPort
	from     flow.Exporter
	export   int64
	uptime   uint32
}

// earlyTotals count what happened to data sets ahead of their template.
type earlyTotals struct {
	bytes                                  atomic.Int64 // waiting now
	kept, replayed, records, expired, full atomic.Uint64
}

// earlyOverhead is the memory that a waiting set takes beside its bytes.
const earlyOverhead = 160

// keep lets a data set wait for its template, within the caps.
func (d *Decoder) keep(m *message, id uint16, body []byte) {
	e, x := m.exporter, d.exporters
	x.expireEarly(e, m.dg.Received)
	m.stream.noteUnknown(id)
	size := len(body) + earlyOverhead
	if e.earlySize+size > x.limits.EarlyBytesPerExporter || x.early.bytes.Load()+int64(size) > int64(x.limits.EarlyBytes) {
		x.early.full.Add(1)
		return
	}
	e.early = append(e.early, earlySet{
		stream: m.stream, id: id, body: append([]byte(nil), body...), received: m.dg.Received,
		frame: m.dg.Frame, source: m.dg.Source, from: m.from, export: m.export, uptime: m.uptime,
	})
	e.earlySize += size
	x.early.bytes.Add(int64(size))
	x.early.kept.Add(1)
}

// maxUnknownIDs bounds the template ids that a stream remembers to miss.
const maxUnknownIDs = 64

// noteUnknown remembers which template is missing, for those who look.
func (s *stream) noteUnknown(id uint16) {
	if s.unknown == nil {
		s.unknown = make(map[uint16]uint64)
	}
	if _, ok := s.unknown[id]; ok || len(s.unknown) < maxUnknownIDs {
		s.unknown[id]++
	}
}

// replay reads the data sets that waited for a template which has now come.
func (d *Decoder) replay(m *message, id uint16) {
	e, x := m.exporter, d.exporters
	if len(e.early) == 0 {
		return
	}
	x.expireEarly(e, m.dg.Received)
	waiting := e.early
	e.early = nil
	for _, w := range waiting {
		if w.stream != m.stream || w.id != id {
			e.early = append(e.early, w)
			continue
		}
		size := len(w.body) + earlyOverhead
		e.earlySize -= size
		x.early.bytes.Add(-int64(size))
		x.early.replayed.Add(1)
		x.early.records.Add(uint64(d.replaySet(m, w)))
	}
}

// replaySet reads one set as if its datagram came now, with the times of its own.
func (d *Decoder) replaySet(m *message, w earlySet) int {
	dg := *m.dg
	dg.Received, dg.Frame, dg.Source = w.received, w.frame, w.source
	old := *m
	m.dg, m.from, m.export, m.uptime, m.records = &dg, w.from, w.export, w.uptime, 0
	if p := m.stream.plans[w.id]; p != nil {
		d.dataRecords(m, p, w.body)
	} else if o := m.stream.options[w.id]; o != nil {
		d.counters.options[versionIndex(w.from.Version)].Add(uint64(d.optionsData(m, o, w.body)))
	}
	n := m.records
	*m = old
	return n
}

// expireEarly drops what has waited too long.
func (x *Exporters) expireEarly(e *exporter, now time.Time) {
	i := 0
	for i < len(e.early) && now.Sub(e.early[i].received) > x.limits.EarlyAge {
		size := len(e.early[i].body) + earlyOverhead
		e.earlySize -= size
		x.early.bytes.Add(-int64(size))
		x.early.expired.Add(1)
		i++
	}
	e.early = e.early[i:]
}

// release drops everything that waits for the templates of an exporter.
func (t *earlyTotals) release(e *exporter) {
	t.bytes.Add(-int64(e.earlySize))
	t.expired.Add(uint64(len(e.early)))
	e.early, e.earlySize = nil, 0
}
