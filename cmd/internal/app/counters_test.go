package app

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/cmd/internal/figures"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/forward"
	"github.com/flowsnitch/flowsnitch/flow/history"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/flow/udp"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/detect/follow"
	"github.com/flowsnitch/flowsnitch/intel/dnsbl"
	"github.com/flowsnitch/flowsnitch/intel/enrich"
	"github.com/flowsnitch/flowsnitch/intel/hunt/retro"
	"github.com/flowsnitch/flowsnitch/intel/incident/intake"
	"github.com/flowsnitch/flowsnitch/intel/incident/pulse"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/silence"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/flowsnitch/flowsnitch/sinks/jsonlog"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/flowsnitch/flowsnitch/sinks/webhook"
)

// A counter is a type of counters outside this package and the way of its fields into
// the JSON of a status.
type counter struct {
	name    string
	missing func() []string
}

// counted makes a counter. to gives the part of the status that has the counters.
func counted[T any](name string, to func(T) any, exempt figures.Exempt) counter {
	return counter{name, func() []string {
		var s T
		figures.Fill(&s, noon)
		return figures.Missing(&s, func() string {
			b, err := json.Marshal(to(s))
			if err != nil {
				return err.Error()
			}
			return string(b)
		}, exempt, nil)
	}}
}

// itself is for types that are in the status as they are.
func itself[T any](s T) any { return s }

// counters are all types whose names end in Stats or Report, by package and name, but
// for those of notInStatus.
func counters() []counter {
	return []counter{
		counted("udp.Stats", func(s udp.Stats) any { return listenerStatus([]udp.Stats{s}) }, nil),
		counted("udp.RefusedSender", func(s udp.RefusedSender) any { return refusedSenders(nil, []udp.RefusedSender{s}) }, nil),
		counted("forward.TargetStats", func(s forward.TargetStats) any { return forwardStatus([][]forward.TargetStats{{s}}) }, nil),
		counted("decode.Stats", func(s decode.Stats) any { return decodeStatus(s) }, nil),
		counted("decode.ExportersStats", itself[decode.ExportersStats], nil),
		counted("decode.LoadReport", func(r decode.LoadReport) any { return restoredStatus(r, nil) }, nil),
		counted("history.Stats", itself[history.Stats], nil),
		counted("retro.Stats", itself[retro.Stats], nil),
		counted("recorder.Stats", itself[recorder.Stats], nil),
		counted("store.Stats", itself[store.Stats], nil),
		counted("correlate.Stats", itself[correlate.Stats], nil),
		counted("queue.Stats", func(s queue.Stats) any {
			var h HitStatus
			h.queue(s)
			return h
		}, figures.Exempt{"CanariesLost": "is queue_full of the self-test"}),
		counted("dnsbl.Stats", func(s dnsbl.Stats) any { return DNSBLStatus{Stats: s} }, nil),
		counted("silence.Stats", func(s silence.Stats) any { return silenceStatus(s) }, nil),
		counted("intake.Stats", func(s intake.Stats) any {
			var i IncidentStatus
			i.intake(s)
			return i
		}, figures.Exempt{"Contacts": "are those of the events that wait", "Bytes": "are those of the events that wait"}),
		counted("pulse.Stats", func(s pulse.Stats) any {
			var i IncidentStatus
			i.pulse(s)
			return i
		}, figures.Exempt{"Last": "is seen as Trouble when it is too long ago"}),
		counted("journal.Stats", func(s journal.Stats) any { return journalStatus(s) }, nil),
		counted("journal.OpenReport", func(r journal.OpenReport) any { return openedStatus(r) }, nil),
		counted("sinks.CursorStats", func(s sinks.CursorStats) any { return sinkStatus("", s) }, nil),
		counted("jsonlog.Stats", func(s jsonlog.Stats) any { return jsonlogStatus(s) }, nil),
		counted("kafka.Stats", func(s kafka.Stats) any { return kafkaStatus(s) }, figures.Exempt{
			"Delivered": "is sent of the sink",
			"Errors":    "is errors of the sink",
		}),
		counted("syslog.Stats", func(s syslog.Stats) any { return syslogStatus(s) }, figures.Exempt{
			"Errors": "is errors of the sink",
			"Server": "is no loss; the last error names the server that failed",
		}),
		counted("webhook.Stats", func(s webhook.Stats) any { return webhookStatus(s) }, nil),
		counted("follow.HitsStats", func(h follow.HitsStats) any {
			var r RuleStatus
			r.follow(h, follow.ContactsStats{}, follow.RaisedStats{})
			return r
		}, figures.Exempt{"Hits.Alerts": "are not given to rules", "Hits.Canaries": "are not given to rules"}),
		counted("follow.ContactsStats", func(c follow.ContactsStats) any {
			var r RuleStatus
			r.follow(follow.HitsStats{}, c, follow.RaisedStats{})
			return r
		}, figures.Exempt{
			"Read.Omitted": "is summed up in Omitted",
			"Read.Bad[].":  "are counted by Unread, and named by the history",
			"Read.Lost":    "is a part of flows_total of the history",
		}),
		counted("follow.RaisedStats", func(raised follow.RaisedStats) any {
			var r RuleStatus
			r.follow(follow.HitsStats{}, follow.ContactsStats{}, raised)
			return r
		}, nil),
		counted("enrich.Stats", itself[enrich.Stats], nil),
		counted("web.Stats", itself[web.Stats], nil),
		counted("clock.Status", func(s clock.Status) any { return clockStatus(s) }, nil),
	}
}

// notInStatus are types of counters that no running instance shows as they are.
var notInStatus = map[string]string{
	"journal.LaneStats":   "is a part of journal.Stats",
	"position.Report":     "goes into journal.OpenReport",
	"segment.Report":      "goes into journal.OpenReport",
	"folder.Report":       "is what a crash has left, for the log of the start",
	"nfdump.Report":       "is of files, which 'history import' reads and sums up",
	"decode.VersionStats": "is a part of decode.Stats",
	"decode.EarlyStats":   "is a part of decode.ExportersStats",
	"capture.Stats":       "is of captures, which 'replay' and 'decode' read and sum up",
	"lookup.Report":       "goes into fetch.Status",
	"lookup.FeedReport":   "goes into fetch.Status",
	"lookup.WarnedReport": "goes into fetch.Status",
	"document.Report":     "goes into fetch.Status",
	"report.Report":       "is what is asked for, no counter",
	"detect.Stats":        "is a part of follow.HitsStats and follow.ContactsStats",
	"hits.Stats":          "is a part of follow.HitsStats",
	"names.Report":        "is of one list, and goes to whoever asks for it",
	"export.Report":       "is of one list, and goes to whoever asks for it",
}

// TestStatsArrive: each field of each type of counters arrives in the JSON of a status.
func TestStatsArrive(t *testing.T) {
	known := maps.Clone(notInStatus)
	for _, c := range counters() {
		known[c.name] = "is a counter"
		for _, field := range c.missing() {
			t.Errorf("%s: %s does not arrive in the status: take it into the function that counters() names, and then show it as the other tests demand", c.name, field)
		}
	}
	for _, name := range statsTypes(t) {
		if known[name] == "" {
			t.Errorf("%s is new: bring it into Status and into counters() of this test", name)
		}
	}
}

// statsTypes finds the exported types of the project whose names end in Stats or Report.
func statsTypes(t *testing.T) (names []string) {
	t.Helper()
	for _, dir := range []string{"flow", "intel", "sinks"} {
		err := filepath.WalkDir(filepath.Join("..", "..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				ts, ok := n.(*ast.TypeSpec)
				if ok && ts.Name.IsExported() && (strings.HasSuffix(ts.Name.Name, "Stats") || strings.HasSuffix(ts.Name.Name, "Report")) {
					names = append(names, f.Name.Name+"."+ts.Name.Name)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(names) < 10 {
		t.Fatalf("only %q found", names)
	}
	slices.Sort(names)
	return names
}

// filledStatus has something in every field.
func filledStatus() *Status {
	s := &Status{Clock: ClockStatus{State: "unsynced"}}
	s.Decoded.Versions = map[string]VersionStatus{"v9": {}}
	s.Decoded.Problems = make(map[decode.Reason]uint64)
	for _, r := range decode.Reasons() {
		s.Decoded.Problems[r] = 0
	}
	s.Canary.Sinks = map[string]canary.At{"kafka": {}}
	s.Canary.Listeners = map[string]canary.Listener{"192.0.2.1:2055": {}}
	s.Health = []observe.Finding{{Check: "sinks"}}
	figures.Fill(s, time.Now().Add(-3*time.Hour))
	s.Starting = false
	s.Exporters.List[0].Streams[0].Domain = 7 // no canary
	return s
}

// notAMetric are the numbers and flags of a status that are no metric, and why.
var notAMetric = figures.Exempt{
	"PID":                                         "process_start_time_seconds and the like are of the process",
	"Memory.Goroutines":                           "go_goroutines is the same",
	"Health[].Least":                              "is a part of the state",
	"Health[].Value":                              "has a metric of its own where it is of use",
	"Health[].Warning":                            "is configuration",
	"Health[].Critical":                           "is configuration",
	"Hits.HitQueueFull":                           "is the sum of hit_queue_dropped_total",
	"Hits.Correlator.HitEvents":                   "is the sum of hit_events_total",
	"Hits.Correlator.ContactsEvicted":             "is the sum of contacts_evicted_total",
	"Exporters.Restored.Clean":                    "explains lost_estimated_total",
	"Listeners[].RefusedSenders[].":               "are of strangers, whose addresses are without number",
	"Exporters.List[].Unproven":                   "is no loss",
	"Exporters.List[].Split":                      "is no loss",
	"Exporters.List[].EarlyBytes":                 "is summed up in early_bytes",
	"Exporters.List[].Streams[].Port":             "is a name",
	"Exporters.List[].Streams[].Domain":           "is a name",
	"Exporters.List[].Streams[].Bytes":            "is summed up in datagram_bytes_total",
	"Exporters.List[].Streams[].OptionRecords":    "is summed up in option_records_total",
	"Exporters.List[].Streams[].Templates":        "is summed up in templates",
	"Exporters.List[].Streams[].Estimate":         "is summed up in lost_estimated_total",
	"Exporters.List[].Streams[].Undecoded":        "is summed up in unknown_template_records_total",
	"Exporters.List[].Streams[].History[].":       "are changes of templates, no series",
	"Exporters.List[].Streams[].Missing[].":       "is counted by exporter_missing_templates",
	"Exporters.List[].Streams[].Sampling[].":      "is no loss",
	"Intel.HitsDay[":                              "is hits_total over a day",
	"Latest[].":                                   "are of single contacts",
	"Exporters.SelfTest.":                         "is a part of exporters and templates",
	"Intel.Feeds[].Samples[].":                    "are examples",
	"Intel.Feeds[].Delta":                         "is the change of feed_entries",
	"Intel.Feeds[].Parsed":                        "are rows, of which entries are made",
	"Intel.Feeds[].Duplicate":                     "are listed all the same",
	"Intel.Feeds[].Unique":                        "is no loss",
	"Intel.Feeds[].Touched":                       "is no loss",
	"Intel.Feeds[].Code":                          "explains the error in the status",
	"Intel.Feeds[].Incomplete":                    "is a feed of which there is no time of the last success",
	"Intel.Feeds[].HeldEntries":                   "explains feed_held_back",
	"Intel.Feeds[].IntervalSeconds":               "is configuration",
	"Intel.Feeds[].MaxAgeSeconds":                 "is configuration",
	"Intel.Feeds[].Operator":                      "is configuration",
	"Canary.AgeSeconds":                           "is computed when somebody looks",
	"Canary.Listeners[192.0.2.1:2055].AgeSeconds": "is computed when somebody looks",
	"Canary.Sinks[kafka].AgeSeconds":              "is computed when somebody looks",
	"Intel.Feeds[].AgeSeconds":                    "is computed when somebody looks",
	"Losses[].":                                   "are numbers of other sections",
	"Starting":                                    "is a part of ready",
	"Canary.Others[":                              "are hosts without number",
}

// TestFiguresAreMetrics: each figure of a status is a metric, or is in a sum that is one.
func TestFiguresAreMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the time stands still, so that no age changes
		s := filledStatus()
		show := func() string {
			var b strings.Builder
			if err := writeMetrics(&b, registryOf(func() Status { return *s })); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		for _, field := range figures.Missing(s, show, notAMetric, figures.IsNumber) {
			t.Errorf("Status.%s is in no metric: give it a name, or add it to notAMetric with the reason", field)
		}
	})
}

// judgedStatus has something in every number, and all is well.
func judgedStatus() *Status {
	s := well()
	s.Sinks = s.Sinks[:1]
	s.Sinks[0].Own.Trouble = make(map[string]uint64)
	for _, own := range []OwnStatus{jsonlogStatus(jsonlog.Stats{}), kafkaStatus(kafka.Stats{}), syslogStatus(syslog.Stats{}), webhookStatus(webhook.Stats{})} {
		maps.Copy(s.Sinks[0].Own.Trouble, own.Trouble)
	}
	s.Decoded.Problems = make(map[decode.Reason]uint64)
	for _, r := range decode.Reasons() {
		s.Decoded.Problems[r] = 0
	}
	s.Intel.Feeds[0].Refused = map[lookup.Reason]int{lookup.ReasonOverCap: 0, lookup.ReasonHome: 0}
	figures.Fill(&s, noon.Add(-time.Second))
	s.Starting, s.Health, s.Recent, s.Latest, s.Stalled = false, nil, nil, nil, nil // TestFindings has what has stalled
	s.Intel.Feeds[0].Refused[lookup.ReasonOverCap] = 0
	s.Journal.Trouble, s.Journal.ReadTrouble, s.Intel.Quarantined = "", "", nil
	s.Journal.Bytes, s.Journal.MaxBytes = 10, 1<<40
	s.Retro.Failing, s.Retro.WaitingSince = false, time.Time{}
	s.Report.Due = time.Time{}
	s.Rules.Bad, s.Rules.Quiet, s.Rules.Trouble, s.Rules.Damaged, s.Rules.LogDamaged = 0, nil, "", "", 0
	s.Silences.Lost, s.Silences.Unsaved = "", ""
	s.Incidents.Trouble, s.Incidents.Damaged, s.Incidents.AsideAs, s.Incidents.Last, s.Incidents.Waiting, s.Incidents.Pending = "", 0, "", noon, 0, 0
	s.History.Off, s.History.Disk, s.History.Trouble, s.History.Files.Trouble, s.History.Files.Bad, s.History.Files.Waiting = "", "", "", "", 0, 0
	s.Journal.Opened, s.Exporters.Restored, s.Exporters.File.Error = OpenedStatus{}, RestoredStatus{}, ""
	s.Exporters.Early.Replayed = s.Decoded.UnknownSets
	for i := range s.Sinks {
		s.Sinks[i].Failing = false
	}
	for i := range s.Intel.Feeds {
		s.Intel.Feeds[i].Held, s.Intel.Feeds[i].Error, s.Intel.Feeds[i].Unreadable = "", "", ""
	}
	for name, l := range s.Canary.Listeners {
		l.Trouble = ""
		s.Canary.Listeners[name] = l
	}
	for i := range s.DNSBL.Zones {
		s.DNSBL.Zones[i].Error = ""
	}
	return &s
}

// notJudged are the numbers and flags of a status that no check looks at, and why.
var notJudged = figures.Exempt{
	"Journal.Urgent.Bytes":                    "is a part of Bytes",
	"Journal.Urgent.InMemory":                 "is a part of InMemory",
	"Journal.Urgent.MemoryBytes":              "is a part of MemoryBytes",
	"Journal.Urgent.DroppedFull":              "is a part of DroppedFull, whose finding counts them",
	"Journal.Urgent.DroppedOld":               "is a part of DroppedOld, whose finding counts them",
	"Sinks[].DroppedUrgent":                   "is a part of Dropped, whose finding counts them",
	"Sinks[].PendingUrgent":                   "is no loss",
	"Clock.Unsynced":                          "State is looked at",
	"Intel.Feeds[].AgeSeconds":                "is Taken and Checked, which are looked at",
	"Losses[].":                               "are numbers of other sections",
	"Ready":                                   "is what the checks find",
	"Starting":                                "there are no findings yet",
	"Journal.Opened.TornBytes":                "are of a write that was under way; no sink was to get it",
	"PID":                                     "is no loss",
	"Exporters.SelfTest.":                     "is no loss",
	"Hits.Correlator.FoldedFlowsForgotten":    "are nearly all flows of a large scan; no more than its count of duplicates comes of it",
	"Memory.":                                 "is no loss",
	"Listeners[].Sockets":                     "is configuration",
	"Listeners[].Datagrams":                   "is no loss",
	"Listeners[].Bytes":                       "is no loss",
	"Listeners[].KernelDropsKnown":            "says what the system can tell",
	"Listeners[].Unread":                      "is counted at the end, when nobody checks any more",
	"Listeners[].BufferConfigured":            "is configuration",
	"Listeners[].BufferGranted":               "matters when the kernel drops, which is looked at",
	"Listeners[].Steered":                     "is no loss",
	"Listeners[].RefusedSenders[].Datagrams":  "is looked at as Certain",
	"Listeners[].RefusedUnnamed":              "is a part of Refused",
	"Listeners[].Forward[].KeepsSource":       "is a matter of permission: the log warns once, and nothing is lost here",
	"Listeners[].Forward[].Sent":              "is no loss",
	"Listeners[].Forward[].SourceLost":        "is a matter of permission: the log warns once, and nothing is lost here",
	"Decoded.Versions[v9].":                   "is no loss",
	"Decoded.NoAddress":                       "is what layer 2 and multicast are",
	"Decoded.TunnelsSkipped":                  "is as sflow.tunnel_endpoints demands",
	"Decoded.Templates":                       "is no loss",
	"Decoded.OptionsTemplates":                "is no loss",
	"Decoded.UnknownBytes":                    "are those of UnknownSets",
	"Decoded.Problems[template_withdrawal]":   "is ignored on purpose",
	"Exporters.Exporters":                     "is no loss",
	"Exporters.Templates":                     "is no loss until a template is refused",
	"Exporters.TemplateBytes":                 "is no loss until a template is refused",
	"Exporters.StateBytes":                    "is no loss until a stream is refused",
	"Exporters.Forgotten":                     "were silent for limits.forget, and the check exporters has named them by then",
	"Exporters.Early.Kept":                    "is no loss",
	"Exporters.Early.Replayed":                "is no loss",
	"Exporters.Early.Records":                 "is no loss",
	"Exporters.Early.WaitingBytes":            "is no loss",
	"Exporters.Early.Expired":                 "are among UnknownSets",
	"Exporters.Lost.Undecoded":                "are those of UnknownSets",
	"Exporters.Lost.Estimate":                 "is a part of the others",
	"Exporters.Restored.Clean":                "explains an estimate",
	"Exporters.Restored.Exporters":            "is no loss",
	"Exporters.Restored.Templates":            "is no loss",
	"Exporters.Restored.Samplers":             "is no loss",
	"Exporters.Restored.Expired":              "is as limits.forget demands",
	"Exporters.File.Writes":                   "is no loss",
	"Exporters.List[].":                       "are summed up in Exporters and in Decoded, which are looked at; what an sFlow agent could not sample is a matter of the device",
	"Intel.Indicators":                        "is looked at when it is 0",
	"Intel.Feeds[].Objects":                   "is no loss",
	"Intel.Feeds[].BadNames":                  "is the feed's own; they were never listed",
	"Intel.Feeds[].DroppedNames":              "is no loss of hits; every export of names counts them as cut",
	"Intel.Feeds[].Names":                     "is no loss; every export of names counts those that do not count, with the reason",
	"Intel.Feeds[].BadPieces":                 "is looked at when one is bad for as long as a feed may be old, see TestBadPieces",
	"Intel.Feeds[].SlowRequests":              "fail a fetch: the age of the feed is looked at",
	"Intel.Feeds[].RefusedRedirects":          "fail a fetch: the age of the feed is looked at",
	"Intel.Feeds[].Entries":                   "is no loss",
	"Intel.Feeds[].Delta":                     "is no loss; a copy that shrinks too much is held back",
	"Intel.Feeds[].Parsed":                    "is no loss",
	"Intel.Feeds[].Rejected":                  "the log complains of them; a feed of too many is held back",
	"Intel.Feeds[].Samples[].":                "are examples",
	"Intel.Feeds[].Accepted":                  "is no loss",
	"Intel.Feeds[].Duplicate":                 "is no loss",
	"Intel.Feeds[].Refused[home]":             "is what a guard is for",
	"Intel.Feeds[].Expired":                   "is as max_age demands",
	"Intel.Feeds[].Unique":                    "is no loss",
	"Intel.Feeds[].Stopped":                   "is what a warninglist is for",
	"Intel.Feeds[].Touched":                   "is no loss",
	"Intel.Feeds[].Code":                      "explains the error",
	"Intel.Feeds[].Incomplete":                "is looked at as a feed without a copy",
	"Intel.Feeds[].Failures":                  "is looked at by the age of the feed",
	"Intel.Feeds[].IntervalSeconds":           "is configuration",
	"Intel.Feeds[].MaxAgeSeconds":             "is configuration",
	"Intel.Feeds[].Operator":                  "is configuration",
	"Intel.Feeds[].RejectedParts":             "the log complains of them",
	"Intel.Feeds[].HeldEntries":               "is of what is held back",
	"Intel.Feeds[].Requests":                  "is no loss",
	"Intel.HitsDay[":                          "is no loss",
	"DNSBL.Dropped":                           "its tags name the check",
	"DNSBL.Evicted":                           "its tags name the check",
	"DNSBL.Kept":                              "is no loss",
	"DNSBL.Asked":                             "is no loss",
	"DNSBL.Cached":                            "is no loss",
	"DNSBL.Listed":                            "is no loss",
	"DNSBL.Unlisted":                          "is no loss",
	"DNSBL.Queries":                           "is no loss",
	"DNSBL.Errors":                            "is looked at by what is known of the zone",
	"DNSBL.Failed":                            "is looked at by what is known of the zone",
	"DNSBL.Zones[].":                          "is looked at with the error of the zone",
	"History.Enabled":                         "is the operator's word",
	"Incidents.Enabled":                       "is the operator's word",
	"Incidents.Incidents":                     "is no loss",
	"Incidents.Max":                           "is configuration",
	"Incidents.Bytes":                         "is no loss; a full disk is looked at as Trouble",
	"Incidents.Committed":                     "is no loss",
	"Incidents.Repeats":                       "is no loss",
	"Incidents.Commits":                       "is no loss",
	"Incidents.Early":                         "is no loss",
	"Incidents.Errors":                        "is looked at as Trouble; they are tried again",
	"Incidents.Changed":                       "is no loss",
	"Incidents.Reopened":                      "is no loss",
	"Incidents.Old":                           "is as incidents.keep demands",
	"Incidents.Contacts":                      "is no loss",
	"Incidents.Took":                          "is no loss",
	"Incidents.Hours":                         "is looked at as Trouble",
	"History.MaxBytes":                        "is configuration",
	"History.Waiting":                         "is looked at as Trouble, which keeps them waiting",
	"History.Unwritten":                       "its tags name the check",
	"History.Recorded.Kept":                   "is no loss",
	"History.Recorded.Folded":                 "is no loss: they are counted in a row that stands for many",
	"History.Recorded.Lost":                   "its tags name the check",
	"History.Recorded.LostRows":               "its tags name the check",
	"History.Recorded.Internal":               "is no loss",
	"History.Recorded.Excluded":               "is as history.exclude demands",
	"History.Recorded.NoAddress":              "is what layer 2 and multicast are",
	"History.Recorded.Transit":                "is looked at as a share of the flows",
	"History.Recorded.Clamped":                "the times of another machine, which may be wrong",
	"History.Recorded.Contacts":               "is no loss",
	"History.Recorded.Bytes":                  "is no loss",
	"History.Recorded.Interval":               "is no loss",
	"History.Recorded.Full":                   "is no loss: the tables are written early",
	"History.Recorded.Shutdown":               "is no loss",
	"History.Recorded.Crowded":                "costs the name of one more exporter in a row",
	"History.Files.Files[]":                   "is no loss",
	"History.Files.Bytes":                     "is no loss",
	"History.Files.BadTotal":                  "is looked at as Bad",
	"History.Files.Rows":                      "is no loss",
	"History.Files.WriteErrors":               "is looked at as Trouble; they are tried again",
	"History.Files.Refused":                   "is looked at as Trouble; they are tried again",
	"History.Files.Merges":                    "is no loss",
	"History.Files.MergeErrors":               "is looked at as Trouble; they are tried again",
	"Rules.Again":                             "is no loss",
	"Rules.Alerts":                            "is no loss",
	"Rules.Bytes":                             "is no loss",
	"Rules.Contacts":                          "is no loss",
	"Rules.Covered":                           "was judged before",
	"Rules.Errors":                            "Trouble is looked at; they are tried again",
	"Rules.FalseAlarms":                       "is as an operator has decided",
	"Rules.Files":                             "is no loss",
	"Rules.Groups":                            "is no loss",
	"Rules.HistoryOff":                        "is as the configuration has it; the check names it",
	"Rules.Hits":                              "is no loss",
	"Rules.Late":                              "the clock of an exporter, or a journal that was behind, and both are looked at",
	"Rules.LogForgotten":                      "may make an alert come twice, with the same id",
	"Rules.Observations":                      "is no loss",
	"Rules.Old":                               "are of a time before rules ran",
	"Rules.On":                                "is configuration",
	"Rules.Partly":                            "is one flow instead of some, after Forgotten, which is looked at",
	"Rules.Pending":                           "is no loss until the journal drops them, which is looked at",
	"Rules.Quieted":                           "is as an operator has decided",
	"Rules.Raised":                            "is no loss",
	"Rules.Remembered":                        "is no loss",
	"Rules.Retro":                             "are of the past",
	"Rules.Silenced":                          "is as an operator has decided",
	"Rules.Spread":                            "costs the exact hour of a flow",
	"Rules.StateBytes":                        "is no loss",
	"Rules.StateWritten":                      "is no loss",
	"Rules.Took":                              "is no loss",
	"Rules.Updates":                           "is no loss",
	"Rules.Waiting":                           "are in the journal until they are saved",
	"Report.":                                 "what is not sent is late, which is looked at",
	"Hunt.":                                   "is what was asked; whoever asks is answered with what is wrong",
	"Retro.Jobs[]":                            "is no loss; how long they wait is looked at",
	"Retro.Entries":                           "is no loss; how long they wait is looked at",
	"Retro.Done":                              "is no loss",
	"Retro.Matches[]":                         "is events and alerts, and what was sent before",
	"Retro.Seconds":                           "is no loss",
	"Retro.SentIDs":                           "is no loss",
	"Retro.Failures":                          "Failing is looked at",
	"History.Files.AgedFiles":                 "is as history.keep demands",
	"History.Files.PushedFiles":               "is as history.max_bytes demands",
	"History.Files.ErasedRows":                "is as the operator demands",
	"Hits.Found":                              "is no loss",
	"Hits.Feeds[].Hits":                       "is no loss",
	"Hits.FeedsOther":                         "are hits that are not counted by feed; they are events like all",
	"Hits.Offered":                            "is no loss",
	"Hits.Queued":                             "is no loss until the queue is full",
	"Hits.Correlator.Hits":                    "is no loss",
	"Hits.Correlator.HitEvents":               "is no loss",
	"Hits.Correlator.UpdateEvents":            "is no loss",
	"Hits.Correlator.Severities[]":            "is no loss",
	"Hits.Correlator.Canaries":                "is no loss",
	"Hits.Correlator.CanaryEvents":            "is no loss",
	"Hits.Correlator.Duplicates":              "is no loss",
	"Hits.Correlator.FoldedContacts":          "is no loss: one contact stands for many",
	"Hits.Correlator.FoldedHits":              "is no loss: they are counted in their contact",
	"Hits.Correlator.FoldsCut":                "costs the exact number of ports or hosts of a scan",
	"Hits.Correlator.Suspect":                 "the event has the mark; the clock is one of another machine",
	"Hits.Correlator.ContactsEnded":           "is no loss",
	"Hits.Correlator.EvictedBySeverity[]":     "is a part of ContactsEvicted, which says how many were severe",
	"Intel.Feeds[].ReadErrors":                "is looked at as Unreadable",
	"Hits.Correlator.ExportersOverCap":        "costs the name of one more exporter in an event",
	"Hits.Correlator.Contacts":                "is no loss",
	"Hits.Correlator.Flows":                   "is no loss",
	"Journal.Appended":                        "is no loss",
	"Journal.Refused":                         "comes after the end, when nobody checks any more",
	"Journal.Shortened":                       "the event is delivered, with the mark that it is cut",
	"Journal.Bytes":                           "is looked at as a share of MaxBytes",
	"Journal.MaxBytes":                        "is configuration",
	"Journal.Segments":                        "is no loss",
	"Journal.MemoryBytes":                     "is no loss",
	"Journal.InMemory":                        "is trouble only with Trouble, which is looked at",
	"Journal.Writes":                          "is no loss",
	"Journal.Written":                         "is no loss",
	"Journal.Syncs":                           "is no loss",
	"Journal.Saves":                           "is no loss",
	"Journal.Opened.Segments":                 "is no loss",
	"Journal.Opened.Bytes":                    "is no loss",
	"Journal.Opened.Events":                   "is no loss",
	"Journal.Opened.Cursors":                  "is no loss",
	"Exports.":                                "are of clients, who are answered with the reason, and of the guards of a list",
	"Silences.InForce":                        "is what operators have made",
	"Silences.Allowed":                        "is what operators have made",
	"Silences.Low":                            "is as an operator has decided",
	"Silences.Medium":                         "is as an operator has decided",
	"Silences.High":                           "is as an operator has decided",
	"Silences.Critical":                       "is as an operator has decided",
	"Sinks[].Appended":                        "is no loss",
	"Sinks[].Sent":                            "is no loss",
	"Sinks[].Held":                            "is no loss",
	"Sinks[].Pending":                         "is no loss; the journal, which may be full, is looked at",
	"Sinks[].PendingBytes":                    "is no loss",
	"Sinks[].OldestAge":                       "is looked at as the time that a sink has been failing",
	"Sinks[].SendingFor":                      "ends with delivery.timeout",
	"Sinks[].Damaged":                         "is a part of Dropped",
	"Sinks[].Filtered":                        "is as delivery.filter demands",
	"Sinks[].Limited":                         "is as delivery.limit demands",
	"Sinks[].Repeated":                        "is no loss",
	"Sinks[].MayRepeat":                       "is no loss, and cannot be changed any more",
	"Sinks[].Errors":                          "is looked at while the sink is failing",
	"Sinks[].Failures":                        "is looked at as Failing",
	"Sinks[].Own.Counts[":                     "is no loss",
	"Sinks[].Own.Trouble[lines_repaired]":     "the line was written anew",
	"Sinks[].Own.Trouble[lines_torn]":         "the log says so at the start",
	"Sinks[].Own.Trouble[refused_by_brokers]": "is Failed of the sink",
	"Sinks[].Own.Trouble[shortened]":          "the event is delivered, without what is too long",
	"Sinks[].Own.Trouble[sent_again]":         "is no loss",
	"Canary.":                                 "its ages are looked at; what comes from elsewhere may be forged, and must not make a check fail",
	"Clock.Jumps":                             "State is looked at",
	"Clock.LastJump":                          "State is looked at",
	"Web.":                                    "whoever may reach the port can raise it; there is an alert rule",
}

// TestLossesAreJudged: when a number of a status goes up, or a flag turns, a check
// fails; once the number stands still, it is observe.OK again.
func TestLossesAreJudged(t *testing.T) {
	s, before := judgedStatus(), judgedStatus()
	p := &past{limits: configs.DefaultHealth(), date: noon}
	show := func(then *Status) string {
		p.status = *then
		var bad []string
		for _, f := range findings(s, p, noon) {
			if f.State != observe.OK {
				bad = append(bad, f.Check+": "+f.Text)
			}
		}
		return strings.Join(bad, "\n")
	}
	if bad := show(before); bad != "" {
		t.Fatalf("not well to begin with: %s", bad)
	}
	for _, field := range figures.Missing(s, func() string { return show(before) }, notJudged, figures.IsNumber) {
		t.Errorf("Status.%s is looked at by no check: add it to a check of its component, or to notJudged with the reason", field)
	}
	figures.Each(s, func(path string, of reflect.Type) {
		if figures.IsNumber(of) && show(before) != "" && show(s) != "" && !lasting[path] {
			t.Errorf("Status.%s: still %s, when it stands still", path, show(s))
		}
	})
}

// lasting are numbers and flags that are trouble as long as they are as they are.
var lasting = map[string]bool{
	"Exporters.Restored.Damaged":      true, // for an hour
	"Exporters.Restored.Refused":      true,
	"Journal.Opened.DamagedBytes":     true,
	"Journal.Opened.MissingEvents":    true,
	"Journal.Opened.LostEvents":       true,
	"Intel.Feeds[].Refused[over-cap]": true,
	"Sinks[].Failing":                 true,
	"History.Files.Bad":               true, // until they are removed
	"History.Files.Waiting":           true,
	"Incidents.Damaged":               true, // until the next start
	"Incidents.Waiting":               true, // until they are committed
	"Incidents.Pending":               true,
	"Rules.Bad":                       true, // until they are mended
	"Rules.LogDamaged":                true, // until the next start
	"Retro.Failing":                   true, // until the disk is mended
}
