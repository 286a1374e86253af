package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/quarantine"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
)

// Config says what is listed and where from.
type Config struct {
	// Feeds are the sources of indicators.
	Feeds []spec.Feed `yaml:"feeds"`
	// Warninglists are sources of addresses that deserve a second look before an
	// alarm; each has a class.
	Warninglists []spec.Feed `yaml:"warninglists"`
	// Deny are the operator's own listed prefixes. No guard applies to them but
	// the ban on /0.
	Deny []netip.Prefix `yaml:"deny"`
	// Allow are prefixes that no feed may raise a hit for.
	Allow []netip.Prefix `yaml:"allow"`
	// MaxIndicators caps the set, and each single feed.
	MaxIndicators int `yaml:"max_indicators"`
	// Quarantine is for single entries that match an absurd share of all flows.
	Quarantine quarantine.Quarantine `yaml:"quarantine"`
	// Fetch bounds what a source may take.
	Fetch spec.Bounds `yaml:"fetch"`
	// Contact is a mail address or URL in the User-Agent, so that a provider with a
	// complaint finds a human being.
	Contact string `yaml:"contact"`
}

// DefaultConfig lists nothing.
func DefaultConfig() Config {
	return Config{MaxIndicators: spec.DefaultMaxCount, Quarantine: quarantine.Quarantine{Share: 20, MinFlows: 10_000}, Fetch: spec.DefaultBounds}
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
	if n := c.MaxIndicators; n < 1 || n > spec.MaxCount {
		return fmt.Errorf("max_indicators: %d is outside 1 to %d", n, spec.MaxCount)
	}
	if err := c.Fetch.Validate(); err != nil {
		return fmt.Errorf("fetch.%w", err)
	}
	if err := c.Quarantine.Validate(); err != nil {
		return fmt.Errorf("quarantine.%w", err)
	}
	if len(c.Contact) > 200 || strings.ContainsFunc(c.Contact, spec.IsUnprintable) {
		return errors.New("contact: must be a mail address or URL in ASCII, at most 200 characters")
	}
	return nil
}

// MissingKeys gives an error for each feed whose provider requires a key while there is
// none, beginning with the path of the key to set.
func (c *Config) MissingKeys() (errs []error) {
	look := func(block string, list []spec.Feed) {
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
