package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/cmd/internal/figures"
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
	"Listeners[].Listen":                       "is configuration; the address in use is shown",
	"Listeners[].Sockets":                      "is configuration",
	"Listeners[].Beat":                         "is looked at by the check workers",
	"Listeners[].BufferGranted":                "is logged at the start",
	"Listeners[].BufferWanted":                 "is configuration",
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
		s := &app.Status{Clock: app.ClockStatus{State: "unsynced"}}
		s.Decoded.Versions = map[string]app.VersionStatus{"v9": {}}
		s.Decoded.Problems = map[decode.Reason]uint64{}
		for _, r := range decode.Reasons() {
			s.Decoded.Problems[r] = 0
		}
		s.Canary.Sinks = map[string]canary.At{"kafka": {}}
		s.Canary.Others = map[string]canary.At{"192.0.2.9": {}}
		s.Health = []observe.Finding{{Check: "sinks", State: observe.Warning}}
		figures.Fill(s, time.Now().Add(-3*time.Hour))
		s.Starting = false
		show := func() string {
			var b strings.Builder
			printStatus(&b, *s, false)
			return b.String()
		}
		for _, field := range figures.Missing(s, show, notInText, nil) {
			t.Errorf("Status.%s is not in the text of 'flowsnitch status': print it in status.go, or add it to notInText with the reason", field)
		}
	})
}
