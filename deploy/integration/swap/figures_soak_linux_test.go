//go:build soak

package swap

// What the test is run with.
const (
	entries = 1_000_000
	swaps   = 100
	rate    = 1_000_000 // flows a second
)
