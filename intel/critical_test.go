package intel

import (
	"testing"
)

// TestCriticalServices: every one is an address of the Internet that feeds can list.
func TestCriticalServices(t *testing.T) {
	all := CriticalServices()
	if len(all) != 28+16 {
		t.Errorf("%d addresses, want those of 13 root servers (b has moved) and 4 resolvers", len(all))
	}
	for _, p := range all {
		if name, special := SpecialPurpose(p); special || !p.IsSingleIP() {
			t.Errorf("%s is no address that anybody could reach: %s", p, name)
		}
	}
}
