// Package sites has what the operator configures about our own side: the home networks, the sites
// with address space of their own, and the exporters with the site of each. The
// configuration fills a [Config]; the correlator takes from it which addresses are ours,
// the listeners who may send, and the decoder the site of each exporter.
package sites

import (
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// Config is what is ours, and where. Each field is a key at the top of the file.
type Config struct {
	// Home are our own networks (YAML: home).
	Home []netip.Prefix
	// Sites are the places that exporters are at (YAML: sites).
	Sites []Site
	// NAT64 are our prefixes for NAT64 (YAML: nat64), see [intel.Embedding].
	NAT64 []netip.Prefix
	// Exporters are the devices that the operator names (YAML: exporters).
	Exporters []Exporter
}

// An Exporter is what the operator configures about a device.
type Exporter struct {
	Name string `yaml:"name"` // in events, status and metrics
	// Address is the UDP source address or the sFlow agent address.
	Address netip.Addr `yaml:"address"`
	// Sampling replaces the rate that the device announces, when it is not 0.
	Sampling uint32 `yaml:"sampling"`
	// Silence is how long it may be silent before that is a warning; 0 = as long as
	// it usually is.
	Silence time.Duration `yaml:"silence"`
	// Site is the name of the site that it is at; empty = none.
	Site string `yaml:"site"`
}

// A Site is a place with address space of its own, such as a branch office. An address of
// our own is that of a host only together with its site: two sites may use the same private
// addresses.
type Site struct {
	Name string `yaml:"name"` // in events, and in `site` of exporters
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

// SiteName gives the name of a site by its number, see [flow.Exporter]; empty for none.
func (c *Config) SiteName(site uint16) string {
	if site == 0 || int(site) > len(c.Sites) {
		return ""
	}
	return c.Sites[site-1].Name
}

// A Home is the home networks of one site.
type Home struct {
	networks  *intel.Networks
	embedding *intel.Embedding
}

// Homes are the home networks of each site by its number, see [flow.Exporter]; the first
// are those of exporters at none. They never change: any goroutine may use them.
type Homes []Home

// Homes makes the home networks of a valid configuration.
func (c *Config) Homes() Homes {
	embedding := intel.NewEmbedding(c.NAT64)
	everywhere := Home{intel.NewNetworks(c.Home), embedding}
	list := Homes{everywhere}
	for _, s := range c.Sites {
		at := everywhere
		if len(s.Home) > 0 {
			at.networks = intel.NewNetworks(s.Home)
		}
		list = append(list, at)
	}
	return list
}

// At gives the home networks of a site. One that the configuration does not have is none.
func (l Homes) At(site uint16) *Home {
	if int(site) >= len(l) {
		site = 0
	}
	return &l[site]
}

// Contains reports whether an address is ours.
func (h *Home) Contains(a netip.Addr) bool { return h.networks.Contains(a) }

// Has reports whether an address, or the IPv4 address that it carries, is ours.
func (h *Home) Has(a netip.Addr) bool {
	if h.networks.Contains(a) {
		return true
	}
	v4, ok := h.embedding.IPv4(a)
	return ok && h.networks.Contains(v4)
}
