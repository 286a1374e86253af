package decode

import (
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
)

// An earlySet is a data set that came before its template. It keeps what the
// records need of their own datagram.
type earlySet struct {
	body     []byte
	received time.Time
	frame    int
	source   netip.AddrPort
	from     flow.Exporter
	clock    template.Clock
}

// cost is the memory that a waiting set takes, about: lists grow by half.
func (w *earlySet) cost() int { return len(w.body) + 3*int(unsafe.Sizeof(*w))/2 }

// earlyTotals count what happened to data sets ahead of their template.
type earlyTotals struct {
	bytes                                  atomic.Int64 // waiting now
	kept, replayed, records, expired, full atomic.Uint64
	gaveWay                                atomic.Uint64
}

// keep lets a data set wait for its template, within the caps.
func (d *Decoder) keep(m *message, id uint16, body []byte) {
	e, st, x := m.exporter, m.stream, d.exporters
	x.expireEarly(e, m.dg.Received)
	x.noteUnknown(e, st, id)
	w := earlySet{
		received: m.dg.Received, frame: m.dg.Frame, source: m.dg.Source,
		from: m.from, clock: m.Clock, body: body,
	}
	size := w.cost()
	over := x.early.bytes.Load() + int64(size) - int64(x.limits.EarlyBytes)
	if e.earlySize+size > x.limits.EarlyBytesPerExporter || over > 0 && !x.reclaim(e, earlyMemory, over) {
		x.early.full.Add(1)
		return
	}
	w.body = append([]byte(nil), body...)
	if st.early == nil {
		st.early = make(map[uint16][]earlySet)
	}
	st.early[id] = append(st.early[id], w)
	if e.earlySize == 0 {
		e.earlyOldest = w.received
	}
	e.earlySize += size
	x.early.bytes.Add(int64(size))
	x.early.kept.Add(1)
}

// maxUnknownIDs bounds the template ids that a stream remembers to miss.
const maxUnknownIDs = 64

// noteUnknown remembers which template is missing, for those who look.
func (x *Exporters) noteUnknown(e *exporter, s *stream, id uint16) {
	if _, ok := s.unknown[id]; !ok && (len(s.unknown) >= maxUnknownIDs || !x.room(e, s, missingCost)) {
		return
	}
	if s.unknown == nil {
		s.unknown = make(map[uint16]uint64)
	}
	s.unknown[id]++
}

// replay reads the data sets that waited for a template which has now come.
func (d *Decoder) replay(m *message, id uint16) {
	waiting := m.stream.early[id]
	if len(waiting) == 0 {
		return
	}
	d.exporters.expireEarly(m.exporter, m.dg.Received)
	waiting = m.stream.early[id]
	delete(m.stream.early, id)
	if m.stream.seq.Turns() > 0 {
		waiting = d.keepOthers(m, id, waiting)
	}
	for i := range waiting {
		d.exporters.early.take(m.exporter, &waiting[i])
		d.exporters.early.replayed.Add(1)
		d.exporters.early.records.Add(uint64(d.replaySet(m, id, &waiting[i])))
	}
}

// keepOthers lets those sets wait on that came from other ports than the one at work and
// have no template from there: where several ports take turns it may mean something else.
// They are read when their port has sent its template, or goes on without one.
func (d *Decoder) keepOthers(m *message, id uint16, waiting []earlySet) (mine []earlySet) {
	port := m.dg.Source.Port()
	var others []earlySet
	for _, w := range waiting {
		if from := w.source.Port(); from == port || m.stream.plan(id, from).from(from) {
			mine = append(mine, w)
		} else {
			others = append(others, w)
		}
	}
	if len(others) > 0 {
		m.stream.early[id] = others
	}
	return mine
}

// replaySet reads one set as if its datagram came now, with the times of its own.
// It gives the number of records, options records included.
func (d *Decoder) replaySet(m *message, id uint16, w *earlySet) int {
	dg := *m.dg
	dg.Received, dg.Frame, dg.Source = w.received, w.frame, w.source
	old := *m
	m.dg, m.from, m.Clock, m.records, m.flows = &dg, w.from, w.clock, 0, 0
	d.set.heads = append(d.set.heads, m.shared())
	m.head = int32(len(d.set.heads))
	d.known(m, m.stream.plan(id, w.source.Port()), w.body)
	if m.flows > 0 {
		d.took(m.exporter, m.stream, m.flows, w.received)
	}
	n := m.records
	*m = old
	return n
}

// take notes that a set waits no longer.
func (t *earlyTotals) take(e *exporter, w *earlySet) {
	size := w.cost()
	e.earlySize -= size
	t.bytes.Add(-int64(size))
}

// expireEarly drops what has waited too long. It looks at the sets only when the
// oldest of them is due.
func (x *Exporters) expireEarly(e *exporter, now time.Time) {
	if e.earlySize == 0 || now.Sub(e.earlyOldest) <= x.limits.EarlyAge {
		return
	}
	e.earlyOldest = now
	for _, s := range e.streams {
		for id, waiting := range s.early {
			x.expireList(e, s, id, waiting, now)
		}
	}
}

// expireList drops the sets of one template that have waited too long: those in
// front, as a list is in the order of arrival.
func (x *Exporters) expireList(e *exporter, s *stream, id uint16, waiting []earlySet, now time.Time) {
	n := 0
	for n < len(waiting) && now.Sub(waiting[n].received) > x.limits.EarlyAge {
		x.early.take(e, &waiting[n])
		x.early.expired.Add(1)
		n++
	}
	if n == len(waiting) {
		delete(s.early, id)
		return
	}
	if waiting[n].received.Before(e.earlyOldest) {
		e.earlyOldest = waiting[n].received
	}
	if n > 0 {
		s.early[id] = append([]earlySet(nil), waiting[n:]...) // lets the rest go
	}
}

// drop drops everything that waits for the templates of an exporter, and gives the
// number of sets.
func (t *earlyTotals) drop(e *exporter) (sets uint64) {
	for _, s := range e.streams {
		for _, waiting := range s.early {
			sets += uint64(len(waiting))
		}
		s.early = nil
	}
	t.bytes.Add(-int64(e.earlySize))
	e.earlySize = 0
	return sets
}
