package dnsbl

import (
	"encoding/binary"
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

// BenchmarkFlow decodes and matches with a DNS list that is asked, as a worker does. One
// operation is one flow record of 40,000 distinct ones between hosts of our own and the
// Internet. The outside addresses are all known not to be listed, or all find the queue
// full; "off" is the path without a DNS list.
func BenchmarkFlow(b *testing.B) {
	for _, tt := range []string{"off", "known", "full"} {
		b.Run("v9/"+tt, func(b *testing.B) { benchFlow(b, tt, false) })
		b.Run("v9-6/"+tt, func(b *testing.B) { benchFlow(b, tt, true) })
	}
}

func benchFlow(b *testing.B, state string, v6 bool) {
	const flows = 40_000
	r := rand.New(rand.NewPCG(1, 2))
	random := func(first byte) netip.Addr {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], r.Uint64())
		binary.BigEndian.PutUint64(a[8:], r.Uint64())
		if v6 {
			a[0], a[1] = 0x2a, first
			return netip.AddrFrom16(a)
		}
		return netip.AddrFrom4([4]byte{first, a[1], a[2], a[3]})
	}
	builder := lookup.NewBuilder(lookup.Policy{Home: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2a0a::/16")}})
	for range 100_000 {
		a := random(45)
		builder.Add(intel.Indicator{Prefix: netip.PrefixFrom(a, a.BitLen()), Feed: "bench"}, lookup.OriginFeed)
	}
	table, _ := builder.Build("bench")
	store := lookup.NewStore()
	store.Swap(table)

	cfg := DefaultConfig()
	cfg.Queue = 1
	c := New(cfg, func(lookup.Hit) {})
	c.queue <- request{}
	contacts := correlate.DefaultConfig()
	m := match.NewMatcher(store, queue.NewGatherer(correlate.New(contacts, nil).Bound, (*queue.Batch).Reset))
	taps := handlers{m}
	if state != "off" {
		taps = append(taps, match.NewAsking(store, c.NewAsker()))
	}
	enc, err := synth.NewEncoder(synth.Config{Version: flow.V9})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	d := decode.New(decode.NewExporters(decode.DefaultLimits()), taps)
	dg := flow.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: now, Payload: enc.Templates(nil, now)}
	d.Decode(&dg)
	var data [][]byte
	records := 0
	for records < flows {
		var out []synth.Flow
		for range 30 {
			f := synth.Flow{Src: random(10), Dst: random(62), DstPort: 443, Protocol: 6, Bytes: 1, Packets: 1, Start: now, End: now}
			if state == "known" {
				learn(c, f.Dst)
			}
			out = append(out, f)
		}
		p, n, err := enc.Encode(nil, out, now)
		if err != nil {
			b.Fatal(err)
		}
		records += n
		data = append(data, p)
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

// learn makes it known that no zone lists an address.
func learn(c *Checker, a netip.Addr) { c.spread(a, verdict{until: c.now() + 3600}) }

// handlers are the taps of a worker.
type handlers []decode.Handler

func (h handlers) Records(s *decode.Set) {
	for _, one := range h {
		one.Records(s)
	}
}
