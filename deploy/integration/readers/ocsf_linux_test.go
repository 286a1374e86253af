//go:build integration

package readers

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/google/uuid"
)

// validate prints a line for each document: its number, the version of OCSF, and "valid" or
// what is wrong.
const validate = `
import json, sys
import jsonschema, ocsf_json_schema as ocsf
documents = [json.loads(line) for line in sys.stdin]
for version in "1.5.0", "1.8.0":
    schemas = ocsf.OcsfJsonSchemaEmbedded(ocsf.get_ocsf_schema(version))
    for number, document in enumerate(documents):
        profiles = document["metadata"].get("profiles", [])
        check = jsonschema.Draft202012Validator(schemas.get_class_schema("detection_finding", profiles))
        problems = [e.json_path + ": " + e.message for e in check.iter_errors(document)]
        print(number, version, "; ".join(problems) or "valid", sep="\t")
`

// TestOCSF: events of every kind, with and without what may be missing, are valid by the
// JSON Schema of their class.
func TestOCSF(t *testing.T) {
	snake := python(t, "ocsf-json-schema==1.2.0", "jsonschema==4.26.0")
	ocsf, err := form.ByName(form.OCSF, form.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []byte
	var names []string
	for name, e := range samples() {
		lines, names = ocsf.Append(lines, &e), append(names, name)
	}
	results := strings.Split(strings.TrimSpace(run(t, lines, snake, "-c", validate)), "\n")
	if len(results) != 2*len(names) {
		t.Fatalf("%d results of %d documents", len(results), len(names))
	}
	documents := bytes.Split(lines, []byte("\n"))
	for i, result := range results {
		t.Logf("%s: %s", names[i%len(names)], result)
		if !strings.HasSuffix(result, "\tvalid") {
			t.Errorf("%s: %s\n%s", names[i%len(names)], result, documents[i%len(names)])
		}
	}
}

// samples are events of every kind.
func samples() map[string]event.Event {
	at := time.Date(2026, 11, 20, 23, 0, 0, 123e6, time.UTC)
	local, offender := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("203.0.113.9")
	all := map[string]event.Event{}
	for _, kind := range []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary} {
		e := event.Event{
			Kind: kind, ID: uuid.Must(uuid.NewV7()), Time: at, Sensor: "pi-oslo", Offender: offender, Severity: event.Critical, Score: 95,
			Reason: "c2 listed by feodo (90)", Indicators: []event.Indicator{{Prefix: netip.PrefixFrom(offender, 32), Feed: "feodo", Score: 90,
				Category: "c2", Ref: "https://example.net/?id=9", TLP: "amber+strict", FirstSeen: at, LastSeen: at, Expires: at, NativeID: "1"}},
		}
		if kind == event.KindAlert {
			e.Alert = "own_address_listed"
		} else {
			e.Src, e.Dst, e.SrcPort, e.DstPort, e.HasPorts, e.Protocol, e.HasProtocol = local, offender, 51515, 443, true, 6, true
			e.Local, e.Role, e.Direction, e.Answered, e.Clock = local, flow.SideDst, event.Outbound, event.AnsweredYes, "ok"
			e.Flows, e.Packets, e.Bytes, e.TCPFlags, e.Start, e.End, e.Sampling = 1, 5, 1234, 0x1b, at, at, 1
			e.Exporter, e.ExporterName, e.Version, e.CommunityID = netip.MustParseAddr("192.0.2.1"), "edge-1", flow.V9, "1:abc="
		}
		if kind == event.KindHit || kind == event.KindUpdate {
			e.Contact, e.Seq, e.ServicePort, e.ContactFirstSeen = uuid.Must(uuid.NewV7()), 1, 443, at
		}
		vary(all, string(kind), e)
	}
	swarm := eventtest.RuleAlert()
	all["alert of a rule"] = swarm
	again := *swarm.Rule
	again.Update, again.Title = true, ""
	swarm.Rule = &again
	all["alert of a rule, doubled"] = swarm
	return all
}

// vary adds an event and others that differ from it in one thing.
func vary(all map[string]event.Event, name string, e event.Event) {
	all[name] = e
	add := func(what string, change func(*event.Event)) {
		v := e
		change(&v)
		all[name+", "+what] = v
	}
	add("no listing", func(e *event.Event) { e.Indicators = nil })
	add("prefix listed", func(e *event.Event) {
		e.Indicators = []event.Indicator{{Prefix: netip.MustParsePrefix("2001:db8::/32"), Feed: "otx"}}
	})
	add("no offender", func(e *event.Event) { e.Offender, e.Indicators = netip.Addr{}, nil })
	for severity := event.Low; severity < event.Critical; severity++ {
		add(severity.String(), func(e *event.Event) { e.Severity = severity })
	}
	if e.Kind == event.KindAlert {
		return
	}
	add("transit", func(e *event.Event) { e.Direction = event.Transit })
	add("internal", func(e *event.Event) { e.Direction = event.Internal })
	add("no ports, no protocol", func(e *event.Event) { e.HasPorts, e.HasProtocol = false, false })
	add("IPv6", func(e *event.Event) { e.Dst = netip.MustParseAddr("2001:db8::9"); e.Offender = e.Dst })
	add("last, folded, embedded", func(e *event.Event) {
		e.Last, e.Folded, e.Refused, e.Ports, e.Hosts, e.PortsCapped, e.Local = true, true, true, 1000, 3, true, netip.Addr{}
		e.Embedded = netip.MustParseAddr("192.0.2.9")
	})
	add("much", func(e *event.Event) { e.Flows, e.Bytes, e.Packets = 1<<64-1, 1<<64-1, 1<<64-1 })
}
