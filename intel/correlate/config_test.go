package correlate

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/sites"
	"github.com/goccy/go-yaml"
)

func TestConfigDefaults(t *testing.T) {
	cfg := DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if cfg.Idle != time.Hour || cfg.MaxContacts != 100_000 {
		t.Errorf("idle %s, %d contacts, want 1h and 100,000", cfg.Idle, cfg.MaxContacts)
	}
}

func TestConfigYAML(t *testing.T) {
	cfg := DefaultConfig()
	text := "idle: 30m\nmax_contacts: 10\nmax_flows: 20\nhit_queue: 30\nfactors: {inbound_blocked: 0.1}\n"
	if err := yaml.UnmarshalWithOptions([]byte(text), &cfg, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if cfg.Idle != 30*time.Minute || cfg.MaxContacts != 10 || cfg.MaxFlows != 20 || cfg.HitQueue != 30 ||
		cfg.Factors.InboundBlocked != 0.1 || cfg.Factors.Outbound != 0.8 {
		t.Errorf("got %+v", cfg)
	}
	var e sites.Exporter
	if err := yaml.UnmarshalWithOptions([]byte("{name: edge-1, address: 192.0.2.1, sampling: 1000, silence: 1m, site: oslo}"), &e, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if want := (sites.Exporter{Name: "edge-1", Address: edge1, Sampling: 1000, Silence: time.Minute, Site: "oslo"}); e != want {
		t.Errorf("got %+v, want %+v", e, want)
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for path, change := range map[string]func(*Config){
		"contact.idle":                    func(c *Config) { c.Idle = time.Second },
		"contact.max_contacts":            func(c *Config) { c.MaxContacts = 0 },
		"contact.max_flows":               func(c *Config) { c.MaxFlows = -1 },
		"contact.hit_queue":               func(c *Config) { c.HitQueue = math.MaxInt32 },
		"contact.factors.outbound":        func(c *Config) { c.Factors.Outbound = 1.1 },
		"contact.factors.inbound_blocked": func(c *Config) { c.Factors.InboundBlocked = math.NaN() },
		"contact.factors.transit":         func(c *Config) { c.Factors.Transit = -0.1 },
		"home[1]":                         func(c *Config) { c.Home = []netip.Prefix{c.Home[0], {}} },
		"exporters[0].address":            func(c *Config) { c.Exporters = []sites.Exporter{{Name: "x"}} },
		"exporters[1].address": func(c *Config) {
			c.Exporters = []sites.Exporter{{Address: edge1}, {Address: netip.MustParseAddr("::ffff:192.0.2.1")}}
		},
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: got error %v", path, err)
		}
	}
}
