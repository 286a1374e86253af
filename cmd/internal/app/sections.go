package app

import (
	"io"
	"os"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// The names of components, in the order in which they start.
const (
	partInstance  = "instance"
	partWeb       = "web"
	partOutputs   = "outputs"
	partClock     = "clock"
	partFeeds     = "feeds"
	partCorrelate = "correlator"
	partDNSBL     = "dnsbl"
	partDecoder   = "decoder"
	partListeners = "listeners"
	partCanary    = "canary"
	partHealth    = "health"

	partStatusChecks = "checks of the whole status"
)

// A showing gives what each section shows.
type showing struct {
	instance  func() InstanceStatus
	memory    func() MemoryStatus
	stalled   func() []Stalled
	web       func() *web.Stats
	journal   func() JournalStatus
	sinks     func() []SinkStatus
	recent    func() []RecentEvent
	latest    func() []LatestStatus
	clock     func() ClockStatus
	intel     func() IntelStatus
	hits      func() HitStatus
	dnsbl     func() *DNSBLStatus
	decoded   func() DecodeStatus
	exporters func() ExporterStatus
	totals    func() []ExporterTotals
	listeners func() []ListenerStatus
	canary    func() canary.Status
	health    func() []observe.Finding
}

// register registers the sections, against the stream of the data. 'flowsnitch status' has
// lines of its own for them; what else is registered is shown by its tags.
func (s *showing) register(r *observe.Registry) {
	add := func(part string, sections ...observe.Section) {
		for _, section := range sections {
			section.OwnText = true
			r.Component(part).Add(section)
		}
	}
	recent, latest := observe.Of("recent", s.recent), observe.Of("latest", s.latest)
	recent.Plain, latest.Plain = true, true
	recent.Private, latest.Private = true, true // on loopback everybody on the host may ask the web server
	add(partInstance, observe.Of("", s.instance), observe.Of("memory", s.memory), observe.Of("stalled", s.stalled))
	add(partWeb, observe.Of("web", s.web))
	add(partOutputs, observe.Of("sinks", s.sinks), observe.Of("journal", s.journal), recent, latest)
	add(partClock, observe.Of("clock", s.clock))
	add(partFeeds, observe.Of("intel", s.intel))
	add(partCorrelate, observe.Of("hits", s.hits))
	add(partDNSBL, observe.Of("dnsbl", s.dnsbl))
	add(partDecoder, observe.Of("decoded", s.decoded), observe.Of("exporters", s.exporters), observe.Of("exporter_totals", s.totals))
	add(partListeners, observe.Of("listeners", s.listeners))
	add(partCanary, observe.Of("canary", s.canary))
	add(partHealth, observe.Of("health", s.health))
}

// An InstanceStatus is the process.
type InstanceStatus struct {
	BuildStatus
	Name     string    `json:"name" show:"some" words:""`
	PID      int       `json:"pid" name:"-" show:"always"`
	Since    time.Time `json:"since" name:"-" show:"always" words:"started"`
	Config   string    `json:"config" show:"some" words:"configuration"` // file, or "built-in default"
	StateDir string    `json:"state_dir"`
	Starting bool      `json:"starting,omitempty" name:"-" show:"some" words:"still starting"`
	Ready    bool      `json:"ready" name:"ready" help:"1 while /readyz answers 200."`
}

// A BuildStatus is the version of the program.
type BuildStatus struct {
	Version string `json:"version" label:"version" name:"build_info" help:"1, labelled by the version of the program."`
}

func (a *App) instance() InstanceStatus {
	s := InstanceStatus{
		BuildStatus: BuildStatus{a.opts.Version}, Name: a.cfg.Name, PID: os.Getpid(), Since: byWall(a.since),
		Config: a.opts.ConfigFile, StateDir: a.cfg.StateDir, Starting: !a.ready.Load(),
	}
	if s.Config == "" {
		s.Config = "built-in default"
	}
	_, ready := a.readiness()
	s.Ready = ready.Ready
	return s
}

// An ExporterTotals is the sum of the streams of an exporter, of the 100 that sent most,
// without those that send nothing but canaries.
type ExporterTotals struct {
	Exporter  string    `json:"exporter" label:"exporter"`
	Last      time.Time `json:"last" name:"exporter_silence_seconds" help:"Time since the last datagram other than canaries, of the 100 exporters that sent most."`
	Datagrams uint64    `json:"datagrams" name:"exporter_datagrams_total" help:"Datagrams of an exporter."`
	Records   uint64    `json:"records" name:"exporter_records_total" help:"Flow records of an exporter."`
	Lost      uint64    `json:"lost" name:"exporter_lost_total" help:"Losses of an exporter according to its sequence numbers, in the unit that they count." settles:"true"`
	Late      uint64    `json:"late" name:"exporter_late_total" help:"Datagrams of an exporter that arrived late, so that they no longer count as lost."`
	Repeated  uint64    `json:"repeated" name:"exporter_repeated_total" help:"Datagrams of an exporter that arrived twice."`
	Resets    uint64    `json:"resets" name:"exporter_resets_total" help:"Restarts of an exporter according to its sequence numbers."`
	Jumps     uint64    `json:"jumps" name:"exporter_jumps_total" help:"Sequence numbers of an exporter that no loss explains."`
	Dropped   uint64    `json:"sflow_dropped" name:"exporter_sflow_dropped_total" help:"Packets that an sFlow agent could not sample, by its own count."`
	Missing   int       `json:"missing_templates" name:"exporter_missing_templates" help:"Templates for which an exporter sends data and that it has not sent."`
}

func exporterTotals(list []decode.ExporterStatus) (totals []ExporterTotals) {
	for i := range list {
		last, ok := lastExport(&list[i])
		if !ok {
			continue
		}
		t := ExporterTotals{Exporter: list[i].Address.String(), Last: last}
		for j := range list[i].Streams {
			s := &list[i].Streams[j]
			t.Datagrams += s.Datagrams
			t.Records += s.Records
			t.Lost += s.Lost
			t.Late += s.Late
			t.Repeated += s.Repeated
			t.Resets += s.Resets
			t.Jumps += s.Jumps
			t.Dropped += s.Dropped
			t.Missing += len(s.Missing)
		}
		totals = append(totals, t)
	}
	return totals
}

// withAllFeeds adds what has had no hit, so that its first hit is a rise.
func withAllFeeds(hits []correlate.FeedHits, feeds []fetch.Status) []correlate.FeedHits {
	known := make(map[correlate.FeedHits]bool)
	for _, h := range hits {
		known[correlate.FeedHits{Feed: h.Feed, Direction: h.Direction}] = true
	}
	for i := range feeds {
		if feeds[i].Class != "" {
			continue // a warninglist lists nothing that could be a hit
		}
		for _, d := range []event.Direction{event.Inbound, event.Outbound, event.Internal, event.Transit} {
			if key := (correlate.FeedHits{Feed: feeds[i].Name, Direction: d}); !known[key] {
				hits = append(hits, key)
			}
		}
	}
	return hits
}

// WriteSections writes the text of the sections for which 'flowsnitch status' has no lines
// of its own.
func (a *App) WriteSections(w io.Writer) error { return a.registry.WriteText(w) }
