package journal

import (
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	good := DefaultConfig()
	good.Dir = "/nowhere"
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{Durability: InMemory, MaxBytes: 1 << 20, SegmentBytes: 1 << 17, MaxAge: time.Hour, MemoryBytes: 1 << 20, SyncEvery: time.Second, SpillAfter: time.Second}).Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"durability: \"\" is not valid; use always, on-outage or memory": func(c *Config) { c.Durability = "" },
		"dir:":           func(c *Config) { c.Dir = "" },
		"segment_bytes:": func(c *Config) { c.SegmentBytes = 1 },
		"max_bytes:":     func(c *Config) { c.MaxBytes = c.SegmentBytes },
		"max_age:":       func(c *Config) { c.MaxAge = time.Second },
		"memory_bytes:":  func(c *Config) { c.MemoryBytes = 1 },
		"sync_every:":    func(c *Config) { c.SyncEvery = 0 },
		"spill_after:":   func(c *Config) { c.SpillAfter = 0 },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
