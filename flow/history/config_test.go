package history

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// TestValidate: what cannot be is named with its key and what is allowed.
func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"keep: 1m0s is not valid; use 1h0m0s or more":     func(c *Config) { c.Keep = time.Minute },
		"max_bytes: 1MB is not valid; use 10MB or more":   func(c *Config) { c.MaxBytes = 1e6 },
		"flush: 1s is not valid; use 10s to 24h0m0s":      func(c *Config) { c.Flush = time.Second },
		"flush: 25h0m0s is not valid":                     func(c *Config) { c.Flush = 25 * time.Hour },
		"import_max_bytes: 0 is not valid":                func(c *Config) { c.ImportMaxBytes = 0 },
		"max_contacts: 0 is not valid; use 1024 to":       func(c *Config) { c.MaxContacts = 0 },
		"max_contacts6: 99999999 is not valid; use 1024 ": func(c *Config) { c.MaxContacts6 = 99999999 },
		"exclude[0]: not a prefix":                        func(c *Config) { c.Exclude = make([]netip.Prefix, 1) },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestRoom: how much is kept follows from the file system, and a small one gets no history.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		edge  bool
		total uint64
		want  disk.Size
	}{
		{false, 1e12, 20e9}, {false, 100e9, 20e9}, {false, 50e9, 10e9}, {false, 49e6, 0}, {false, 0, 0},
		{true, 32e9, 1e9}, {true, 4e9, 800e6}, {true, 50e6, 10e6}, {true, 49e6, 0},
	} {
		if got := room(c.edge, c.total); got != c.want {
			t.Errorf("edge %v, %d bytes: %s, want %s", c.edge, c.total, got, c.want)
		}
	}
}

// TestTableMemory: two full tables with the default caps take what the documentation has for
// one worker: 50 MiB, with the profile edge 13 MiB.
func TestTableMemory(t *testing.T) {
	for _, c := range []struct {
		caps table.Caps
		most int
	}{{table.Caps{V4: 262144, V6: 65536}, 50 << 20}, {table.Caps{V4: 65536, V6: 16384}, 13 << 20}} {
		full := table.New(c.caps)
		var b table.Batch
		add := func(outside flow.Addr6) {
			b.Clear()
			b.Outside, b.Inside = append(b.Outside, outside), append(b.Inside, flow.Addr6{Lo: 0xffff_0a000001})
			b.Protocol, b.Port, b.Exporter, b.Site = append(b.Protocol, 6), append(b.Port, 443), append(b.Exporter, 0), append(b.Site, 0)
			b.Direction, b.Flags, b.Sampling = append(b.Direction, 0), append(b.Flags, 1), append(b.Sampling, 1)
			b.PacketsOut, b.PacketsIn = append(b.PacketsOut, 1), append(b.PacketsIn, 1)
			b.BytesOut, b.BytesIn = append(b.BytesOut, 40), append(b.BytesIn, 40)
			b.First, b.Last = append(b.First, 1_800_000_000), append(b.Last, 1_800_000_000)
			full.Update(&b, 0, true)
		}
		for i := range c.caps.V4 + 1000 {
			add(flow.Addr6{Lo: 0xffff_00000000 | uint64(i+1)})
		}
		for i := range c.caps.V6 + 1000 {
			add(flow.Addr6{Hi: 0x2001_0db8_0000_0000, Lo: uint64(i)})
		}
		if n := full.Len(); n != c.caps.V4+c.caps.V6 {
			t.Errorf("%d contacts, want a full table of %+v", n, c.caps)
		}
		if n := 2 * full.Bytes(); n > c.most {
			t.Errorf("two tables of %+v take %d bytes, at most %d are documented", c.caps, n, c.most)
		} else {
			t.Logf("two tables of %+v: %d bytes", c.caps, n)
		}
	}
}
