package decode

import (
	"fmt"
	"time"
)

// Limits cap memory that exporters can use. Each has a counter for when it was
// reached. Senders that are not named in the configuration and have not sent records
// at times a minute apart give way first; a table full of the others refuses newcomers.
type Limits struct {
	// Exporters is the number of exporter addresses.
	Exporters int `yaml:"exporters"`
	// DomainsPerExporter is the number of observation domains, source ids,
	// engines or agents behind one address, each protocol for itself.
	DomainsPerExporter int `yaml:"domains_per_exporter"`
	// TemplatesPerExporter and Templates count data and options templates.
	TemplatesPerExporter int `yaml:"templates_per_exporter"`
	Templates            int `yaml:"templates"`
	// TemplateBytes is the memory that all templates may take, about.
	TemplateBytes int `yaml:"template_bytes"`
	// StateBytes is the memory that streams may take beside their templates, about:
	// sequence numbers, samplers, sFlow data sources, ids of missing templates.
	StateBytes int `yaml:"state_bytes"`
	// Samplers is the number of samplers, interfaces and the like in one domain that
	// have a sampling rate of their own.
	Samplers int `yaml:"samplers"`
	// EarlyBytes and EarlyBytesPerExporter bound the data sets that wait for
	// their template, EarlyAge how long they wait.
	EarlyBytes            int           `yaml:"early_bytes"`
	EarlyBytesPerExporter int           `yaml:"early_bytes_per_exporter"`
	EarlyAge              time.Duration `yaml:"early_age"`
	// Forget is the silence after which an exporter, or one of its domains, and its
	// templates go: 30 minutes at most for one that has not sent records at times a minute
	// apart, 10 for one without any.
	Forget time.Duration `yaml:"forget"`
}

// DefaultLimits are generous for a carrier and harmless for a Raspberry Pi.
func DefaultLimits() Limits {
	return Limits{
		Exporters: 10_000, DomainsPerExporter: 256,
		TemplatesPerExporter: 1000, Templates: 100_000, TemplateBytes: 64 << 20,
		StateBytes: 64 << 20, Samplers: 1024,
		EarlyBytes: 16 << 20, EarlyBytesPerExporter: 1 << 20, EarlyAge: 10 * time.Minute,
		Forget: 24 * time.Hour,
	}
}

// Validate names the first key that cannot be, and what is allowed there.
func (l Limits) Validate() error {
	for _, k := range []struct {
		key       string
		value     int
		low, high int
	}{
		{"exporters", l.Exporters, 1, 1_000_000},
		{"domains_per_exporter", l.DomainsPerExporter, 1, 65_536},
		{"templates_per_exporter", l.TemplatesPerExporter, 1, 65_536},
		{"templates", l.Templates, 1, 10_000_000},
		{"template_bytes", l.TemplateBytes, 1 << 20, 1 << 30},
		{"state_bytes", l.StateBytes, 1 << 20, 1 << 30},
		{"samplers", l.Samplers, 1, 65_536},
		{"early_bytes", l.EarlyBytes, 0, 1 << 30},
		{"early_bytes_per_exporter", l.EarlyBytesPerExporter, 0, 1 << 30},
	} {
		if k.value < k.low || k.value > k.high {
			return fmt.Errorf("%s: %d is outside %d to %d", k.key, k.value, k.low, k.high)
		}
	}
	if l.EarlyAge < 0 || l.EarlyAge > 24*time.Hour {
		return fmt.Errorf("early_age: %s is outside 0s to 24h", l.EarlyAge)
	}
	if l.Forget < time.Minute {
		return fmt.Errorf("forget: %s is too short; allowed are 1m and more", l.Forget)
	}
	return nil
}

// What things take of limits.StateBytes: with their maps, and with what grows a
// little later, like the history of a stream.
const (
	streamCost  = 2048
	samplerCost = 256
	sourceCost  = 64
	missingCost = 64
)

// room takes n bytes of limits.StateBytes for as long as a stream is known, or with no
// stream its exporter. Others give way where they must.
func (x *Exporters) room(e *exporter, s *stream, n int) bool {
	over := x.stateBytes.Add(int64(n)) - x.share(e, x.limits.StateBytes)
	if over > 0 && !x.reclaim(e, stateMemory, over) {
		x.stateBytes.Add(-int64(n))
		return false
	}
	e.state += n
	if s != nil {
		s.state += n
	}
	return true
}
