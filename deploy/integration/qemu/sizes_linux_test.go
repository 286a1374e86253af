//go:build integration && !soak

package qemu

import "testing"

// TestMemory: a set as most sites have it.
func TestMemory(t *testing.T) {
	for _, p := range pis {
		t.Run(p.name, func(t *testing.T) { testMemory(t, &p, size{100_000, 64 * megabyte}) })
	}
}
