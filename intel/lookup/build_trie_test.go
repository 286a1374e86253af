package lookup

import (
	"net/netip"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
)

// TestPlantTwice: two large tables that are built at once leave the collector as it was.
func TestPlantTwice(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(123))
	for range 3 {
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				b := NewBuilder(Policy{})
				for i := range 2 * fewPrefixes {
					a := netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)})
					b.Add(intel.Indicator{Prefix: netip.PrefixFrom(a, 32), Feed: "f", Score: 50}, OriginFeed)
				}
				b.Build("v")
			})
		}
		both.Wait()
	}
	if got := debug.SetGCPercent(123); got != 123 {
		t.Errorf("the collector is left at %d percent, want 123", got)
	}
}
