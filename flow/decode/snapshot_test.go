package decode_test

import (
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// The status of an exporter as `flowsnitch status` prints it.
func TestSnapshotJSON(t *testing.T) {
	b := newBench(t)
	b.src = addrPort("[2001:db8::1]:2055")
	b.send(v5at(0, 1, 100, uptime, v5record("192.0.2.10", "198.51.100.20", 0, 0)))
	b.src = addrPort("192.0.2.1:2055")
	b.send(header9(0, pairTemplate(flow.V9), samplerOptions(flow.V9), samplerData(flow.V9, 1, 1000), set(300, pairAB), set(999, pairAB)), header9(3))
	got, err := json.MarshalIndent(b.x.Snapshot(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want := `[
 {
  "address": "192.0.2.1",
  "last_seen": "2026-11-20T23:00:00Z",
  "unproven": true,
  "early_bytes": EARLY,
  "streams": [
   {
    "version": "v9",
    "domain": 7,
    "last_seen": "2026-11-20T23:00:00Z",
    "datagrams": 2,
    "bytes": 116,
    "records": 1,
    "option_records": 1,
    "templates": 2,
    "missing": [
     {
      "id": 999,
      "sets": 1
     }
    ],
    "history": [
     {
      "id": 300,
      "time": "2026-11-20T23:00:00Z",
      "fields": 2,
      "bytes": 8,
      "port": 2055
     },
     {
      "id": 400,
      "time": "2026-11-20T23:00:00Z",
      "options": true,
      "fields": 3,
      "bytes": 10,
      "port": 2055
     }
    ],
    "sampling": [
     {
      "rate": 1000,
      "from": "sampler 1"
     }
    ],
    "unit": "datagrams",
    "lost": 2
   }
  ]
 },
 {
  "address": "2001:db8::1",
  "last_seen": "2026-11-20T23:00:00Z",
  "unproven": true,
  "streams": [
   {
    "version": "v5",
    "domain": 9,
    "last_seen": "2026-11-20T23:00:00Z",
    "datagrams": 1,
    "bytes": 72,
    "records": 1,
    "sampling": [
     {
      "rate": 100,
      "from": "header"
     }
    ],
    "unit": "flows",
    "lost": 0
   }
  ]
 }
]`
	early, _ := json.Marshal(b.x.Snapshot()[0].EarlyBytes)
	if want = strings.Replace(want, "EARLY", string(early), 1); string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// Many workers decode, for exporters that they share and others, while the state
// is looked at, saved and swept.
func TestConcurrentUse(t *testing.T) {
	l := decode.DefaultLimits()
	l.Exporters = 20
	x := decode.NewExporters(l)
	stop := make(chan struct{})
	var watchers, workers sync.WaitGroup
	for _, watch := range []func(){
		func() { x.Snapshot() }, func() { x.Stats() }, func() { _ = x.Save(io.Discard, false, exportTime, exportTime) },
		func() { x.Sweep(exportTime.Add(30 * time.Hour)) }, func() { x.SetNamed([]netip.Addr{netip.MustParseAddr("192.0.2.1")}) },
	} {
		watchers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					watch()
				}
			}
		})
	}
	streams := [][]exported{exportStream(t, flow.V5, 50, 9), exportStream(t, flow.V9, 50, 9), exportStream(t, flow.IPFIX, 50, 9), exportStream(t, flow.SFlow, 50, 9)}
	var decoders [4]*decode.Decoder
	for w := range decoders {
		decoders[w] = decode.New(x, &counter{})
		workers.Go(func() {
			for i := range 200 {
				for _, s := range streams {
					src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 30)}), 2055)
					decoders[w].Decode(&flow.Datagram{Payload: s[i%len(s)].payload, Source: src, Received: exportTime.Add(time.Duration(i) * time.Second)})
				}
			}
		})
	}
	within(t, workers.Wait)
	close(stop)
	within(t, watchers.Wait)
	var total decode.Stats
	for _, d := range decoders {
		total.Add(d.Stats())
	}
	if total.Datagrams() != 4*200*4 || total.V5.Records == 0 || total.SFlow.Records == 0 {
		t.Errorf("%+v", total)
	}
}
