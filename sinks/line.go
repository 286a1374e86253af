package sinks

import (
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
)

// timeFormat is RFC 3339 in UTC with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// A line is a JSON document that is being appended to. A key whose value is empty
// is left out, key and all.
type line struct {
	b []byte
}

// key begins a value: a comma where one is needed, and the key unless empty.
func (l *line) key(key string) {
	if n := len(l.b); n > 0 && l.b[n-1] != '{' && l.b[n-1] != '[' {
		l.b = append(l.b, ',')
	}
	if key != "" {
		l.b = append(append(append(l.b, '"'), key...), '"', ':')
	}
}

// open begins an object or an array, without a key within an array.
func (l *line) open(key string, bracket byte) {
	l.key(key)
	l.b = append(l.b, bracket)
}

func (l *line) close(bracket byte) { l.b = append(l.b, bracket) }

// text writes foreign or free text.
func (l *line) text(key, value string, limit int) {
	if value == "" {
		return
	}
	l.key(key)
	l.b = append(appendJSON(append(l.b, '"'), value, limit), '"')
}

// name writes a word that must need no escape.
func (l *line) name(key, value string) {
	if value == "" {
		return
	}
	l.key(key)
	l.b = append(appendName(append(l.b, '"'), value, maxName), '"')
}

// number writes a number, 0 as well.
func (l *line) number(key string, value uint64) {
	l.key(key)
	l.b = strconv.AppendUint(l.b, value, 10)
}

// count writes a number that is absent when 0.
func (l *line) count(key string, value uint64) {
	if value != 0 {
		l.number(key, value)
	}
}

func (l *line) bool(key string, value bool) {
	l.key(key)
	l.b = strconv.AppendBool(l.b, value)
}

// addr writes an address. Its zone is left out: an interface name is free text,
// and means nothing on another machine.
func (l *line) addr(key string, a netip.Addr) {
	if !a.IsValid() {
		return
	}
	l.key(key)
	l.b = append(a.WithZone("").AppendTo(append(l.b, '"')), '"')
}

func (l *line) prefix(key string, p netip.Prefix) {
	if !p.IsValid() {
		return
	}
	l.key(key)
	l.b = append(p.AppendTo(append(l.b, '"')), '"')
}

// time writes a time; one that RFC 3339 cannot express counts as absent.
func (l *line) time(key string, t time.Time) {
	t = t.UTC()
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return
	}
	l.key(key)
	l.b = append(t.AppendFormat(append(l.b, '"'), timeFormat), '"')
}

// id writes a UUID in the form of RFC 9562.
func (l *line) id(key string, id [16]byte) {
	l.key(key)
	l.b = append(appendID(append(l.b, '"'), id), '"')
}

// long writes a number for readers whose numbers have 63 bits.
func (l *line) long(key string, value uint64) { l.number(key, min(value, math.MaxInt64)) }

// millis writes a time as milliseconds since 1970; one before that counts as absent.
func (l *line) millis(key string, t time.Time) {
	if ms := t.UnixMilli(); ms > 0 {
		l.number(key, uint64(ms))
	}
}

// flag writes true, and nothing for false.
func (l *line) flag(key string, set bool) {
	if set {
		l.bool(key, true)
	}
}

// contact writes which contact an event belongs to.
func (l *line) contact(e *event.Event) {
	if e.Contact == (uuid.UUID{}) {
		return
	}
	l.id("contact", e.Contact)
	l.count("seq", uint64(e.Seq))
	l.flag("last", e.Last)
}

// course writes what became of a contact.
func (l *line) course(e *event.Event) {
	l.flag("refused", e.Refused)
	l.bool("blocked", e.Blocked)
	l.count("service_port", uint64(e.ServicePort))
	l.time("contact_first_seen", e.ContactFirstSeen)
}

// fold writes how much a folded contact stands for.
func (l *line) fold(e *event.Event) {
	l.flag("folded", e.Folded)
	l.count("ports", uint64(e.Ports))
	l.flag("ports_capped", e.PortsCapped)
	l.count("hosts", uint64(e.Hosts))
	l.flag("hosts_capped", e.HostsCapped)
}

// appendID appends a UUID in the form of RFC 9562.
func appendID(dst []byte, id [16]byte) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	for _, group := range [...][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		dst = hex.AppendEncode(append(dst, '-'), group)
	}
	return dst
}
