package template

import (
	"math"
	"time"
)

// A Clock is what the header of a datagram contains of the exporter's time.
type Clock struct {
	Export int64  // time of export, ms since 1970
	Uptime uint32 // of the exporter at that time, ms; IPFIX has none
}

// Switched gives the time of an uptime of the exporter (elements 21 and 22): its
// age against the uptime at export is a signed difference of 32 bits, so that it
// survives the wrap after 49.7 days and the devices that end a flow after export.
func (c *Clock) Switched(uptime uint64) time.Time {
	age := int32(c.Uptime - uint32(uptime))
	return time.UnixMilli(c.Export - int64(age))
}

// ntp gives the time of an NTP timestamp, 32 bits of seconds since 1900 and 32 of
// fraction (RFC 7011 6.1.9); values before 1970 belong to the era after 2036. The
// fraction is finer than the unit of its element, and most often cut by the exporter:
// the nearest whole unit is the time that was meant.
func ntp(v uint64, unit time.Duration) time.Time {
	secs := int64(v >> 32)
	if secs < 2208988800 {
		secs += 1 << 32
	}
	units := ((v&math.MaxUint32)*uint64(time.Second/unit) + 1<<31) >> 32
	return time.Unix(secs-2208988800, int64(units)*int64(unit))
}

// Times finds start and end of the flow, each by the best element that is there;
// a record with the time of an event only gets that for both.
func (f *Reader) Times() (start, end time.Time) {
	start, end = f.time(tStart), f.time(tEnd)
	if start.IsZero() && end.IsZero() {
		start = f.time(tEvent)
		end = start
	}
	return start, end
}

// time reads the first time of a target that is there.
func (f *Reader) time(t target) time.Time {
	for _, n := range f.plan.number(t) {
		b := f.bytes(n.ref)
		if v, ok := Number(b); ok {
			if at, ok := f.moment(n.ref.ie, v, len(b)); ok {
				return at
			}
		}
	}
	return time.Time{}
}

// moment turns the value of a time element into a time (RFC 7011 6.1.7-6.1.10).
func (f *Reader) moment(ie uint16, v uint64, width int) (time.Time, bool) {
	switch ie {
	case 152, 153, 323:
		return time.UnixMilli(int64(v)), v != 0 && v < 1<<62
	case 150, 151, 322:
		return time.Unix(int64(v), 0), v != 0 && v < 1<<40
	case 154, 155, 324:
		return ntp(v&^0x7ff, time.Microsecond), width == 8 && v != 0 // the low 11 bits say nothing
	case 156, 157, 325:
		return ntp(v, time.Nanosecond), width == 8 && v != 0
	case 158, 159:
		return time.UnixMilli(f.Clock.Export).Add(-time.Duration(v) * time.Microsecond), v < 1<<40
	}
	return f.uptimeMoment(v, width)
}

// uptimeMoment turns elements 21 and 22 into a time. In v9 they count against
// the sysUptime of the header, in IPFIX from systemInitTimeMilliseconds (160) of
// the record or of earlier options data; without that nothing can be determined. They are 32
// bits wide and begin anew every 49.7 days, which the init time does not: their age
// against the time of export is what they say.
func (f *Reader) uptimeMoment(v uint64, width int) (time.Time, bool) {
	if width > 4 && v > 1<<32 {
		// NX-OS has 8 bytes there, and in them ms since 1970.
		return time.UnixMilli(int64(v)), v < 1<<62
	}
	if f.plan.ver == 9 {
		return f.Clock.Switched(v), true
	}
	init, _, ok := f.value(tInit)
	if !ok || init == 0 {
		if init = uint64(f.InitTime()); init == 0 {
			return time.Time{}, false
		}
	}
	age := f.Clock.Export - int64(init) - int64(v)
	if age > math.MaxInt32 { // the other way round there is no turn to be missed
		age = int64(int32(uint32(age)))
	}
	return time.UnixMilli(f.Clock.Export - age), init < 1<<62
}
