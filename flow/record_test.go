package flow

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// full is a record with another address and port at each side.
func full() Record {
	a := netip.MustParseAddr
	return Record{
		Src: a("192.0.2.1"), SrcPort: 1, Dst: a("192.0.2.2"), DstPort: 2,
		PostNATSrc: a("192.0.2.3"), PostNATSrcPort: 3, PostNATDst: a("192.0.2.4"), PostNATDstPort: 4,
		InnerSrc: a("2001:db8::5"), InnerSrcPort: 5, InnerDst: a("2001:db8::6"), InnerDstPort: 6,
		Tunnels: &[2 * MaxTunnels]netip.Addr{a("192.0.2.7"), a("192.0.2.8"), a("192.0.2.9"), a("192.0.2.10"), a("192.0.2.11"), a("192.0.2.12")},
	}
}

// TestAt: each side has its own address and port, but for the tunnels, which have no
// port, and a record without it has none.
func TestAt(t *testing.T) {
	r := full()
	for s := range NumSides {
		addr, port := r.At(s)
		last := addr.AsSlice()
		n := uint16(s) + 1
		if port != n && !(s >= SideTunnels && port == 0) || last[len(last)-1] != byte(n) {
			t.Errorf("%s: %s port %d, want the one that ends in %d", s, addr, port, n)
		}
		if addr, port := new(Record).At(s); addr.IsValid() || port != 0 {
			t.Errorf("%s of an empty record: %s port %d", s, addr, port)
		}
	}
	if addr, port := r.At(NumSides); addr.IsValid() || port != 0 {
		t.Errorf("beyond the sides: %s port %d", addr, port)
	}
}

// TestSides: every address of a record that is to be matched is at a side. Whoever adds
// one has to add its side, or nobody looks it up.
func TestSides(t *testing.T) {
	r := full()
	at := make(map[netip.Addr]bool)
	for s := range NumSides {
		addr, _ := r.At(s)
		at[addr] = true
	}
	v := reflect.ValueOf(r)
	addresses := 0
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		var list []netip.Addr
		switch x := v.Field(i).Interface().(type) {
		case netip.Addr:
			list = append(list, x)
		case *[2 * MaxTunnels]netip.Addr:
			list = x[:]
		}
		for _, addr := range list {
			addresses++
			if !at[addr] {
				t.Errorf("%s is at no side", name)
			}
		}
	}
	if addresses != int(NumSides) || len(at) != int(NumSides) {
		t.Errorf("%d addresses, %d sides", addresses, len(at))
	}
}

// TestSideNames: the names are those of events, and say which end it is.
func TestSideNames(t *testing.T) {
	names := make(map[string]bool)
	for s := range NumSides {
		names[s.String()] = true
		if strings.HasSuffix(s.String(), "src") != s.IsSrc() {
			t.Errorf("%s: IsSrc is %t", s, s.IsSrc())
		}
	}
	if len(names) != int(SideTunnels) || names["unknown"] || NumSides.String() != "unknown" || Side(200).String() != "unknown" {
		t.Errorf("%v", names)
	}
}

// TestAddresses: the numbers of addresses are in host order, the most significant first.
func TestAddresses(t *testing.T) {
	if a := Addr4(192<<24 | 2<<8 | 1); a.String() != "192.0.2.1" {
		t.Errorf("Addr4: %s", a)
	}
	if a := (Addr6{Hi: 0x20010db8_00010002, Lo: 0x00030004_00050006}).Addr(); a.String() != "2001:db8:1:2:3:4:5:6" {
		t.Errorf("Addr6: %s", a)
	}
	if a := (Addr6{Lo: 0xffff_c0000201}).Addr(); !a.Is4In6() || a.Unmap().String() != "192.0.2.1" {
		t.Errorf("Addr6 of an IPv4-mapped address: %s", a)
	}
}
