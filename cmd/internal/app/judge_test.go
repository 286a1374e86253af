package app

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/enrich"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro"
	"github.com/flowsnitch/flowsnitch/intel/sites"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"go.uber.org/zap"
)

// A past is what checks know beside a status.
type past struct {
	limits configs.Health
	named  []sites.Exporter // by the configuration
	caps   decode.Limits

	status  Status                   // of observe.Window ago
	failing map[string]time.Duration // how long each sink has been failing
	habits  map[netip.Addr]habit
	transit float64   // percent of the flows of the last hour
	date    time.Time // by a clock that can be trusted; zero = the time of the look
}

// A judge has the checks of all components; they look at a status of the test.
type judge struct {
	registry  *observe.Registry
	exporters *exporterCheck
	status    *Status
	now       time.Time
}

func newJudge(p *past) *judge {
	j := &judge{registry: new(observe.Registry)}
	since := func() time.Time { return j.status.Since }
	date := func() time.Time {
		if p.date.IsZero() {
			return j.now
		}
		return p.date
	}
	j.exporters = &exporterCheck{limits: p.limits, named: p.named, caps: p.caps, since: since,
		exporters: func() ExporterStatus { return j.status.Exporters }, decoded: func() DecodeStatus { return j.status.Decoded }}
	feeds := &feedCheck{limits: p.limits, intel: func() IntelStatus { return j.status.Intel }, date: date, since: since,
		otherwise: func() bool { return j.status.DNSBL.lists() }}
	c := j.registry.Component("all")
	c.Add(
		sinkCheck(func() []SinkStatus { return j.status.Sinks }), spoolCheck(func() JournalStatus { return j.status.Journal }, since),
		clockCheck(func() ClockStatus { return j.status.Clock }),
		observe.Check{Name: "feeds", State: feeds.state}, zoneCheck(func() *DNSBLStatus { return j.status.DNSBL }),
		j.exporters.checks(),
		contactChecks(func() HitStatus { return j.status.Hits }),
		listenerChecks(p.limits, func() []ListenerStatus { return j.status.Listeners }, func(time.Time) float64 { return p.transit }),
		canaryCheck(func() canary.Status { return j.status.Canary }, since),
		stalledCheck(func() []Stalled { return j.status.Stalled }), historyCheck(func() history.Stats { return j.status.History }, p.limits.Transit),
		incidentCheck(func() IncidentStatus { return j.status.Incidents }),
		ruleCheck(func() RuleStatus { return j.status.Rules }),
		reportCheck(func() ReportStatus { return j.status.Report }),
		retro.Check(func() retro.Stats { return j.status.Retro }), silenceCheck(func() SilenceStatus { return j.status.Silences }),
	)
	c.Ready()
	return j
}

// look shows a status to the checks.
func (j *judge) look(s *Status, now time.Time) []observe.Finding {
	j.status, j.now = s, now
	return j.registry.Findings(now)
}

// watch is a healthWatch that has the checks of a judge.
func (j *judge) watch(log *zap.Logger) *healthWatch {
	return newHealthWatch(j.registry, newBackground(zap.NewNop()), log)
}

// findings judges a status at the time now, after the past.
func findings(s *Status, p *past, now time.Time) []observe.Finding {
	j := newJudge(p)
	before := p.status
	before.Sinks = nil
	for _, k := range p.status.Sinks {
		k.Failing = p.failing[k.Name] > 0
		before.Sinks = append(before.Sinks, k)
	}
	for _, d := range p.failing {
		j.look(&before, now.Add(-d))
	}
	j.look(&before, now.Add(-observe.Window))
	j.exporters.habits, j.exporters.quiet = p.habits, nil
	return j.look(s, now)
}

// registryOf has all sections of an app, which show a status of the test.
func registryOf(status func() Status) *observe.Registry {
	r := new(observe.Registry)
	c := r.Component("all")
	private := func(s observe.Section) observe.Section {
		s.Plain, s.Private = true, true
		return s
	}
	c.Add(
		observe.Printed("", func() InstanceStatus { return status().InstanceStatus }, printInstance), observe.Printed("memory", func() MemoryStatus { return status().Memory }, printMemory),
		observe.Printed("web", func() *web.Stats { return status().Web }, printWeb), observe.Printed("clock", func() ClockStatus { return status().Clock }, printClock),
	)
	newPlaces(&configs.Config{Blocks: map[string]any{placesKey: enrich.DefaultConfig()}}, zap.NewNop()).Register(c)
	c.Add(
		observe.Printed("silences", func() SilenceStatus { return status().Silences }, printSilences),
		observe.Printed("sinks", func() []SinkStatus { return status().Sinks }, printSinks), observe.Printed("journal", func() JournalStatus { return status().Journal }, printJournal),
		private(observe.Silent("recent", func() []RecentEvent { return status().Recent })), private(observe.Silent("latest", func() []LatestStatus { return status().Latest })),
		observe.Printed("incidents", func() IncidentStatus { return status().Incidents }, printIncidents),
		observe.Printed("intel", func() IntelStatus {
			s := status()
			setFeedAges(s.Intel.Feeds, s.Clock.Trusted)
			return s.Intel
		}, printIntel),
		observe.Printed("exports", func() ExportStatus { return status().Exports }, printExports),
		observe.Printed("hits", func() HitStatus {
			s := status()
			s.Hits.Feeds = withAllFeeds(s.Hits.Feeds, s.Intel.Feeds)
			return s.Hits
		}, printHits),
		observe.Printed("dnsbl", func() *DNSBLStatus { return status().DNSBL }, printDNSBL),
		observe.Printed("decoded", func() DecodeStatus { return status().Decoded }, printDecoded), observe.Printed("exporters", func() ExporterStatus { return status().Exporters }, printExporters),
		observe.Silent("exporter_totals", func() []ExporterTotals { return exporterTotals(status().Exporters.List) }),
		observe.Printed("history", func() history.Stats { return status().History }, printHistory),
		observe.Printed("hunt", func() HuntStatus { return status().Hunt }, printHunts),
		observe.Of("retro", func() retro.Stats { return status().Retro }),
		observe.Printed("rules", func() RuleStatus { return status().Rules }, printRules),
		observe.Printed("report", func() ReportStatus { return status().Report }, printReports),
	)
	for _, p := range plugs {
		if r, ok := p.make(p.defaults(), zap.NewNop()).(registrar); ok {
			r.Register(c)
		}
	}
	c.Add(
		observe.Printed("listeners", func() []ListenerStatus { return status().Listeners }, printListeners),
		observe.Printed("canary", func() canary.Status {
			s := status()
			s.Canary.SetAges(time.Now(), s.Since)
			return s.Canary
		}, printCanary),
		observe.Printed("health", func() []observe.Finding { return status().Health }, printHealth), observe.Printed("stalled", func() []Stalled { return status().Stalled }, printStalled),
	)
	c.Ready()
	return r
}

// TestSectionsOfTests: the sections of registryOf are those of an app.
func TestSectionsOfTests(t *testing.T) {
	a := New(configs.Default(), Options{}, zap.NewNop())
	if got, want := registryOf(nil).Fields(), a.registry.Fields(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}
