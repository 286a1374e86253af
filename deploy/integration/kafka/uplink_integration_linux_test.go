//go:build integration && !soak

package kafka

import "time"

// What TestUplink is run with.
const (
	outage     = 10 * time.Second
	lossy      = 10 * time.Second
	uplinkRate = 100 // hits a second
)
