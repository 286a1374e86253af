package traffic

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// TestCountsByOracle counts random records in random sets of two workers, and compares with
// a plain map.
func TestCountsByOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	addrs := []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.IPv4Unspecified()}
	versions := []string{"unknown", "4", "6", "unknown"}
	protocols := map[uint8]string{0: "0", 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 255: "255"}
	x := New(Config{Enabled: true})
	taps := []interface{ Records(*decode.Set) }{x.Tap(), x.Tap()}
	want := map[string]Protocol{}
	for range 200 {
		var records []flow.Record
		for range 1 + rng.IntN(40) {
			family, number := rng.IntN(len(addrs)), []uint8{0, 1, 6, 17, 58, 255}[rng.IntN(6)]
			r := flow.Record{
				Has: flow.HasProtocol | flow.HasPackets | flow.HasBytes, Protocol: number,
				Packets: uint64(rng.IntN(1000)), Bytes: uint64(rng.IntN(100_000)),
			}
			if r.Dst = addrs[family]; rng.IntN(2) == 0 {
				r.Src = addrs[family] // else only one end is known
			}
			records = append(records, r)
			p := Protocol{IP: versions[family], Protocol: protocols[number]}
			key := p.IP + " " + p.Protocol
			p.Flows, p.Packets, p.Bytes = want[key].Flows+1, want[key].Packets+r.Packets, want[key].Bytes+r.Bytes
			want[key] = p
		}
		var s decode.Set
		s.Fill(records)
		taps[rng.IntN(2)].Records(&s)
	}
	got := x.Totals().Protocols
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for _, p := range got {
		if w := want[p.IP+" "+p.Protocol]; p != w {
			t.Errorf("%+v, want %+v", p, w)
		}
	}
	if !slices.IsSortedFunc(got, func(a, b Protocol) int { return int(b.Flows) - int(a.Flows) }) {
		t.Errorf("%+v are not in order", got)
	}
}

// TestSwitch: nothing is counted while it is off, and what was counted stays.
func TestSwitch(t *testing.T) {
	x := New(DefaultConfig())
	tap := x.Tap()
	var s decode.Set
	s.Fill([]flow.Record{{Has: flow.HasProtocol, Protocol: 6, Src: netip.MustParseAddr("192.0.2.1")}})
	for i, c := range []struct {
		on   bool
		want uint64
	}{{false, 0}, {true, 1}, {true, 2}, {false, 2}} {
		if err := x.Reconfigure(Config{Enabled: c.on}); err != nil {
			t.Fatal(err)
		}
		tap.Records(&s)
		var n uint64
		for _, p := range x.Totals().Protocols {
			n += p.Flows
		}
		if n != c.want {
			t.Errorf("step %d: %d flows, want %d", i, n, c.want)
		}
	}
}

// datagrams makes a template and data of v9.
func datagrams(t testing.TB) (templates, data []byte, flows int) {
	t.Helper()
	e, err := synth.NewEncoder(synth.Config{Version: flow.V9})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	list := make([]synth.Flow, 26)
	for i := range list {
		list[i] = synth.Flow{
			Src: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Dst: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}),
			Protocol: []uint8{6, 17}[i%2], Packets: 1, Bytes: 100, Start: now, End: now,
		}
	}
	templates = e.Templates(nil, now)
	data, n, err := e.Encode(nil, list, now)
	if err != nil || n == 0 {
		t.Fatal(err)
	}
	return templates, data, n
}

// TestAllocatesNothing: neither while it counts nor while it does not.
func TestAllocatesNothing(t *testing.T) {
	for _, on := range []bool{false, true} {
		d := decode.New(decode.NewExporters(decode.DefaultLimits()), New(Config{Enabled: on}).Tap())
		templates, data, _ := datagrams(t)
		dg := flow.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: time.Unix(1_800_000_000, 0)}
		for _, dg.Payload = range [][]byte{templates, data, data} {
			d.Decode(&dg)
		}
		if n := testing.AllocsPerRun(100, func() { d.Decode(&dg) }); n != 0 {
			t.Errorf("on %v: %v allocations for a datagram", on, n)
		}
	}
}

// none is a tap that does nothing.
type none struct{}

func (none) Records(*decode.Set) {}

// BenchmarkTap decodes datagrams of v9 without a tap, with one that is off, and with one
// that counts. ns/flow is what is of interest.
func BenchmarkTap(b *testing.B) {
	templates, data, flows := datagrams(b)
	for _, c := range []struct {
		name string
		tap  decode.Handler
	}{{"none", none{}}, {"off", New(Config{}).Tap()}, {"on", New(Config{Enabled: true}).Tap()}} {
		b.Run(fmt.Sprint("tap=", c.name), func(b *testing.B) {
			d := decode.New(decode.NewExporters(decode.DefaultLimits()), c.tap)
			dg := flow.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: time.Unix(1_800_000_000, 0)}
			dg.Payload = templates
			d.Decode(&dg)
			dg.Payload = data
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(&dg)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(flows), "ns/flow")
		})
	}
}
