package correlate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/intel"
)

// Config says what the correlator needs to know. Its YAML form is the block
// `contact`; what has a key of its own at the top of the file (name, home,
// exporters) is filled in by whoever reads the file, and so is EveryHit.
type Config struct {
	// Sensor is the name of this instance in events (YAML: name).
	Sensor string `yaml:"-"`
	// Home are our own networks (YAML: home).
	Home []netip.Prefix `yaml:"-"`
	// Sites are the places that exporters are at (YAML: sites).
	Sites []Site `yaml:"-"`
	// NAT64 are our prefixes for NAT64 (YAML: nat64), see intel.Embedding.
	NAT64 []netip.Prefix `yaml:"-"`
	// Exporters are the devices that the operator names (YAML: exporters).
	Exporters []Exporter `yaml:"-"`
	// Unsynced tells whether the wall clock cannot be trusted now; nil = it can.
	Unsynced func() bool `yaml:"-" json:"-"`
	// EveryHit makes one event of each hit, with its own counts, and no updates.
	EveryHit bool `yaml:"-"`

	// Idle is the time without a flow after which a contact has ended.
	Idle time.Duration `yaml:"idle"`
	// MaxContacts bounds the contacts held at a time, each 500 to 660 bytes with an
	// offender of its own. At the cap the longest idle contact of the lowest severity
	// makes room.
	MaxContacts int `yaml:"max_contacts"`
	// MaxFlows bounds the flows that are remembered to tell duplicates, each about
	// 300 bytes: each of them may have two observers (exporters, or ingress and egress
	// of one), some up to 16 when others have fewer. Of a flow that is forgotten the
	// next duplicate counts again. An eighth as many are remembered of folded contacts
	// beside them.
	MaxFlows int `yaml:"max_flows"`
	// HitQueue bounds the hits that wait for the correlator, each 650 bytes, at most
	// 1,300. The least severe make room.
	HitQueue int     `yaml:"hit_queue"`
	Factors  Factors `yaml:"factors"`
}

// An Exporter is what the operator says of a device.
type Exporter struct {
	Name string `yaml:"name"`
	// Address is the UDP source address or the sFlow agent address.
	Address netip.Addr `yaml:"address"`
	// Sampling replaces the rate that the device announces, when it is not 0.
	Sampling uint32 `yaml:"sampling"`
	// Silence is how long it may say nothing before that is a warning; 0 = as long as
	// it usually does.
	Silence time.Duration `yaml:"silence"`
	// Site is the name of the site that it is at; empty = none.
	Site string `yaml:"site"`
}

// A Site is a place with address space of its own, such as a branch office. An address of
// our own is that of a host only together with its site: two sites may use the same private
// addresses.
type Site struct {
	Name string `yaml:"name"`
	// Home are the networks of this site; without any it has those of Config.Home.
	Home []netip.Prefix `yaml:"home"`
}

// ExporterSites gives the site of each exporter that the operator names, as
// [flow.Exporter] has it; nil when there are no sites.
func (c *Config) ExporterSites() map[netip.Addr]uint16 {
	if len(c.Sites) == 0 {
		return nil
	}
	places := make(map[string]uint16, len(c.Sites))
	for i, s := range c.Sites {
		places[s.Name] = uint16(i + 1)
	}
	all := make(map[netip.Addr]uint16, len(c.Exporters))
	for _, e := range c.Exporters {
		all[e.Address.Unmap()] = places[e.Site]
	}
	return all
}

// AllHome gives the networks that are ours at any site.
func (c *Config) AllHome() []netip.Prefix {
	all := slices.Clone(c.Home)
	for _, s := range c.Sites {
		for _, p := range s.Home {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// DefaultConfig gives the configuration of an instance that was told nothing.
func DefaultConfig() Config {
	return Config{
		Home:        intel.DefaultHome(),
		Idle:        time.Hour,
		MaxContacts: 100_000,
		MaxFlows:    50_000,
		HitQueue:    16_384,
		Factors:     DefaultFactors(),
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
	if err := c.Factors.validate(); err != nil {
		return fmt.Errorf("contact.factors.%w", err)
	}
	for i, p := range c.Home {
		if !p.IsValid() {
			return fmt.Errorf("home[%d]: not a prefix", i)
		}
	}
	if err := intel.CheckNAT64(c.NAT64); err != nil {
		return err
	}
	if err := c.validateSites(); err != nil {
		return err
	}
	return c.validateExporters()
}

// The most sites, and the most bytes in the name of one.
const (
	maxSites    = 10_000
	maxSiteName = 64
)

func (c *Config) validateSites() error {
	if len(c.Sites) > maxSites {
		return fmt.Errorf("sites: %d, allowed are %d", len(c.Sites), maxSites)
	}
	seen := make(map[string]int, len(c.Sites))
	for i, s := range c.Sites {
		switch {
		case s.Name == "":
			return fmt.Errorf("sites[%d].name: missing", i)
		case len(s.Name) > maxSiteName:
			return fmt.Errorf("sites[%d].name: %d bytes long, at most %d are allowed", i, len(s.Name), maxSiteName)
		case s.Name != strings.TrimSpace(s.Name), !utf8.ValidString(s.Name), strings.ContainsFunc(s.Name, unicode.IsControl):
			return fmt.Errorf("sites[%d].name: %q must not begin or end with a blank, nor have control characters", i, s.Name)
		}
		name := strings.ToLower(s.Name)
		if first, twice := seen[name]; twice {
			return fmt.Errorf("sites[%d].name: %q is that of sites[%d] too; upper and lower case are the same", i, s.Name, first)
		}
		seen[name] = i
		for j, p := range s.Home {
			if !p.IsValid() {
				return fmt.Errorf("sites[%d].home[%d]: not a prefix", i, j)
			}
		}
	}
	return nil
}

// The widest settings that make sense: a contact must live long enough for its
// first update, and the caps must fit into memory that someone can buy.
const (
	maxIdle = 30 * 24 * time.Hour
	maxCap  = 50_000_000
)

func (c *Config) validateExporters() error {
	seen := make(map[netip.Addr]int, len(c.Exporters))
	for i, e := range c.Exporters {
		if !e.Address.IsValid() {
			return fmt.Errorf("exporters[%d].address: required, an IP address", i)
		}
		a := e.Address.Unmap()
		if first, twice := seen[a]; twice {
			return fmt.Errorf("exporters[%d].address: %s is that of exporters[%d] too", i, a, first)
		}
		seen[a] = i
		if e.Site != "" && !slices.ContainsFunc(c.Sites, func(s Site) bool { return s.Name == e.Site }) {
			return fmt.Errorf("exporters[%d].site: unknown site %q; %s", i, e.Site, c.siteNames())
		}
		if e.Silence < 0 {
			return fmt.Errorf("exporters[%d].silence: %s is not allowed; more than 0s is, or nothing at all", i, e.Silence)
		}
	}
	return nil
}

// siteNames says which sites there are.
func (c *Config) siteNames() string {
	if len(c.Sites) == 0 {
		return "there are no sites: add it to sites"
	}
	const shown = 10
	var names []string
	for _, s := range c.Sites[:min(len(c.Sites), shown)] {
		names = append(names, s.Name)
	}
	if len(c.Sites) > shown {
		return fmt.Sprintf("sites has %s and %d more", strings.Join(names, ", "), len(c.Sites)-shown)
	}
	return "sites has " + strings.Join(names, ", ")
}
