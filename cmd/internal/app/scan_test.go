package app

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// TestScanHidesNothing scans ports, then hosts, with a connection to another listed
// host in the midst of it: the scan is a few hundred events and the connection is in
// the log, through the journal.
func TestScanHidesNothing(t *testing.T) {
	const flows = 30_000
	for name, to := range map[string]func(i int) (netip.Addr, uint16){
		"ports": func(i int) (netip.Addr, uint16) { return netip.MustParseAddr("10.2.0.1"), uint16(i + 1) },
		"hosts": func(i int) (netip.Addr, uint16) { return netip.AddrFrom4([4]byte{10, 3, byte(i >> 8), byte(i)}), 22 },
	} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			w := observed(t, dir, "{feeds: []}", Options{Lists: []string{list(t, dir, "bad.txt", "62.0.0.53", "62.0.0.80")}})
			enc, conn := w.exporter(t, flow.V5)
			defer conn.Close()
			sent := uint64(0)
			send := func(batch ...synth.Flow) {
				d, _, err := enc.Encode(nil, batch, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Write(d); err != nil {
					t.Fatal(err)
				}
				if sent += uint64(len(batch)); sent%1500 < 30 {
					until(t, "what was sent is handled", func() bool { return w.Status().Hits.Correlator.Hits == sent })
				}
			}
			for i := 0; i < flows; i += 30 {
				var batch []synth.Flow
				for k := range 30 {
					host, port := to(i + k)
					batch = append(batch, synth.Flow{Src: netip.MustParseAddr("62.0.0.53"), Dst: host, SrcPort: 40000, DstPort: port,
						Protocol: 6, TCPFlags: 2, Packets: 1, Bytes: 60})
				}
				if i == flows/2 {
					send(synth.Flow{Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("62.0.0.80"), SrcPort: 51515, DstPort: 443,
						Protocol: 6, TCPFlags: 0x1b, Packets: 9, Bytes: 900})
				}
				send(batch...)
			}
			if err := w.Stop(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, "hits.json"))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), "\n"); n > 200 {
				t.Errorf("%d events", n)
			}
			if !strings.Contains(string(b), `"offender":"62.0.0.80"`) {
				t.Error("the connection is not in the log")
			}
			var last struct {
				Last       bool
				Flowsnitch struct {
					Folded       bool
					Flows        uint64
					Ports, Hosts int
				}
			}
			for line := range strings.Lines(string(b)) {
				if strings.Contains(line, `"folded":true`) {
					if err := json.Unmarshal([]byte(line), &last); err != nil {
						t.Fatal(err)
					}
				}
			}
			f := last.Flowsnitch
			alone := uint64(8)
			if name == "hosts" {
				alone = 32
			}
			if !last.Last || f.Flows != flows-alone || max(f.Ports, f.Hosts) != 1000 || min(f.Ports, f.Hosts) != 1 {
				t.Errorf("folded: %+v", last)
			}
		})
	}
}
