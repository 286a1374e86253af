//go:build soak

package qemu

import "testing"

// TestMemory: as large a set as the profile allows.
func TestMemory(t *testing.T) {
	for _, p := range pis {
		t.Run(p.name, func(t *testing.T) { testMemory(t, &p, size{1_000_000, 150 * megabyte}) })
	}
}
