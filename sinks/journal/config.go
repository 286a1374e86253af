package journal

import (
	"fmt"
	"time"
)

// Durability is when events go from memory to the disk, and so what a crash or
// a power cut may take. A crash is the end of the process, kill -9 included; the
// kernel lives on and writes what it was given. A regular stop loses nothing but
// with [InMemory].
type Durability string

// The durabilities. What is lost is lost for every sink that did not have it yet;
// what was delivered shortly before may come again.
const (
	// Always writes each batch to the file before a sink sees it. A crash loses
	// nothing. A power cut loses what the kernel had not brought to the disk: at
	// most what came within sync_every (1 s) and the time that the sync itself
	// took; delivered events of about the same time come again.
	Always Durability = "always"

	// OnOutage keeps events in memory while all sinks keep up, and writes, much at
	// a time, when one has waited for spill_after (5 s), when memory_bytes is half
	// full, or at the stop. While all sinks keep up a crash or a power cut loses what no
	// sink has taken yet, milliseconds; during an outage in addition what came in
	// the last spill_after, and a power cut what came within sync_every before.
	// Nothing is written while the sinks keep up, for cards that wear. A sink that holds events,
	// as the database of incidents does until its next commit, has each of them written once.
	OnOutage Durability = "on-outage"

	// InMemory never writes an event. A crash, a power cut and a stop before the
	// sinks were ready lose all that was not delivered.
	InMemory Durability = "memory"
)

// Config bounds what a [Journal] holds.
type Config struct {
	// Dir is the directory of the journal, which is nobody else's; it is made when
	// it is missing. With durability memory it may be empty.
	Dir        string     `yaml:"dir"`
	Durability Durability `yaml:"durability"`
	// MaxBytes bounds the files, MaxAge the time that an undelivered event is kept.
	// Beyond either the oldest go, segment by segment, those of the ordinary lane first.
	// It has no more than three quarters of MaxBytes and MemoryBytes.
	MaxBytes int64         `yaml:"max_bytes"`
	MaxAge   time.Duration `yaml:"max_age"`
	// SegmentBytes is the size of one file.
	SegmentBytes int64 `yaml:"segment_bytes"`
	// MemoryBytes bounds the events that are not on the disk: on purpose, or
	// because it fails. Beyond it the oldest of them go.
	MemoryBytes int64 `yaml:"memory_bytes"`
	// SyncEvery is the longest time until what was written is brought to the disk.
	SyncEvery time.Duration `yaml:"sync_every"`
	// SpillAfter is how long an event waits in memory with durability on-outage.
	SpillAfter time.Duration `yaml:"spill_after"`
	// Date gives the date that can be trusted, for the files of earlier runs; nil =
	// the wall clock.
	Date func() time.Time `yaml:"-" json:"-"`
}

// DefaultConfig gives the defaults. Dir is left to the caller.
func DefaultConfig() Config {
	return Config{
		Durability:   Always,
		MaxBytes:     256 << 20,
		MaxAge:       7 * 24 * time.Hour,
		SegmentBytes: 8 << 20,
		MemoryBytes:  16 << 20,
		SyncEvery:    time.Second,
		SpillAfter:   5 * time.Second,
	}
}

// Validate returns which key is wrong and what is allowed.
func (c Config) Validate() error {
	switch c.Durability {
	case Always, OnOutage, InMemory:
	default:
		return fmt.Errorf("durability: %q is not valid; use %s, %s or %s", c.Durability, Always, OnOutage, InMemory)
	}
	switch {
	case c.Dir == "" && c.Durability != InMemory:
		return fmt.Errorf("dir: durability %s needs one", c.Durability)
	case c.SegmentBytes < 64<<10 || c.SegmentBytes > 1<<30:
		return fmt.Errorf("segment_bytes: %d is not valid; use 65536 to 1073741824", c.SegmentBytes)
	case c.MaxBytes < 2*c.SegmentBytes:
		return fmt.Errorf("max_bytes: %d is not valid; use two segment_bytes (%d) or more", c.MaxBytes, 2*c.SegmentBytes)
	case c.MaxAge < time.Minute:
		return fmt.Errorf("max_age: %v is not valid; use 1m or more", c.MaxAge)
	case c.MemoryBytes < 1<<20:
		return fmt.Errorf("memory_bytes: %d is not valid; use 1048576 or more", c.MemoryBytes)
	case c.SyncEvery < 10*time.Millisecond:
		return fmt.Errorf("sync_every: %v is not valid; use 10ms or more", c.SyncEvery)
	case c.SpillAfter < 10*time.Millisecond:
		return fmt.Errorf("spill_after: %v is not valid; use 10ms or more", c.SpillAfter)
	}
	return nil
}
