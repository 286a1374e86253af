package app

import (
	"cmp"
	"math"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/forward"
	"github.com/flowsnitch/flowsnitch/flow/udp"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/quarantine"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/flowsnitch/flowsnitch/sinks/jsonlog"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
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
	// Latest are the contacts that changed last, each as it is now, and the last alerts;
	// the latest first. Like Recent, it is left out by the web server.
	Latest []LatestStatus `json:"latest,omitempty"`
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
	// Steered is false when the senders are spread over the sockets by address and port,
	// so that an exporter moves when its port changes.
	Steered bool `json:"steered"`
	// RefusedSenders are those that are not allowed and send most, RefusedUnnamed the
	// datagrams of those that the log does not name, because it names too many already.
	RefusedSenders []RefusedSender `json:"refused_senders,omitempty"`
	RefusedUnnamed uint64          `json:"refused_unnamed"`
	// Forward are the targets that get copies.
	Forward []ForwardStatus `json:"forward,omitempty"`
	// Beat is the time of the last turn of the worker that is furthest behind; each
	// turns once a second, even when nothing comes.
	Beat time.Time `json:"beat,omitzero"`
}

// A RefusedSender is an address whose datagrams are not read, because it is not allowed.
type RefusedSender struct {
	Address netip.Addr `json:"address"`
	// Datagrams are at most so many, Certain of them are surely its own: only 16 senders
	// are counted one by one, and a new one begins with the number of the one it replaces.
	Datagrams uint64    `json:"datagrams"`
	Certain   uint64    `json:"certain"`
	Last      time.Time `json:"last"`
}

// A ForwardStatus is one target that gets copies of what a listener accepts, over all its
// workers: each copy is in one of Sent, Dropped, Failed and Looped.
type ForwardStatus struct {
	Target      string         `json:"target"`
	Address     netip.AddrPort `json:"address,omitzero"` // in use; absent while there is none
	KeepsSource bool           `json:"keeps_source"`     // copies carry the exporter's address
	Sent        uint64         `json:"sent"`
	SourceLost  uint64         `json:"source_lost"`          // of Sent, those that carry our address
	Dropped     uint64         `json:"dropped"`              // no room in the send buffer, or no address
	Failed      uint64         `json:"failed"`               // refused by the system
	Looped      uint64         `json:"looped"`               // left out: they had been forwarded a moment ago
	LoopedFrom  netip.AddrPort `json:"looped_from,omitzero"` // who sent the last of these
	Error       string         `json:"error,omitempty"`
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
	// Restored is what was taken up from the file of templates at the start.
	Restored RestoredStatus          `json:"restored"`
	File     TemplateFileStatus      `json:"file"`
	List     []decode.ExporterStatus `json:"list"`
	// SelfTest is the part of Exporters and Templates that only self-tests and canaries
	// take.
	SelfTest SelfTestShare `json:"self_test"`
}

// A SelfTestShare is what streams of canaries have of the exporters and templates.
type SelfTestShare struct {
	Exporters int `json:"exporters"` // those that send nothing else
	Templates int `json:"templates"`
}

// A TemplateFileStatus is the writing of the file of templates, samplers and sequence
// numbers.
type TemplateFileStatus struct {
	Writes      uint64 `json:"writes"`
	WriteErrors uint64 `json:"write_errors"`
	Error       string `json:"error,omitempty"` // of the last try, if that failed
}

// A RestoredStatus is what the file of templates had at the start. Damaged, expired and
// refused lines were left out; what was refused found no room within limits.
type RestoredStatus struct {
	Clean     bool   `json:"clean"` // the run before had stopped in order
	Exporters int    `json:"exporters"`
	Templates int    `json:"templates"`
	Samplers  int    `json:"samplers"`
	Damaged   int    `json:"damaged"`
	Expired   int    `json:"expired"`
	Refused   int    `json:"refused"`
	Error     string `json:"error,omitempty"` // why the rest could not be read
}

func exporterStatus(x *decode.Exporters, named []correlate.Exporter, most int) ExporterStatus {
	list := x.Snapshot()
	share := selfTestShare(list)
	sent := func(e *decode.ExporterStatus) (n uint64) {
		for i := range e.Streams {
			n += e.Streams[i].Datagrams
		}
		return n
	}
	slices.SortStableFunc(list, func(a, b decode.ExporterStatus) int { return cmp.Compare(sent(&b), sent(&a)) })
	list = list[:min(len(list), most)]
	nameExporters(list, named)
	for i := range list {
		list[i].LastSeen = byWall(list[i].LastSeen)
		for j := range list[i].Streams {
			list[i].Streams[j].LastSeen = byWall(list[i].Streams[j].LastSeen)
		}
	}
	return ExporterStatus{ExportersStats: x.Stats(), List: list, SelfTest: share}
}

// An IntelStatus is the set in force.
type IntelStatus struct {
	Version    string    `json:"version"`
	Built      time.Time `json:"built"`
	Indicators int       `json:"indicators"`
	// Feeds are all feeds and warninglists, in the order of the configuration, the
	// lists of the command line first.
	Feeds []fetch.Status `json:"feeds,omitempty"`
	// Quarantined are entries that matched an absurd share of all flows: their hits are
	// rolled up for a day.
	Quarantined []quarantine.Quarantined `json:"quarantined,omitempty"`
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
	HitsLost [4]uint64 `json:"hits_lost"`
	// Offered are hits and canaries handed to the correlator, those that were lost
	// included; Queued of them wait now.
	Offered    uint64          `json:"offered"`
	Queued     int             `json:"queued"`
	Correlator correlate.Stats `json:"correlator"`
	// Beat is the time of the last turn of the correlator, which turns once a second,
	// even when nothing comes.
	Beat time.Time `json:"beat,omitzero"`
}

// A JournalStatus is what holds events until every sink has had them.
type JournalStatus struct {
	Appended    uint64 `json:"appended"`
	Refused     uint64 `json:"refused"`   // events that came after its end
	Shortened   uint64 `json:"shortened"` // events over 1 MiB, or with a text over 32 KiB
	Bytes       int64  `json:"bytes"`     // of its files
	MaxBytes    int64  `json:"max_bytes"` // they may have
	Segments    int    `json:"segments"`  // its files
	MemoryBytes int64  `json:"memory_bytes"`
	InMemory    uint64 `json:"in_memory"`    // events that are not on the disk
	DroppedFull uint64 `json:"dropped_full"` // over max_bytes or memory_bytes
	DroppedOld  uint64 `json:"dropped_old"`  // over max_age

	// Urgent is what of that is of the urgent lane: events of high and critical severity,
	// and alerts.
	Urgent LaneStatus `json:"urgent"`

	Writes      uint64    `json:"writes"`
	Written     uint64    `json:"written"` // bytes
	WriteErrors uint64    `json:"write_errors"`
	Syncs       uint64    `json:"syncs"`
	SyncErrors  uint64    `json:"sync_errors"`
	Saves       uint64    `json:"saves"` // of the places of sinks
	SaveErrors  uint64    `json:"save_errors"`
	ReadErrors  uint64    `json:"read_errors"`
	Rewritten   uint64    `json:"rewritten"` // events written again after a failed sync
	Stalls      uint64    `json:"stalls"`
	ReadTrouble string    `json:"read_trouble,omitempty"`
	Trouble     string    `json:"trouble,omitempty"`    // why the disk does not take events
	LastError   string    `json:"last_error,omitempty"` // kept after recovery
	LastErrorAt time.Time `json:"last_error_at,omitzero"`

	Opened OpenedStatus `json:"opened"`
}

// A LaneStatus is one lane of the journal.
type LaneStatus struct {
	Bytes       int64  `json:"bytes"`
	MemoryBytes int64  `json:"memory_bytes"`
	InMemory    uint64 `json:"in_memory"`
	DroppedFull uint64 `json:"dropped_full"`
	DroppedOld  uint64 `json:"dropped_old"`
}

// An OpenedStatus is what the journal had at the start, and what of it was lost.
type OpenedStatus struct {
	Segments      int      `json:"segments"`
	Bytes         int64    `json:"bytes"`
	Events        uint64   `json:"events"`
	Cursors       int      `json:"cursors"`
	TornBytes     int64    `json:"torn_bytes"`     // cut off behind the last good record
	DamagedBytes  int64    `json:"damaged_bytes"`  // passed over between good records
	MissingEvents uint64   `json:"missing_events"` // known to have been in the damage
	LostEvents    uint64   `json:"lost_events"`    // no longer there behind the last record
	BadCursors    []string `json:"bad_cursors,omitempty"`
	LostCursors   []string `json:"lost_cursors,omitempty"`
	Unreadable    []string `json:"unreadable,omitempty"`
}

// A SinkStatus is one way out. The numbers of events count from when the sink was first
// configured, all else from the start.
type SinkStatus struct {
	Name string `json:"name"`
	// Since is when the sink was first configured; absent for one that an earlier version
	// has known, which did not note it.
	Since        time.Time `json:"since,omitzero"`
	Appended     uint64    `json:"appended"` // all events that there were for it
	Sent         uint64    `json:"sent"`
	Held         uint64    `json:"held"` // of Sent, those that may be sent again
	Pending      uint64    `json:"pending"`
	PendingBytes int64     `json:"pending_bytes"`
	OldestAge    float64   `json:"oldest_seconds"` // age of the oldest event being sent
	SendingFor   float64   `json:"sending_seconds"`
	Dropped      uint64    `json:"dropped"`
	// Of Dropped and Pending, events of high and critical severity, and alerts.
	DroppedUrgent uint64 `json:"dropped_urgent"`
	PendingUrgent uint64 `json:"pending_urgent"`
	Damaged       uint64 `json:"damaged"` // of Dropped, those that could not be read
	Failed        uint64 `json:"failed"`
	Filtered      uint64 `json:"filtered"`
	Limited       uint64 `json:"limited"`
	Repeated      uint64 `json:"repeated"`   // asked for again by the sink
	MayRepeat     bool   `json:"may_repeat"` // the run before did not end in order
	Errors        uint64 `json:"errors"`
	// Failures are the errors since the last delivery.
	Failures    uint64    `json:"failures"`
	Failing     bool      `json:"failing"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	Own         OwnStatus `json:"own,omitzero"`
}

// An OwnStatus is what only one kind of sink counts, by name.
type OwnStatus struct {
	Counts  map[string]uint64 `json:"counts"`
	Trouble map[string]uint64 `json:"trouble"`         // losses, and what went wrong and was mended
	Error   string            `json:"error,omitempty"` // the latest, kept after recovery
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
	s.Hits.queue(a.loop.Stats())
	s.Hits.Beat = byWall(a.loop.Beat())
	var d decode.Stats
	for i, l := range a.listeners {
		for _, w := range l.workers {
			s.Hits.Found += w.matcher.Matched()
			d.Add(w.Decoded())
		}
		s.Listeners = append(s.Listeners, l.status())
		s.Listeners[i].Listen = a.cfg.Listen[i].Listen
	}
	s.Canary = a.canaryStatus()
	s.Decoded = decodeStatus(d)
	s.Exporters = exporterStatus(a.exporters, a.cfg.Exporters, most)
	s.Exporters.Restored, s.Exporters.File = a.templates.restored, a.templates.status()
	s.Clock = a.watch.status()
	s.Hits.Feeds, s.Hits.FeedsOther = a.contacts.FeedHits()
	s.Intel = a.feeds.status()
	a.days.look(s.Hits.Feeds, time.Now())
	s.Intel.HitsDay = a.days.status()
	s.DNSBL = a.dnsblStatus()
	s.Web = a.webStatus()
	s.Health = a.Findings()
	s.Recent = a.sinks.recent.events()
	s.Latest = a.sinks.latest.list()
	return s
}

func (l *listener) status() ListenerStatus {
	var counted []udp.Stats
	for _, s := range l.sockets {
		counted = append(counted, s.Stats())
	}
	st := listenerStatus(counted)
	st.Address = l.sockets[0].LocalAddr().String()
	for _, s := range l.sockets {
		st.RefusedSenders = refusedSenders(st.RefusedSenders, s.RefusedSenders())
	}
	allowed := l.allows.Load() // a socket forgets whom it refused only when it reads again
	st.RefusedSenders = slices.DeleteFunc(st.RefusedSenders, func(r RefusedSender) bool { return allowed.Contains(r.Address) })
	var copies [][]forward.TargetStats
	for _, f := range l.forwards {
		copies = append(copies, f.Stats())
	}
	st.Forward = forwardStatus(copies)
	st.Beat = l.beat()
	return st
}

// listenerStatus adds up the counters of the sockets of an address.
func listenerStatus(sockets []udp.Stats) ListenerStatus {
	st := ListenerStatus{Sockets: len(sockets), KernelDropsKnow: true, Steered: true}
	for _, c := range sockets {
		st.Datagrams += c.Datagrams
		st.Bytes += c.Bytes
		st.Refused += c.Refused
		st.RefusedUnnamed += c.RefusedUnnamed
		st.KernelDrops += c.Drops
		st.KernelDropsKnow = st.KernelDropsKnow && c.DropsKnown
		st.Truncated += c.Truncated
		st.ReadErrors += c.ReadErrors
		st.Unread += c.Unread
		st.BufferWanted, st.BufferGranted = c.BufferWanted, c.BufferGranted
		st.Steered = st.Steered && c.Steered
	}
	return st
}

// refusedSenders adds those of one more socket, and puts those that send most first.
func refusedSenders(list []RefusedSender, more []udp.RefusedSender) []RefusedSender {
	for _, m := range more {
		i := slices.IndexFunc(list, func(r RefusedSender) bool { return r.Address == m.Addr })
		if i < 0 {
			list, i = append(list, RefusedSender{Address: m.Addr}), len(list)
		}
		r, last := &list[i], byWall(m.Last)
		r.Datagrams += m.Datagrams
		r.Certain += m.Certain
		if last.After(r.Last) {
			r.Last = last
		}
	}
	slices.SortStableFunc(list, func(a, b RefusedSender) int { return cmp.Compare(b.Datagrams, a.Datagrams) })
	return list
}

// forwardStatus adds up the counters of the workers' copies, by target. All workers have
// the same targets.
func forwardStatus(workers [][]forward.TargetStats) []ForwardStatus {
	var all []ForwardStatus
	for i, targets := range workers {
		for j, t := range targets {
			if i == 0 {
				all = append(all, ForwardStatus{Target: t.Target, KeepsSource: true})
			}
			f := &all[j]
			f.Sent += t.Sent
			f.SourceLost += t.SourceLost
			f.Dropped += t.Dropped
			f.Failed += t.Failed
			f.Looped += t.Looped
			if t.LoopedFrom.IsValid() {
				f.LoopedFrom = t.LoopedFrom
			}
			f.KeepsSource = f.KeepsSource && t.KeepsSource
			f.Address = t.Addr
			f.Error = cmp.Or(t.Err, f.Error)
		}
	}
	return all
}

// queue takes in the counters of the queue before the correlator.
func (h *HitStatus) queue(s correlate.LoopStats) {
	h.HitQueueFull, h.HitsLost = s.HitQueueFull, s.LostBySeverity
	h.Offered, h.Queued = s.Offered, s.Queued
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
	for i, r := range o.runners {
		s := sinkStatus(r.Name(), r.Stats())
		s.Own = ownStatus(o.opened[i])
		out = append(out, s)
	}
	return out
}

func sinkStatus(name string, s sinks.CursorStats) SinkStatus {
	return SinkStatus{
		Name: name, Since: s.Since, Appended: s.Appended, Sent: s.Delivered, Held: s.Held, Pending: s.Pending, PendingBytes: s.PendingBytes,
		OldestAge: s.OldestAge.Seconds(), SendingFor: s.SendingFor.Seconds(),
		Dropped: s.Dropped, Damaged: s.Damaged, Failed: s.Failed, Filtered: s.Filtered, Limited: s.Limited,
		DroppedUrgent: s.DroppedUrgent, PendingUrgent: s.PendingUrgent, Repeated: s.Repeated, MayRepeat: s.MayRepeat,
		Errors: s.Errors, Failures: s.Failing, Failing: s.Failing > 0, LastError: s.LastError, LastErrorAt: s.LastErrorAt,
	}
}

// ownStatus gives what only one kind of sink counts. What its place in the journal counts,
// too, is left out.
func ownStatus(s sinks.Sink) OwnStatus {
	switch s := s.(type) {
	case *jsonlog.Log:
		return jsonlogStatus(s.Stats())
	case *kafka.Producer:
		return kafkaStatus(s.Stats())
	case *syslog.Sender:
		return syslogStatus(s.Stats())
	}
	return OwnStatus{}
}

func jsonlogStatus(s jsonlog.Stats) OwnStatus {
	return OwnStatus{
		Counts:  map[string]uint64{"lines": s.Lines, "bytes": s.Bytes, "rotations": s.Rotations, "reopens": s.Reopens, "compressed": s.Compressed},
		Trouble: map[string]uint64{"lines_repaired": s.Repaired, "lines_torn": s.Torn, "file_errors": s.Errors},
		Error:   s.LastError,
	}
}

func kafkaStatus(s kafka.Stats) OwnStatus {
	return OwnStatus{
		Counts:  map[string]uint64{"bytes": s.Bytes, "requests": s.Requests},
		Trouble: map[string]uint64{"refused_by_brokers": s.Refused},
		Error:   s.LastError,
	}
}

func syslogStatus(s syslog.Stats) OwnStatus {
	return OwnStatus{
		Counts:  map[string]uint64{"written": s.Written, "bytes": s.Bytes, "connections": s.Connections},
		Trouble: map[string]uint64{"shortened": s.Shortened, "sent_again": s.Asked},
		Error:   s.LastError,
	}
}

func (o *outputs) journalStatus() JournalStatus {
	st := journalStatus(o.journal.Stats())
	st.Opened = openedStatus(o.found)
	return st
}

func openedStatus(r journal.OpenReport) OpenedStatus {
	return OpenedStatus{
		Segments: r.Segments, Bytes: r.Bytes, Events: r.Events, Cursors: r.Cursors, TornBytes: r.TornBytes,
		DamagedBytes: r.DamagedBytes, MissingEvents: r.MissingEvents, LostEvents: r.LostEvents, BadCursors: r.BadCursors, LostCursors: r.LostCursors,
		Unreadable: r.Unreadable,
	}
}

func journalStatus(s journal.Stats) JournalStatus {
	return JournalStatus{
		Appended: s.Appended, Refused: s.Refused, Shortened: s.Shortened,
		Bytes: s.Bytes, Segments: s.Segments, MemoryBytes: s.MemoryBytes, InMemory: s.InMemory,
		DroppedFull: s.DroppedFull, DroppedOld: s.DroppedOld, Urgent: LaneStatus(s.Urgent),
		Writes: s.Writes, Written: s.Written, WriteErrors: s.WriteErrors, Syncs: s.Syncs, SyncErrors: s.SyncErrors,
		Saves: s.Saves, SaveErrors: s.SaveErrors, ReadErrors: s.ReadErrors,
		Rewritten: s.Rewritten, Stalls: s.Stalls, ReadTrouble: s.ReadTrouble,
		Trouble: s.Trouble, LastError: s.LastError, LastErrorAt: s.LastErrorAt,
	}
}
