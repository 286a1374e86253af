package decode

import (
	"bytes"
	"encoding/binary"
	"time"
)

// A TemplateChange is one definition of a template, as the history shows it.
type TemplateChange struct {
	ID      uint16    `json:"id"`
	Time    time.Time `json:"time"`
	Options bool      `json:"options,omitempty"`
	Fields  int       `json:"fields"`
	Bytes   int       `json:"bytes"` // of a record, at least
	Port    uint16    `json:"port"`  // UDP source port that it came from
}

// maxHistory is the number of template changes that are remembered per stream.
const maxHistory = 16

// template takes a data template: a valid one replaces what had its id before
// (RFC 7011 8: over UDP the newest counts).
func (d *Decoder) template(m *message, rec []byte) {
	st := m.stream
	d.counters.templates.Add(1)
	id := templateIDOf(rec)
	if old := st.plans[id]; old != nil && bytes.Equal(old.raw, rec) {
		d.replay(m, id)
		return
	}
	p, ok := parseTemplate(m.ver, rec)
	if !ok {
		d.count(reasonTemplateCut)
		return
	}
	d.noteChange(m, id)
	d.exporters.dropTemplate(m.exporter, st, id)
	if !d.exporters.reserve(m.exporter, p.raw) {
		d.count(reasonCapTemplates)
		return
	}
	if st.plans == nil {
		st.plans = make(map[uint16]*plan)
	}
	st.plans[id] = p
	d.changed(m, TemplateChange{ID: id, Fields: fieldCount(m.ver, false, rec), Bytes: p.size})
	d.replay(m, id)
}

// optionsTemplate takes an options template.
func (d *Decoder) optionsTemplate(m *message, rec []byte) {
	st := m.stream
	d.counters.optionsTemplates.Add(1)
	id := templateIDOf(rec)
	if old := st.options[id]; old != nil && bytes.Equal(old.raw, rec) {
		d.replay(m, id)
		return
	}
	o, ok := parseOptionsTemplate(m.ver, rec)
	if !ok {
		d.count(reasonTemplateCut)
		return
	}
	d.noteChange(m, id)
	d.exporters.dropTemplate(m.exporter, st, id)
	if !d.exporters.reserve(m.exporter, o.raw) {
		d.count(reasonCapTemplates)
		return
	}
	if st.options == nil {
		st.options = make(map[uint16]*optionsTemplate)
	}
	st.options[id] = o
	d.changed(m, TemplateChange{ID: id, Options: true, Fields: fieldCount(m.ver, true, rec), Bytes: o.size})
	d.replay(m, id)
}

// changed notes a new definition in the history of its stream.
func (d *Decoder) changed(m *message, c TemplateChange) {
	c.Time, c.Port = m.dg.Received, m.dg.Source.Port()
	st := m.stream
	if len(st.history) >= maxHistory {
		st.history = append(st.history[:0], st.history[1:]...)
	}
	st.history = append(st.history, c)
	delete(st.unknown, c.ID)
	d.exporters.changes.Add(1)
}

func templateIDOf(rec []byte) uint16 { return binary.BigEndian.Uint16(rec) }

// fieldCount gives the number of fields of a template record.
func fieldCount(ver uint8, options bool, rec []byte) int {
	n := int(binary.BigEndian.Uint16(rec[2:]))
	if options && ver == 9 {
		return n/4 + int(binary.BigEndian.Uint16(rec[4:]))/4
	}
	return n
}
