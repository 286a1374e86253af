package feeds

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
	"github.com/flowsnitch/flowsnitch/intel/feeds/rows"
)

// Every row that names k addresses, however it is written, yields all of them, or
// something of it is rejected and shown.
func TestPlainRowsAreWhole(t *testing.T) {
	for seed := range uint64(30_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		row, addrs := randomRow(r)
		var got []netip.Prefix
		report, err := Parse(strings.NewReader(row+"\n"), document.Options{Format: "plain"}, func(e document.Entry) error {
			got = append(got, e.Prefix)
			return nil
		})
		if err != nil {
			t.Fatalf("%q: %v", row, err)
		}
		if len(report.Samples) > 0 {
			continue // rejected, and shown
		}
		if report.Rejected+report.RejectedParts > 0 {
			t.Fatalf("%q: rejected, but not shown: %+v", row, report)
		}
		for _, a := range addrs {
			if !covered(got, a) {
				t.Fatalf("%q: %v is not in %v, and nothing was rejected", row, a, got)
			}
		}
	}
}

func covered(ps []netip.Prefix, a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// randomRow makes a row of addresses and other things between separators, which begins
// with an address more often than not, and the addresses that it names outside of
// comments.
func randomRow(r *rand.Rand) (string, []netip.Addr) {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	var row strings.Builder
	var addrs []netip.Addr
	var starts []int // where each starts
	base := r.Uint32()
	separator := pick(",", ", ", ";", "; ", " ; ", "|", " | ", "\t", " ", "  ", ",,", " - ", "-", "/", "+", "&", " and ", " (", "=", ":", "\u00a0", "#", " # ", " // ", "->", "_", "\\", ">")
	for i := range 1 + r.IntN(6) {
		if i > 0 {
			if r.IntN(8) == 0 {
				separator = pick(",", ";", " ", "\t", "|", " # ", "#")
			}
			row.WriteString(separator)
		}
		if r.IntN(4) == 0 && i > 0 {
			row.WriteString(pick("US", "443", "tcp", "2026-11-30", "12:30:45", "evil host", "0.95", "x", "/path", "\"a b\"", "AS64500", "", "00:11:22:33:44:55"))
			continue
		}
		a := randomRowAddr(r, base)
		text := a.String()
		switch r.IntN(6) {
		case 0:
			text = `"` + text + `"`
		case 1:
			text = netip.AddrPortFrom(a, uint16(1+r.IntN(65535))).String()
		case 2:
			text = fmt.Sprintf("http://%s/x", text)
			if i == 0 {
				text = a.String()
			}
		case 3:
			text = netip.PrefixFrom(a, a.BitLen()).String()
		}
		addrs, starts = append(addrs, a), append(starts, row.Len())
		row.WriteString(text)
	}
	text, note := rows.CutComment(row.String())
	for note != "" && len(starts) > 0 && starts[len(starts)-1] >= len(text) {
		addrs, starts = addrs[:len(addrs)-1], starts[:len(starts)-1]
	}
	return row.String(), addrs
}

// randomRowAddr gives an address that is near to base or anywhere.
func randomRowAddr(r *rand.Rand, base uint32) netip.Addr {
	if r.IntN(4) == 0 {
		b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(r.Uint32())}
		b[8], b[9] = byte(r.Uint32()), byte(r.IntN(2))
		return netip.AddrFrom16(b)
	}
	if r.IntN(2) == 0 {
		return prefix.Addr32(base&^0xff | r.Uint32()&0xff)
	}
	return prefix.Addr32(r.Uint32())
}

// The cost of a row grows with its length, not with its square.
func TestPlainLongRows(t *testing.T) {
	const n = 4000
	addresses := make([]string, n)
	for i := range addresses {
		addresses[i] = prefix.Addr32(0x2d000000 + uint32(i)*7).String()
	}
	row := strings.Join(addresses, ",")
	for _, c := range []struct {
		row                       string
		accepted, rejected, parts int
	}{
		{row, n, 0, 0},
		{row + ",300.1.1.1", n, 0, 1},
		{row + ",evil.example," + row[:strings.IndexByte(row, ',')], n + 1, 0, 1},
		{"192.0.2.1" + strings.Repeat("#", 60_000) + " 192.0.2.2", 1, 0, 0},
		{"192.0.2.1" + strings.Repeat(";", 60_000) + "192.0.2.2", 2, 0, 0},
		{"192.0.2.1" + strings.Repeat(" ;", 30_000) + "192.0.2.2", 2, 0, 0},
		{"192.0.2.1 " + strings.Repeat("x;", 30_000) + "192.0.2.2", 0, 1, 0},
	} {
		_, report, err := parseAll(t, "plain", c.row)
		if err != nil || report.Accepted != c.accepted || report.Rejected != c.rejected || report.RejectedParts != c.parts {
			t.Errorf("%.40s: %v, %+v", c.row, err, report)
		}
	}
}

func TestPlainManyOnALine(t *testing.T) {
	testRows(t, "plain", []rowCase{
		{"192.0.2.1,198.51.100.2", "192.0.2.1/32 198.51.100.2/32", 0},
		{"192.0.2.1;198.51.100.2", "192.0.2.1/32 198.51.100.2/32", 0},
		{"192.0.2.1;198.51.100.2;US", "192.0.2.1/32 198.51.100.2/32", 0},
		{"192.0.2.1#198.51.100.2", "192.0.2.1/32 198.51.100.2/32", 0},
		{"192.0.2.1 198.51.100.2 203.0.113.3", "192.0.2.1/32 198.51.100.2/32 203.0.113.3/32", 0},
		{`"192.0.2.1","198.51.100.2"`, "192.0.2.1/32 198.51.100.2/32", 0},
		{"192.0.2.1 # was 198.51.100.2", "192.0.2.1/32", 0},
		{"192.0.2.1 ; was 198.51.100.2", "192.0.2.1/32", 0},
		{"192.0.2.1 ; US ; 198.51.100.2", "", 1},
		{"192.0.2.1 ;198.51.100.2", "192.0.2.1/32 198.51.100.2/32", 0},
		{"192.0.2.1 // was 198.51.100.2", "192.0.2.1/32", 0},
		{"192.0.2.1:80,198.51.100.2:443,[2001:db8::1]:443", "192.0.2.1/32 198.51.100.2/32 2001:db8::1/128", 0},
		{"192.0.2.0-192.0.2.3,198.51.100.0 - 198.51.100.1 words", "192.0.2.0/30 198.51.100.0/31", 0},
		{"192.0.2.1,US,198.51.100.2", "", 1},
		{"192.0.2.1 and 198.51.100.2", "", 1},
		{"192.0.2.1 (198.51.100.2)", "", 1},
		{"192.0.2.1 http://198.51.100.2/x", "", 1},
		{"192.0.2.1 http://192.0.2.1/x", "192.0.2.1/32", 0},
		{"192.0.2.1 host-198.51.100.2.example", "192.0.2.1/32", 0},
		{"192.0.2.1 198.51.100.2", "192.0.2.1/32", 0}, // and a part that is rejected
		{"192.0.2.1,198.51.100.300", "192.0.2.1/32", 0},
		{"192.0.2.1 12:30:45 00:11:22:33:44:55 v1.2.3.4 0.95 /path ::", "192.0.2.1/32", 0},
	})
	for _, row := range []string{"192.0.2.1 198.51.100.2", "192.0.2.1,198.51.100.300", "192.0.2.1,2001:db8::/129"} {
		if _, report, _ := parseAll(t, "plain", row); report.RejectedParts != 1 || len(report.Samples) != 1 {
			t.Errorf("%q: %+v", row, report)
		}
	}
}

func TestPlainPairs(t *testing.T) {
	testRows(t, "plain", []rowCase{
		{"198.51.100.0 255.255.255.0", "198.51.100.0/24", 0},
		{"198.51.100.0,255.255.255.0,US", "198.51.100.0/24", 0},
		{"198.51.100.0 mask 255.255.255.0", "198.51.100.0/24", 0},
		{"198.51.100.0 netmask 255.255.255.128 # office", "198.51.100.0/25", 0},
		{"198.51.100.0 0.0.0.255", "198.51.100.0/24", 0},
		{"198.51.100.7 255.255.255.255", "198.51.100.7/32", 0},
		{"198.51.100.7 0.0.0.0", "198.51.100.7/32", 0},
		{"198.51.100.0 /24", "198.51.100.0/24", 0},
		{"198.51.100.0 255.255.255.0 203.0.113.0 255.255.255.128", "198.51.100.0/24 203.0.113.0/25", 0},
		{"198.51.100.0/24 255.255.255.0", "198.51.100.0/24", 0},
		{"198.51.100.0/25 255.255.255.0", "", 1},
		{"198.51.100.0 255.0.255.0", "", 1},
		{"198.51.100.0 0.255.0.255", "", 1},
		{"255.255.255.0 198.51.100.0", "", 1},
		{"198.51.100.0 / 24", "", 1},
		{"198.51.100.0\t198.51.100.127\tUS", "198.51.100.0/25", 0},
		{"198.51.100.0,198.51.101.255", "198.51.100.0/23", 0},
		{"198.51.100.0,198.51.102.255", "198.51.100.0/23 198.51.102.0/24", 0},
		{"198.51.100.10 198.51.100.20", "", 1},
		{"198.51.100.10,198.51.100.20,US", "", 1},
		{"198.51.100.10,198.51.100.11", "198.51.100.10/32 198.51.100.11/32", 0},
		{"198.51.100.20,198.51.100.10", "198.51.100.10/32 198.51.100.20/32", 0},
		{"2001:db8:: 2001:db8:0:ffff:ffff:ffff:ffff:ffff", "2001:db8::/48", 0},
		{"2001:db8::1,2001:db8::9", "", 1},
		{"2001:db8::1,2001:db9::9", "2001:db8::1/128 2001:db9::9/128", 0},
		{"0.0.0.0 198.51.100.7", "0.0.0.0/32", 0},
	})
}
