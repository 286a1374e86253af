//go:build soak

package sums

// How much is sent: the full figures.
const (
	calmDatagrams  = 300
	floodDatagrams = 200_000
	generatorFlows = 20_000_000
	restarts       = 20
	changes        = 50
)
