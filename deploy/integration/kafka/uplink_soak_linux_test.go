//go:build soak

package kafka

import "time"

// What TestUplink is run with.
const (
	outage     = 10 * time.Minute
	lossy      = 2 * time.Minute
	uplinkRate = 50 // hits a second: a day's worth of most sites in a minute
)
