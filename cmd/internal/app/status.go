package app

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/forward"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/flow/udp"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/quarantine"
	"github.com/flowsnitch/flowsnitch/intel/sites"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/flowsnitch/flowsnitch/sinks/jsonlog"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// A Status is what commands and the checks that are not those of a component read of the
// sections of a running instance. Metrics, the JSON and the text of the status are made
// from the sections themselves, so that a new number or component need not be here.
type Status struct {
	InstanceStatus
	Memory    MemoryStatus      `json:"memory"`
	Stalled   []Stalled         `json:"stalled,omitempty"`
	Web       *web.Stats        `json:"web,omitempty"`
	Sinks     []SinkStatus      `json:"sinks"`
	Journal   JournalStatus     `json:"journal"`
	Recent    []RecentEvent     `json:"recent,omitempty"`
	Latest    []LatestStatus    `json:"latest,omitempty"`
	Clock     ClockStatus       `json:"clock"`
	Intel     IntelStatus       `json:"intel"`
	Hits      HitStatus         `json:"hits"`
	DNSBL     *DNSBLStatus      `json:"dnsbl,omitempty"`
	Decoded   DecodeStatus      `json:"decoded"`
	Exporters ExporterStatus    `json:"exporters"`
	Listeners []ListenerStatus  `json:"listeners"`
	Canary    CanaryStatus      `json:"canary"`
	Health    []observe.Finding `json:"health"`

	// Losses are the numbers of all sections that count losses; only 'flowsnitch top' asks
	// for them.
	Losses []observe.Sample `json:"-"`
}

// A CanaryStatus is the self-test: flows sent on purpose, and how far they came.
type CanaryStatus = canary.Status

// A CanaryAt tells when a canary was last somewhere, and how long it took to there.
type CanaryAt = canary.At

// A ClockStatus is what is known of the machine's clock.
type ClockStatus struct {
	State    string    `json:"state"` // ok | unsynced
	Unsynced bool      `json:"unsynced" name:"clock_unsynced" help:"1 while the wall clock cannot be trusted."`
	Why      string    `json:"why,omitempty" show:"some" words:"not trusted"`
	Trusted  time.Time `json:"trusted,omitzero" name:"-"` // the time that is gone by
	Jumps    uint64    `json:"jumps" name:"clock_jumps_total" help:"Steps of the wall clock." show:"some"`
	LastJump float64   `json:"last_jump_seconds,omitempty" name:"clock_last_jump_seconds" help:"Size of the last step of the wall clock; forward is positive."` // forward > 0
}

// A ListenerStatus is one address, all its sockets together.
type ListenerStatus struct {
	Address         string `json:"address" label:"listener"`
	Listen          string `json:"listen"` // as the configuration says
	Sockets         int    `json:"sockets" name:"udp_sockets" help:"Sockets, each with a worker."`
	Datagrams       uint64 `json:"datagrams" name:"udp_packets_total" help:"Datagrams received." show:"always"`
	Bytes           uint64 `json:"bytes" name:"udp_bytes_total" help:"Bytes received." show:"always" words:""`
	Refused         uint64 `json:"refused" name:"udp_refused_total" help:"Datagrams from senders that are not allowed." show:"always" loss:"true" judged:"exporters"`
	KernelDrops     uint64 `json:"kernel_drops" name:"udp_kernel_drops_total" help:"Datagrams dropped by the kernel because the socket buffer was full, where the system counts them." if:"KernelDropsKnow" show:"always" loss:"true" judged:"loss"`
	KernelDropsKnow bool   `json:"kernel_drops_known" name:"-"`
	Truncated       uint64 `json:"truncated" name:"udp_truncated_total" help:"Datagrams longer than a buffer." show:"always" words:"truncated" loss:"true" judged:"loss"`
	ReadErrors      uint64 `json:"read_errors" name:"udp_read_errors_total" help:"Failed reads." words:"failed reads" loss:"true" judged:"loss"`
	Unread          uint64 `json:"unread" name:"udp_unread_total" help:"Datagrams left unread in the socket buffers at shutdown." show:"some" words:"left unread at shutdown"`
	BufferWanted    int    `json:"buffer_configured" name:"udp_receive_buffer_configured_bytes" help:"Receive buffer of a socket as configured."`
	BufferGranted   int    `json:"buffer_granted" name:"udp_receive_buffer_bytes" help:"Receive buffer of a socket as granted by the kernel."`
	// Steered is false when the senders are spread over the sockets by address and port,
	// so that an exporter moves when its port changes.
	Steered bool `json:"steered" name:"udp_steered" help:"1 while all datagrams of a sender reach the same socket."`
	// RefusedSenders are those that are not allowed and send most, RefusedUnnamed the
	// datagrams of those that the log does not name, because it names too many already.
	RefusedSenders []RefusedSender `json:"refused_senders,omitempty" name:"udp_refused_senders" help:"Senders that are not allowed, of the 16 that send most to each socket."`
	RefusedUnnamed uint64          `json:"refused_unnamed" name:"udp_refused_unnamed_total" help:"Datagrams from senders that are not allowed and are not named in the log, which is full." show:"some" words:"refused from senders that the log does not name"`
	// Forward are the targets that get copies.
	Forward []ForwardStatus `json:"forward,omitempty"`
	// Beat is the time of the last turn of the worker that is furthest behind; each
	// turns once a second, even when nothing comes.
	Beat time.Time `json:"beat,omitzero" name:"worker_idle_seconds" help:"Time since the last turn of the slowest worker; each turns once a second."`
}

// A RefusedSender is an address whose datagrams are not read, because it is not allowed.
type RefusedSender struct {
	Address netip.Addr `json:"address" label:"sender"`
	// Datagrams are at most so many, Certain of them are surely its own: only 16 senders
	// are counted one by one, and a new one begins with the number of the one it replaces.
	Datagrams uint64    `json:"datagrams" name:"-" show:"always" words:"datagrams; if it is yours, add it to allow of the listener or to home"`
	Certain   uint64    `json:"certain" name:"-" show:"always" words:"certain"`
	Last      time.Time `json:"last" name:"-" show:"always"`
}

// A ForwardStatus is one target that gets copies of what a listener accepts, over all its
// workers: each copy is in one of Sent, Dropped, Failed and Looped.
type ForwardStatus struct {
	Target      string         `json:"target" label:"target"`
	Address     netip.AddrPort `json:"address,omitzero" name:"forward_up" help:"1 while the target has an address."`                        // in use; absent while there is none
	KeepsSource bool           `json:"keeps_source" name:"forward_keeps_source" help:"1 while copies carry the address of their exporter."` // copies carry the exporter's address
	Sent        uint64         `json:"sent" name:"forward_sent_total" help:"Copies forwarded." show:"always"`
	SourceLost  uint64         `json:"source_lost" name:"forward_source_lost_total" help:"Copies forwarded with the address of this machine as their source." show:"always" words:"with our own address as the source"` // of Sent, those that carry our address
	Dropped     uint64         `json:"dropped" name:"forward_dropped_total" help:"Copies dropped because the send buffer was full or the target had no address." show:"always" loss:"true" judged:"sinks"`              // no room in the send buffer, or no address
	Failed      uint64         `json:"failed" name:"forward_failed_total" help:"Copies that the system refused to send." show:"always" loss:"true" judged:"sinks"`                                                      // refused by the system
	Looped      uint64         `json:"looped" name:"forward_looped_total" help:"Datagrams not forwarded because they had been forwarded a moment ago: a loop." words:"looped" loss:"true" judged:"sinks"`               // left out: they had been forwarded a moment ago
	LoopedFrom  netip.AddrPort `json:"looped_from,omitzero"`                                                                                                                                                            // who sent the last of these
	Error       string         `json:"error,omitempty" show:"some"`
}

// A VersionStatus is one export protocol.
type VersionStatus struct {
	Datagrams     uint64 `json:"datagrams" name:"datagrams_total" help:"Export datagrams decoded." show:"some"`
	Bytes         uint64 `json:"bytes" name:"datagram_bytes_total" help:"Bytes of export datagrams decoded."`
	Records       uint64 `json:"records" name:"records_total" help:"Flow records decoded." show:"some" words:"flow records"`
	OptionRecords uint64 `json:"option_records" name:"option_records_total" help:"Options data records decoded." show:"some" words:"options records"`
}

// A DecodeStatus is what all decoders did.
type DecodeStatus struct {
	Versions         map[string]VersionStatus `json:"versions" label:"version"`
	NoAddress        uint64                   `json:"no_address" name:"records_without_address_total" help:"Flow records without any address (layer 2, MPLS, multicast)." show:"some" words:"records without an address"`
	TunnelsSkipped   uint64                   `json:"tunnels_skipped" name:"tunnels_skipped_total" help:"Packets inside tunnels, in samples, not decoded because an end of the tunnel is not ours." show:"some" words:"packets inside tunnels skipped (see sflow.tunnel_endpoints)"` // inner packets between ends that are not ours
	Templates        uint64                   `json:"templates" name:"template_records_total" help:"Templates accepted, repetitions included." with:"kind=data"`
	OptionsTemplates uint64                   `json:"options_templates" name:"template_records_total" help:"Templates accepted, repetitions included." with:"kind=options"`
	UnknownSets      uint64                   `json:"unknown_template_sets" name:"missing_template_total" help:"Data sets received without their template." words:"data sets without a known template" loss:"true" judged:"templates"`
	UnknownBytes     uint64                   `json:"unknown_template_bytes" name:"missing_template_bytes_total" help:"Bytes of data sets received without their template." show:"some" words:"of them"`
	Problems         map[decode.Reason]uint64 `json:"problems" name:"decode_errors_total" help:"Datagrams, sets, records and templates that could not be decoded or kept, by reason." label:"reason" words:"problems" loss:"true" judged:"loss"`
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
	List     []decode.ExporterStatus `json:"list" name:"-"`
	// SelfTest is the part of Exporters and Templates that only self-tests and canaries
	// take.
	SelfTest SelfTestShare `json:"self_test"`
}

// A SelfTestShare is what streams of canaries have of the exporters and templates.
type SelfTestShare struct {
	Exporters int `json:"exporters" name:"-" show:"some" words:"exporters of the self-test"` // those that send nothing else
	Templates int `json:"templates" name:"-" show:"some" words:"templates of the self-test"`
}

// A TemplateFileStatus is the writing of the file of templates, samplers and sequence
// numbers.
type TemplateFileStatus struct {
	Writes      uint64 `json:"writes" name:"template_file_writes_total" help:"Writes of the template file."`
	WriteErrors uint64 `json:"write_errors" name:"template_file_write_errors_total" help:"Failed writes of the template file." words:"failed writes of the template file" loss:"true" judged:"templates"`
	Error       string `json:"error,omitempty" show:"some" words:"template file"` // of the last try, if that failed
}

// A RestoredStatus is what the file of templates had at the start. Damaged, expired and
// refused lines were left out; what was refused found no room within limits.
type RestoredStatus struct {
	Clean     bool   `json:"clean" name:"-"` // the run before had stopped in order
	Exporters int    `json:"exporters" name:"template_file_restored" help:"Entries restored from the template file at the start, by kind." with:"kind=exporters"`
	Templates int    `json:"templates" name:"template_file_restored" help:"Entries restored from the template file at the start, by kind." with:"kind=templates"`
	Samplers  int    `json:"samplers" name:"template_file_restored" help:"Entries restored from the template file at the start, by kind." with:"kind=samplers"`
	Damaged   int    `json:"damaged" name:"template_file_skipped_lines" help:"Lines of the template file skipped at the start, by reason." with:"reason=damaged" show:"some" words:"lines of the template file damaged"`
	Expired   int    `json:"expired" name:"template_file_skipped_lines" help:"Lines of the template file skipped at the start, by reason." with:"reason=expired" show:"some" words:"lines of the template file too old"`
	Refused   int    `json:"refused" name:"template_file_skipped_lines" help:"Lines of the template file skipped at the start, by reason." with:"reason=refused" show:"some" words:"lines of the template file without room"`
	Error     string `json:"error,omitempty" show:"some" words:"template file at the start"` // why the rest could not be read
}

func exporterStatus(x *decode.Exporters, named []sites.Exporter, most int) ExporterStatus {
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
	Version    string    `json:"version" show:"some" words:"set"`
	Built      time.Time `json:"built" name:"set_built_timestamp_seconds" help:"When the set in force was built."`
	Indicators int       `json:"indicators" name:"indicators" help:"Indicators in the set in force." show:"always"`
	// Feeds are all feeds and warninglists, in the order of the configuration, the
	// lists of the command line first.
	Feeds []fetch.Status `json:"feeds,omitempty"`
	// Quarantined are entries that matched an absurd share of all flows: their hits are
	// rolled up for a day.
	Quarantined []quarantine.Quarantined `json:"quarantined,omitempty" name:"quarantined_entries" help:"Entries in quarantine."`
	// HitsDay counts the hits of the last 24 hours by feed.
	HitsDay map[string]uint64 `json:"hits_day,omitempty" name:"-" label:"feed"`
}

// A HitStatus is what the correlator did.
type HitStatus struct {
	Found uint64 `json:"found" name:"hits_found_total" help:"Hits found by the matchers." show:"always"`
	// Feeds are the hits by feed and direction; FeedsOther those beyond the cap.
	Feeds        []correlate.FeedHits `json:"feeds,omitempty"`
	FeedsOther   uint64               `json:"feeds_other,omitempty" name:"hits_other_total" help:"Hits of feeds beyond the first 1,000 pairs of feed and direction." show:"some" words:"of feeds that are not counted separately (no room)"`
	HitQueueFull uint64               `json:"hit_queue_full" name:"-" show:"always" words:"lost (hit queue full)"`
	// HitsLost are those of HitQueueFull by the severity that they could have reached,
	// low to critical.
	HitsLost [4]uint64 `json:"hits_lost" name:"hit_queue_dropped_total" help:"Hits lost because the queue was full, by the severity that they could have reached." label:"severity" values:"low,medium,high,critical" words:"hits lost" loss:"true" judged:"loss"`
	// Offered are hits and canaries handed to the correlator, those that were lost
	// included; Queued of them wait now.
	Offered    uint64          `json:"offered" name:"hits_offered_total" help:"Hits and canaries handed to the correlator, including those lost to a full queue."`
	Queued     int             `json:"queued" name:"hit_queue_length" help:"Hits and canaries waiting for the correlator."`
	Correlator correlate.Stats `json:"correlator"`
	// Beat is the time of the last turn of the correlator, which turns once a second,
	// even when nothing comes.
	Beat time.Time `json:"beat,omitzero" name:"correlator_idle_seconds" help:"Time since the last turn of the correlator, which turns once a second."`
}

// A JournalStatus is what holds events until every sink has had them.
type JournalStatus struct {
	Appended    uint64 `json:"appended" name:"journal_events_total" help:"Events appended to the journal." show:"always" words:"events"`
	Refused     uint64 `json:"refused" name:"journal_refused_total" help:"Events that arrived after the journal was closed." show:"some" words:"after the journal was closed"` // events that came after its end
	Shortened   uint64 `json:"shortened" name:"journal_shortened_total" help:"Events shortened: over 1 MiB, or with a text over 32 KiB." show:"some"`                          // events over 1 MiB, or with a text over 32 KiB
	Bytes       int64  `json:"bytes" name:"journal_bytes" help:"Size of the journal files." show:"always" words:""`                                                            // of its files
	MaxBytes    int64  `json:"max_bytes" name:"journal_max_bytes" help:"Limit for the size of the journal files."`                                                             // they may have
	Segments    int    `json:"segments" name:"journal_segments" help:"Files of the journal."`                                                                                  // its files
	MemoryBytes int64  `json:"memory_bytes" name:"journal_memory_bytes" help:"Size of the events in memory, written or not."`
	InMemory    uint64 `json:"in_memory" name:"journal_memory_events" help:"Events that are in memory only." show:"some"`                                                                                                              // events that are not on the disk
	DroppedFull uint64 `json:"dropped_full" name:"journal_dropped_total" help:"Events dropped because the journal was full or they were too old." with:"reason=full" show:"always" words:"dropped (full)" loss:"true" judged:"spool"`  // over max_bytes or memory_bytes
	DroppedOld  uint64 `json:"dropped_old" name:"journal_dropped_total" help:"Events dropped because the journal was full or they were too old." with:"reason=old" show:"always" words:"dropped (too old)" loss:"true" judged:"spool"` // over max_age

	// Urgent is what of that is of the urgent lane: events of high and critical severity,
	// and alerts.
	Urgent LaneStatus `json:"urgent"`

	Writes      uint64    `json:"writes" name:"journal_writes_total" help:"Writes of events."`
	Written     uint64    `json:"written" name:"journal_written_bytes_total" help:"Bytes written."` // bytes
	WriteErrors uint64    `json:"write_errors" name:"journal_write_errors_total" help:"Failed writes." words:"failed writes" loss:"true" judged:"spool"`
	Syncs       uint64    `json:"syncs" name:"journal_syncs_total" help:"Calls of fsync."`
	SyncErrors  uint64    `json:"sync_errors" name:"journal_sync_errors_total" help:"Failed calls of fsync." words:"failed calls of fsync" loss:"true" judged:"spool"`
	Saves       uint64    `json:"saves" name:"journal_saves_total" help:"Saves of the cursors of the sinks."` // of the places of sinks
	SaveErrors  uint64    `json:"save_errors" name:"journal_save_errors_total" help:"Failed saves of the cursors of the sinks." words:"failed saves of cursors" loss:"true" judged:"spool"`
	ReadErrors  uint64    `json:"read_errors" name:"journal_read_errors_total" help:"Failed reads of the journal." words:"failed reads" loss:"true" judged:"spool"`
	Rewritten   uint64    `json:"rewritten" name:"journal_rewritten_total" help:"Events written again after a failed sync." words:"written again after a failed fsync" loss:"true" judged:"spool"` // events written again after a failed sync
	Stalls      uint64    `json:"stalls" name:"journal_stalls_total" help:"Calls to the disk that took longer than 5 seconds." words:"stalls of the disk" loss:"true" judged:"spool"`
	ReadTrouble string    `json:"read_trouble,omitempty" show:"some" words:"the journal cannot be read"`
	Trouble     string    `json:"trouble,omitempty" name:"journal_failing" help:"1 while the disk does not take events." show:"some" words:"the disk does not take events"` // why the disk does not take events
	LastError   string    `json:"last_error,omitempty" show:"some"`                                                                                                         // kept after recovery
	LastErrorAt time.Time `json:"last_error_at,omitzero"`

	Opened OpenedStatus `json:"opened"`
}

// A LaneStatus is one lane of the journal.
type LaneStatus struct {
	Bytes       int64  `json:"bytes" name:"journal_urgent_bytes" help:"Size of the files with events of high and critical severity, and alerts."`
	MemoryBytes int64  `json:"memory_bytes" name:"journal_urgent_memory_bytes" help:"Size of urgent events in memory, written or not."`
	InMemory    uint64 `json:"in_memory" name:"journal_urgent_memory_events" help:"Urgent events that are in memory only."`
	DroppedFull uint64 `json:"dropped_full" name:"journal_urgent_dropped_total" help:"Urgent events dropped, by reason; part of journal_dropped_total." loss:"true" judged:"spool" words:"of the dropped urgent" with:"reason=full"`
	DroppedOld  uint64 `json:"dropped_old" name:"journal_urgent_dropped_total" help:"Urgent events dropped, by reason; part of journal_dropped_total." loss:"true" judged:"spool" words:"of the dropped urgent" with:"reason=old"`
}

// An OpenedStatus is what the journal had at the start, and what of it was lost.
type OpenedStatus struct {
	Segments      int      `json:"segments" name:"journal_opened" help:"Contents of the journal at the start, by kind." with:"kind=segments"`
	Bytes         int64    `json:"bytes" name:"journal_opened" help:"Contents of the journal at the start, by kind." with:"kind=bytes"`
	Events        uint64   `json:"events" name:"journal_opened" help:"Contents of the journal at the start, by kind." with:"kind=events"`
	Cursors       int      `json:"cursors" name:"journal_opened" help:"Contents of the journal at the start, by kind." with:"kind=cursors"`
	TornBytes     int64    `json:"torn_bytes" name:"journal_opened_damage" help:"Damage of the journal at the start, by kind." with:"kind=torn_bytes" show:"some" words:"bytes cut off at the start"`       // cut off behind the last good record
	DamagedBytes  int64    `json:"damaged_bytes" name:"journal_opened_damage" help:"Damage of the journal at the start, by kind." with:"kind=damaged_bytes" show:"some" words:"bytes damaged at the start"` // passed over between good records
	MissingEvents uint64   `json:"missing_events" name:"journal_opened_damage" help:"Damage of the journal at the start, by kind." with:"kind=missing_events" show:"some" words:"events in the damage"`     // known to have been in the damage
	LostEvents    uint64   `json:"lost_events" name:"journal_opened_damage" help:"Damage of the journal at the start, by kind." with:"kind=lost_events" show:"some" words:"events missing at the end"`      // no longer there behind the last record
	BadCursors    []string `json:"bad_cursors,omitempty" name:"journal_opened_damage" help:"Damage of the journal at the start, by kind." with:"kind=bad_cursors" show:"some" words:"unreadable cursors"`
	LostCursors   []string `json:"lost_cursors,omitempty" name:"journal_opened_damage" help:"Damage of the journal at the start, by kind." with:"kind=lost_cursors" show:"some" words:"missing cursors"`
	Unreadable    []string `json:"unreadable,omitempty" name:"journal_opened_damage" help:"Damage of the journal at the start, by kind." with:"kind=unreadable" show:"some" words:"unreadable for now"`
}

// A SinkStatus is one way out. The numbers of events count from when the sink was first
// configured, all else from the start.
type SinkStatus struct {
	Name string `json:"name" label:"sink"`
	// Since is when the sink was first configured; absent for one that an earlier version
	// has known, which did not note it.
	Since        time.Time `json:"since,omitzero"`
	Appended     uint64    `json:"appended" name:"sink_events_total" help:"Events for the sink."` // all events that there were for it
	Sent         uint64    `json:"sent" name:"sink_sent_total" help:"Events delivered." show:"always"`
	Held         uint64    `json:"held" name:"sink_held" help:"Events delivered that may be sent again."` // of Sent, those that may be sent again
	Pending      uint64    `json:"pending" name:"sink_queue_length" help:"Events waiting." show:"always" words:"waiting"`
	PendingBytes int64     `json:"pending_bytes" name:"sink_queue_bytes" help:"Approximate size of the events waiting."`
	OldestAge    float64   `json:"oldest_seconds" name:"sink_oldest_seconds" help:"Age of the oldest event being sent; 0 = none."` // age of the oldest event being sent
	SendingFor   float64   `json:"sending_seconds" name:"sink_sending_seconds" help:"Duration of the attempt under way; 0 = none."`
	Dropped      uint64    `json:"dropped" name:"sink_dropped_total" help:"Events lost: dropped by the journal, or given up by the sink (failed)." with:"reason=dropped" show:"always" loss:"true" judged:"sinks"`
	// Of Dropped and Pending, events of high and critical severity, and alerts.
	DroppedUrgent uint64 `json:"dropped_urgent" name:"sink_urgent_dropped_total" help:"Events of high and critical severity, and alerts, dropped by the journal; part of sink_dropped_total." loss:"true" judged:"sinks" words:"of the dropped urgent"`
	PendingUrgent uint64 `json:"pending_urgent" name:"sink_urgent_pending" help:"Events of high and critical severity, and alerts, waiting; part of sink_queue_length."`
	Damaged       uint64 `json:"damaged" name:"sink_damaged_total" help:"Events lost because the copy in the journal was unreadable." show:"some" words:"of the dropped unreadable in the journal"` // of Dropped, those that could not be read
	Failed        uint64 `json:"failed" name:"sink_dropped_total" help:"Events lost: dropped by the journal, or given up by the sink (failed)." with:"reason=failed" show:"always" loss:"true" judged:"sinks"`
	Filtered      uint64 `json:"filtered" name:"sink_filtered_total" help:"Events excluded by delivery.filter." show:"some"`
	Limited       uint64 `json:"limited" name:"sink_limited_total" help:"Events over delivery.limit." show:"some" words:"over the limit"`
	Repeated      uint64 `json:"repeated" name:"sink_repeated_total" help:"Events requested again by the sink." show:"some" words:"sent again"`                                                                                                     // asked for again by the sink
	MayRepeat     bool   `json:"may_repeat" name:"sink_may_repeat" help:"1 after an unclean end of the last run: some events may have been sent twice." show:"some" words:"the last run did not end cleanly: some events may have been sent twice"` // the run before did not end in order
	Errors        uint64 `json:"errors" name:"sink_errors_total" help:"Failed attempts." show:"some"`
	// Failures are the errors since the last delivery.
	Failures    uint64    `json:"failures" name:"sink_failures" help:"Failed attempts since the last delivery." show:"some" words:"since the last delivery"`
	Failing     bool      `json:"failing" name:"sink_failing" help:"1 while the sink cannot deliver."`
	LastError   string    `json:"last_error,omitempty" show:"some"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	Own         OwnStatus `json:"own,omitzero"`
}

// An OwnStatus is what only one kind of sink counts, by name.
type OwnStatus struct {
	Counts  map[string]uint64 `json:"counts" name:"sink_own_total" help:"Counters that only this kind of sink has, by name." label:"counter"`
	Trouble map[string]uint64 `json:"trouble" name:"sink_own_total" help:"Counters that only this kind of sink has, by name." label:"counter" loss:"true" judged:"sinks" words:"events"` // losses, and what went wrong and was mended
	Error   string            `json:"error,omitempty" show:"some"`                                                                                                                       // the latest, kept after recovery
}

// Status gathers the state. Any goroutine may ask, also while Start is at work.
func (a *App) Status() Status { return a.status(maxListed) }

// status gathers the state, with the exporters that sent most.
func (a *App) status(most int) Status {
	s := Status{InstanceStatus: a.instance(), Memory: memoryStatus(), Stalled: a.stalledWork()}
	if s.Starting {
		return s
	}
	// Against the stream: what is counted at the end of the path while this looks
	// has been counted at its beginning when this gets there.
	s.Journal, s.Sinks = a.journal(), a.sinks.status()
	s.Recent, s.Latest = a.sinks.recent.events(), a.sinks.latest.list()
	s.Clock = a.watch.status()
	s.Hits = a.hits()
	s.Decoded = a.decoded()
	s.Listeners = a.listening()
	s.Canary = a.canaryStatus()
	s.Exporters = a.exporterStatus(most)
	s.Intel = a.intel()
	s.DNSBL = a.dnsblStatus()
	s.Web = a.webStatus()
	s.Health = a.Findings()
	return s
}

// showing gives what the sections of an app show.
func (a *App) showing() *showing {
	return &showing{
		instance: a.instance, memory: memoryStatus, stalled: a.stalledWork, web: a.webStatus,
		journal: a.journal, sinks: func() []SinkStatus { return a.sinks.status() },
		recent: func() []RecentEvent { return a.sinks.recent.events() }, latest: func() []LatestStatus { return a.sinks.latest.list() },
		clock: func() ClockStatus { return a.watch.status() }, intel: a.intel, hits: a.hits, dnsbl: a.dnsblStatus, decoded: a.decoded,
		exporters: func() ExporterStatus { return a.exporterStatus(maxListed) },
		totals:    func() []ExporterTotals { return exporterTotals(a.exporterStatus(maxListed).List) },
		listeners: a.listening, canary: a.canaryStatus, health: a.Findings,
	}
}

func (a *App) stalledWork() []Stalled { return a.work.longer(a.work.slow) }

func (a *App) journal() JournalStatus {
	s := a.sinks.journalStatus()
	s.MaxBytes = a.cfg.Journal.MaxBytes
	return s
}

func (a *App) hits() HitStatus {
	var s HitStatus
	s.Correlator = a.contacts.Stats()
	s.queue(a.loop.Stats())
	s.Beat = byWall(a.loop.Beat())
	for _, l := range a.listeners {
		for _, w := range l.workers {
			s.Found += w.matcher.Matched()
		}
	}
	s.Feeds, s.FeedsOther = a.contacts.FeedHits()
	s.Feeds = withAllFeeds(s.Feeds, a.feeds.status().Feeds)
	return s
}

func (a *App) decoded() DecodeStatus {
	var d decode.Stats
	for _, l := range a.listeners {
		for _, w := range l.workers {
			d.Add(w.Decoded())
		}
	}
	return decodeStatus(d)
}

func (a *App) exporterStatus(most int) ExporterStatus {
	s := exporterStatus(a.exporters, a.cfg.Exporters, most)
	s.Restored, s.File = a.templates.restored, a.templates.status()
	return s
}

func (a *App) intel() IntelStatus {
	s := a.feeds.status()
	setFeedAges(s.Feeds, a.watch.Now())
	hits, _ := a.contacts.FeedHits()
	a.days.look(hits, time.Now())
	s.HitsDay = a.days.status()
	return s
}

// setFeedAges fills in how old feeds are at a date that can be trusted.
func setFeedAges(feeds []fetch.Status, date time.Time) {
	for i := range feeds {
		if f := &feeds[i]; !f.Taken.IsZero() {
			age := f.Age(date).Seconds()
			f.AgeSeconds = &age
		}
	}
}

func (a *App) listening() (list []ListenerStatus) {
	for i, l := range a.listeners {
		s := l.status()
		s.Listen = a.cfg.Listen[i].Listen
		list = append(list, s)
	}
	return list
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
func (h *HitStatus) queue(s queue.Stats) {
	h.HitQueueFull, h.HitsLost = s.HitQueueFull, s.LostBySeverity
	h.Offered, h.Queued = s.Offered, s.Queued
}

func decodeStatus(d decode.Stats) DecodeStatus {
	s := DecodeStatus{
		Versions: make(map[string]VersionStatus), NoAddress: d.NoAddress, TunnelsSkipped: d.TunnelsSkipped,
		Templates: d.Templates, OptionsTemplates: d.OptionsTemplates,
		UnknownSets: d.UnknownSets, UnknownBytes: d.UnknownBytes, Problems: maps.Clone(d.Problems),
	}
	if s.Problems == nil {
		s.Problems = make(map[decode.Reason]uint64)
	}
	for _, r := range decode.Reasons() {
		s.Problems[r] += 0 // so that the first of a kind is a rise
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
