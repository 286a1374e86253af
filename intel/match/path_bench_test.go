package match_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/correlate/queue"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/match"
)

// benchFlows is the number of distinct flows: enough that their addresses do not
// stay in the caches that the prefilters live in.
const benchFlows = 208_000

// listOf makes a table of n random single addresses, a share of them IPv6.
func listOf(b *testing.B, n int, v6 float64) (*lookup.Store, []netip.Addr) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, uint64(n)))
	builder := lookup.NewBuilder(lookup.Policy{})
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		addrs[i] = randomAddr(r, r.Float64() < v6)
		builder.Add(intel.Indicator{Prefix: netip.PrefixFrom(addrs[i], addrs[i].BitLen()), Feed: "bench", Score: 50}, lookup.OriginOperator)
	}
	t, _ := builder.Build("bench")
	s := lookup.NewStore()
	s.Swap(t)
	return s, addrs
}

// randomAddr gives an address with random bits, of global unicast space in IPv6.
func randomAddr(r *rand.Rand, v6 bool) netip.Addr {
	if v6 {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], 0x2000<<48|r.Uint64()>>3)
		binary.BigEndian.PutUint64(a[8:], r.Uint64())
		return netip.AddrFrom16(a)
	}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], r.Uint32()|1<<24)
	return netip.AddrFrom4(a)
}

// export makes datagrams of benchFlows random flows, a share of them IPv6, hits of
// them to listed addresses, and the datagrams that announce their templates.
func export(b *testing.B, v flow.Version, v6, hits float64, listed []netip.Addr) (announce, data [][]byte, records int) {
	b.Helper()
	enc, err := synth.NewEncoder(synth.Config{Version: v})
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 3))
	now := time.Unix(1_800_000_000, 0)
	if t := enc.Templates(nil, now); len(t) > 0 {
		announce = append(announce, t)
	}
	pending := make([]synth.Flow, 0, 32)
	for records < benchFlows {
		for len(pending) < 30 {
			six := r.Float64() < v6
			f := synth.Flow{Src: randomAddr(r, six), Dst: randomAddr(r, six), SrcPort: 40000, DstPort: 443, Protocol: 6, Bytes: 1000, Packets: 5, Start: now, End: now}
			if len(listed) > 0 && r.Float64() < hits {
				f.Dst = listed[r.IntN(len(listed))]
				f.Src = randomAddr(r, f.Dst.Is6())
			}
			pending = append(pending, f)
		}
		dg, n, err := enc.Encode(nil, pending, now)
		if err != nil {
			b.Fatal(err)
		}
		records += n
		pending = pending[:copy(pending, pending[n:])]
		data = append(data, dg)
	}
	return announce, data, records
}

// families are the shares of IPv6 among flows and indicators.
var families = []struct {
	name string
	v6   float64
}{{"v4", 0}, {"v6", 1}, {"mixed", 0.3}}

// BenchmarkPath decodes and matches, as a worker does between two reads. One
// operation is one flow record.
func BenchmarkPath(b *testing.B) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX} {
		for _, f := range families {
			if v == flow.V5 && f.v6 > 0 {
				continue // v5 knows IPv4 only
			}
			for _, n := range []int{10_000, 100_000, 1_000_000} {
				for _, hits := range []float64{0, 0.001, 0.1} {
					b.Run(fmt.Sprintf("%s/%s/indicators=%d/hits=%g", v, f.name, n, hits), func(b *testing.B) {
						benchPath(b, v, f.v6, n, hits)
					})
				}
			}
		}
	}
}

func benchPath(b *testing.B, v flow.Version, v6 float64, n int, hits float64) {
	store, listed := listOf(b, n, v6)
	announce, data, records := export(b, v, v6, hits, listed)
	cfg := correlate.DefaultConfig()
	m := match.NewMatcher(store, queue.NewGatherer(correlate.New(cfg, nil).Bound, (*queue.Batch).Reset))
	d := decode.New(decode.NewExporters(decode.DefaultLimits()), m)
	dg := flow.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: time.Unix(1_800_000_000, 0)}
	for _, p := range announce {
		dg.Payload = p
		d.Decode(&dg)
	}
	per := records / len(data)
	b.ReportAllocs()
	b.ResetTimer()
	i, done := 0, 0
	for b.Loop() {
		if done--; done > 0 {
			continue // this record came with the last datagram
		}
		dg.Payload = data[i]
		if i++; i == len(data) {
			i = 0
		}
		d.Decode(&dg)
		m.Flush()
		done = per
	}
}
