//go:build integration && !soak

package swap

// What the test is run with.
const (
	entries = 100_000
	swaps   = 5
	rate    = 100_000 // flows a second
)
