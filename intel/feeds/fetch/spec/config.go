package spec

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/hostname"
)

// Config is the block intel of the configuration: what is listed, and where it comes from.
type Config struct {
	// Feeds are the sources of indicators.
	Feeds []Feed `yaml:"feeds"`
	// Warninglists are sources of addresses that deserve a second look before an
	// alarm; each has a class.
	Warninglists []Feed `yaml:"warninglists"`
	// Deny are the operator's own listed prefixes. No guard applies to them but
	// the ban on /0.
	Deny []netip.Prefix `yaml:"deny"`
	// Allow are prefixes that no feed may raise a hit for.
	Allow []netip.Prefix `yaml:"allow"`
	// AllowNames are domain names that no export of names may have, nor any below them.
	AllowNames []string `yaml:"allow_names"`
	// MaxIndicators caps the set, and each single feed.
	MaxIndicators int `yaml:"max_indicators"`
	// Quarantine is for single entries that match an absurd share of all flows.
	Quarantine Quarantine `yaml:"quarantine"`
	// Fetch bounds what a source may take.
	Fetch Bounds `yaml:"fetch"`
	// Contact is a mail address or URL in the User-Agent, so that a provider with a
	// complaint finds a human being.
	Contact string `yaml:"contact"`
}

// A Quarantine defines when a single entry of a feed matches so many flows that its hits are
// rolled up. It never takes the entry out: whoever is listed could unlist himself by a
// flood.
type Quarantine struct {
	// Share is the percentage of all flows within a minute that one entry may match; 0 =
	// no limit.
	Share int `yaml:"share"`
	// MinFlows is how many flows a minute must have before it is judged.
	MinFlows int `yaml:"min_flows"`
}

// DefaultConfig lists nothing.
func DefaultConfig() Config {
	return Config{MaxIndicators: DefaultMaxCount, Quarantine: Quarantine{Share: 20, MinFlows: 10_000}, Fetch: DefaultBounds}
}

// Validate returns the first fault as an error, beginning with the path of its key.
// It reads no file.
func (c *Config) Validate() error {
	names := make(map[string]string)
	for i, f := range c.Feeds {
		key := fmt.Sprintf("feeds[%d]", i)
		if err := f.Validate(key, false, names); err != nil {
			return err
		}
	}
	for i, f := range c.Warninglists {
		key := fmt.Sprintf("warninglists[%d]", i)
		if err := f.Validate(key, true, names); err != nil {
			return err
		}
	}
	for i, p := range c.Deny {
		if !p.IsValid() || p.Bits() == 0 {
			return fmt.Errorf("deny[%d]: %s is everything; allowed are /1 and longer", i, p)
		}
	}
	for i, name := range c.AllowNames {
		if _, err := hostname.ParseTop(name); err != nil {
			return fmt.Errorf("allow_names[%d]: %q is not a domain name: %w", i, name, err)
		}
	}
	if n := c.MaxIndicators; n < 1 || n > MaxCount {
		return fmt.Errorf("max_indicators: %d is outside 1 to %d", n, MaxCount)
	}
	if err := c.Fetch.Validate(); err != nil {
		return fmt.Errorf("fetch.%w", err)
	}
	if q := c.Quarantine; !within(q.Share, 0, 100) {
		return fmt.Errorf("quarantine.share: %d is outside 0 to 100 percent", q.Share)
	} else if q.MinFlows < 1 {
		return fmt.Errorf("quarantine.min_flows: %d is below 1", q.MinFlows)
	}
	if len(c.Contact) > 200 || strings.ContainsFunc(c.Contact, isUnprintable) {
		return errors.New("contact: must be a mail address or URL in ASCII, at most 200 characters")
	}
	return nil
}

// MissingKeys gives an error for each feed whose provider requires a key while there is
// none, beginning with the path of the key to set.
func (c *Config) MissingKeys() (errs []error) {
	look := func(block string, list []Feed) {
		for i, f := range list {
			s := f.Resolve()
			if s.KeyMissing() {
				errs = append(errs, fmt.Errorf("%s[%d].api_key_file: required; %s responds only with an API key", block, i, s.Name))
			}
		}
	}
	look("feeds", c.Feeds)
	look("warninglists", c.Warninglists)
	return errs
}

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
