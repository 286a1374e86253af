package dnsbl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Config is which zones are queried, and how often.
type Config struct {
	// Zones are the lists; none = off.
	Zones []Zone `yaml:"zones"`
	// Server is the resolver, host and port; default: the first of /etc/resolv.conf.
	Server string `yaml:"server"`
	// Rate is the number of queries per second, at most, to all zones together.
	Rate int `yaml:"rate"`
	// Queue is how many addresses wait at most; Cache how many answers are kept.
	Queue int `yaml:"queue"`
	Cache int `yaml:"cache"`
	// Timeout of one query.
	Timeout time.Duration `yaml:"timeout"`
	// MinTTL and MaxTTL bound the lifetime that a zone gives a listing; NegativeTTL
	// is that of "not listed" at most.
	MinTTL      time.Duration `yaml:"min_ttl"`
	MaxTTL      time.Duration `yaml:"max_ttl"`
	NegativeTTL time.Duration `yaml:"negative_ttl"`
}

// A Zone is one list.
type Zone struct {
	// Zone is its name in the DNS.
	Zone string `yaml:"zone"`
	// Name of the feed in hits; default: the zone.
	Name string `yaml:"name"`
	// Score (1 to 100; default 50) and Category hold for answers without a code of
	// their own.
	Score    int    `yaml:"score"`
	Category string `yaml:"category"`
	// Codes are the meanings of answers. If there are any, other answers are no listing.
	Codes []Code `yaml:"codes"`
}

// A Code is one meaning of an answer.
type Code struct {
	Answer   netip.Addr `yaml:"answer"`   // the A record, within 127.0.0.0/8
	Category string     `yaml:"category"` // default: the zone's
	Score    int        `yaml:"score"`    // default: the zone's; 0 to 100
	// Ignore means that the answer is no reason for a hit, as of lists of dial-ups.
	Ignore bool `yaml:"ignore"`
}

// defaultScore of a zone.
const defaultScore = 50

// DefaultConfig asks nobody.
func DefaultConfig() Config {
	return Config{
		Rate: 50, Queue: 10_000, Cache: 100_000, Timeout: 5 * time.Second,
		MinTTL: time.Minute, MaxTTL: 24 * time.Hour, NegativeTTL: time.Hour,
	}
}

// Validate reports the first error, beginning with its key.
func (c *Config) Validate() error {
	names := make(map[string]bool)
	for i, z := range c.Zones {
		if err := z.validate(); err != nil {
			return fmt.Errorf("zones[%d].%w", i, err)
		}
		if names[z.feed()] {
			return fmt.Errorf("zones[%d].name: %q is there twice", i, z.feed())
		}
		names[z.feed()] = true
	}
	if _, _, err := net.SplitHostPort(c.Server); c.Server != "" && err != nil {
		return fmt.Errorf("server: %q; must be host:port", c.Server)
	}
	for _, n := range []struct {
		key              string
		value, low, high int
	}{
		{"rate", c.Rate, 1, 10_000}, {"queue", c.Queue, 1, 1_000_000}, {"cache", c.Cache, 1, 10_000_000},
	} {
		if n.value < n.low || n.value > n.high {
			return fmt.Errorf("%s: %d is outside %d to %d", n.key, n.value, n.low, n.high)
		}
	}
	return c.validateTimes()
}

func (c *Config) validateTimes() error {
	switch {
	case c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute:
		return fmt.Errorf("timeout: %v is outside 100ms to 1m", c.Timeout)
	case c.MinTTL < time.Second || c.MaxTTL < c.MinTTL:
		return fmt.Errorf("min_ttl: must be 1s <= min_ttl (%v) <= max_ttl (%v)", c.MinTTL, c.MaxTTL)
	case c.NegativeTTL < time.Second:
		return fmt.Errorf("negative_ttl: %v is below 1s", c.NegativeTTL)
	}
	return nil
}

// maxZone leaves room for the 64 characters of an IPv6 address in a name of 253.
const maxZone = 180

func (z *Zone) validate() error {
	_, err := dnsmessage.NewName(z.fqdn())
	switch {
	case z.Zone == "":
		return errors.New("zone: required, a name such as dnsbl.example.org")
	case err != nil || len(z.Zone) > maxZone || strings.Contains(z.fqdn(), ".."):
		return fmt.Errorf("zone: %.80q is no name of at most %d characters", z.Zone, maxZone)
	case z.Score < 0 || z.Score > 100:
		return fmt.Errorf("score: %d is outside 1 to 100", z.Score)
	}
	for i, c := range z.Codes {
		if !isListing(c.Answer) {
			return fmt.Errorf("codes[%d].answer: %s; must be an address of 127.0.0.0/8 that can be a listing", i, c.Answer)
		}
		if c.Score < 0 || c.Score > 100 {
			return fmt.Errorf("codes[%d].score: %d is outside 0 to 100", i, c.Score)
		}
	}
	return nil
}

// fqdn gives the name of the zone with its final dot.
func (z *Zone) fqdn() string { return strings.TrimSuffix(z.Zone, ".") + "." }

// feed gives the name in hits.
func (z *Zone) feed() string {
	if z.Name != "" {
		return z.Name
	}
	return strings.TrimSuffix(z.Zone, ".")
}
