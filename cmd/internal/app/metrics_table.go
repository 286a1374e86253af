package app

import (
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/prometheus/client_golang/prometheus"
)

// allMetrics gives all metrics. None has an address of a hit in its labels: these are
// without number.
func allMetrics() []metric {
	var all []metric
	for _, part := range [][]metric{udpMetrics(), decodeMetrics(), hitMetrics(), intelMetrics(), outMetrics(), selfMetrics()} {
		all = append(all, part...)
	}
	return all
}

func udpMetrics() []metric {
	return []metric{
		perListener("udp_packets_total", "Datagrams received.", counter, func(l *ListenerStatus) float64 { return float64(l.Datagrams) }),
		perListener("udp_bytes_total", "Bytes received.", counter, func(l *ListenerStatus) float64 { return float64(l.Bytes) }),
		perListener("udp_kernel_drops_total", "Datagrams that the kernel dropped for want of room.", counter,
			func(l *ListenerStatus) float64 { return float64(l.KernelDrops) }),
		perListener("udp_refused_total", "Datagrams of senders that are not allowed.", counter,
			func(l *ListenerStatus) float64 { return float64(l.Refused) }),
		perListener("udp_truncated_total", "Datagrams that were longer than a buffer.", counter,
			func(l *ListenerStatus) float64 { return float64(l.Truncated) }),
		perListener("worker_idle_seconds", "Time since the last turn of the worker that is furthest behind.", gauge,
			func(l *ListenerStatus) float64 { return since(l.Beat) }),
	}
}

func decodeMetrics() []metric {
	return []metric{
		perVersion("datagrams_total", "Export datagrams decoded.", func(v VersionStatus) uint64 { return v.Datagrams }),
		perVersion("records_total", "Flow records decoded.", func(v VersionStatus) uint64 { return v.Records }),
		{"decode_errors_total", "What could not be decoded, by reason.", counter, []string{"reason"}, func(s *Status, put func(float64, ...string)) {
			for reason, n := range s.Decoded.Problems {
				put(float64(n), string(reason))
			}
		}},
		one("templates", "Templates known.", gauge, func(s *Status) float64 { return float64(s.Exporters.Templates) }),
		one("exporters", "Exporters known.", gauge, func(s *Status) float64 { return float64(s.Exporters.Exporters) }),
		one("missing_template_total", "Data sets that came without their template.", counter,
			func(s *Status) float64 { return float64(s.Decoded.UnknownSets) }),
		{"lost_total", "What the exporters' sequence numbers say was lost, by what they count.", counter, []string{"unit"},
			func(s *Status, put func(float64, ...string)) {
				put(float64(s.Exporters.Lost.Flows), "flows")
				put(float64(s.Exporters.Lost.Records), "records")
				put(float64(s.Exporters.Lost.Datagrams), "datagrams")
			}},
		{"exporter_silence_seconds", "Time since the last datagram, of the 100 exporters that sent most.", gauge, []string{"exporter"},
			func(s *Status, put func(float64, ...string)) {
				for i := range s.Exporters.List {
					put(since(s.Exporters.List[i].LastSeen), s.Exporters.List[i].Address.String())
				}
			}},
	}
}

func hitMetrics() []metric {
	return []metric{
		{"hits_total", "Hits by feed and direction; an offender that several feeds list counts for each.", counter, []string{"feed", "direction"},
			func(s *Status, put func(float64, ...string)) {
				for _, h := range s.Hits.Feeds {
					put(float64(h.Hits), h.Feed, string(h.Direction))
				}
			}},
		one("hits_found_total", "Hits that the matchers found.", counter, func(s *Status) float64 { return float64(s.Hits.Found) }),
		one("hit_queue_dropped_total", "Hits that found a full queue.", counter, func(s *Status) float64 { return float64(s.Hits.HitQueueFull) }),
		one("contacts", "Contacts known.", gauge, func(s *Status) float64 { return float64(s.Hits.Correlator.Contacts) }),
		one("contacts_evicted_total", "Contacts that had to make room.", counter,
			func(s *Status) float64 { return float64(s.Hits.Correlator.ContactsEvicted) }),
	}
}

func perFeed(name, help string, kind prometheus.ValueType, f func(*fetch.Status) float64) metric {
	return metric{name, help, kind, []string{"feed"}, func(s *Status, put func(float64, ...string)) {
		for i := range s.Intel.Feeds {
			put(f(&s.Intel.Feeds[i]), s.Intel.Feeds[i].Name)
		}
	}}
}

func intelMetrics() []metric {
	return []metric{
		one("indicators", "Indicators in the set in force.", gauge, func(s *Status) float64 { return float64(s.Intel.Indicators) }),
		one("quarantined", "Entries in quarantine.", gauge, func(s *Status) float64 { return float64(len(s.Intel.Quarantined)) }),
		perFeed("feed_entries", "Entries of the copy in use.", gauge, func(f *fetch.Status) float64 { return float64(f.Entries) }),
		perFeed("feed_age_seconds", "Time since the source last confirmed the copy in use.", gauge,
			func(f *fetch.Status) float64 { return f.Age(time.Now()).Seconds() }),
		perFeed("feed_failures", "Failed attempts in a row.", gauge, func(f *fetch.Status) float64 { return float64(f.Failures) }),
		perFeed("feed_held_back", "1 when a newer copy is held back.", gauge, func(f *fetch.Status) float64 { return flag(f.Held != "") }),
	}
}

func flag(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func outMetrics() []metric {
	return []metric{
		perSink("sink_sent_total", "Events delivered.", counter, func(k *SinkStatus) uint64 { return k.Sent }),
		perSink("sink_errors_total", "Attempts that failed.", counter, func(k *SinkStatus) uint64 { return k.Errors }),
		perSink("sink_dropped_total", "Events lost: dropped by the journal or given up.", counter,
			func(k *SinkStatus) uint64 { return k.Dropped + k.Failed }),
		perSink("sink_queue_length", "Events that wait.", gauge, func(k *SinkStatus) uint64 { return k.Pending }),
		perSink("sink_failing", "1 while the sink cannot deliver.", gauge, func(k *SinkStatus) uint64 { return uint64(flag(k.Failing)) }),
		one("journal_events_total", "Events appended to the journal.", counter, func(s *Status) float64 { return float64(s.Journal.Appended) }),
		one("journal_bytes", "Size of the journal's files.", gauge, func(s *Status) float64 { return float64(s.Journal.Bytes) }),
		one("journal_max_bytes", "Size that they may have.", gauge, func(s *Status) float64 { return float64(s.Journal.MaxBytes) }),
		one("journal_dropped_total", "Events dropped for want of room or for their age.", counter,
			func(s *Status) float64 { return float64(s.Journal.DroppedFull + s.Journal.DroppedOld) }),
		one("journal_write_errors_total", "Writes that failed.", counter, func(s *Status) float64 { return float64(s.Journal.WriteErrors) }),
	}
}

func selfMetrics() []metric {
	return []metric{
		one("canary_age_seconds", "Time since the self-test was last seen by the correlator.", gauge,
			func(s *Status) float64 { return since(s.Canary.LastSeen) }),
		{"canary_sink_age_seconds", "Time since the self-test last came to a sink.", gauge, []string{"sink"}, func(s *Status, put func(float64, ...string)) {
			for name, at := range s.Canary.Sinks {
				if !at.Last.IsZero() {
					put(since(at.Last), name)
				}
			}
		}},
		one("clock_unsynced", "1 while the wall clock cannot be trusted.", gauge, func(s *Status) float64 { return flag(s.Clock.State == "unsynced") }),
		{"check_state", "What the instance finds of itself: 0 ok, 1 warning, 2 critical.", gauge, []string{"check"}, func(s *Status, put func(float64, ...string)) {
			for _, f := range s.Health {
				put(float64(f.State), f.Check)
			}
		}},
	}
}
