package jsonline

import (
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// MaxName is the longest word that [Line.Name] writes, in bytes.
const MaxName = 64

// TimeFormat is RFC 3339 in UTC with milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// A Line is a JSON document that is being appended to. A key whose value is empty
// is left out, key and all.
type Line struct {
	B []byte // what has been written
}

// Key begins a value: a comma where one is needed, and the key unless empty.
func (l *Line) Key(key string) {
	if n := len(l.B); n > 0 && l.B[n-1] != '{' && l.B[n-1] != '[' {
		l.B = append(l.B, ',')
	}
	if key != "" {
		l.B = append(append(append(l.B, '"'), key...), '"', ':')
	}
}

// Open begins an object or an array, without a key within an array.
func (l *Line) Open(key string, bracket byte) {
	l.Key(key)
	l.B = append(l.B, bracket)
}

// Close ends an object or an array.
func (l *Line) Close(bracket byte) { l.B = append(l.B, bracket) }

// Text writes foreign or free text.
func (l *Line) Text(key, value string, limit int) {
	if value == "" {
		return
	}
	l.Key(key)
	l.B = append(fit.AppendJSON(append(l.B, '"'), value, limit), '"')
}

// Name writes a word that must need no escape.
func (l *Line) Name(key, value string) { l.Word(key, value, MaxName) }

// Word is Name with a limit of its own, in bytes.
func (l *Line) Word(key, value string, limit int) {
	if value == "" {
		return
	}
	l.Key(key)
	l.B = append(fit.AppendName(append(l.B, '"'), value, limit), '"')
}

// Number writes a number, 0 as well.
func (l *Line) Number(key string, value uint64) {
	l.Key(key)
	l.B = strconv.AppendUint(l.B, value, 10)
}

// Count writes a number that is absent when 0.
func (l *Line) Count(key string, value uint64) {
	if value != 0 {
		l.Number(key, value)
	}
}

// Decimal writes a number with at most four decimals, and nothing for 0, what is less and
// what is not a number. It writes no more than [MaxDecimal].
func (l *Line) Decimal(key string, value float64) {
	n := uint64(0)
	if value > 0 {
		n = uint64(math.Round(min(value, MaxDecimal) * 10_000))
	}
	if n == 0 {
		return
	}
	l.Number(key, n/10_000)
	if n %= 10_000; n == 0 {
		return
	}
	l.B = append(l.B, '.')
	for place := uint64(1000); n > 0; place /= 10 {
		l.B = append(l.B, byte('0'+n/place))
		n %= place
	}
}

// MaxDecimal is the greatest number of Decimal, which the reader takes as well.
const MaxDecimal = 1e9

// Bool writes true or false.
func (l *Line) Bool(key string, value bool) {
	l.Key(key)
	l.B = strconv.AppendBool(l.B, value)
}

// Addr writes an address. Its zone is left out: an interface name is free text,
// and means nothing on another machine.
func (l *Line) Addr(key string, a netip.Addr) {
	if !a.IsValid() {
		return
	}
	l.Key(key)
	l.B = append(a.WithZone("").AppendTo(append(l.B, '"')), '"')
}

// Prefix writes a prefix.
func (l *Line) Prefix(key string, p netip.Prefix) {
	if !p.IsValid() {
		return
	}
	l.Key(key)
	l.B = append(p.AppendTo(append(l.B, '"')), '"')
}

// Time writes a time; one that RFC 3339 cannot express counts as absent.
func (l *Line) Time(key string, t time.Time) {
	t = t.UTC()
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return
	}
	l.Key(key)
	l.B = append(appendTime(append(l.B, '"'), t), '"')
}

// appendTime appends a time of UTC in TimeFormat, for which AppendFormat takes three times
// as long.
func appendTime(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	millis := t.Nanosecond() / 1e6
	dst = append(dst, byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10))
	dst = appendTwo(append(dst, '-'), int(month))
	dst = appendTwo(append(dst, '-'), day)
	dst = appendTwo(append(dst, 'T'), hour)
	dst = appendTwo(append(dst, ':'), minute)
	dst = appendTwo(append(dst, ':'), second)
	return append(dst, '.', byte('0'+millis/100), byte('0'+millis/10%10), byte('0'+millis%10), 'Z')
}

func appendTwo(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// ID writes a UUID in the form of RFC 9562.
func (l *Line) ID(key string, id [16]byte) {
	l.Key(key)
	l.B = append(AppendID(append(l.B, '"'), id), '"')
}

// Long writes a number for readers whose numbers have 63 bits.
func (l *Line) Long(key string, value uint64) { l.Number(key, min(value, math.MaxInt64)) }

// Millis writes a time as milliseconds since 1970; one before that counts as absent.
func (l *Line) Millis(key string, t time.Time) {
	if ms := t.UnixMilli(); ms > 0 {
		l.Number(key, uint64(ms))
	}
}

// Flag writes true, and nothing for false.
func (l *Line) Flag(key string, set bool) {
	if set {
		l.Bool(key, true)
	}
}

// AppendID appends a UUID in the form of RFC 9562.
func AppendID(dst []byte, id [16]byte) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	for _, group := range [...][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		dst = hex.AppendEncode(append(dst, '-'), group)
	}
	return dst
}
