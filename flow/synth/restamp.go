package synth

import (
	"encoding/binary"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// Restamp makes an earlier datagram the next one: in place it gets the sequence
// number, identity and times that Encode would give it now, and its flows stay as
// old as they were. It does not allocate, so that a load generator can send a ring
// of datagrams for ever.
//
// The datagram must come from Encode or Templates of an encoder whose config differs in
// Domain and Agent at most, and there not in the family; anything else may panic. In IPFIX, whose header has whole seconds, flow times move by whole
// seconds.
func (e *Encoder) Restamp(datagram []byte, now time.Time) {
	c := e.clock(now)
	switch e.cfg.Version {
	case flow.V5:
		moveV5(datagram, c)
		e.putV5Header(datagram, c)
	case flow.V9:
		moved := c.uptime() - binary.BigEndian.Uint32(datagram[4:])
		e.moveSets(datagram[v9HeaderLen:], uint64(moved))
		e.putV9Header(datagram, c)
	case flow.IPFIX:
		moved := int64(c.seconds()) - int64(binary.BigEndian.Uint32(datagram[4:]))
		records := e.moveSets(datagram[ipfixHeaderLen:], uint64(moved*1000))
		e.putIPFIXHeader(datagram, records, c)
	default:
		for s := datagram[e.sflowHeaderLen():]; len(s) > 0; {
			e.countSample(s)
			s = s[8+binary.BigEndian.Uint32(s[4:]):]
		}
		e.putSFlowHeader(datagram, c)
	}
}

// moveV5 moves the times of every record by what the sysUptime will move.
func moveV5(d []byte, c clock) {
	moved := c.uptime() - binary.BigEndian.Uint32(d[4:])
	for r := d[v5HeaderLen:]; len(r) >= v5RecordLen; r = r[v5RecordLen:] {
		addUint32(r[v5FirstAt:], moved)
		addUint32(r[v5FirstAt+4:], moved)
	}
}

// moveSets moves the times of every data record by ms, which is signed modulo
// 2^64, and gives options data for the whole exporter the scope of this domain. It returns the number of
// data records, options data included.
func (e *Encoder) moveSets(sets []byte, ms uint64) (records int) {
	for s := sets; len(s) > 0; s = s[binary.BigEndian.Uint16(s[2:]):] {
		id, length := binary.BigEndian.Uint16(s), binary.BigEndian.Uint16(s[2:])
		switch i := int(id) - firstTemplate; {
		case id == optionsTemplate:
			binary.BigEndian.PutUint32(s[setHeaderLen:], e.cfg.Domain)
			records++
		case id > optionsTemplate:
			records++
		case i >= 0 && i < len(e.layouts):
			records += e.layouts[i].move(s[setHeaderLen:length], ms)
		}
	}
	return records
}

// move moves the times of the records of one set and counts them.
func (l *layout) move(set []byte, ms uint64) (records int) {
	if ms == 0 {
		return len(set) / l.size
	}
	for ; len(set) >= l.size; set = set[l.size:] {
		if l.wide {
			addUint64(set[l.startAt:], ms)
			addUint64(set[l.endAt:], ms)
		} else {
			addUint32(set[l.startAt:], uint32(ms))
			addUint32(set[l.endAt:], uint32(ms))
		}
		records++
	}
	return records
}

func addUint32(b []byte, n uint32) {
	binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)+n)
}

func addUint64(b []byte, n uint64) {
	binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)+n)
}
