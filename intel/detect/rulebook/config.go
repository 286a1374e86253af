package rulebook

import (
	"fmt"
	"path/filepath"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// Config is the block rules.
type Config struct {
	// Shipped is whether the rules that come with the program are used.
	Shipped bool `yaml:"shipped"`
	// Files are patterns of files with rules, as in filepath.Match. A pattern may match none,
	// a plain path must be there.
	Files []string `yaml:"files"`
	// Disable are names of rules that are off.
	Disable []string `yaml:"disable"`
	// MaxGroups and MaxBytes bound what all rules together remember.
	MaxGroups int       `yaml:"max_groups"`
	MaxBytes  disk.Size `yaml:"max_bytes"`
}

// DefaultConfig gives the defaults.
func DefaultConfig() Config {
	return Config{Shipped: true, Files: []string{"/etc/flowsnitch/rules/*.yml"}, MaxGroups: 100_000, MaxBytes: 64e6}
}

// What makes sense.
const (
	leastGroups, mostGroups = 1000, 10_000_000
	leastBytes, mostBytes   = disk.Size(1e6), disk.Size(16e9)
	maxPatterns             = 100
)

// Validate reports which key is wrong and what is allowed.
func (c Config) Validate() error {
	switch {
	case c.MaxGroups < leastGroups || c.MaxGroups > mostGroups:
		return fmt.Errorf("max_groups: %d is not valid; use %d to %d", c.MaxGroups, leastGroups, mostGroups)
	case c.MaxBytes < leastBytes || c.MaxBytes > mostBytes:
		return fmt.Errorf("max_bytes: %s is not valid; use %s to %s", c.MaxBytes, leastBytes, mostBytes)
	case len(c.Files) > maxPatterns:
		return fmt.Errorf("files: %d patterns; at most %d are allowed", len(c.Files), maxPatterns)
	}
	for i, pattern := range c.Files {
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
			return fmt.Errorf("files[%d]: %q is not a path or a pattern such as /etc/flowsnitch/rules/*.yml", i, pattern)
		}
	}
	return nil
}
