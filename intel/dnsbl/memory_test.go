package dnsbl

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// TestMemory: a full cache of 100,000 listings, with the code and the text of a usual
// zone, takes 150 bytes each.
func TestMemory(t *testing.T) {
	if raceDetector {
		t.Skip("measures memory; run without -race")
	}
	const n, ceiling = 100_000, 150
	now := time.Now()
	found := []listing{{code: commonCode, life: time.Hour, codes: []netip.Addr{listed4}}}
	before := heap()
	c := newCache(n)
	for i := range n {
		a := flow.Addr6{Lo: 0xffff<<32 | uint64(62<<24+i)}
		found[0].text = fmt.Sprintf("https://bl.example.org/query/ip/%s", flow.Addr4(uint32(a.Lo)))
		c.put(a, verdict{listings: pack(found, now), until: 3600}, 0)
	}
	per := float64(heap()-before) / n
	if c.len() != n || c.evicted != 0 {
		t.Fatalf("%d kept, %d evicted", c.len(), c.evicted)
	}
	if per > ceiling {
		t.Errorf("%.1f bytes a listing, want at most %d", per, ceiling)
	}
	t.Logf("%.1f bytes a listing", per)
	runtime.KeepAlive(c)
}

// TestLongTexts: a zone that tells long stories about every address fills the cache
// with fewer addresses, not with more memory; what leaves is counted.
func TestLongTexts(t *testing.T) {
	if raceDetector {
		t.Skip("measures memory; run without -race")
	}
	const n, ceiling = 100_000, 200 * 100_000
	found := []listing{{code: commonCode, life: time.Hour, codes: []netip.Addr{listed4}}}
	before := heap()
	c := newCache(n)
	for i := range n {
		found[0].text = fmt.Sprintf("%d%s", i, strings.Repeat("x", maxText-6))
		c.put(flow.Addr6{Lo: uint64(i)}, verdict{listings: pack(found, time.Now()), until: 3600}, 0)
	}
	if used := heap() - before; used > ceiling {
		t.Errorf("%d bytes, want at most %d", used, ceiling)
	}
	if c.evicted == 0 || c.len() < 5_000 || uint64(c.len())+c.evicted != n {
		t.Errorf("%d kept, %d evicted", c.len(), c.evicted)
	}
}

// heap gives the bytes of the heap that are in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestPack: what is kept of listings comes back as it was, up to 16 codes.
func TestPack(t *testing.T) {
	many := make([]netip.Addr, 20)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{127, 1, byte(i), 200})
	}
	at := time.Unix(1_800_000_000, 0)
	for _, found := range [][]listing{
		nil,
		{{code: commonCode}},
		{{zone: 300, code: 200, life: 24 * time.Hour, codes: many[:3], text: "ü"}, {zone: 1, text: strings.Repeat("x", maxText)}},
		{{codes: many}},
	} {
		got, when := unpack(pack(found, at))
		if len(found) > 0 && !when.Equal(at) {
			t.Errorf("found at %v", when)
		}
		for i := range found {
			found[i].codes = found[i].codes[:min(len(found[i].codes), maxCodes)]
		}
		if fmt.Sprint(got) != fmt.Sprint(found) {
			t.Errorf("%v, want %v", got, found)
		}
	}
}
