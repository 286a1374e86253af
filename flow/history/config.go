package history

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// Config is the block `history`.
type Config struct {
	// Enabled has contacts kept. It may be changed while the workers are running, as may
	// Keep, MaxBytes, Flush and Exclude.
	Enabled bool `yaml:"enabled"`
	// Keep is how long files are kept.
	Keep time.Duration `yaml:"keep"`
	// MaxBytes is how much all files may have, imported ones apart; the oldest make room.
	// 0 = 20 GB (edge: 1 GB), or a fifth of the file system where that is less.
	MaxBytes disk.Size `yaml:"max_bytes"`
	// Flush is how often the tables are written.
	Flush time.Duration `yaml:"flush"`
	// Exclude are prefixes whose contacts are not kept, on whichever side they are.
	Exclude []netip.Prefix `yaml:"exclude"`
	// MaxContacts are the contacts between two IPv4 addresses in one table, MaxContacts6 all
	// others. Each worker has two tables, made when it first needs them.
	MaxContacts  int `yaml:"max_contacts"`
	MaxContacts6 int `yaml:"max_contacts6"`
	// ImportMaxBytes is how much each import may have.
	ImportMaxBytes disk.Size `yaml:"import_max_bytes"`
}

// DefaultConfig gives the configuration without the block.
func DefaultConfig() Config {
	return Config{
		Enabled: true, Keep: 30 * 24 * time.Hour, Flush: 10 * time.Minute,
		MaxContacts: 262144, MaxContacts6: 65536, ImportMaxBytes: 20e9,
	}
}

// The bounds of a configuration.
const (
	leastKeep, leastFlush, mostFlush = time.Hour, 10 * time.Second, 24 * time.Hour
	leastBytes                       = 10e6
	leastContacts, mostContacts      = 1024, 1 << 24
)

// Validate names the first key that cannot be, and what is allowed there.
func (c Config) Validate() error {
	switch {
	case c.Keep < leastKeep:
		return fmt.Errorf("keep: %s is not valid; use %s or more, such as 720h for 30 days", c.Keep, leastKeep)
	case c.MaxBytes != 0 && c.MaxBytes < leastBytes:
		return fmt.Errorf("max_bytes: %s is not valid; use %s or more, or 0 for a size by the file system", c.MaxBytes, disk.Size(leastBytes))
	case c.Flush < leastFlush || c.Flush > mostFlush:
		return fmt.Errorf("flush: %s is not valid; use %s to %s", c.Flush, leastFlush, mostFlush)
	case c.ImportMaxBytes < leastBytes:
		return fmt.Errorf("import_max_bytes: %s is not valid; use %s or more", c.ImportMaxBytes, disk.Size(leastBytes))
	case c.MaxContacts < leastContacts || c.MaxContacts > mostContacts:
		return fmt.Errorf("max_contacts: %d is not valid; use %d to %d", c.MaxContacts, leastContacts, mostContacts)
	case c.MaxContacts6 < leastContacts || c.MaxContacts6 > mostContacts:
		return fmt.Errorf("max_contacts6: %d is not valid; use %d to %d", c.MaxContacts6, leastContacts, mostContacts)
	}
	for i, p := range c.Exclude {
		if !p.IsValid() {
			return fmt.Errorf("exclude[%d]: not a prefix", i)
		}
	}
	return nil
}

// caps are those of one table.
func (c *Config) caps() table.Caps { return table.Caps{V4: c.MaxContacts, V6: c.MaxContacts6} }

// What all files may have at most unless the operator sets another size.
const (
	usualBytes = 20e9
	edgeBytes  = 1e9
)

// room gives how much all files may have on a file system of a size, where the operator
// leaves that open; 0 = there is no room for a history.
func room(edge bool, total uint64) disk.Size {
	usual := disk.Size(usualBytes)
	if edge {
		usual = edgeBytes
	}
	size := disk.Size(min(uint64(usual), total/5))
	if size < leastBytes {
		return 0
	}
	return size
}
