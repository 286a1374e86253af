package correlate

import (
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate/score"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// Config is what the correlator needs to know. Its YAML form is the block
// `contact`; what has a key of its own at the top of the file (name, home,
// exporters) is filled in by whoever reads the file, and so is EveryHit.
type Config struct {
	// Sensor is the name of this instance in events (YAML: name).
	Sensor string `yaml:"-"`
	// Config is what is ours, and where.
	sites.Config `yaml:"-"`
	// Unsynced reports whether the wall clock cannot be trusted now; nil = it can.
	Unsynced func() bool `yaml:"-" json:"-"`
	// EveryHit makes one event of each hit, with its own counts, and no updates.
	EveryHit bool `yaml:"-"`

	// Idle is the time without a flow after which a contact has ended.
	Idle time.Duration `yaml:"idle"`
	// MaxContacts bounds the contacts held at a time, each 500 to 660 bytes with an
	// offender of its own. At the cap the longest idle contact of the lowest severity
	// makes room.
	MaxContacts int `yaml:"max_contacts"`
	// MaxFlows bounds the flows that are remembered to recognise duplicates, each about
	// 300 bytes: each of them may have two observers (exporters, or ingress and egress
	// of one), some up to 16 when others have fewer. Of a flow that is forgotten the
	// next duplicate counts again. An eighth as many are remembered of folded contacts
	// beside them.
	MaxFlows int `yaml:"max_flows"`
	// HitQueue bounds the hits that wait for the correlator, each 650 bytes, at most
	// 1,300. The least severe make room.
	HitQueue int           `yaml:"hit_queue"`
	Factors  score.Factors `yaml:"factors"`
}

// DefaultConfig gives the configuration of an instance that has no configuration.
func DefaultConfig() Config {
	return Config{
		Config:      sites.Config{Home: intel.DefaultHome()},
		Idle:        time.Hour,
		MaxContacts: 100_000,
		MaxFlows:    50_000,
		HitQueue:    16_384,
		Factors:     score.DefaultFactors(),
	}
}

// Validate names the first key that cannot be, and what is allowed there.
func (c *Config) Validate() error {
	if c.Idle < firstUpdate || c.Idle > maxIdle {
		return fmt.Errorf("contact.idle: %s, allowed are %s to %s", c.Idle, firstUpdate, maxIdle)
	}
	for _, k := range []struct {
		key   string
		value int
	}{
		{"max_contacts", c.MaxContacts},
		{"max_flows", c.MaxFlows},
		{"hit_queue", c.HitQueue},
	} {
		if k.value < 1 || k.value > maxCap {
			return fmt.Errorf("contact.%s: %d, allowed are 1 to %d", k.key, k.value, maxCap)
		}
	}
	if err := c.Factors.Validate(); err != nil {
		return fmt.Errorf("contact.factors.%w", err)
	}
	return c.Config.Validate()
}

// The widest settings that make sense: a contact must live long enough for its
// first update, and the caps must fit into memory that someone can buy.
const (
	maxIdle = 30 * 24 * time.Hour
	maxCap  = 50_000_000
)
