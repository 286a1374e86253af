package enrich

import (
	"fmt"
	"path/filepath"
	"slices"
)

// Config is the block `enrich`.
type Config struct {
	// MMDB are the paths of the databases, in any order; none = off.
	MMDB []string `yaml:"mmdb"`
	// MaxBytes bounds what all of them together take of the memory.
	MaxBytes int64 `yaml:"max_bytes"`
}

// maxFiles bounds the databases: each costs a lookup for every event.
const maxFiles = 8

// DefaultConfig gives the configuration without the block.
func DefaultConfig() Config { return Config{MaxBytes: 256 << 20} }

// Validate reports which key is wrong and what is allowed. Files are not read.
func (c Config) Validate() error {
	if len(c.MMDB) > maxFiles {
		return fmt.Errorf("mmdb: %d files, at most %d", len(c.MMDB), maxFiles)
	}
	for i, path := range c.MMDB {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("mmdb[%d]: %q is not valid; use the whole path of a file", i, path)
		}
		if slices.Contains(c.MMDB[:i], path) {
			return fmt.Errorf("mmdb[%d]: %q is there twice", i, path)
		}
	}
	if c.MaxBytes < 1<<20 || c.MaxBytes > 4<<30 {
		return fmt.Errorf("max_bytes: %d is not valid; use 1MiB to 4GiB", c.MaxBytes)
	}
	return nil
}
