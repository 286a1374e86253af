package sinks

import (
	"fmt"
	"time"
)

// RunnerConfig is what a sink gets, and how patient its [Runner] is.
type RunnerConfig struct {
	Filter Filter    `yaml:"filter"`
	Limit  RateLimit `yaml:"limit"`
	// Batch is the largest number of events given to one Send.
	Batch int `yaml:"batch"`
	// Timeout is the time that one Send has; 0 = as long as it likes. Events that
	// were given to it then are given again.
	Timeout time.Duration `yaml:"timeout"`
	// BackoffMin is the pause after the first failed attempt; each further one
	// doubles it, up to BackoffMax.
	BackoffMin time.Duration `yaml:"backoff_min"`
	BackoffMax time.Duration `yaml:"backoff_max"`
	// Drain is the longest time that Stop takes to send what still waits.
	Drain time.Duration `yaml:"drain"`
}

// DefaultRunnerConfig gives the defaults.
func DefaultRunnerConfig() RunnerConfig {
	return RunnerConfig{
		Batch:      500,
		Timeout:    time.Minute,
		BackoffMin: 100 * time.Millisecond,
		BackoffMax: 30 * time.Second,
		Drain:      5 * time.Second,
	}
}

// Validate returns which key is wrong and what is allowed.
func (c RunnerConfig) Validate() error {
	if err := c.Filter.Validate(); err != nil {
		return fmt.Errorf("filter.%w", err)
	}
	if err := c.Limit.Validate(); err != nil {
		return fmt.Errorf("limit.%w", err)
	}
	switch {
	case c.Batch < 1 || c.Batch > 10_000:
		return fmt.Errorf("batch: %d events are not valid; use 1 to 10000", c.Batch)
	case c.Timeout < 0:
		return fmt.Errorf("timeout: %v is not valid; use 0 (none) or more", c.Timeout)
	case c.BackoffMin <= 0:
		return fmt.Errorf("backoff_min: %v is not valid; use more than 0", c.BackoffMin)
	case c.BackoffMax < c.BackoffMin:
		return fmt.Errorf("backoff_max: %v is not valid; use backoff_min (%v) or more", c.BackoffMax, c.BackoffMin)
	case c.Drain < 0:
		return fmt.Errorf("drain: %v is not valid; use 0 or more", c.Drain)
	}
	return nil
}
