package app

import (
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/prometheus/client_golang/prometheus"
)

func journalMetrics() []metric {
	return []metric{
		one("journal_events_total", "Events appended to the journal.", counter, func(s *Status) uint64 { return s.Journal.Appended }),
		one("journal_bytes", "Size of the journal's files.", gauge, func(s *Status) int64 { return s.Journal.Bytes }),
		one("journal_max_bytes", "Size that they may have.", gauge, func(s *Status) int64 { return s.Journal.MaxBytes }),
		one("journal_memory_events", "Events that are in memory only.", gauge, func(s *Status) uint64 { return s.Journal.InMemory }),
		one("journal_urgent_bytes", "Size of the files with events of high and critical severity, and alerts.", gauge, func(s *Status) int64 { return s.Journal.Urgent.Bytes }),
		one("journal_urgent_memory_bytes", "Size of such events in memory, written or not.", gauge, func(s *Status) int64 { return s.Journal.Urgent.MemoryBytes }),
		one("journal_urgent_memory_events", "Such events that are in memory only.", gauge, func(s *Status) uint64 { return s.Journal.Urgent.InMemory }),
		{name: "journal_dropped_total", help: "Events dropped because there was no room or for their age. Lane urgent: high and critical severity, alerts.", kind: counter, labels: []string{"reason", "lane"},
			each: func(s *Status, put put) {
				j, u := &s.Journal, &s.Journal.Urgent
				put(float64(j.DroppedFull-u.DroppedFull), "full", "ordinary")
				put(float64(u.DroppedFull), "full", "urgent")
				put(float64(j.DroppedOld-u.DroppedOld), "old", "ordinary")
				put(float64(u.DroppedOld), "old", "urgent")
			}},
		one("journal_refused_total", "Events that came after the end of the journal.", counter, func(s *Status) uint64 { return s.Journal.Refused }),
		one("journal_shortened_total", "Events that were cut: over 1 MiB, or with a text over 32 KiB.", counter, func(s *Status) uint64 { return s.Journal.Shortened }),
		one("journal_segments", "Files of the journal.", gauge, func(s *Status) int { return s.Journal.Segments }),
		one("journal_memory_bytes", "Size of the events in memory, written or not.", gauge, func(s *Status) int64 { return s.Journal.MemoryBytes }),
		one("journal_writes_total", "Writes of events.", counter, func(s *Status) uint64 { return s.Journal.Writes }),
		one("journal_written_bytes_total", "Bytes written.", counter, func(s *Status) uint64 { return s.Journal.Written }),
		one("journal_write_errors_total", "Writes that failed.", counter, func(s *Status) uint64 { return s.Journal.WriteErrors }),
		one("journal_syncs_total", "Calls of fsync.", counter, func(s *Status) uint64 { return s.Journal.Syncs }),
		one("journal_sync_errors_total", "Calls of fsync that failed.", counter, func(s *Status) uint64 { return s.Journal.SyncErrors }),
		one("journal_saves_total", "Times that the places of sinks were saved.", counter, func(s *Status) uint64 { return s.Journal.Saves }),
		one("journal_save_errors_total", "Times that the places of sinks could not be saved.", counter, func(s *Status) uint64 { return s.Journal.SaveErrors }),
		one("journal_read_errors_total", "Reads of the journal that failed.", counter, func(s *Status) uint64 { return s.Journal.ReadErrors }),
		one("journal_rewritten_total", "Events written again because what they were written to could not be synced.", counter, func(s *Status) uint64 { return s.Journal.Rewritten }),
		one("journal_stalls_total", "Times that the disk did not answer for long.", counter, func(s *Status) uint64 { return s.Journal.Stalls }),
		{name: "journal_opened", help: "What the journal had at the start, by kind.", kind: gauge, labels: []string{"kind"},
			each: func(s *Status, put put) {
				o := &s.Journal.Opened
				put(float64(o.Segments), "segments")
				put(float64(o.Bytes), "bytes")
				put(float64(o.Events), "events")
				put(float64(o.Cursors), "cursors")
			}},
		{name: "journal_opened_damage", help: "What the journal had lost at the start, by kind.", kind: gauge, labels: []string{"kind"},
			each: func(s *Status, put put) {
				o := &s.Journal.Opened
				put(float64(o.TornBytes), "torn_bytes")
				put(float64(o.DamagedBytes), "damaged_bytes")
				put(float64(o.MissingEvents), "missing_events")
				put(float64(o.LostEvents), "lost_events")
				put(float64(len(o.BadCursors)), "bad_cursors")
				put(float64(len(o.LostCursors)), "lost_cursors")
				put(float64(len(o.Unreadable)), "unreadable")
			}},
		one("journal_failing", "1 while the disk does not take events.", gauge, func(s *Status) float64 { return flag(s.Journal.Trouble != "") }),
	}
}

// perSink makes a metric with a value for each sink.
func perSink(name, help string, kind prometheus.ValueType, f func(*SinkStatus) uint64) metric {
	return metric{name: name, help: help, kind: kind, labels: []string{"sink"}, each: func(s *Status, put put) {
		for i := range s.Sinks {
			put(float64(f(&s.Sinks[i])), s.Sinks[i].Name)
		}
	}}
}

func sinkMetrics() []metric {
	return []metric{
		perSink("sink_sent_total", "Events delivered.", counter, func(k *SinkStatus) uint64 { return k.Sent }),
		perSink("sink_errors_total", "Attempts that failed.", counter, func(k *SinkStatus) uint64 { return k.Errors }),
		perSink("sink_dropped_total", "Events lost: dropped by the journal or given up.", counter, func(k *SinkStatus) uint64 { return k.Dropped + k.Failed }),
		perSink("sink_urgent_dropped_total", "Of the events dropped by the journal, those of high and critical severity, and alerts.", counter, func(k *SinkStatus) uint64 { return k.DroppedUrgent }),
		perSink("sink_urgent_pending", "Of the events that wait, those of high and critical severity, and alerts.", gauge, func(k *SinkStatus) uint64 { return k.PendingUrgent }),
		perSink("sink_filtered_total", "Events that delivery.filter keeps from the sink.", counter, func(k *SinkStatus) uint64 { return k.Filtered }),
		perSink("sink_limited_total", "Events over delivery.limit.", counter, func(k *SinkStatus) uint64 { return k.Limited }),
		perSink("sink_events_total", "Events that there were for the sink.", counter, func(k *SinkStatus) uint64 { return k.Appended }),
		perSink("sink_damaged_total", "Events lost because the journal's copy could not be read.", counter, func(k *SinkStatus) uint64 { return k.Damaged }),
		perSink("sink_repeated_total", "Events that the sink asked for again.", counter, func(k *SinkStatus) uint64 { return k.Repeated }),
		perSink("sink_may_repeat", "1 when the run before did not end in order: the sink may have got some events twice.", gauge,
			func(k *SinkStatus) uint64 { return uint64(flag(k.MayRepeat)) }),
		perSink("sink_held", "Events delivered that may be sent again.", gauge, func(k *SinkStatus) uint64 { return k.Held }),
		perSink("sink_failures", "Failed attempts since the last delivery.", gauge, func(k *SinkStatus) uint64 { return k.Failures }),
		perSink("sink_queue_bytes", "Size of the events that wait, about.", gauge, func(k *SinkStatus) uint64 { return uint64(max(k.PendingBytes, 0)) }),
		{name: "sink_oldest_seconds", help: "Age of the oldest event that is being sent; 0 = none is.", kind: gauge, labels: []string{"sink"}, each: func(s *Status, put put) {
			for i := range s.Sinks {
				put(s.Sinks[i].OldestAge, s.Sinks[i].Name)
			}
		}},
		{name: "sink_sending_seconds", help: "Duration of the attempt under way; 0 = there is none.", kind: gauge, labels: []string{"sink"}, each: func(s *Status, put put) {
			for i := range s.Sinks {
				put(s.Sinks[i].SendingFor, s.Sinks[i].Name)
			}
		}},
		{name: "sink_own_total", help: "Counters that only this kind of sink has, by name.", kind: counter, labels: []string{"sink", "counter"}, each: func(s *Status, put put) {
			for i := range s.Sinks {
				own := &s.Sinks[i].Own
				for _, counts := range []map[string]uint64{own.Counts, own.Trouble} {
					for name, n := range counts {
						put(float64(n), s.Sinks[i].Name, name)
					}
				}
			}
		}},
		perSink("sink_queue_length", "Events that wait.", gauge, func(k *SinkStatus) uint64 { return k.Pending }),
		perSink("sink_failing", "1 while the sink cannot deliver.", gauge, func(k *SinkStatus) uint64 { return uint64(flag(k.Failing)) }),
	}
}

// canaryMetrics have ages only while there is a self-test. Before the first has come the
// age is that of the process: none may look fresh that never came.
func canaryMetrics() []metric {
	return []metric{
		one("canary_interval_seconds", "Time between two self-tests; 0 = there is none.", gauge, func(s *Status) float64 { return s.Canary.EverySeconds }),
		one("canary_sent_total", "Self-tests sent.", counter, func(s *Status) uint64 { return s.Canary.Sent }),
		one("canary_seen_total", "Self-tests that came to the correlator.", counter, func(s *Status) uint64 { return s.Canary.Seen }),
		{name: "canary_age_seconds", help: "Time since a self-test was last seen by the correlator.", kind: gauge, each: func(s *Status, put put) {
			if s.Canary.EverySeconds > 0 {
				put(canaryAge(s, s.Canary.LastSeen))
			}
		}},
		{name: "canary_listener_age_seconds", help: "Time since a self-test was last received by a listener.", kind: gauge, labels: []string{"listener"}, each: func(s *Status, put put) {
			for name, l := range s.Canary.Listeners {
				put(canaryAge(s, l.LastSeen), name)
			}
		}},
		{name: "canary_listener_latency_seconds", help: "Time from the sending of the last self-test to a listener.", kind: gauge, labels: []string{"listener"}, each: func(s *Status, put put) {
			for name, l := range s.Canary.Listeners {
				if !l.LastSeen.IsZero() {
					put(l.Milliseconds/1000, name)
				}
			}
		}},
		one("canaries_handled_total", "Canaries of this and of other hosts that came to the correlator.", counter, func(s *Status) uint64 { return s.Hits.Correlator.Canaries }),
		one("canary_events_total", "Events of canaries.", counter, func(s *Status) uint64 { return s.Hits.Correlator.CanaryEvents }),
		{name: "canary_sink_age_seconds", help: "Time since a self-test last came to a sink that gets canaries.", kind: gauge, labels: []string{"sink"}, each: func(s *Status, put put) {
			for name, at := range s.Canary.Sinks {
				put(canaryAge(s, at.Last), name)
			}
		}},
		{name: "canary_latency_seconds", help: "Time from the sending of the last self-test to a stage: received, matched, correlated, journal.", kind: gauge,
			labels: []string{"stage"}, each: func(s *Status, put put) {
				for stage, ms := range s.Canary.Stages {
					put(ms/1000, stage)
				}
			}},
		{name: "canary_sink_latency_seconds", help: "Time from the sending of the last self-test to a sink.", kind: gauge, labels: []string{"sink"}, each: func(s *Status, put put) {
			for name, at := range s.Canary.Sinks {
				if !at.Last.IsZero() {
					put(at.Milliseconds/1000, name)
				}
			}
		}},
		{name: "canary_dropped_total", help: "Canaries that were left out, by reason.", kind: counter, labels: []string{"reason"}, each: func(s *Status, put put) {
			put(float64(s.Canary.Limited), "limited")
			put(float64(s.Canary.Queue), "queue_full")
			put(float64(s.Canary.OthersOverCap), "others_over_cap")
			put(float64(s.Canary.Shapeless), "shapeless")
		}},
	}
}

func canaryAge(s *Status, last time.Time) float64 {
	if last.IsZero() {
		last = s.Since
	}
	return age(last)
}

func selfMetrics() []metric {
	served := func(name, help string, f func(*web.Stats) uint64) metric {
		return metric{name: name, help: help, kind: counter, each: func(s *Status, put put) {
			if s.Web != nil {
				put(float64(f(s.Web)))
			}
		}}
	}
	return []metric{
		{name: "build_info", help: "1, labelled by the version of the program.", kind: gauge, labels: []string{"version"}, each: func(s *Status, put put) {
			put(1, s.Version)
		}},
		one("ready", "1 while /readyz says so.", gauge, func(s *Status) float64 {
			return flag(len(notReady(s.unready(), s.Intel.Indicators > 0 || s.DNSBL.lists(), s.Health)) == 0)
		}),
		{name: "check_state", help: "What the instance finds of itself: 0 ok, 1 warning, 2 critical.", kind: gauge, labels: []string{"check"}, each: func(s *Status, put put) {
			for _, f := range s.Health {
				put(float64(f.State), f.Check)
			}
		}},
		one("clock_unsynced", "1 while the wall clock cannot be trusted.", gauge, func(s *Status) float64 { return flag(s.Clock.State == "unsynced") }),
		one("clock_jumps_total", "How often the wall clock was set.", counter, func(s *Status) uint64 { return s.Clock.Jumps }),
		one("clock_last_jump_seconds", "How far the wall clock was set at last; forward is positive.", gauge, func(s *Status) float64 { return s.Clock.LastJump }),
		{name: "stalled_seconds", help: "Time that the background work that has stalled for longest has been under way; 0 = none has.", kind: gauge, each: func(s *Status, put put) {
			longest := 0.0
			for _, w := range s.Stalled {
				longest = max(longest, w.Seconds)
			}
			put(longest)
		}},
		one("memory_bytes", "Memory of the process by the Go runtime's own figures.", gauge, func(s *Status) uint64 { return s.Memory.InUse }),
		served("web_requests_total", "HTTP requests.", func(w *web.Stats) uint64 { return w.Requests }),
		served("web_unauthorized_total", "HTTP requests without the token.", func(w *web.Stats) uint64 { return w.Unauthorized }),
		served("web_busy_total", "HTTP requests beyond those that may be at work.", func(w *web.Stats) uint64 { return w.Busy }),
		served("web_refused_total", "HTTP connections beyond those that may be open.", func(w *web.Stats) uint64 { return w.Refused }),
		served("web_errors_total", "HTTP connections that failed: handshakes and the like.", func(w *web.Stats) uint64 { return w.Errors }),
	}
}
