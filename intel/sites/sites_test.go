package sites

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel"
)

func TestSitesInConfig(t *testing.T) {
	edge, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	with := func(sites []Site, exporters ...Exporter) error {
		c := Config{Home: intel.DefaultHome()}
		c.Sites, c.Exporters = sites, exporters
		return c.Validate()
	}
	oslo := []Site{{Name: "oslo"}, {Name: "bergen"}}
	at := func(site string) Exporter { return Exporter{Address: edge, Site: site} }
	if err := with(oslo, at("oslo"), Exporter{Address: other}); err != nil {
		t.Error(err)
	}
	many := make([]Site, maxSites+1)
	for i := range many {
		many[i].Name = fmt.Sprint("site-", i)
	}
	for want, err := range map[string]error{
		`exporters[0].site: unknown site "osl"; sites has oslo, bergen`: with(oslo, at("osl")),
		`exporters[0].site: unknown site "Oslo"`:                        with(oslo, at("Oslo")),
		`exporters[0].site: unknown site "oslo"; there are no sites`:    with(nil, at("oslo")),
		`exporters[0].site: unknown site "x"; sites has site-0`:         with(many[:100], at("x")),
		`sites[1].name: "OSLO" is that of sites[0] too`:                 with([]Site{{Name: "oslo"}, {Name: "OSLO"}}),
		`sites[0].name: missing`:                                        with([]Site{{}}),
		`sites[0].name: " oslo" must not`:                               with([]Site{{Name: " oslo"}}),
		`sites[0].name: "os\nlo" must not`:                              with([]Site{{Name: "os\nlo"}}),
		`sites[0].name: 65 bytes`:                                       with([]Site{{Name: strings.Repeat("x", 65)}}),
		`sites[0].home[0]: not a prefix`:                                with([]Site{{Name: "oslo", Home: make([]netip.Prefix, 1)}}),
		`sites: 10001`:                                                  with(many),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := Config{Home: intel.DefaultHome()}
	if c.ExporterSites() != nil {
		t.Error("exporters are at sites that there are not")
	}
	c.Sites, c.Exporters = oslo, []Exporter{{Address: edge, Site: "bergen"}, {Address: netip.AddrFrom16(other.As16())}}
	if got := c.ExporterSites(); len(got) != 2 || got[edge] != 2 || got[other] != 0 {
		t.Errorf("%v", got)
	}
	c.Sites[1].Home = []netip.Prefix{c.Home[0], netip.MustParsePrefix("198.51.100.0/24")}
	if got := c.AllHome(); len(got) != len(c.Home)+1 || got[len(c.Home)] != c.Sites[1].Home[1] {
		t.Errorf("%v", got)
	}
}
