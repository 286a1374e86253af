package decode_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/flow/synth/noise"
)

// An exported stream is what a synthetic exporter sends: datagrams in order, with
// the units that each carries.
type exported struct {
	payload []byte
	units   uint64 // as the protocol counts
	flows   uint64
}

// exportStream makes datagrams with a random number of flows, templates first and
// again after every tenth.
func exportStream(t testing.TB, v flow.Version, n int, sampling uint32) []exported {
	t.Helper()
	e, err := synth.NewEncoder(synth.Config{Version: v, Sampling: sampling, Boot: exportTime.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	src, err := noise.NewSource(noise.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	var out []exported
	add := func(p []byte, flows uint64, before uint32) {
		if len(p) > 0 {
			out = append(out, exported{p, uint64(e.Sequence() - before), flows})
		}
	}
	for i := range n {
		if i%10 == 0 {
			before := e.Sequence()
			add(e.Templates(nil, exportTime), 0, before)
		}
		var flows []synth.Flow
		for range 1 + r.IntN(20) {
			f, _ := src.Next(exportTime)
			flows = append(flows, f)
		}
		before := e.Sequence()
		p, k, err := e.Encode(nil, flows, exportTime)
		if err != nil {
			t.Fatal(err)
		}
		add(p, uint64(k), before)
	}
	return out
}

// TestLossLikeRecords: a loss of as many datagrams as a datagram has records, less
// one, looks as if the exporter counted records, until the next datagrams tell.
func TestLossLikeRecords(t *testing.T) {
	e, err := synth.NewEncoder(synth.Config{Version: flow.V9, MaxFlows: 5, Boot: exportTime.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	src, err := noise.NewSource(noise.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.send(e.Templates(nil, exportTime))
	for i := range 20 {
		var flows []synth.Flow
		for range 5 {
			f, _ := src.Next(exportTime)
			flows = append(flows, f)
		}
		p, _, err := e.Encode(nil, flows, exportTime)
		if err != nil {
			t.Fatal(err)
		}
		if i < 1 || i >= 5 { // the second to fifth are lost: the next number is 5 further
			b.send(p)
		}
	}
	if s := b.stream(); s.Unit != sequence.Datagrams || s.Lost != 4 {
		t.Errorf("%d %s lost, want 4 datagrams", s.Lost, s.Unit)
	}
}

// TestCountsOwnRecords: softflowd's IPFIX numbers have a message's own flows in them
// already, and leave options records out. Nothing of that is a loss; a datagram that
// is missing is one.
func TestCountsOwnRecords(t *testing.T) {
	stream := exportStream(t, flow.IPFIX, 60, 100)
	for _, drop := range []int{-1, 30} {
		b := newBench(t)
		flows, want := uint64(0), uint64(0)
		for i, d := range stream {
			flows += d.flows
			p := slices.Clone(d.payload)
			binary.BigEndian.PutUint32(p[8:], uint32(flows))
			if i == drop {
				want = d.flows
				continue
			}
			b.send(p)
		}
		if s := b.stream(); s.Lost != want || s.Late != 0 || s.Resets != 0 {
			t.Errorf("datagram %d dropped: %d lost, %d late, %d resets, want %d, 0, 0", drop, s.Lost, s.Late, s.Resets, want)
		}
	}
}

// TestSums drops datagrams at random, the first template among them, and holds
// that what was sent since the first datagram that came is what was decoded and
// what is counted as lost. Records without template are unsaid, until they are
// replayed.
func TestSums(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.IPFIX} {
		t.Run(v.String(), func(t *testing.T) {
			for seed := range uint64(50) {
				stream := exportStream(t, v, 100, uint32(seed%2)*100)
				r := rand.New(rand.NewPCG(seed, 5))
				b := newBench(t)
				sent := uint64(0)
				for i, d := range stream {
					if r.IntN(100) < int(seed) && i != len(stream)-1 {
						if b.frame > 0 {
							sent += d.units
						}
						continue
					}
					sent += d.units
					b.send(d.payload)
				}
				s := b.stream()
				early := b.x.Stats().Early
				got := s.Records + s.OptionRecords + s.Lost + s.Undecoded - early.Records
				if v == flow.IPFIX && s.Templates == 0 {
					continue // not one template came through: nothing can be counted
				}
				if sent != got {
					t.Errorf("seed %d: sent %d, decoded %d + %d, lost %d, unsaid %d, replayed %d", seed, sent, s.Records, s.OptionRecords, s.Lost, s.Undecoded, early.Records)
				}
			}
		})
	}
}

// v9 counts datagrams.
func TestSumsOfDatagrams(t *testing.T) {
	for _, v := range []flow.Version{flow.V9, flow.SFlow} {
		t.Run(v.String(), func(t *testing.T) {
			stream := exportStream(t, v, 200, 0)
			r := rand.New(rand.NewPCG(1, 5))
			b := newBench(t)
			dropped := uint64(0)
			for i, d := range stream {
				if i > 5 && i < len(stream)-1 && r.IntN(3) == 0 {
					dropped++
					continue
				}
				b.send(d.payload)
			}
			if s := b.stream(); s.Unit != sequence.Datagrams || s.Lost != dropped || s.Late+s.Repeated+s.Resets != 0 {
				t.Errorf("%+v, dropped were %d", s.Status, dropped)
			}
			if l := b.x.Stats().Lost; l.Datagrams != dropped || l.Flows+l.Records != 0 {
				t.Errorf("losses in all: %+v", l)
			}
		})
	}
}

// Some v9 exporters count records: that is recognised, and losses are then told in
// records.
func TestV9CountsRecords(t *testing.T) {
	b := newBench(t)
	seq := uint32(1000)
	send := func(n int, lost bool) {
		var body []byte
		for range n {
			body = append(body, pairAB...)
		}
		if !lost {
			b.send(header9(seq, pairTemplate(flow.V9), set(300, body)))
		}
		seq += uint32(n)
	}
	for i := range 20 {
		send(2+i%3, i == 10 || i == 11)
	}
	if s := b.stream(); s.Unit != sequence.Records || s.Lost != 3+4 || s.Resets+s.Late+s.Repeated != 0 {
		t.Errorf("%+v", s.Status)
	}
}

// TestOrder sends v5 datagrams of ten flows by their number, and looks at what
// the sequence makes of it. A minus stands for an uptime that began anew.
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []uint32
		want    sequence.Status
	}{
		{"in order", []uint32{100, 110, 120}, sequence.Status{}},
		{"loss", []uint32{100, 130}, sequence.Status{Lost: 20}},
		{"late", []uint32{100, 120, 110, 130}, sequence.Status{Late: 1}},
		{"late, from a longer gap", []uint32{100, 150, 120, 160}, sequence.Status{Lost: 30, Late: 1}},
		{"late, all of a gap", []uint32{100, 140, 120, 130, 110, 150}, sequence.Status{Late: 3}},
		{"twice", []uint32{100, 110, 110, 120}, sequence.Status{Repeated: 1}},
		{"twice, after a loss", []uint32{100, 150, 150, 160}, sequence.Status{Lost: 40, Repeated: 1}},
		{"late and twice", []uint32{100, 120, 110, 110, 130}, sequence.Status{Late: 1, Repeated: 1}},
		{"wrap", []uint32{0xfffffff6, 0, 10}, sequence.Status{}},
		{"loss over the wrap", []uint32{0xffffffec, 10, 20}, sequence.Status{Lost: 20}},
		{"late over the wrap", []uint32{0xffffffec, 0, 0xfffffff6, 10}, sequence.Status{Late: 1}},
		{"restart far back", []uint32{1_000_000, 0, 10}, sequence.Status{Resets: 1}},
		{"restart from the upper half", []uint32{4_000_000_000, 0, 10}, sequence.Status{Resets: 1}},
		{"restart close by", []uint32{200, 210, 0, 10, 20, 30, 40}, sequence.Status{Resets: 1, Repeated: 2}},
		{"loss after a restart", []uint32{1_000_000, 0, 30}, sequence.Status{Resets: 1, Lost: 20}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			for _, n := range c.numbers {
				b.send(v5(n, 10))
			}
			c.want.Unit = sequence.Flows
			if got := b.stream().Status; got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// The uptime of the exporter tells a restart from a wrap of the uptime and from
// datagrams that overtake each other.
func TestRestartByUptime(t *testing.T) {
	rec := v5record("192.0.2.10", "198.51.100.20", 0, 0)
	for _, c := range []struct {
		name    string
		ups     []uint32 // of datagrams a minute apart
		numbers []uint32
		want    sequence.Status
	}{
		{"restart at once", []uint32{1_000_000, 1000}, []uint32{50, 0}, sequence.Status{Resets: 1}},
		{"restart after 30 days", []uint32{2_592_000_000, 1000}, []uint32{50, 20}, sequence.Status{Resets: 1}},
		{"restart with a higher number", []uint32{1_000_000, 1000}, []uint32{50, 70}, sequence.Status{Resets: 1}},
		{"wrap", []uint32{0xffffffff - 30_000, 30_000}, []uint32{50, 51}, sequence.Status{}},
		{"wrap and loss", []uint32{0xffffffff - 30_000, 30_000}, []uint32{50, 53}, sequence.Status{Lost: 2}},
		{"overtaken", []uint32{1_000_000, 1_060_000, 1_059_000}, []uint32{50, 52, 51}, sequence.Status{Late: 1}},
		{"an uptime that stands still", []uint32{0, 0, 0}, []uint32{50, 51, 55}, sequence.Status{Lost: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			for i, n := range c.numbers {
				b.send(v5at(n, 1, 0, c.ups[i], rec))
				b.now = b.now.Add(time.Minute)
			}
			c.want.Unit = sequence.Flows
			if got := b.stream().Status; got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// Records in sets of unknown templates are told by the next number: they are not
// lost on the way.
func TestUnsaid(t *testing.T) {
	b := newBench(t)
	b.send(header10(0, pairTemplate(flow.IPFIX), set(300, pairAB)),
		header10(1, set(300, pairAB), set(999, make([]byte, 40))),
		header10(7, set(300, pairAB)),
		header10(10, set(300, pairAB)))
	if s := b.stream(); s.Undecoded != 5 || s.Lost != 2 || s.Unit != sequence.Records {
		t.Errorf("%+v", s.Status)
	}
	if l := b.x.Stats().Lost; l.Records != 2 || l.Undecoded != 5 {
		t.Errorf("losses in all: %+v", l)
	}
}

// The losses of an exporter that is forgotten stay in the sum.
func TestLossesOfTheForgotten(t *testing.T) {
	b := newBench(t)
	b.send(v5(0, 10), v5(50, 10))
	b.x.Sweep(b.now.Add(48 * time.Hour))
	b.send(v5(0, 10), v5(30, 10))
	if s := b.x.Stats(); s.Lost.Flows != 40+20 || s.Forgotten != 1 || s.Exporters != 1 {
		t.Errorf("got %+v", s)
	}
}

// A v5 datagram that lacks records it tells of: the next number shows them.
func TestV5CutCountsAsLost(t *testing.T) {
	b := newBench(t)
	b.send(v5(0, 10)[:24+48*7], v5(10, 10))
	if s := b.stream(); s.Records != 17 || s.Lost != 3 {
		t.Errorf("%d records, lost %d, want 17 and 3", s.Records, s.Lost)
	}
}

// A process is one of several exporting processes behind one address.
type process struct {
	port   uint16
	stream []exported
}

// processes makes n of them that are not in step with each other.
func processes(t *testing.T, v flow.Version, n int) (all []process) {
	for i := range n {
		all = append(all, process{port: uint16(40000 + i), stream: exportStream(t, v, 60, 0)[7*i:]})
	}
	return all
}

// TestTwoProcesses: processes behind one address with the same templates and
// domain, each with sequence numbers of its own. They are told apart, and what is
// lost after that is counted exactly.
func TestTwoProcesses(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		for n := 2; n <= 3; n++ {
			b := newBench(t)
			lost, flows := uint64(0), uint64(0)
			all := processes(t, v, n)
			for i := range 40 {
				for k, p := range all {
					d := p.stream[i]
					if i > 20 && i < 39 && (i+k)%5 == 0 {
						if lost++; v == flow.V5 || v == flow.IPFIX {
							lost += d.units - 1
						}
						continue
					}
					b.src = netip.AddrPortFrom(b.src.Addr(), p.port)
					b.send(d.payload)
					flows += d.flows
				}
			}
			e := b.x.Snapshot()[0]
			got := sequence.Status{}
			for _, s := range e.Streams {
				got.Lost += s.Lost
				got.Resets += s.Resets
			}
			if !e.Split || len(e.Streams) != n+1 || got.Lost != lost || got.Resets > uint64(n-1) {
				t.Errorf("%v, %d processes: split %v, %d streams, lost %d, want %d; %d resets", v, n, e.Split, len(e.Streams), got.Lost, lost, got.Resets)
			}
			if uint64(len(b.take())) != flows {
				t.Errorf("%v, %d processes: not all records were decoded", v, n)
			}
		}
	}
}

// Two processes that contradict each other by a template: after a few turns every
// record is read with the template of its own process.
func TestContradictingProcesses(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		b := newBench(t)
		own := [][]byte{template(300, ends...), template(300, ends[1], ends[0])}
		seq := [2]uint32{1000, 500_000}
		for i := range 20 {
			for k := range 2 {
				b.src = netip.AddrPortFrom(b.src.Addr(), uint16(40000+k))
				if i%4 == 0 {
					b.send(message(v, seq[k], templateSet(v, own[k]), set(300, pairAB)))
				} else {
					b.send(message(v, seq[k], set(300, pairAB)))
				}
				seq[k]++
				if r := b.one(); i >= 8 && (r.Src.String() == "192.0.2.10") != (k == 0) {
					t.Errorf("round %d, process %d: src %v", i, k, r.Src)
				}
			}
		}
		e := b.x.Snapshot()[0]
		if !e.Split || len(e.Streams) != 3 || e.Streams[1].Lost+e.Streams[2].Lost != 0 {
			t.Errorf("%+v", e)
		}
	})
}

// A restart from another port, a stream over two ports, and a port for every
// datagram are one process.
func TestOneProcess(t *testing.T) {
	for name, port := range map[string]func(i int) uint16{
		"restart":            func(i int) uint16 { return 40000 + uint16(i/30) },
		"two ports":          func(i int) uint16 { return 40000 + uint16(i%2) },
		"a port per packet":  func(i int) uint16 { return 40000 + uint16(i) },
		"ports at random":    func(i int) uint16 { return 40000 + uint16(i*i%7) },
		"one after a minute": func(i int) uint16 { return 40000 + uint16(i/10%2) },
	} {
		for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX} {
			b := newBench(t)
			lost := uint64(0)
			for i, d := range exportStream(t, v, 60, 0) {
				if i > 5 && i%3 == 0 && i < 60 {
					if lost++; v != flow.V9 {
						lost += d.units - 1
					}
					continue
				}
				b.src = netip.AddrPortFrom(b.src.Addr(), port(i))
				b.send(d.payload)
			}
			if e := b.x.Snapshot()[0]; e.Split || len(e.Streams) != 1 || e.Streams[0].Lost != lost {
				t.Errorf("%s, %v: split %v, lost %d, want %d", name, v, e.Split, e.Streams[0].Lost, lost)
			}
		}
	}
}
