//go:build soak

package qemu

import "testing"

// TestMemory: as large a set as the profile allows, on the models that are promised it.
func TestMemory(t *testing.T) {
	for _, p := range pis {
		if p.name == "arm64" {
			testMemory(t, &p, size{1_000_000, 150 * megabyte})
		}
	}
}
