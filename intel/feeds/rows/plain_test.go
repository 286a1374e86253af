package rows_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
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
		report, err := feeds.Parse(strings.NewReader(row+"\n"), document.Options{Format: "plain"}, func(e document.Entry) error {
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
