package app

import (
	"cmp"
	"math"
	"os"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// A Status is the state of a running instance, as the control socket tells it.
type Status struct {
	Version   string           `json:"version"`
	Name      string           `json:"name"`
	PID       int              `json:"pid"`
	Since     time.Time        `json:"since"`
	Config    string           `json:"config"` // file, or "built-in default"
	StateDir  string           `json:"state_dir"`
	Starting  bool             `json:"starting,omitempty"`
	Listeners []ListenerStatus `json:"listeners"`
	Decoded   DecodeStatus     `json:"decoded"`
	Exporters ExporterStatus   `json:"exporters"`
	Intel     IntelStatus      `json:"intel"`
	DNSBL     *DNSBLStatus     `json:"dnsbl,omitempty"`
	Hits      HitStatus        `json:"hits"`
	Journal   JournalStatus    `json:"journal"`
	Sinks     []SinkStatus     `json:"sinks"`
	Canary    CanaryStatus     `json:"canary"`
	Clock     ClockStatus      `json:"clock"`
	Memory    MemoryStatus     `json:"memory"`
	Web       *web.Stats       `json:"web,omitempty"` // metrics and health over HTTP
	// Stalled is work in the background that has been under way for ten seconds and more.
	Stalled []Stalled `json:"stalled,omitempty"`
	// Health is one finding for each check, as of the last ten seconds.
	Health []Finding `json:"health"`
	// Recent are the last hits and alerts, the latest first. The web server does not tell
	// them: on loopback everybody on the host may ask it.
	Recent []RecentEvent `json:"recent,omitempty"`
}

// A CanaryStatus is the self-test: flows sent on purpose, and how far they came.
type CanaryStatus = canary.Status

// A CanaryAt tells when a canary was last somewhere, and how long it took to there.
type CanaryAt = canary.At

// A ClockStatus is what is known of the machine's clock.
type ClockStatus struct {
	State    string    `json:"state"` // ok | unsynced
	Why      string    `json:"why,omitempty"`
	Trusted  time.Time `json:"trusted,omitzero"` // the time that is gone by
	Jumps    uint64    `json:"jumps"`
	LastJump float64   `json:"last_jump_seconds,omitempty"` // forward > 0
}

// A ListenerStatus is one address, all its sockets together.
type ListenerStatus struct {
	Address         string `json:"address"`
	Listen          string `json:"listen"` // as the configuration says
	Sockets         int    `json:"sockets"`
	Datagrams       uint64 `json:"datagrams"`
	Bytes           uint64 `json:"bytes"`
	Refused         uint64 `json:"refused"`
	KernelDrops     uint64 `json:"kernel_drops"`
	KernelDropsKnow bool   `json:"kernel_drops_known"`
	Truncated       uint64 `json:"truncated"`
	ReadErrors      uint64 `json:"read_errors"`
	Unread          uint64 `json:"unread"`
	BufferWanted    int    `json:"buffer_wanted"`
	BufferGranted   int    `json:"buffer_granted"`
	// Beat is the time of the last turn of the worker that is furthest behind; each
	// turns once a second, even when nothing comes.
	Beat time.Time `json:"beat,omitzero"`
}

// A VersionStatus is one export protocol.
type VersionStatus struct {
	Datagrams     uint64 `json:"datagrams"`
	Bytes         uint64 `json:"bytes"`
	Records       uint64 `json:"records"`
	OptionRecords uint64 `json:"option_records"`
}

// A DecodeStatus is what all decoders did.
type DecodeStatus struct {
	Versions         map[string]VersionStatus `json:"versions"`
	NoAddress        uint64                   `json:"no_address"`
	TunnelsSkipped   uint64                   `json:"tunnels_skipped"` // inner packets between ends that are not ours
	Templates        uint64                   `json:"templates"`
	OptionsTemplates uint64                   `json:"options_templates"`
	UnknownSets      uint64                   `json:"unknown_template_sets"`
	UnknownBytes     uint64                   `json:"unknown_template_bytes"`
	Problems         map[decode.Reason]uint64 `json:"problems"`
}

// maxListed bounds the exporters that a status lists one by one; anyNumber does not.
const (
	maxListed = 100
	anyNumber = math.MaxInt
)

// An ExporterStatus is what is known of the exporters: totals, and those that
// sent most.
type ExporterStatus struct {
	decode.ExportersStats
	List []decode.ExporterStatus `json:"list"`
}

func exporterStatus(x *decode.Exporters, most int) ExporterStatus {
	list := x.Snapshot()
	sent := func(e *decode.ExporterStatus) (n uint64) {
		for i := range e.Streams {
			n += e.Streams[i].Datagrams
		}
		return n
	}
	slices.SortStableFunc(list, func(a, b decode.ExporterStatus) int { return cmp.Compare(sent(&b), sent(&a)) })
	list = list[:min(len(list), most)]
	for i := range list {
		list[i].LastSeen = byWall(list[i].LastSeen)
		for j := range list[i].Streams {
			list[i].Streams[j].LastSeen = byWall(list[i].Streams[j].LastSeen)
		}
	}
	return ExporterStatus{ExportersStats: x.Stats(), List: list}
}

// An IntelStatus is the set in force.
type IntelStatus struct {
	Version    string    `json:"version"`
	Built      time.Time `json:"built"`
	Indicators int       `json:"indicators"`
	// Feeds are all feeds and warninglists, in the order of the configuration, the
	// lists of the command line first.
	Feeds []fetch.Status `json:"feeds,omitempty"`
	// Quarantined are entries that matched an absurd share of all flows.
	Quarantined []fetch.Quarantined `json:"quarantined,omitempty"`
	// HitsDay counts the hits of the last 24 hours by feed.
	HitsDay map[string]uint64 `json:"hits_day,omitempty"`
}

// A HitStatus is what the correlator did.
type HitStatus struct {
	Found uint64 `json:"found"`
	// Feeds are the hits by feed and direction; FeedsOther those beyond the cap.
	Feeds        []correlate.FeedHits `json:"feeds,omitempty"`
	FeedsOther   uint64               `json:"feeds_other,omitempty"`
	HitQueueFull uint64               `json:"hit_queue_full"`
	// HitsLost are those of HitQueueFull by the severity that they could have reached,
	// low to critical.
	HitsLost   [4]uint64       `json:"hits_lost"`
	Correlator correlate.Stats `json:"correlator"`
	// Beat is the time of the last turn of the correlator, which turns once a second,
	// even when nothing comes.
	Beat time.Time `json:"beat,omitzero"`
}

// A JournalStatus is what holds events until every sink has had them.
type JournalStatus struct {
	Appended    uint64 `json:"appended"`
	Bytes       int64  `json:"bytes"`     // of its files
	MaxBytes    int64  `json:"max_bytes"` // they may have
	InMemory    uint64 `json:"in_memory"`
	DroppedFull uint64 `json:"dropped_full"` // over max_bytes or memory_bytes
	DroppedOld  uint64 `json:"dropped_old"`  // over max_age
	WriteErrors uint64 `json:"write_errors"`
	Trouble     string `json:"trouble,omitempty"` // why the disk does not take events
}

// A SinkStatus is one way out.
type SinkStatus struct {
	Name      string `json:"name"`
	Sent      uint64 `json:"sent"`
	Pending   uint64 `json:"pending"`
	Dropped   uint64 `json:"dropped"`
	Failed    uint64 `json:"failed"`
	Filtered  uint64 `json:"filtered"`
	Limited   uint64 `json:"limited"`
	Errors    uint64 `json:"errors"`
	Failing   bool   `json:"failing"`
	LastError string `json:"last_error,omitempty"`
}

// Status gathers the state. Any goroutine may ask, also while Start is at work.
func (a *App) Status() Status { return a.status(maxListed) }

// status gathers the state, with the exporters that sent most.
func (a *App) status(most int) Status {
	s := Status{
		Version: a.opts.Version, Name: a.cfg.Name, PID: os.Getpid(), Since: byWall(a.since),
		Config: a.opts.ConfigFile, StateDir: a.cfg.StateDir,
	}
	if s.Config == "" {
		s.Config = "built-in default"
	}
	s.Memory = memoryStatus()
	s.Stalled = a.work.longer(a.work.slow)
	if !a.ready.Load() {
		s.Starting = true
		return s
	}
	// Against the stream: what is counted at the end of the path while this looks
	// has been counted at its beginning when this gets there.
	s.Journal = a.sinks.journalStatus()
	s.Journal.MaxBytes = a.cfg.Journal.MaxBytes
	s.Sinks = a.sinks.status()
	s.Hits.Correlator = a.contacts.Stats()
	queue := a.loop.Stats()
	s.Hits.HitQueueFull, s.Hits.HitsLost = queue.HitQueueFull, queue.LostBySeverity
	s.Hits.Beat = byWall(a.loop.Beat())
	var d decode.Stats
	for i, l := range a.listeners {
		for _, w := range l.workers {
			s.Hits.Found += w.Matched()
			d.Add(w.Decoded())
		}
		s.Listeners = append(s.Listeners, l.status())
		s.Listeners[i].Listen = a.cfg.Listen[i].Listen
	}
	s.Canary = a.canaryStatus()
	s.Decoded = decodeStatus(d)
	s.Exporters = exporterStatus(a.exporters, most)
	s.Clock = a.watch.status()
	s.Hits.Feeds, s.Hits.FeedsOther = a.contacts.FeedHits()
	s.Intel = a.feeds.status()
	a.days.look(s.Hits.Feeds, time.Now())
	s.Intel.HitsDay = a.days.status()
	s.DNSBL = a.dnsblStatus()
	s.Web = a.webStatus()
	s.Health = a.Findings()
	s.Recent = a.sinks.recent.events()
	return s
}

func (l *listener) status() ListenerStatus {
	st := ListenerStatus{Sockets: len(l.sockets), KernelDropsKnow: true}
	for _, s := range l.sockets {
		c := s.Stats()
		st.Address = s.LocalAddr().String()
		st.Datagrams += c.Datagrams
		st.Bytes += c.Bytes
		st.Refused += c.Refused
		st.KernelDrops += c.Drops
		st.KernelDropsKnow = st.KernelDropsKnow && c.DropsKnown
		st.Truncated += c.Truncated
		st.ReadErrors += c.ReadErrors
		st.Unread += c.Unread
		st.BufferWanted, st.BufferGranted = c.BufferWanted, c.BufferGranted
	}
	st.Beat = l.beat()
	return st
}

func decodeStatus(d decode.Stats) DecodeStatus {
	s := DecodeStatus{
		Versions: make(map[string]VersionStatus), NoAddress: d.NoAddress, TunnelsSkipped: d.TunnelsSkipped,
		Templates: d.Templates, OptionsTemplates: d.OptionsTemplates,
		UnknownSets: d.UnknownSets, UnknownBytes: d.UnknownBytes, Problems: d.Problems,
	}
	for name, v := range map[string]decode.VersionStats{"v5": d.V5, "v9": d.V9, "ipfix": d.IPFIX, "sflow": d.SFlow} {
		s.Versions[name] = VersionStatus(v)
	}
	return s
}

func (o *outputs) status() []SinkStatus {
	var out []SinkStatus
	for _, r := range o.runners {
		s := r.Stats()
		out = append(out, SinkStatus{
			Name: r.Name(), Sent: s.Delivered, Pending: s.Pending, Dropped: s.Dropped,
			Failed: s.Failed, Filtered: s.Filtered, Limited: s.Limited,
			Errors: s.Errors, Failing: s.Failing > 0, LastError: s.LastError,
		})
	}
	return out
}

func (o *outputs) journalStatus() JournalStatus {
	s := o.journal.Stats()
	return JournalStatus{
		Appended: s.Appended, Bytes: s.Bytes, InMemory: s.InMemory, DroppedFull: s.DroppedFull,
		DroppedOld: s.DroppedOld, WriteErrors: s.WriteErrors, Trouble: s.Trouble,
	}
}
