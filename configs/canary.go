package configs

import (
	"fmt"
	"time"
)

// Canary is the self-test: a flow sent to every listener of our own, to prove the way
// to every sink.
type Canary struct {
	// Every is the time between two; 0 = none.
	Every time.Duration `yaml:"every"`
}

// The times between two canaries that make sense.
const (
	minCanary = time.Second
	maxCanary = 24 * time.Hour
)

// Validate reports which key is wrong and what is allowed.
func (c Canary) Validate() error {
	if c.Every != 0 && (c.Every < minCanary || c.Every > maxCanary) {
		return fmt.Errorf("every: %s is not valid; use %s to %s, or 0s for none", c.Every, minCanary, maxCanary)
	}
	return nil
}
