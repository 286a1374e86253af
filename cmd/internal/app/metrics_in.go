package app

import (
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/prometheus/client_golang/prometheus"
)

// perListener makes a metric with a value for each listener.
func perListener(name, help string, kind prometheus.ValueType, f func(*ListenerStatus) float64) metric {
	return metric{name: name, help: help, kind: kind, labels: []string{"listener"}, each: func(s *Status, put put) {
		for i := range s.Listeners {
			put(f(&s.Listeners[i]), s.Listeners[i].Address)
		}
	}}
}

func udpMetrics() []metric {
	return []metric{
		perListener("udp_packets_total", "Datagrams received.", counter, func(l *ListenerStatus) float64 { return float64(l.Datagrams) }),
		perListener("udp_bytes_total", "Bytes received.", counter, func(l *ListenerStatus) float64 { return float64(l.Bytes) }),
		{name: "udp_kernel_drops_total", help: "Datagrams that the kernel dropped for want of room, where it tells.", kind: counter,
			labels: []string{"listener"}, each: kernelDrops},
		perListener("udp_refused_total", "Datagrams of senders that are not allowed.", counter,
			func(l *ListenerStatus) float64 { return float64(l.Refused) }),
		perListener("udp_truncated_total", "Datagrams that were longer than a buffer.", counter,
			func(l *ListenerStatus) float64 { return float64(l.Truncated) }),
		perListener("udp_read_errors_total", "Reads that failed.", counter, func(l *ListenerStatus) float64 { return float64(l.ReadErrors) }),
		perListener("udp_unread_total", "Datagrams that were in the sockets at the end.", counter,
			func(l *ListenerStatus) float64 { return float64(l.Unread) }),
		perListener("udp_sockets", "Sockets, each with a worker.", gauge, func(l *ListenerStatus) float64 { return float64(l.Sockets) }),
		perListener("udp_receive_buffer_bytes", "Receive buffer of a socket that the kernel grants.", gauge,
			func(l *ListenerStatus) float64 { return float64(l.BufferGranted) }),
		perListener("udp_receive_buffer_wanted_bytes", "Receive buffer of a socket that the configuration requests.", gauge,
			func(l *ListenerStatus) float64 { return float64(l.BufferWanted) }),
		perListener("udp_refused_unnamed_total", "Datagrams of senders that are not allowed and that the log does not name, because it names too many already.", counter,
			func(l *ListenerStatus) float64 { return float64(l.RefusedUnnamed) }),
		perListener("udp_refused_senders", "Senders that are not allowed, of the 16 that send most to each socket.", gauge,
			func(l *ListenerStatus) float64 { return float64(len(l.RefusedSenders)) }),
		perListener("udp_steered", "1 while all datagrams of a sender come to the same socket.", gauge,
			func(l *ListenerStatus) float64 { return flag(l.Steered) }),
		perTarget("forward_sent_total", "Copies sent onward.", counter, func(f *ForwardStatus) float64 { return float64(f.Sent) }),
		perTarget("forward_source_lost_total", "Copies sent onward with our own address as their source.", counter,
			func(f *ForwardStatus) float64 { return float64(f.SourceLost) }),
		perTarget("forward_dropped_total", "Copies dropped because the send buffer was full or the target had no address.", counter,
			func(f *ForwardStatus) float64 { return float64(f.Dropped) }),
		perTarget("forward_failed_total", "Copies that the system refused to send.", counter, func(f *ForwardStatus) float64 { return float64(f.Failed) }),
		perTarget("forward_looped_total", "Datagrams not sent onward because they had been a moment ago: who gets the copies forwards to us.", counter,
			func(f *ForwardStatus) float64 { return float64(f.Looped) }),
		perTarget("forward_up", "1 while the target has an address.", gauge, func(f *ForwardStatus) float64 { return flag(f.Address.IsValid()) }),
		perTarget("forward_keeps_source", "1 while copies carry the address of their exporter.", gauge,
			func(f *ForwardStatus) float64 { return flag(f.KeepsSource) }),
		perListener("worker_idle_seconds", "Time since the last turn of the worker that is furthest behind; each turns once a second.", gauge,
			func(l *ListenerStatus) float64 { return age(l.Beat) }),
	}
}

// perTarget makes a metric with a value for each target of each listener.
func perTarget(name, help string, kind prometheus.ValueType, f func(*ForwardStatus) float64) metric {
	return metric{name: name, help: help, kind: kind, labels: []string{"listener", "target"}, each: func(s *Status, put put) {
		for i := range s.Listeners {
			for j := range s.Listeners[i].Forward {
				put(f(&s.Listeners[i].Forward[j]), s.Listeners[i].Address, s.Listeners[i].Forward[j].Target)
			}
		}
	}}
}

func kernelDrops(s *Status, put put) {
	for _, l := range s.Listeners {
		if l.KernelDropsKnow {
			put(float64(l.KernelDrops), l.Address)
		}
	}
}

// perVersion makes a counter with a value for each export protocol.
func perVersion(name, help string, f func(VersionStatus) uint64) metric {
	return metric{name: name, help: help, kind: counter, labels: []string{"version"}, each: func(s *Status, put put) {
		for v, n := range s.Decoded.Versions {
			put(float64(f(n)), v)
		}
	}}
}

func decodeMetrics() []metric {
	return []metric{
		perVersion("datagrams_total", "Export datagrams decoded.", func(v VersionStatus) uint64 { return v.Datagrams }),
		perVersion("datagram_bytes_total", "Bytes of export datagrams decoded.", func(v VersionStatus) uint64 { return v.Bytes }),
		perVersion("records_total", "Flow records decoded.", func(v VersionStatus) uint64 { return v.Records }),
		perVersion("option_records_total", "Records of options data decoded.", func(v VersionStatus) uint64 { return v.OptionRecords }),
		one("records_without_address_total", "Flow records without any address.", counter, func(s *Status) uint64 { return s.Decoded.NoAddress }),
		one("tunnels_skipped_total", "Packets inside tunnels, in samples, not read because an end of the tunnel is not ours.", counter,
			func(s *Status) uint64 { return s.Decoded.TunnelsSkipped }),
		{name: "decode_errors_total", help: "What could not be decoded or kept, by reason.", kind: counter, labels: []string{"reason"}, each: decodeErrors},
		{name: "template_records_total", help: "Templates accepted, each time they came.", kind: counter, labels: []string{"kind"},
			each: func(s *Status, put put) {
				put(float64(s.Decoded.Templates), "data")
				put(float64(s.Decoded.OptionsTemplates), "options")
			}},
		one("missing_template_total", "Data sets that came without their template.", counter, func(s *Status) uint64 { return s.Decoded.UnknownSets }),
		one("missing_template_bytes_total", "Bytes of data sets that came without their template.", counter,
			func(s *Status) uint64 { return s.Decoded.UnknownBytes }),
		one("early_bytes", "Bytes of data sets that wait for their template.", gauge, func(s *Status) int64 { return s.Exporters.Early.WaitingBytes }),
		{name: "early_sets_total", help: "What became of data sets that came before their template.", kind: counter, labels: []string{"outcome"}, each: earlySets},
		one("early_records_total", "Records in data sets that were read after they had waited.", counter,
			func(s *Status) uint64 { return s.Exporters.Early.Records }),
	}
}

// decodeErrors has every reason from the start, so that the first of a kind is a rise.
func decodeErrors(s *Status, put put) {
	for _, r := range decode.Reasons() {
		put(float64(s.Decoded.Problems[r]), string(r))
	}
}

func earlySets(s *Status, put put) {
	e := &s.Exporters.Early
	put(float64(e.Kept), "kept")
	put(float64(e.Replayed), "replayed")
	put(float64(e.Expired), "expired")
	put(float64(e.Full), "full")
	put(float64(e.GaveWay), "gave_way")
}

// perExporter makes a metric with a value for each exporter that a status lists, but for
// those that send nothing but canaries.
func perExporter(name, help string, kind prometheus.ValueType, f func(*decode.ExporterStatus) float64) metric {
	return metric{name: name, help: help, kind: kind, labels: []string{"exporter"}, each: func(s *Status, put put) {
		for i := range s.Exporters.List {
			if _, ok := lastExport(&s.Exporters.List[i]); ok {
				put(f(&s.Exporters.List[i]), s.Exporters.List[i].Address.String())
			}
		}
	}}
}

// sum adds up a figure of the streams of an exporter.
func sum(e *decode.ExporterStatus, f func(*decode.StreamStatus) uint64) float64 {
	n := uint64(0)
	for i := range e.Streams {
		n += f(&e.Streams[i])
	}
	return float64(n)
}

func exporterMetrics() []metric {
	return []metric{
		one("exporters", "Exporters known.", gauge, func(s *Status) int { return s.Exporters.Exporters }),
		one("exporters_forgotten_total", "Exporters forgotten after limits.forget.", counter, func(s *Status) uint64 { return s.Exporters.Forgotten }),
		one("exporters_gave_way_total", "Unproven exporters forgotten to make room for others.", counter, func(s *Status) uint64 { return s.Exporters.GaveWay }),
		one("exporter_state_bytes", "Bytes of all that is kept for exporters.", gauge, func(s *Status) int64 { return s.Exporters.StateBytes }),
		one("templates", "Templates known.", gauge, func(s *Status) int64 { return s.Exporters.Templates }),
		one("template_bytes", "Bytes of the templates known.", gauge, func(s *Status) int64 { return s.Exporters.TemplateBytes }),
		one("template_file_writes_total", "Times that the file of templates was written.", counter, func(s *Status) uint64 { return s.Exporters.File.Writes }),
		one("template_file_write_errors_total", "Times that the file of templates could not be written.", counter,
			func(s *Status) uint64 { return s.Exporters.File.WriteErrors }),
		{name: "template_file_lines", help: "Lines of the file of templates that were left out at the start, by reason.", kind: gauge, labels: []string{"reason"},
			each: func(s *Status, put put) {
				put(float64(s.Exporters.Restored.Damaged), "damaged")
				put(float64(s.Exporters.Restored.Expired), "expired")
				put(float64(s.Exporters.Restored.Refused), "refused")
			}},
		{name: "template_file_restored", help: "What the file of templates had at the start, by kind.", kind: gauge, labels: []string{"kind"},
			each: func(s *Status, put put) {
				put(float64(s.Exporters.Restored.Exporters), "exporters")
				put(float64(s.Exporters.Restored.Templates), "templates")
				put(float64(s.Exporters.Restored.Samplers), "samplers")
			}},
		{name: "lost_records_total", help: "Flows and records that the exporters' sequence numbers say were lost, by what they count.",
			kind: counter, labels: []string{"unit"}, settles: true, each: func(s *Status, put put) {
				put(float64(s.Exporters.Lost.Flows), "flows")
				put(float64(s.Exporters.Lost.Records), "records")
			}},
		settling(one("lost_datagrams_total", "Datagrams that sequence numbers of NetFlow v9 and sFlow say were lost.", counter,
			func(s *Status) uint64 { return s.Exporters.Lost.Datagrams })),
		settling(one("lost_uncertain_total", "The part of all losses that fell into a time when we had crashed.", counter,
			func(s *Status) uint64 { return s.Exporters.Lost.Estimate })),
		settling(one("sequence_jumps_total", "Sequence numbers that no loss explains, mostly of forged datagrams.", counter,
			func(s *Status) uint64 { return s.Exporters.Lost.Jumps })),
		settling(one("unsaid_records_total", "IPFIX records in sets of unknown templates, by the sequence numbers.", counter,
			func(s *Status) uint64 { return s.Exporters.Lost.Unsaid })),
		perExporter("exporter_silence_seconds", "Time since the last datagram but canaries, of the 100 exporters that sent most.", gauge,
			func(e *decode.ExporterStatus) float64 {
				last, _ := lastExport(e)
				return age(last)
			}),
		perExporter("exporter_datagrams_total", "Datagrams of an exporter.", counter, func(e *decode.ExporterStatus) float64 {
			return sum(e, func(s *decode.StreamStatus) uint64 { return s.Datagrams })
		}),
		perExporter("exporter_records_total", "Flow records of an exporter.", counter, func(e *decode.ExporterStatus) float64 {
			return sum(e, func(s *decode.StreamStatus) uint64 { return s.Records })
		}),
		settling(perExporter("exporter_lost_total", "What the sequence numbers of an exporter say was lost, in what they count.", counter,
			func(e *decode.ExporterStatus) float64 {
				return sum(e, func(s *decode.StreamStatus) uint64 { return s.Lost })
			})),
		perExporter("exporter_late_total", "Datagrams of an exporter that came late and count as lost no more.", counter, func(e *decode.ExporterStatus) float64 {
			return sum(e, func(s *decode.StreamStatus) uint64 { return s.Late })
		}),
		perExporter("exporter_repeated_total", "Datagrams of an exporter that came twice.", counter, func(e *decode.ExporterStatus) float64 {
			return sum(e, func(s *decode.StreamStatus) uint64 { return s.Repeated })
		}),
		perExporter("exporter_resets_total", "Restarts of an exporter by its sequence numbers.", counter, func(e *decode.ExporterStatus) float64 {
			return sum(e, func(s *decode.StreamStatus) uint64 { return s.Resets })
		}),
		perExporter("exporter_jumps_total", "Sequence numbers of an exporter that no loss explains.", counter, func(e *decode.ExporterStatus) float64 {
			return sum(e, func(s *decode.StreamStatus) uint64 { return s.Jumps })
		}),
		perExporter("exporter_sflow_dropped_total", "Packets that an sFlow agent could not sample, by its own count.", counter, func(e *decode.ExporterStatus) float64 {
			return sum(e, func(s *decode.StreamStatus) uint64 { return s.Dropped })
		}),
		perExporter("exporter_missing_templates", "Templates that an exporter sends data for and has not sent.", gauge, func(e *decode.ExporterStatus) float64 {
			return sum(e, func(s *decode.StreamStatus) uint64 { return uint64(len(s.Missing)) })
		}),
	}
}
