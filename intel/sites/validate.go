package sites

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/intel"
)

// Validate names the first key that cannot be, and what is allowed there.
func (c *Config) Validate() error {
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

// siteNames lists the sites that there are.
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
