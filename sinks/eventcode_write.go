package sinks

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// An encoder appends values to b.
type encoder struct {
	b     []byte
	begin int  // of the event within b
	cut   bool // something had no room
}

// used gives the bytes of the event up to now.
func (w *encoder) used() int { return len(w.b) - w.begin }

func (w *encoder) id(id uuid.UUID) uuid.UUID {
	w.b = append(w.b, id[:]...)
	return id
}

func (w *encoder) number(n uint64) uint64 {
	w.b = binary.AppendUvarint(w.b, n)
	return n
}

func (w *encoder) text(s string) string {
	if len(s) > maxEventText {
		s, w.cut = s[:maxEventText], true
	}
	w.number(uint64(len(s)))
	w.b = append(w.b, s...)
	return s
}

// time writes 0 for the zero time, else the nanoseconds within the second plus one
// and the seconds since 1970. The zone is not kept.
func (w *encoder) time(t time.Time) time.Time {
	if t.IsZero() {
		w.number(0)
		return t
	}
	w.number(uint64(t.Nanosecond()) + 1)
	w.b = binary.AppendVarint(w.b, t.Unix())
	return t
}

// zoned is the length that announces an IPv6 address with a zone behind it.
const zoned = 17

func (w *encoder) addr(a netip.Addr) netip.Addr {
	switch {
	case !a.IsValid():
		w.b = append(w.b, 0)
	case a.Is4():
		four := a.As4()
		w.b = append(append(w.b, 4), four[:]...)
	default:
		w.addr6(a)
	}
	return a
}

func (w *encoder) addr6(a netip.Addr) {
	sixteen := a.As16()
	if a.Zone() == "" {
		w.b = append(append(w.b, 16), sixteen[:]...)
		return
	}
	w.b = append(append(w.b, zoned), sixteen[:]...)
	w.text(a.Zone())
}

// prefix writes the address and the length; the invalid prefix is no address.
func (w *encoder) prefix(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		w.b = append(w.b, 0)
		return p
	}
	w.addr(p.Addr())
	w.number(uint64(p.Bits()))
	return p
}

// endOfAddrs stands where an address says how long it is.
const endOfAddrs = 255

// addrs ends the list with a mark: how many have room shows only on the way.
func (w *encoder) addrs(list []netip.Addr) []netip.Addr {
	for _, a := range list {
		at := len(w.b)
		w.addr(a)
		if w.used() > maxFlat {
			w.b, w.cut = w.b[:at], true
			break
		}
	}
	w.b = append(w.b, endOfAddrs)
	return list
}

// indicators writes each behind its length in four bytes, little endian, and ends
// them with a length of 0.
func (w *encoder) indicators(list []event.Indicator) []event.Indicator {
	for i := range list {
		at := len(w.b)
		w.b = append(w.b, 0, 0, 0, 0)
		one := list[i]
		indicatorFields(w, &one)
		if w.used()+4 > maxEvent-maxBehind {
			w.b, w.cut = w.b[:at], true
			break
		}
		binary.LittleEndian.PutUint32(w.b[at:], uint32(len(w.b)-at-4))
	}
	w.b = append(w.b, 0, 0, 0, 0)
	return list
}
