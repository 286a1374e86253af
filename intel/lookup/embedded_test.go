package lookup

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel"
)

// ownNAT64 are operator's prefixes of all lengths, two of them within others.
var ownNAT64 = []netip.Prefix{
	netip.MustParsePrefix("2a00:1::/32"), netip.MustParsePrefix("2a00:2:300::/40"),
	netip.MustParsePrefix("2a00:3:3::/48"), netip.MustParsePrefix("2a00:4:4:500::/56"),
	netip.MustParsePrefix("2a00:5:5:5::/64"), netip.MustParsePrefix("2a00:6:6:6::/96"),
	netip.MustParsePrefix("64:ff9b:1:fe::/64"), netip.MustParsePrefix("2a00:1:ffff::/96"),
}

// forms are the ways in which an IPv6 address carries an IPv4 one, written down byte by
// byte.
var forms = map[string]func(r *rand.Rand, v4 [4]byte) [16]byte{
	"well-known":   func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("64:ff9b::/96", v4) },
	"local /48":    func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("64:ff9b:1::/48", v4) },
	"local /56":    func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("64:ff9b:1::/56", v4) },
	"local /64":    func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("64:ff9b:1::/64", v4) },
	"local /96":    func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("64:ff9b:1::/96", v4) },
	"local within": func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("64:ff9b:1:fe::/64", v4) },
	"own /32":      func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("2a00:1::/32", v4) },
	"own /40":      func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("2a00:2:300::/40", v4) },
	"own /48":      func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("2a00:3:3::/48", v4) },
	"own /56":      func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("2a00:4:4:500::/56", v4) },
	"own /64":      func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("2a00:5:5:5::/64", v4) },
	"own /96":      func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("2a00:6:6:6::/96", v4) },
	"own within":   func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("2a00:1:ffff::/96", v4) },
	"6to4": func(r *rand.Rand, v4 [4]byte) [16]byte {
		b := random16(r)
		b[0], b[1] = 0x20, 0x02
		copy(b[2:], v4[:])
		return b
	},
	"Teredo": func(r *rand.Rand, v4 [4]byte) [16]byte {
		b := random16(r) // server, flags and port
		copy(b[:], []byte{0x20, 0x01, 0, 0})
		for i := range v4 {
			b[12+i] = ^v4[i]
		}
		return b
	},
	"ISATAP": func(r *rand.Rand, v4 [4]byte) [16]byte {
		b := random16(r)
		copy(b[:], []byte{0x2a, 0x01})
		copy(b[8:], []byte{0, 0, 0x5e, 0xfe})
		copy(b[12:], v4[:])
		return b
	},
	"ISATAP universal": func(r *rand.Rand, v4 [4]byte) [16]byte {
		b := random16(r)
		copy(b[:], []byte{0xfe, 0x80})
		copy(b[8:], []byte{2, 0, 0x5e, 0xfe})
		copy(b[12:], v4[:])
		return b
	},
	"compatible": func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("::/96", v4) },
	"SIIT":       func(_ *rand.Rand, v4 [4]byte) [16]byte { return behind("::ffff:0:0:0/96", v4) },
}

func random16(r *rand.Rand) (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	return b
}

// behind puts an IPv4 address behind a prefix as RFC 6052, 2.2 draws it: byte 8 is left
// out.
func behind(prefix string, v4 [4]byte) [16]byte {
	p := netip.MustParsePrefix(prefix)
	b := p.Addr().As16()
	at := p.Bits() / 8
	for _, x := range v4 {
		if at == 8 {
			at++
		}
		b[at] = x
		at++
	}
	return b
}

// TestEmbeddedIsFound: any IPv4 address that is listed is found in any form, with its
// listings; one that is not is not, whatever else the table holds.
func TestEmbeddedIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 2))
	for _, others := range []bool{false, true} {
		b := NewBuilder(Policy{NAT64: ownNAT64})
		listed := make([][4]byte, 2_000)
		for i := range listed {
			a := 1<<24 + r.Uint32N(255<<24)
			if i%4 == 0 {
				a &^= 0xff // some end in zeros
			}
			binary.BigEndian.PutUint32(listed[i][:], a)
			b.Add(intel.Indicator{Prefix: netip.PrefixFrom(netip.AddrFrom4(listed[i]), 32), Feed: "f", Port: uint16(i % 2 * 443)}, OriginOperator)
			if p, _ := random6(r).Addr().Prefix(24 + r.IntN(105)); others {
				b.Add(intel.Indicator{Prefix: p, Feed: "g"}, OriginOperator)
			}
		}
		table, _ := b.Build("v1")
		for name, form := range forms {
			t.Run(fmt.Sprint(name, others), func(t *testing.T) {
				for i := range 4_000 {
					v4, known := listed[i%len(listed)], i < len(listed)
					if !known {
						binary.BigEndian.PutUint32(v4[:], 1<<24+r.Uint32N(255<<24))
						known = table.Contains(netip.AddrFrom4(v4))
					}
					a := netip.AddrFrom16(form(r, v4))
					if name == "local /56" && ownNAT64[6].Contains(a) {
						continue // the operator said how to read it
					}
					checkEmbedded(t, table, a, netip.AddrFrom4(v4), known)
				}
			})
		}
	}
}

func checkEmbedded(t *testing.T, table *Table, a, v4 netip.Addr, known bool) {
	t.Helper()
	if matches(table, a) != (known || table.Contains(a)) {
		t.Fatalf("Match6 of %s with %s: %t, want %t", a, v4, !known, known)
	}
	m, alone, as4 := table.Find(a, 443), 0, table.Find(v4, 443)
	for _, i := range table.Listings(netip.PrefixFrom(a, 128)) {
		if i.Port == 0 || i.Port == 443 {
			alone++
		}
	}
	if m.Len() != as4.Len()+alone || len(m.Indicators()) != m.Len() {
		t.Fatalf("Find of %s with %s: %d listings, want %d and %d", a, v4, m.Len(), as4.Len(), alone)
	}
	if want := v4; known && m.Embedded() != want || !known && m.Embedded().IsValid() {
		t.Fatalf("Find of %s with %s: embedded is %s", a, v4, m.Embedded())
	}
}

// TestEmbeddedGuards: allowlist and infrastructure lists hold for the IPv4 address in all
// its forms, the operator's word beats them there, too, and nobody escapes a listing of
// the IPv6 address by what stands in its last 32 bits.
func TestEmbeddedGuards(t *testing.T) {
	prefix := netip.MustParsePrefix
	w := intel.NewWarninglist("dns", intel.ClassInfrastructure, []netip.Prefix{prefix("8.8.8.0/24")}, nil)
	b := NewBuilder(Policy{
		Allow: []netip.Prefix{prefix("45.1.1.0/24"), prefix("64:ff9b::2d09:0/112"), prefix("45.2.2.2/32")},
		NAT64: ownNAT64, Home: []netip.Prefix{prefix("45.4.0.0/16")}, Warninglists: []*intel.Warninglist{w},
	})
	for _, p := range []string{"45.0.0.0/14", "8.8.0.0/16", "2a01:b::/32", "45.4.4.4/32", "45.9.0.0/16", "2a00:6:6:6::2d00:1/128"} {
		b.Add(intel.Indicator{Prefix: prefix(p), Feed: "f", Score: 50}, OriginFeed)
	}
	b.Add(intel.Indicator{Prefix: prefix("45.2.2.2/32"), Feed: "own", Score: 90}, OriginOperator)
	b.Add(intel.Indicator{Prefix: prefix("10.6.6.6/32"), Feed: "own", Score: 90}, OriginOperator)
	table, _ := b.Build("v1")
	for a, want := range map[string]string{
		"64:ff9b::45.0.0.1":         "f 45.0.0.1",
		"64:ff9b::45.1.1.1":         "",               // allowed as IPv4
		"2002:2d01:101::1":          "",               // allowed as IPv4
		"64:ff9b::45.9.0.1":         "",               // allowed as IPv6
		"2002:2d09:1::1":            "f 45.9.0.1",     // that form is not
		"64:ff9b::45.2.2.2":         "own 45.2.2.2",   // own word
		"64:ff9b::45.4.4.4":         "",               // home
		"64:ff9b::8.8.8.8":          "",               // infrastructure
		"64:ff9b::8.8.9.9":          "f 8.8.9.9",      //
		"64:ff9b::10.6.6.6":         "own 10.6.6.6",   // own word of private space
		"64:ff9b::10.6.6.7":         "",               //
		"64:ff9b::":                 "",               // 0.0.0.0
		"2a01:b::1":                 "f",              //
		"2a01:b::5efe:45.0.0.1":     "f f 45.0.0.1",   // both
		"2a01:b::5efe:45.1.1.1":     "f",              // the allowed IPv4 address hides nothing
		"2a01:b::5efe:8.8.8.8":      "f",              // nor does infrastructure
		"2a00:6:6:6::45.0.0.1":      "f 45.0.0.1",     // no feed lists the operator's NAT64
		"2a01:b::200:5efe:45.2.2.2": "own f 45.2.2.2", // the best first
	} {
		m := table.Find(netip.MustParseAddr(a), 0)
		var got []string
		for _, ind := range m.Indicators() {
			got = append(got, ind.Feed)
		}
		if in := m.Embedded(); in.IsValid() {
			got = append(got, in.String())
		}
		if strings.Join(got, " ") != want || (m.Len() == 0) != m.Empty() {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
	if w.Stopped.Load() == 0 {
		t.Error("what the list of infrastructure stopped is not counted")
	}
}

// TestEmbeddingOfNextTable: a table that is made of another one knows the prefixes of its
// own policy.
func TestEmbeddingOfNextTable(t *testing.T) {
	listed := intel.Indicator{Prefix: netip.MustParsePrefix("45.0.0.1/32"), Feed: "f"}
	b := NewBuilder(Policy{})
	b.Add(listed, OriginFeed)
	first, _ := b.Build("v1")
	a := netip.MustParseAddr("2a00:6:6:6::45.0.0.1")
	b = NewBuilderFrom(first, Policy{NAT64: ownNAT64})
	b.Add(listed, OriginFeed)
	next, _ := b.Build("v2")
	b = NewBuilderFrom(next, Policy{})
	b.Add(listed, OriginFeed)
	last, _ := b.Build("v3")
	for i, table := range []*Table{first, next, last} {
		if found := matches(table, a); found != (i == 1) || table.Find(a, 0).Empty() == found {
			t.Errorf("table %d: %t", i, found)
		}
	}
	if matches(new(Table), a) || !new(Table).Find(a, 0).Empty() {
		t.Error("the empty table lists it")
	}
}

// TestEmbeddedOutside: what is asked of others is the address itself, and the operator's
// NAT64 is nobody else's.
func TestEmbeddedOutside(t *testing.T) {
	table, _ := NewBuilder(Policy{NAT64: ownNAT64}).Build("v1")
	for a, want := range map[string]bool{"2a00:6:6:6::45.0.0.1": false, "64:ff9b::45.0.0.1": false, "2a00:7::1": true} {
		if table.Outside(netip.MustParseAddr(a)) != want {
			t.Errorf("%s is outside: %t", a, !want)
		}
	}
}

func BenchmarkEmbedded(b *testing.B) {
	table, _ := benchTable(100_000, false)
	r := rand.New(rand.NewPCG(1, 2))
	set := make([]flow.Addr6, benchBatch)
	for i := range set {
		set[i] = flow.Addr6{Hi: 0x0064_ff9b << 32, Lo: uint64(r.Uint32())}
	}
	found := make([]int32, 0, benchBatch)
	for b.Loop() {
		found = table.Match6(set, found[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBatch, "ns/addr")
}
