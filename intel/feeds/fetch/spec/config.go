package spec

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Config says what is listed and where from.
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

// A Quarantine says when a single entry of a feed matches so many flows that its hits are
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

// Validate tells the first thing that is wrong, beginning with the path of its key.
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
