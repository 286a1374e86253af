package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
)

// TestReplaySites: two branches with one private address, in every protocol and form of
// output: two hits of two contacts, each with its site.
func TestReplaySites(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		var b bytes.Buffer
		w := capture.NewWriter(&b)
		at := made
		for _, from := range []string{"192.0.2.21:40000", "192.0.2.22:40000", "192.0.2.23:40000"} {
			for _, p := range exportOf(t, v, made, tcpFlow(weAddr, 51515, badAddr, 443)) {
				at = at.Add(time.Second)
				if err := w.Write(flow.Datagram{Payload: p, Source: netip.MustParseAddrPort(from), Received: at}, netip.MustParseAddrPort("192.0.2.100:2055")); err != nil {
					t.Fatal(err)
				}
			}
		}
		cfg := fmt.Sprintf(`
state_dir: %s
home: [198.51.100.0/24]
sites: [{name: oslo, home: [%s/32]}, {name: bergen}]
exporters: [{name: a, address: 192.0.2.21, site: oslo}, {name: b, address: 192.0.2.22, site: bergen}]
intel: {feeds: []}
`, t.TempDir(), weAddr)
		r := command(t, "replay", "--rollup", "-c", file(t, "flowsnitch.yml", cfg), "--intel", file(t, "bad.txt", badAddr.String()+"\n"), file(t, "two.pcap", b.String()))
		contacts := map[string]string{}
		for line := range strings.Lines(r.out) {
			var ev struct {
				Kind, Contact string
				Flowsnitch    struct{ Site, Local, Direction string }
			}
			if err := json.Unmarshal([]byte(line), &ev); err != nil {
				t.Fatalf("%v: %v", line, err)
			}
			if ev.Kind == "hit" {
				contacts[ev.Contact] = ev.Flowsnitch.Site + " " + ev.Flowsnitch.Local + " " + ev.Flowsnitch.Direction
			}
		}
		got := map[string]bool{}
		for _, c := range contacts {
			got[c] = true
		}
		for _, want := range []string{"oslo " + weAddr.String() + " outbound", "bergen " + weAddr.String() + " transit", " " + weAddr.String() + " transit"} {
			if len(contacts) != 3 || !got[want] {
				t.Errorf("%v: %v, want %q; %s", v, contacts, want, r.err)
			}
		}
	}
}
