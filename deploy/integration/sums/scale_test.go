//go:build integration && !soak

package sums

// How much is sent: small counts, for every change of the code.
const (
	calmDatagrams  = 300     // by each exporter; all of them fit into a receive buffer
	floodDatagrams = 4000    // by each exporter
	generatorFlows = 300_000 // by each run of flowgen
	restarts       = 2
	changes        = 10 // of the meaning of a template
)
