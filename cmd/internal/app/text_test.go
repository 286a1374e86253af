package app

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/cmd/internal/figures"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// notInText are the fields that 'flowsnitch status' leaves to --json, and why.
var notInText = figures.Exempt{
	"StateDir":                                 "is no loss",
	"Health[].Least":                           "is a part of the state",
	"Health[].Value":                           "is in the text of the finding",
	"Health[].Unit":                            "is of the value",
	"Health[].Warning":                         "is configuration",
	"Health[].Critical":                        "is configuration",
	"Rules.Again":                              "is no loss",
	"Rules.Bytes":                              "is no loss",
	"Rules.Contacts":                           "is shown by its time",
	"Rules.Covered":                            "is no loss",
	"Rules.FalseAlarms":                        "is as an operator has decided",
	"Rules.Files":                              "is no loss",
	"Rules.Groups":                             "is no loss",
	"Rules.Invalid[]":                          "is in the finding of the check, and in rules list",
	"Rules.LogForgotten":                       "is no loss",
	"Rules.Observations":                       "is no loss",
	"Rules.Old":                                "is no loss",
	"Rules.Partly":                             "is no loss",
	"Rules.Pending":                            "is no loss",
	"Rules.Place":                              "is the hour of Until",
	"Rules.Quieted":                            "is as an operator has decided",
	"Rules.Raised":                             "is Alerts and what was not sent",
	"Rules.Remembered":                         "is no loss",
	"Rules.Retro":                              "is no loss",
	"Rules.Saved":                              "is no loss",
	"Rules.Silenced":                           "is as an operator has decided",
	"Rules.Spread":                             "is no loss",
	"Rules.StateBytes":                         "is no loss",
	"Rules.StateWritten":                       "is no loss",
	"Rules.Took":                               "is no loss",
	"Rules.Updates":                            "is no loss",
	"Rules.Waiting":                            "is no loss",
	"Listeners[].Listen":                       "is configuration; the address in use is shown",
	"Listeners[].Sockets":                      "is configuration",
	"Listeners[].Beat":                         "is looked at by the check workers",
	"Listeners[].BufferGranted":                "is logged at the start",
	"Listeners[].BufferConfigured":             "is configuration",
	"Listeners[].Steered":                      "is no loss",
	"Listeners[].Forward[].Address":            "is that of the target",
	"Listeners[].Forward[].KeepsSource":        "shows in the copies that have our address",
	"Decoded.Versions[v9].Bytes":               "is no loss",
	"Decoded.Templates":                        "is no loss",
	"Decoded.OptionsTemplates":                 "is no loss",
	"Exporters.StateBytes":                     "is no loss; a cap that is reached is a problem and a finding",
	"Exporters.TemplateBytes":                  "is no loss; a cap that is reached is a problem and a finding",
	"Exporters.Restored.Clean":                 "explains estimates, which are shown",
	"Exporters.Restored.Exporters":             "is logged at the start",
	"Exporters.Restored.Templates":             "is logged at the start",
	"Exporters.Restored.Samplers":              "is no loss",
	"Exporters.File.Writes":                    "is no loss",
	"Exporters.List[].Unproven":                "is no loss",
	"Exporters.List[].EarlyBytes":              "is in the sum that waits",
	"Exporters.List[].LastSeen":                "is shown for each stream",
	"Exporters.List[].Streams[].Agent":         "is a name",
	"Exporters.List[].Streams[].Bytes":         "is no loss",
	"Exporters.List[].Streams[].OptionRecords": "is no loss",
	"Exporters.List[].Streams[].Templates":     "is no loss",
	"Exporters.List[].Streams[].History[].":    "is no loss",
	"Hits.Beat":                                "is looked at by the check workers",
	"Hits.Offered":                             "is no loss",
	"Hits.Queued":                              "is no loss",
	"Hits.Feeds[].":                            "is shown by 'flowsnitch intel status'",
	"Hits.Correlator.Canaries":                 "is no loss",
	"Hits.Correlator.CanaryEvents":             "is no loss",
	"Hits.Correlator.ContactsEnded":            "is no loss",
	"Hits.Correlator.Duplicates":               "is no loss: another observer has shown the flow",
	"Hits.Correlator.Flows":                    "is no loss",
	"Hits.Correlator.Hits":                     "is no loss",
	"Hits.Correlator.Severities[]":             "is no loss",
	"Intel.Built":                              "is shown by 'flowsnitch intel status'",
	"Intel.HitsDay[":                           "is shown by 'flowsnitch intel status'",
	"Intel.Quarantined[].Accepted":             "is zero in all that is shown",
	"Intel.Feeds[].":                           "is shown by 'flowsnitch intel status'",
	"DNSBL.Unlisted":                           "is no loss",
	"DNSBL.Zones[].IPv4":                       "shows as the error of the zone",
	"DNSBL.Zones[].IPv6":                       "shows as the error of the zone",
	"Canary.LastSent":                          "the last one seen is shown",
	"Canary.Listeners[":                        "the time of the whole way is shown",
	"Canary.Stages[":                           "those that there are are shown",
	"History.Trouble":                          "is that of the files",
	"Incidents.AsideAs":                        "is in the finding of the check",
	"Incidents.Bytes":                          "is no loss",
	"Incidents.Changed":                        "is no loss",
	"Incidents.Commits":                        "is no loss",
	"Incidents.Contacts":                       "is no loss",
	"Incidents.Database":                       "is configuration",
	"Incidents.Early":                          "is no loss",
	"Incidents.Last":                           "is looked at by the check incidents",
	"Incidents.Repeats":                        "is no loss",
	"Incidents.Took":                           "is no loss",
	"History.Files.BadTotal":                   "those that are there are shown",
	"History.Files.Merges":                     "is no loss",
	"History.Files.Rows":                       "is no loss",
	"Hunt.Seconds":                             "is no loss",
	"History.Files.Written":                    "is until when the history is complete",
	"History.Recorded.Bytes":                   "is no loss",
	"History.Recorded.Interval":                "is no loss",
	"History.Recorded.Shutdown":                "is no loss",
	"Clock.LastJump":                           "is logged when it happens",
	"Journal.MaxBytes":                         "is configuration",
	"Journal.MemoryBytes":                      "is no loss",
	"Journal.Urgent.Bytes":                     "is no loss",
	"Journal.Urgent.InMemory":                  "is in the sum that is in memory only",
	"Journal.Urgent.MemoryBytes":               "is no loss",
	"Journal.Segments":                         "is no loss",
	"Journal.Saves":                            "is no loss",
	"Journal.Syncs":                            "is no loss",
	"Journal.Writes":                           "is no loss",
	"Journal.Written":                          "is no loss",
	"Journal.Opened.Segments":                  "is no loss",
	"Journal.Opened.Bytes":                     "is no loss",
	"Journal.Opened.Events":                    "is no loss",
	"Journal.Opened.Cursors":                   "is no loss",
	"Sinks[].Appended":                         "is the sum of the others",
	"Sinks[].Failing":                          "is that there are errors since the last delivery",
	"Sinks[].Held":                             "is no loss",
	"Sinks[].LastErrorAt":                      "is of the last error",
	"Sinks[].OldestAge":                        "is no loss",
	"Sinks[].PendingBytes":                     "is no loss",
	"Sinks[].SendingFor":                       "is no loss",
	"Sinks[].Own.Counts[":                      "is no loss",
	"Ready":                                    "is what /readyz answers",
	"Losses[].":                                "are numbers of other sections",
	"Clock.Unsynced":                           "is the state",
	"Canary.Sinks[kafka].AgeSeconds":           "the time is shown",
	"Canary.Others[192.0.2.9].AgeSeconds":      "the time is shown",
	"Canary.AgeSeconds":                        "the time is shown",
	"Latest[].":                                "is shown by 'flowsnitch top'",
	"Recent[].":                                "is shown by 'flowsnitch top'",
}

// TestStatusText: each field of a status is in the text of 'flowsnitch status', losses
// and errors without exception.
func TestStatusText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the time stands still, so that no age changes
		s := &Status{Clock: ClockStatus{State: "unsynced"}}
		s.Decoded.Versions = map[string]VersionStatus{"v9": {}}
		s.Decoded.Problems = map[decode.Reason]uint64{}
		for _, r := range decode.Reasons() {
			s.Decoded.Problems[r] = 0
		}
		s.Canary.Sinks = map[string]canary.At{"kafka": {}}
		s.Canary.Others = map[string]canary.At{"192.0.2.9": {}}
		s.Health = []observe.Finding{{Check: "sinks", State: observe.Warning}}
		figures.Fill(s, time.Now().Add(-3*time.Hour))
		s.Starting = false
		show := func() string { return textOf(*s) }
		for _, field := range figures.Missing(s, show, notInText, nil) {
			t.Errorf("Status.%s is not in the text of 'flowsnitch status': print it where it is registered, or add it to notInText with the reason", field)
		}
	})
}

// textOf is the text of 'flowsnitch status'.
func textOf(s Status) string {
	var b strings.Builder
	_ = registryOf(func() Status { return s }).WriteText(&b, false)
	return b.String()
}

// TestStatusIsReadable: with something in every field the status has at most 80 columns,
// names its exporters, keeps the self-test apart and says where sampling is unknown.
func TestStatusIsReadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, date := &Status{}, time.Now().Add(-3*time.Hour)
		s.Exporters.List = []decode.ExporterStatus{{Name: "edge-1", Site: "oslo", Streams: []decode.StreamStatus{
			{Version: "v9", Domain: 7, Datagrams: 5},
			{Version: "ipfix", Domain: canary.DomainTest, Datagrams: 30},
			{Version: "ipfix", Domain: canary.DomainTest + 1, Datagrams: 12},
		}}}
		s.Exporters.Exporters, s.Exporters.Templates = 3, 29
		s.Exporters.SelfTest = SelfTestShare{Exporters: 1, Templates: 24}
		figures.Fill(s, date)
		s.Exporters.List[0].Streams[0].Sampling = nil
		s.Starting = false
		var out strings.Builder
		plain := textOf(*s)
		for _, want := range []string{
			"\ncounters   since " + show.Date(date) + ", where no other date is given\n",
			"\nexporters  2 with 5 templates (and 1 with 24 of the self-test)",
			"\nexporter   edge-1 (192.0.2.1) at oslo v9 domain 7: 5 datagrams, ", ", sampling unknown",
			"\nself-test  from edge-1 (192.0.2.1) at oslo: 2 streams, 42 datagrams, ",
			"           refused: 192.0.2.1, ", ": since " + show.Date(date) + " ",
		} {
			if !strings.Contains(plain, want) {
				t.Errorf("no %q in\n%s", want, plain)
			}
		}
		if strings.Contains(plain, "exporter   edge-1 (192.0.2.1) ipfix") {
			t.Error("the self-test is an exporter")
		}
		if _, err := show.Wrapped(&out, 80).Write([]byte(plain)); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(line) - 1; n > 80 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	})
}

// TestPrintClock: a clock that is right is not worth a line.
func TestPrintClock(t *testing.T) {
	for want, c := range map[string]ClockStatus{
		"":                                    {State: "ok"},
		"clock      ok; it was set 1 times\n": {State: "ok", Jumps: 1},
		"clock      unsynced: why; dates are computed from 2026-11-20T23:00:00Z; it was set 2 times\n": {
			State: "unsynced", Why: "why", Trusted: time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC), Jumps: 2,
		},
	} {
		var b strings.Builder
		if printClock(&b, c, false); b.String() != want {
			t.Errorf("got %q, want %q", b.String(), want)
		}
	}
}
