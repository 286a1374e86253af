package synth

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

func number(id uint16, width int, value func(*Flow) uint64) field {
	return field{id: id, width: width, num: func(f *Flow, _ clock) uint64 { return value(f) }}
}

// uptimeField is a time as sysUptime in ms, 32 bits.
func uptimeField(id uint16, t func(*Flow) time.Time) field {
	return field{id: id, width: 4, num: func(f *Flow, c clock) uint64 { return uint64(c.switched(t(f))) }}
}

// epochField is a time in ms since 1970, 64 bits.
func epochField(id uint16, t func(*Flow) time.Time) field {
	return field{id: id, width: 8, num: func(f *Flow, c clock) uint64 { return uint64(c.ms(t(f))) }}
}

func flowStart(f *Flow) time.Time { return f.Start }
func flowEnd(f *Flow) time.Time   { return f.End }
func zero(*Flow) uint64           { return 0 }

func unspecifiedHop(f *Flow) netip.Addr {
	if f.Src.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// check reports whether the flow's value fits the field.
func (d *field) check(f *Flow, c clock) error {
	if d.addr != nil {
		if a := d.addr(f); a.BitLen() != 8*d.width {
			return fmt.Errorf("synth: address %s of element %d is not %d bytes long: %w", a, d.id, d.width, ErrNotExpressible)
		}
		return nil
	}
	if v := d.num(f, c); d.width < 8 && v>>(8*d.width) != 0 {
		return fmt.Errorf("synth: %d does not fit the %d bytes of element %d: %w", v, d.width, d.id, ErrNotExpressible)
	}
	return nil
}

// append appends the flow's value, most significant byte first.
func (d *field) append(b []byte, f *Flow, c clock) []byte {
	if d.addr != nil {
		return append(b, d.addr(f).AsSlice()...)
	}
	v := d.num(f, c)
	for i := d.width - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}

// appendSpec appends the field as a template lists it (RFC 7011 section 3.2; v9
// has the form without enterprise number).
func (d *field) appendSpec(b []byte) []byte {
	id := d.id
	if d.pen != 0 {
		id |= 0x8000
	}
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, uint16(d.width))
	if d.pen != 0 {
		b = binary.BigEndian.AppendUint32(b, d.pen)
	}
	return b
}
