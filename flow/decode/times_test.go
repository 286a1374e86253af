package decode_test

import (
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// ntpTime is an NTP timestamp (RFC 7011 6.1.9).
func ntpTime(t time.Time) uint64 {
	secs := uint64(t.Unix()+2208988800) & 0xffffffff
	return secs<<32 | uint64(t.Nanosecond())<<32/1e9
}

// TestTimes reads every element of time, start and end apart.
func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 20, 22, 30, 15, 250_000_000, time.UTC)
	second := at.Truncate(time.Second)
	ms, s := uint64(at.UnixMilli()), uint64(at.Unix())
	boot := exportTime.Add(-uptime * time.Millisecond)
	far := time.Date(2040, 1, 1, 0, 0, 0, 500_000_000, time.UTC)
	for _, c := range []struct {
		name       string
		start, end fld
		value      []byte
		want       time.Time
		only       flow.Version // 0: both
	}{
		{"ms", fld{ie: 152, len: 8}, fld{ie: 153, len: 8}, u64(ms), at, 0},
		{"s", fld{ie: 150, len: 4}, fld{ie: 151, len: 4}, u32(uint32(s)), second, 0},
		{"s of 8 bytes", fld{ie: 150, len: 8}, fld{ie: 151, len: 8}, u64(s), second, 0},
		{"µs", fld{ie: 154, len: 8}, fld{ie: 155, len: 8}, u64(ntpTime(at)), at, 0},
		{"µs, the low 11 bits say nothing", fld{ie: 154, len: 8}, fld{ie: 155, len: 8}, u64(ntpTime(at) | 0x7ff), at, 0},
		{"ns", fld{ie: 156, len: 8}, fld{ie: 157, len: 8}, u64(ntpTime(at)), at, 0},
		{"ns after 2036", fld{ie: 156, len: 8}, fld{ie: 157, len: 8}, u64(ntpTime(far)), far, 0},
		{"µs before export", fld{ie: 158, len: 4}, fld{ie: 159, len: 4}, u32(1_500_000), exportTime.Add(-1500 * time.Millisecond), 0},
		{"µs before export, 8 bytes", fld{ie: 158, len: 8}, fld{ie: 159, len: 8}, u64(7_200_000_000), exportTime.Add(-2 * time.Hour), 0},
		{"uptime", fld{ie: 22, len: 4}, fld{ie: 21, len: 4}, u32(uptime - 1234), exportTime.Add(-1234 * time.Millisecond), flow.V9},
		{"uptime 0", fld{ie: 22, len: 4}, fld{ie: 21, len: 4}, u32(0), boot, flow.V9},
		{"uptime before the wrap", fld{ie: 22, len: 4}, fld{ie: 21, len: 4}, u32(0xffffffff), boot.Add(-time.Millisecond), flow.V9},
		{"uptime later than export", fld{ie: 22, len: 4}, fld{ie: 21, len: 4}, u32(uptime + 1000), exportTime.Add(time.Second), flow.V9},
		{"uptime of 8 bytes", fld{ie: 22, len: 8}, fld{ie: 21, len: 8}, u64(uptime - 1234), exportTime.Add(-1234 * time.Millisecond), flow.V9},
		{"8 bytes with ms since 1970 (NX-OS)", fld{ie: 22, len: 8}, fld{ie: 21, len: 8}, u64(ms), at, flow.V9},
		{"uptime without an init time", fld{ie: 22, len: 4}, fld{ie: 21, len: 4}, u32(1234), time.Time{}, flow.IPFIX},
		{"ms of 0", fld{ie: 152, len: 8}, fld{ie: 153, len: 8}, u64(0), time.Time{}, 0},
		{"absurd ms", fld{ie: 152, len: 8}, fld{ie: 153, len: 8}, u64(1 << 63), time.Time{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, v flow.Version) {
				if c.only != 0 && c.only != v {
					return
				}
				r := record(t, v, []fld{ends[0], ends[1], c.start}, pairAB, c.value)
				if d := r.Start.Sub(c.want).Abs(); d > time.Microsecond || !r.End.IsZero() || r.Start.IsZero() != c.want.IsZero() {
					t.Errorf("start %v, end %v, want %v and none", r.Start, r.End, c.want)
				}
				r = record(t, v, []fld{ends[0], ends[1], c.end}, pairAB, c.value)
				if d := r.End.Sub(c.want).Abs(); d > time.Microsecond || !r.Start.IsZero() {
					t.Errorf("end %v, start %v, want %v and none", r.End, r.Start, c.want)
				}
			})
		})
	}
}

// The first element that is there counts, in the order of design: ms, µs, ns, s,
// differences, uptimes; the time of an event when both ends are empty.
func TestTimePrecedence(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 20, 22, minute, 0, 0, time.UTC) }
	ms := func(minute int) []byte { return u64(uint64(at(minute).UnixMilli())) }
	s := func(minute int) []byte { return u32(uint32(at(minute).Unix())) }
	for _, c := range []struct {
		name       string
		fields     []fld
		values     []byte
		start, end time.Time
	}{
		{"ms before s", []fld{{ie: 150, len: 4}, {ie: 152, len: 8}}, cat(s(1), ms(2)), at(2), time.Time{}},
		{"s when ms is empty", []fld{{ie: 150, len: 4}, {ie: 152, len: 8}}, cat(s(1), u64(0)), at(1), time.Time{}},
		{"ms before uptime", []fld{{ie: 22, len: 4}, {ie: 152, len: 8}}, cat(u32(5), ms(2)), at(2), time.Time{}},
		{"event for both", []fld{{ie: 323, len: 8}}, ms(3), at(3), at(3)},
		{"323 before 322", []fld{{ie: 322, len: 4}, {ie: 323, len: 8}}, cat(s(1), ms(3)), at(3), at(3)},
		{"322 alone", []fld{{ie: 322, len: 4}}, s(1), at(1), at(1)},
		{"event not beside a start", []fld{{ie: 323, len: 8}, {ie: 152, len: 8}}, cat(ms(3), ms(2)), at(2), time.Time{}},
		{"event not beside an end", []fld{{ie: 323, len: 8}, {ie: 151, len: 4}}, cat(ms(3), s(2)), time.Time{}, at(2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, v flow.Version) {
				r := record(t, v, append(ends[:2:2], c.fields...), pairAB, c.values)
				if !r.Start.Equal(c.start) || !r.End.Equal(c.end) {
					t.Errorf("%v to %v, want %v to %v", r.Start, r.End, c.start, c.end)
				}
			})
		})
	}
}

// In IPFIX uptimes count from systemInitTimeMilliseconds: of the record, or told
// in options data before.
func TestInitTime(t *testing.T) {
	init := exportTime.Add(-time.Hour)
	uptimes := []fld{ends[0], ends[1], {ie: 22, len: 4}, {ie: 21, len: 4}}
	values := cat(pairAB, u32(1000, 2000))
	r := record(t, flow.IPFIX, append(uptimes, fld{ie: 160, len: 8}), values, u64(uint64(init.UnixMilli())))
	if !r.Start.Equal(init.Add(time.Second)) || !r.End.Equal(init.Add(2*time.Second)) {
		t.Errorf("in the record: %v to %v", r.Start, r.End)
	}
	b := newBench(t)
	b.send(header10(0, templateSet(flow.IPFIX, template(300, uptimes...)), set(300, values)),
		header10(1, optionsSet(flow.IPFIX, 400, system(flow.IPFIX), []fld{{ie: 160, len: 8}}), set(400, u32(1), u64(uint64(init.UnixMilli())))),
		header10(2, set(300, values)))
	rs := b.take()
	if !rs[0].Start.IsZero() || !rs[1].Start.Equal(init.Add(time.Second)) {
		t.Errorf("before and after the options data: %v and %v", rs[0].Start, rs[1].Start)
	}
}
