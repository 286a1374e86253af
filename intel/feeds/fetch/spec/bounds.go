package spec

import (
	"cmp"
	"fmt"
	"time"
)

// Bounds are what one source may take of time and memory. What is 0 has its default.
type Bounds struct {
	// LeastBytes is how many bytes a source must send within LeastTime of waiting for
	// them, else the request is given up.
	LeastBytes int           `yaml:"least_bytes"`
	LeastTime  time.Duration `yaml:"least_time"`
	// MaxTime bounds one fetch with all its pages; the next one goes on.
	MaxTime time.Duration `yaml:"max_time"`
	// MaxObjects caps the pulses, events or indicators of a source that is read piece by
	// piece, also of those without an address: all of them are in memory during a fetch,
	// some 200 bytes each.
	MaxObjects int `yaml:"max_objects"`
}

// DefaultBounds are those of a configuration that names none.
var DefaultBounds = Bounds{LeastBytes: 10_000, LeastTime: 20 * time.Second, MaxTime: 30 * time.Minute, MaxObjects: 500_000}

// OrDefault fills in what is 0.
func (b Bounds) OrDefault() Bounds {
	return Bounds{
		LeastBytes: cmp.Or(b.LeastBytes, DefaultBounds.LeastBytes), LeastTime: cmp.Or(b.LeastTime, DefaultBounds.LeastTime),
		MaxTime: cmp.Or(b.MaxTime, DefaultBounds.MaxTime), MaxObjects: cmp.Or(b.MaxObjects, DefaultBounds.MaxObjects),
	}
}

// Validate names a bound that makes no sense.
func (b Bounds) Validate() error {
	b = b.OrDefault()
	switch {
	case b.LeastBytes < 1 || b.LeastBytes > 1<<30:
		return fmt.Errorf("least_bytes: %d is outside 1 to %d", b.LeastBytes, 1<<30)
	case b.LeastTime < time.Second || b.LeastTime > time.Hour:
		return fmt.Errorf("least_time: %v is outside 1s to 1h", b.LeastTime)
	case b.MaxTime < time.Minute || b.MaxTime > 24*time.Hour:
		return fmt.Errorf("max_time: %v is outside 1m to 24h", b.MaxTime)
	case b.MaxObjects < 1 || b.MaxObjects > MaxCount:
		return fmt.Errorf("max_objects: %d is outside 1 to %d", b.MaxObjects, MaxCount)
	}
	return nil
}

// How long is waited after a failure at least, and how long a provider or a wrong
// clock can make us wait at most.
const (
	FirstBackoff = time.Minute
	MaxWait      = 24 * time.Hour
)
