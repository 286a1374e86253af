package intel

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gaissmai/bart"
)

// TestPlant: a trie that grew in chunks holds what one does that grew by insertions.
func TestPlant(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := NewBuilder(Policy{})
	add := func(a netip.Addr, bits int, feed string) {
		b.Add(Indicator{Prefix: netip.PrefixFrom(a, bits), Feed: feed}, OriginFeed)
	}
	for range 3 * chunkLen {
		n := r.Uint32()
		add(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 8+r.IntN(25), "wide")
		add(netip.AddrFrom4([4]byte{62, 1, byte(n >> 8), byte(n)}), 32, "dense") // more than a chunk in one /16
		var six [16]byte
		six[0], six[1], six[2], six[3] = 0x2a, byte(n>>24), byte(n>>16), byte(n>>8)
		add(netip.AddrFrom16(six), 20+r.IntN(109), "six")
	}
	b.compact()
	var chunked, plain bart.Table[uint32]
	plant(&chunked, chunksOf(b.keys))
	insertAll(&plain, b.keys)
	if plain.Size4() < 2*chunkLen || plain.Size6() < chunkLen {
		t.Fatalf("only %d and %d prefixes", plain.Size4(), plain.Size6())
	}
	if !chunked.Equal(&plain) || chunked.Size() != plain.Size() {
		t.Errorf("%d prefixes in chunks, %d one by one", chunked.Size(), plain.Size())
	}
}
