package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/udp"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
	"github.com/flowsnitch/flowsnitch/intel/dnsbl"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/intel/sites"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/flowsnitch/flowsnitch/sinks/jsonlog"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/flowsnitch/flowsnitch/sinks/webhook"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Config is the whole file. Each component brings its own part.
type Config struct {
	// Profile names values that hold where the configuration is silent: edge, or
	// empty for the usual ones.
	Profile string `yaml:"profile"`
	// Name of the sensor in events; default: the host name.
	Name string `yaml:"name"`
	// StateDir holds what must survive a restart, the control socket and, unless
	// a sink has another path, the hit log. Default: $STATE_DIRECTORY (systemd), else
	// flowsnitch under $XDG_STATE_HOME or ~/.local/state; without these it is required.
	StateDir string `yaml:"state_dir"`
	// MemoryLimit is what the garbage collector tries to keep the process below, in
	// bytes; 0 = no limit. GOMEMLIMIT in the environment wins.
	MemoryLimit int64 `yaml:"memory_limit"`
	// Listen are the UDP sockets.
	Listen []udp.Config `yaml:"listen"`
	// Sites are places with address space of their own.
	Sites []sites.Site `yaml:"sites"`
	// Exporters gives names, sites and sampling rates to devices.
	Exporters []sites.Exporter `yaml:"exporters"`
	// Home are our own networks.
	Home []netip.Prefix `yaml:"home"`
	// NAT64 are our own prefixes for NAT64 beside the well-known ones.
	NAT64 []netip.Prefix `yaml:"nat64"`
	// Intel is what is listed, and where it comes from.
	Intel spec.Config `yaml:"intel"`
	// DNSBL are block lists that are asked over the DNS.
	DNSBL   dnsbl.Config     `yaml:"dnsbl"`
	Contact correlate.Config `yaml:"contact"`
	// History is which contacts are kept, and for how long.
	History history.Config `yaml:"history"`
	// Incidents is what is kept of offenders, and where.
	Incidents Incidents `yaml:"incidents"`
	// Rules is which correlation rules run.
	Rules rulebook.Config `yaml:"rules"`
	// Report is when reports are sent by mail.
	Report report.Config `yaml:"report"`
	// Clock is how the wall clock is judged.
	Clock clock.Config `yaml:"clock"`
	// Canary is the self-test.
	Canary Canary `yaml:"canary"`
	// Health is what the instance takes for sick when it judges itself.
	Health Health `yaml:"health"`
	// Limits cap memory that exporters can use.
	Limits decode.Limits `yaml:"limits"`
	// SFlow is how sFlow samples are read.
	SFlow SFlow `yaml:"sflow"`
	// Journal holds events until every sink has had them.
	Journal journal.Config `yaml:"journal"`
	Sinks   []Sink         `yaml:"sinks"`
	// Web is where metrics and health are served.
	Web web.Config `yaml:"web"`

	// Blocks are those of components that bring their own, by key; see [AddBlock].
	Blocks map[string]any `yaml:"-"`

	text []byte   // of the file
	keys []string // of its outermost block
}

// SFlow is how sFlow samples are read.
type SFlow struct {
	// Tunnels decides whether the addresses of a packet inside a tunnel (IP in IP, GRE,
	// VXLAN, SRv6) are matched, too. They are only when both ends of the tunnel are in
	// Home or TunnelEndpoints: anybody can send a packet that looks like a tunnel.
	Tunnels         bool           `yaml:"tunnels"`
	TunnelEndpoints []netip.Prefix `yaml:"tunnel_endpoints"`
}

// A Sink is one destination of events: exactly one of the first five keys is set.
type Sink struct {
	JSONLog *jsonlog.Config `yaml:"jsonlog"`
	Console *Console        `yaml:"console"`
	Webhook *webhook.Config `yaml:"webhook"`
	Kafka   *kafka.Config   `yaml:"kafka"`
	Syslog  *syslog.Config  `yaml:"syslog"`
	// Kinds of events that this sink gets: hit, update, alert and canary. It is short for
	// delivery.filter.kinds. Default: all to Kafka, which has a topic for canaries, and all
	// but canary to the others, where people count what comes.
	Kinds []event.Kind `yaml:"kinds"`
	// Delivery is what this sink gets, and how it is retried.
	Delivery *sinks.RunnerConfig `yaml:"delivery"`
}

// Console prints events on standard output.
type Console struct {
	// Colour is auto (on a terminal), always or never.
	Colour string `yaml:"colour"`
}

// Default is the configuration without a file: the usual three ports, the feeds that
// everybody may use, the hit log in the state directory, events on the terminal.
func Default() Config {
	c := base()
	c.Fill()
	return c
}

// base is Default before Fill: what depends on another key is still open.
func base() Config {
	c := Config{
		Name:      hostname(),
		StateDir:  defaultStateDir(),
		Home:      intel.DefaultHome(),
		Intel:     spec.DefaultConfig(),
		DNSBL:     dnsbl.DefaultConfig(),
		Contact:   correlate.DefaultConfig(),
		History:   history.DefaultConfig(),
		Incidents: DefaultIncidents(),
		Rules:     rulebook.DefaultConfig(),
		Report:    report.DefaultConfig(),
		Clock:     clock.DefaultConfig(),
		Canary:    Canary{Every: time.Minute},
		Health:    DefaultHealth(),
		Limits:    decode.DefaultLimits(),
		SFlow:     SFlow{Tunnels: true},
		Journal:   journal.DefaultConfig(),
		Sinks:     []Sink{{JSONLog: new(jsonlog.DefaultConfig())}, {Console: &Console{Colour: "auto"}}},
		Web:       web.DefaultConfig(),
		Blocks:    defaultBlocks(),
	}
	c.Intel.Feeds = spec.BuiltIn()
	for _, port := range []string{":2055", ":4739", ":6343"} {
		l := udp.DefaultConfig()
		l.Listen = port
		c.Listen = append(c.Listen, l)
	}
	return c
}

func hostname() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "flowsnitch"
}

// defaultStateDir is empty where the environment names no place of our own: a directory for
// all users, as the temporary one, may be prepared by anybody.
func defaultStateDir() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return filepath.SplitList(dir)[0]
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "flowsnitch")
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "flowsnitch")
	}
	return ""
}

// Fill puts in the defaults that depend on other keys, and hands the keys that several
// components need to each of them.
func (c *Config) Fill() {
	if c.Journal.Dir == "" && c.Journal.Durability != journal.InMemory {
		c.Journal.Dir = filepath.Join(c.StateDir, "journal")
	}
	for i := range c.Sinks {
		s := &c.Sinks[i]
		if s.JSONLog != nil && s.JSONLog.Path == "" {
			s.JSONLog.Path = filepath.Join(c.StateDir, "hits.json")
		}
		if s.Delivery == nil {
			s.Delivery = s.defaultDelivery()
		}
		switch f := &s.Delivery.Filter; {
		case f.Kinds != nil:
		case s.Kinds != nil:
			f.Kinds = s.Kinds
		case s.Kafka != nil:
			f.Kinds = []event.Kind{} // all
		default:
			*s.Delivery = withKinds(*s.Delivery)
		}
	}
	c.Contact.Sensor, c.Contact.Home, c.Contact.Exporters = c.Name, c.Home, c.Exporters
	c.Contact.NAT64, c.Contact.Sites = c.NAT64, c.Sites
}

// UnmarshalYAML begins with the defaults of what the entry names.
func (s *Sink) UnmarshalYAML(n ast.Node) error {
	v, named := reflect.ValueOf(s).Elem(), keysOf(n)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Type.Kind() == reflect.Pointer && slices.Contains(named, f.Tag.Get("yaml")) {
			block := reflect.New(f.Type.Elem())
			block.Elem().Set(defaultOf(f.Type.Elem()))
			v.Field(i).Set(block)
		}
	}
	s.Delivery = s.defaultDelivery()
	type keys Sink // without this method
	return yaml.NodeToValue(n, (*keys)(s), yaml.Strict())
}

func (s *Sink) defaultDelivery() *sinks.RunnerConfig {
	d := sinks.DefaultRunnerConfig()
	if s.Webhook != nil {
		d.Batch, d.Timeout = 5000, 0 // one message of all that waits, an interval long
	}
	return &d
}

// AllHome gives the networks that are ours at any site.
func (c *Config) AllHome() []netip.Prefix { return c.Contact.AllHome() }

// Validate reports the first error, each error beginning with the
// path of its key.
func (c *Config) Validate() error {
	switch {
	case c.Name == "":
		return errors.New("name: must not be empty")
	case c.StateDir == "":
		return errors.New("state_dir: must not be empty, and the environment has no STATE_DIRECTORY, XDG_STATE_HOME or HOME to derive it from; set an absolute path such as state_dir: /var/lib/flowsnitch")
	case c.MemoryLimit != 0 && c.MemoryLimit < leastMemory:
		return fmt.Errorf("memory_limit: %d is below %d; 0 is no limit", c.MemoryLimit, leastMemory)
	}
	if err := c.validateListen(); err != nil {
		return err
	}
	if err := c.Intel.Validate(); err != nil {
		return fmt.Errorf("intel.%w", err)
	}
	if err := c.DNSBL.Validate(); err != nil {
		return fmt.Errorf("dnsbl.%w", err)
	}
	if err := c.Contact.Validate(); err != nil {
		return err
	}
	if err := c.History.Validate(); err != nil {
		return fmt.Errorf("history.%w", err)
	}
	if err := c.Incidents.Validate(); err != nil {
		return fmt.Errorf("incidents.%w", err)
	}
	if err := c.Rules.Validate(); err != nil {
		return fmt.Errorf("rules.%w", err)
	}
	if err := c.validateReport(); err != nil {
		return fmt.Errorf("report.%w", err)
	}
	if err := c.Canary.Validate(); err != nil {
		return fmt.Errorf("canary.%w", err)
	}
	if err := c.validateBlocks(); err != nil {
		return err
	}
	if err := c.Health.Validate(); err != nil {
		return fmt.Errorf("health.%w", err)
	}
	if err := c.Clock.Validate(); err != nil {
		return err
	}
	if err := c.Limits.Validate(); err != nil {
		return fmt.Errorf("limits.%w", err)
	}
	if err := c.Web.Validate(); err != nil {
		return fmt.Errorf("web.%w", err)
	}
	return c.validateSinks()
}

// leastMemory is a memory limit with which the collector still finds time for anything
// else.
const leastMemory = 16 << 20

func (c *Config) validateListen() error {
	if len(c.Listen) == 0 {
		return errors.New("listen: is empty, so nothing could be received; leave the key out for the usual ports")
	}
	taken := make(map[string]int)
	for i, l := range c.Listen {
		if err := l.Validate(); err != nil {
			return fmt.Errorf("listen[%d].%w", i, first(err))
		}
		if j, ok := taken[l.Listen]; ok && !strings.HasSuffix(l.Listen, ":0") {
			return fmt.Errorf("listen[%d].udp: %q is that of listen[%d] too; 'sockets' makes several on one address", i, l.Listen, j)
		}
		taken[l.Listen] = i
	}
	return nil
}

func (c *Config) validateSinks() error {
	if len(c.Sinks) == 0 {
		return errors.New("sinks: is empty, so hits would go nowhere; leave the key out for hit log and terminal")
	}
	logs := make(map[string]int)
	if err := c.Journal.Validate(); err != nil {
		return fmt.Errorf("journal.%w", err)
	}
	for i, s := range c.Sinks {
		if err := s.validate(); err != nil {
			return fmt.Errorf("sinks[%d]%w", i, err)
		}
		if s.JSONLog == nil {
			continue
		}
		path := filepath.Clean(s.JSONLog.Path)
		if j, ok := logs[path]; ok {
			return fmt.Errorf("sinks[%d].jsonlog.path: %s is that of sinks[%d] too", i, path, j)
		}
		logs[path] = i
	}
	return nil
}

// first gives the first of joined errors: one clear line helps more than five.
func first(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok && len(j.Unwrap()) > 0 {
		return j.Unwrap()[0]
	}
	return err
}

func (s *Sink) validate() error {
	kinds := s.kinds()
	switch len(kinds) {
	case 0:
		return errors.New(": names no kind of sink; allowed are jsonlog, console, kafka, syslog, webhook")
	case 1:
	default:
		return fmt.Errorf(": %s in one entry; make an entry of each", strings.Join(kinds, " and "))
	}
	if s.JSONLog != nil {
		if err := s.JSONLog.Validate(); err != nil {
			return fmt.Errorf(".jsonlog.%w", first(err))
		}
	}
	if s.Webhook != nil {
		if err := s.Webhook.Validate(); err != nil {
			return fmt.Errorf(".webhook.%w", first(err))
		}
	}
	if s.Console != nil && s.Console.Colour != "auto" && s.Console.Colour != "always" && s.Console.Colour != "never" {
		return fmt.Errorf(".console.colour: %q; allowed are auto, always, never", s.Console.Colour)
	}
	if s.Kafka != nil {
		if err := s.Kafka.Validate(); err != nil {
			return fmt.Errorf(".kafka.%w", first(err))
		}
	}
	if s.Syslog != nil {
		if err := s.Syslog.Validate(); err != nil {
			return fmt.Errorf(".syslog.%w", first(err))
		}
	}
	if err := (sinks.Filter{Kinds: s.Kinds}).Validate(); err != nil {
		return fmt.Errorf(".%w", err)
	}
	if s.Kinds != nil && !slices.Equal(s.Kinds, s.Delivery.Filter.Kinds) {
		return errors.New(".kinds: differs from delivery.filter.kinds; set only one of them")
	}
	if err := s.Delivery.Validate(); err != nil {
		return fmt.Errorf(".delivery.%w", err)
	}
	return nil
}

// kinds names the kinds of sink that an entry has.
func (s *Sink) kinds() []string {
	var names []string
	if s.JSONLog != nil {
		names = append(names, "jsonlog")
	}
	if s.Console != nil {
		names = append(names, "console")
	}
	if s.Webhook != nil {
		names = append(names, "webhook")
	}
	if s.Kafka != nil {
		names = append(names, "kafka")
	}
	if s.Syslog != nil {
		names = append(names, "syslog")
	}
	return names
}
