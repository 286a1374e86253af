package app

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/flowsnitch/flowsnitch/sinks/jsonlog"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
	"github.com/flowsnitch/flowsnitch/sinks/webhook"
)

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
	OldestAge    float64   `json:"oldest_seconds" name:"sink_oldest_seconds" help:"Age of the oldest event being sent; 0 = none, or only contacts from before a listing."`
	SendingFor   float64   `json:"sending_seconds" name:"sink_sending_seconds" help:"Duration of the attempt under way; 0 = none."`
	Dropped      uint64    `json:"dropped" name:"sink_dropped_total" help:"Events lost: dropped by the journal, or given up by the sink (failed)." with:"reason=dropped" show:"always" loss:"true" judged:"sinks"`
	// Of Dropped and Pending, events of high and critical severity, and alerts.
	DroppedUrgent uint64 `json:"dropped_urgent" name:"sink_urgent_dropped_total" help:"Events of high and critical severity, and alerts, dropped by the journal; part of sink_dropped_total." loss:"true" judged:"sinks" words:"of the dropped urgent"`
	PendingUrgent uint64 `json:"pending_urgent" name:"sink_urgent_pending" help:"Events of high and critical severity, and alerts, waiting; part of sink_queue_length."`
	Damaged       uint64 `json:"damaged" name:"sink_damaged_total" help:"Events lost because the copy in the journal was unreadable." show:"some" words:"of the dropped unreadable in the journal"` // of Dropped, those that could not be read
	Failed        uint64 `json:"failed" name:"sink_dropped_total" help:"Events lost: dropped by the journal, or given up by the sink (failed)." with:"reason=failed" show:"always" loss:"true" judged:"sinks"`
	Filtered      uint64 `json:"filtered" name:"sink_filtered_total" help:"Events excluded by delivery.filter, silenced ones among them." show:"some"`
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
	case *webhook.Hook:
		return webhookStatus(s.Stats())
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

func webhookStatus(s webhook.Stats) OwnStatus {
	return OwnStatus{
		Counts:  map[string]uint64{"messages": s.Messages, "reported": s.Reported, "not_named": s.Unnamed},
		Trouble: map[string]uint64{"file_errors": s.MemoryErrors},
		Error:   s.LastError,
	}
}

func (o *outputs) journalStatus() JournalStatus {
	st := journalStatus(o.journal.Stats())
	st.Opened, st.MaxBytes = openedStatus(o.found), o.cfg.Journal.MaxBytes
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

// printSinks prints a line for each sink.
func printSinks(w io.Writer, list []SinkStatus, _ bool) {
	for _, k := range list {
		fmt.Fprintf(w, "sink       %s: ", k.Name)
		if !k.Since.IsZero() {
			fmt.Fprintf(w, "since %s ", show.Date(k.Since))
		}
		fmt.Fprintf(w, "%d sent, %d waiting, %d dropped, %d failed", k.Sent, k.Pending, k.Dropped, k.Failed)
		if k.Filtered+k.Limited > 0 {
			fmt.Fprintf(w, ", %d filtered, %d over the limit", k.Filtered, k.Limited)
		}
		fmt.Fprint(w, show.Some(show.Count(k.PendingUrgent, "of the waiting urgent"), show.Count(k.DroppedUrgent, "of the dropped urgent"), show.Count(k.Damaged, "of the dropped unreadable in the journal"), show.Count(k.Repeated, "sent again")))
		for _, name := range slices.Sorted(maps.Keys(k.Own.Trouble)) {
			fmt.Fprint(w, show.Some(show.Count(k.Own.Trouble[name], strings.ReplaceAll(name, "_", " "))))
		}
		if k.MayRepeat {
			fmt.Fprint(w, ", the last run did not end cleanly: some events may have been sent twice")
		}
		if k.LastError != "" {
			fmt.Fprintf(w, "; %d errors, %d since the last delivery, the last: %s", k.Errors, k.Failures, show.Printable(k.LastError))
		}
		if k.Own.Error != "" && k.Own.Error != k.LastError {
			fmt.Fprintf(w, "; %s", show.Printable(k.Own.Error))
		}
		fmt.Fprintln(w)
	}
}

// printJournal prints the journal, and what is wrong with it.
func printJournal(w io.Writer, j JournalStatus, _ bool) {
	fmt.Fprintf(w, "journal    %d events, %s, %d dropped because there was no room, %d for their age", j.Appended, observe.Size(uint64(j.Bytes)), j.DroppedFull, j.DroppedOld)
	fmt.Fprint(w, show.Some(show.Count(j.Urgent.DroppedFull+j.Urgent.DroppedOld, "of the dropped urgent")))
	fmt.Fprint(w, show.Some(show.Count(j.Refused, "too late at the end"), show.Count(j.Shortened, "shortened"), show.Count(j.WriteErrors, "writes failed"),
		show.Count(j.SyncErrors, "calls of fsync failed"), show.Count(j.SaveErrors, "times the places of sinks not saved"), show.Count(j.ReadErrors, "reads failed"),
		show.Count(j.Rewritten, "written again after a failed fsync"), show.Count(j.Stalls, "stalls of the disk")))
	if j.ReadTrouble != "" {
		fmt.Fprintf(w, "; the journal cannot be read: %s", show.Printable(j.ReadTrouble))
	}
	if j.LastError != "" && j.LastError != j.Trouble {
		fmt.Fprintf(w, "; the last error %s ago: %s", time.Since(j.LastErrorAt).Round(time.Second), j.LastError)
	}
	if j.Trouble != "" {
		fmt.Fprintf(w, "; the disk does not take events (%s): %d are in memory only", j.Trouble, j.InMemory)
	}
	fmt.Fprintln(w)
	o := &j.Opened
	if o.TornBytes > 0 || o.DamagedBytes > 0 || o.MissingEvents > 0 || o.LostEvents > 0 || len(o.BadCursors)+len(o.LostCursors)+len(o.Unreadable) > 0 {
		fmt.Fprintf(w, "           damaged at the start: %d bytes cut off, %d bytes passed over with %d events, %d events gone from its end\n",
			o.TornBytes, o.DamagedBytes, o.MissingEvents, o.LostEvents)
		for _, name := range o.LostCursors {
			fmt.Fprintf(w, "           the place of a sink was not there (%s)\n", show.Printable(name))
		}
		for _, name := range o.BadCursors {
			fmt.Fprintf(w, "           the place of a sink could not be read (%s): it gets all that is there\n", show.Printable(name))
		}
		for _, name := range o.Unreadable {
			fmt.Fprintf(w, "           not readable for now: %s\n", show.Printable(name))
		}
	}
}
