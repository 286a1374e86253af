package recorder

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// sum is the number of flows in all outcomes.
func (s *Stats) sum() uint64 {
	return s.Kept + s.Folded + s.Lost + s.Internal + s.Excluded + s.NoAddress
}

// TestFull: with tables far too small every flow is counted once, whether its table is
// handed over, comes back late, or loses it; workers, writer and readers of counters do not
// disturb each other.
func TestFull(t *testing.T) {
	for _, caps := range []table.Caps{{V4: 0, V6: 0}, {V4: 1, V6: 1}, {V4: 40, V6: 0}, {V4: 300, V6: 100}} {
		for _, workers := range []int{1, 2, 4} {
			for _, early := range []int{0, 2, 1000} {
				t.Run(fmt.Sprint(caps, workers, early), func(t *testing.T) {
					cfg := testConfig()
					cfg.Caps, cfg.Early = caps, early
					p, all, rows := run(t, cfg, workers, 25)
					s, flows := p.Stats(), uint64(0)
					for i := range rows {
						flows += uint64(rows[i].Flows)
					}
					if s.sum() != all.decoded || s.Contacts != 0 {
						t.Errorf("%+v, of %d flows", s, all.decoded)
					}
					if want := all.seen["internal"]; s.Internal != want || s.Lost == 0 && caps.V4 < 300 && early < 1000 {
						t.Errorf("%+v, expected %d internal, and some lost", s, want)
					}
					if flows < s.Kept+s.Folded || flows > s.Kept+s.Folded+2*s.Transit+2*s.Kept {
						t.Errorf("rows with %d flows of %+v", flows, s)
					}
				})
			}
		}
	}
}

// flows gives a set of n flows of contacts of ours, from number from on.
func flows(n, from int) *decode.Set {
	records := make([]flow.Record, n)
	for i := range records {
		records[i] = flow.Record{
			Exporter: flow.Exporter{Addr: netip.MustParseAddr("192.0.2.1")}, Received: testTime, Rate: 1, Has: flow.HasProtocol, Protocol: 17,
			Src: netip.MustParseAddr("10.0.0.1"), Dst: flow.Addr4(0xcb007100 + uint32(from+i)), SrcPort: 50000, DstPort: 53, Bytes: 1,
		}
	}
	s := new(decode.Set)
	s.Fill(records)
	return s
}

func testPool(caps table.Caps, early int) (*Pool, *Recorder) {
	p := NewPool(Config{Homes: homesOf(testHome{own: prefixes("10.0.0.0/8")}), Caps: caps, Early: early})
	return p, p.Recorder()
}

// next gives what has been handed over; it fails when that is nothing.
func next(t *testing.T, p *Pool) Handed {
	t.Helper()
	select {
	case h := <-p.Handed():
		return h
	default:
		t.Fatal("nothing was handed over")
		panic("")
	}
}

func quiet(t *testing.T, p *Pool) {
	t.Helper()
	if n := len(p.Handed()); n > 0 {
		t.Fatalf("%d tables were handed over", n)
	}
}

// TestTurns: each recorder hands over once for a Turn, at its Flush, with or without contacts;
// late when its other table is still away; and goes on counting meanwhile.
func TestTurns(t *testing.T) {
	p, r := testPool(table.Caps{V4: 100, V6: 10}, 6)
	idle := p.Recorder()
	if p.Workers() != 2 {
		t.Fatalf("%d workers", p.Workers())
	}
	check := func(h Handed, interval, next uint32, why Why, contacts int, c table.Counts) {
		t.Helper()
		n := 0
		if h.Table != nil {
			n = h.Table.Len()
		}
		if h.Interval != interval || h.Next != next || h.Why != why || n != contacts || h.Counts != c {
			t.Errorf("%+v with %d contacts; want interval %d to %d, %v, %d contacts, %+v", h, n, interval, next, why, contacts, c)
		}
	}
	r.Records(flows(5, 0))
	p.Turn()
	r.Records(flows(5, 5)) // before the Flush: still of this table
	quiet(t, p)
	r.Flush()
	first := next(t, p)
	check(first, 0, 1, WhyInterval, 10, table.Counts{Kept: 10})
	idle.Flush()
	check(next(t, p), 0, 1, WhyInterval, 0, table.Counts{})
	idle.Flush()
	r.Flush()
	quiet(t, p)

	p.Turn() // nothing since
	r.Flush()
	check(next(t, p), 1, 2, WhyInterval, 0, table.Counts{})

	r.Records(flows(3, 0))
	p.Turn()
	r.Flush()
	quiet(t, p) // the first table is still away
	r.Records(flows(4, 0))
	p.Turn()
	r.Flush()
	quiet(t, p)
	p.Return(first)
	r.Flush()
	second := next(t, p)
	check(second, 2, 4, WhyInterval, 4, table.Counts{Kept: 7})
	p.Return(second)
	idle.Flush()
	check(next(t, p), 1, 4, WhyInterval, 0, table.Counts{})
	quiet(t, p)

	r.Records(flows(2, 0))
	r.Flush()
	if s := p.Stats(); s.Contacts != 2 || s.Kept != 19 || s.Interval != 5 || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
	r.Records(flows(1, 2)) // not flushed
	if all := p.Drain(); len(all) != 1 {
		t.Errorf("drained %+v", all)
	} else {
		check(all[0], 4, 4, WhyShutdown, 3, table.Counts{Kept: 3})
	}
	if s := p.Stats(); s.Shutdown != 1 || s.Contacts != 0 {
		t.Errorf("%+v", s)
	}
}

// TestFullTable: a full table is handed over as often as allowed while there is another one, and
// then contacts are lost; the next interval allows as many again.
func TestFullTable(t *testing.T) {
	p, r := testPool(table.Caps{V4: 8, V6: 8}, 2)
	for interval := range uint32(2) {
		r.Records(flows(30, 0))
		r.Flush()
		a := next(t, p)
		quiet(t, p) // there is no third table
		if a.Why != WhyFull || a.Interval != interval || a.Next != interval || a.Counts.Kept != 8 {
			t.Errorf("%+v", a)
		}
		if s := p.Stats(); s.Lost != uint64(14+16*interval) || s.Full != uint64(1+2*interval) {
			t.Errorf("%+v", s)
		}
		p.Return(a)
		r.Records(flows(1, 100))
		r.Flush()
		b := next(t, p)
		p.Return(b)
		r.Records(flows(10, 100))
		r.Flush()
		quiet(t, p) // two were handed over
		if s := p.Stats(); s.sum() != uint64(41*(interval+1)) || s.Lost != uint64(16*(interval+1)) {
			t.Errorf("%+v", s)
		}
		p.Turn()
		r.Flush()
		if h := next(t, p); h.Why != WhyInterval || h.Counts.Kept != 9 || h.Counts.Lost != 2 {
			t.Errorf("%+v", h)
		} else {
			p.Return(h)
		}
	}
}

// TestEnable: while it is off nothing is counted; the table is handed over at the next Turn,
// and its memory is given up.
func TestEnable(t *testing.T) {
	p, r := testPool(table.Caps{V4: 100, V6: 10}, 6)
	r.Records(flows(3, 0))
	p.Enable(false)
	r.Records(flows(7, 10))
	r.Flush()
	quiet(t, p)
	p.Turn()
	r.Flush()
	h := next(t, p)
	if h.Table == nil || h.Table.Len() != 3 || h.Counts.Kept != 3 {
		t.Errorf("%+v", h)
	}
	p.Return(h)
	r.Flush()
	if s := p.Stats(); s.sum() != 3 || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
	p.Turn()
	r.Flush()
	if h := next(t, p); h.Table != nil {
		t.Errorf("%+v", h)
	}
	p.Enable(true)
	r.Records(flows(4, 0))
	r.Flush()
	if s := p.Stats(); s.sum() != 7 || s.Contacts != 4 || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
}

// TestSetExclude: networks are excluded from then on.
func TestSetExclude(t *testing.T) {
	p, r := testPool(table.Caps{V4: 100, V6: 10}, 6)
	for i, list := range [][]netip.Prefix{nil, prefixes("203.0.113.2/31"), prefixes("10.0.0.0/24"), {}} {
		p.SetExclude(list)
		r.Records(flows(4, 0))
		r.Flush()
		if s := p.Stats(); s.Excluded != []uint64{0, 2, 6, 6}[i] || s.sum() != uint64(4*(i+1)) {
			t.Errorf("step %d: %+v", i, s)
		}
	}
}

// TestUnsynchronised: the clock is asked about once for a table, whose flows have the flag.
func TestUnsynchronised(t *testing.T) {
	asked, unsynced := 0, true
	p := NewPool(Config{Homes: homesOf(testHome{own: prefixes("10.0.0.0/8")}), Caps: table.Caps{V4: 100}, Unsynced: func() bool {
		asked++
		return unsynced
	}})
	r := p.Recorder()
	for i := range 3 {
		r.Records(flows(200, 0)) // one contact each
		r.Records(flows(20, 0))
		unsynced = i == 1
		p.Turn()
		r.Flush()
		h := next(t, p)
		for _, x := range rowsOf(p.Names(), h.Table) {
			if x.Flags&row.Unsynchronised != 0 != (i != 1) {
				t.Fatalf("table %d: %+v", i, x)
			}
		}
		p.Return(h)
	}
	if asked != 3 {
		t.Errorf("asked %d times for 3 tables", asked)
	}
	r.Records(flows(1, 0))
	p.Turn()
	r.Flush()
	p.Return(next(t, p))
	r.Records(new(decode.Set)) // begins a table that stays empty
	asked, unsynced = 0, true
	p.Turn()
	r.Flush()
	next(t, p)
	r.Records(flows(1, 0))
	p.Turn()
	r.Flush()
	if x := rowsOf(p.Names(), next(t, p).Table); len(x) != 1 || x[0].Flags&row.Unsynchronised == 0 || asked != 1 {
		t.Errorf("after an interval without flows: %+v, asked %d times", x, asked)
	}
}

// TestExporters: 65,535 exporters have a number of their own in all tables, all others none.
func TestExporters(t *testing.T) {
	p, r := testPool(table.Caps{V4: 1 << 18}, 6)
	other := p.Recorder()
	const n = 70_000
	for i := range uint32(n) {
		s := flows(1, 0)
		var rec flow.Record
		s.Record(0, &rec)
		rec.Exporter.Addr = flow.Addr4(0xc6120000 + i)
		s.Fill([]flow.Record{rec})
		r.Records(s)
		if i%1000 == 0 {
			other.Records(s)
		}
	}
	p.Turn()
	r.Flush()
	other.Flush()
	seen := map[netip.Addr]int{}
	flows := uint32(0)
	for range 2 {
		h := next(t, p)
		for _, x := range rowsOf(p.Names(), h.Table) {
			seen[x.Exporter]++
			flows += x.Flows
		}
	}
	if len(seen) != 65_536 || seen[flow.Addr4(0xc6120000)] != 2 || flows != n+n/1000 {
		t.Errorf("%d exporters, %d flows", len(seen), flows)
	}
	if s := p.Stats(); s.Crowded < n-65_535 {
		t.Errorf("%+v", s)
	}
}

// TestAllocatesNothing: with tables that have been used before, and all kinds of flows.
func TestAllocatesNothing(t *testing.T) {
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		t.Run(v.String(), func(t *testing.T) {
			cfg := testConfig()
			p := NewPool(cfg)
			r := p.Recorder()
			d := decode.New(decode.NewExporters(decode.DefaultLimits()), r)
			e, _ := synth.NewEncoder(synth.Config{Version: v, Sampling: 10})
			rng := rand.New(rand.NewPCG(1, 2))
			dg := flow.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:1"), Received: testTime, Payload: e.Templates(nil, testTime)}
			if v != flow.V5 && v != flow.SFlow {
				d.Decode(&dg)
			}
			var data [][]byte
			for range 20 {
				list := make([]synth.Flow, 60)
				for i := range list {
					list[i] = anyFlow(rng, v, testTime)
				}
				for len(list) > 0 {
					b, n, err := e.Encode(nil, list, testTime)
					if err != nil {
						t.Fatal(err)
					}
					data, list = append(data, b), list[n:]
				}
			}
			interval := func() {
				for _, dg.Payload = range data {
					d.Decode(&dg)
				}
				r.Flush()
				p.Turn() // allocates the one view of the interval
				r.Flush()
				p.Return(<-p.Handed())
			}
			interval()
			interval()
			if n := testing.AllocsPerRun(10, interval); n > 1 {
				t.Errorf("%v allocations in an interval of %d datagrams", n, len(data))
			}
		})
	}
}

// TestAttacks: a scanner makes few rows, a flood of spoofed sources no more tables than allowed, and
// the contacts of ours are kept meanwhile. FLOWSNITCH_ATTACK_FLOWS=4000000 is the soak.
func TestAttacks(t *testing.T) {
	n := 400_000
	if s := os.Getenv("FLOWSNITCH_ATTACK_FLOWS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	for _, kind := range []string{"scanner", "flood"} {
		t.Run(kind, func(t *testing.T) {
			caps := table.Caps{V4: 1 << 14, V6: 1 << 10}
			if n > 1_000_000 {
				caps = table.Caps{V4: 262_144, V6: 65_536}
			}
			p, r := testPool(caps, 6)
			d := decode.New(decode.NewExporters(decode.DefaultLimits()), r)
			e, _ := synth.NewEncoder(synth.Config{Version: flow.V5})
			dg := flow.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: testTime}
			var tables, rows, ours atomic.Int64
			write := func(h Handed) {
				if h.Table == nil {
					return
				}
				tables.Add(1)
				for _, x := range rowsOf(p.Names(), h.Table) {
					if rows.Add(1); x.Direction == row.Outbound {
						ours.Add(int64(x.Flows))
					}
				}
				p.Return(h)
			}
			var took time.Duration
			list := make([]synth.Flow, 30)
			for i := 0; i < n; i += 30 {
				for k := range list {
					at := uint32(i + k)
					f := synth.Flow{Src: flow.Addr4(0xc6336401), Dst: flow.Addr4(0x0a000000 + at%65_536), SrcPort: 50000, DstPort: uint16(at + at>>16), Protocol: 6, TCPFlags: 2, Packets: 1, Bytes: 40}
					if kind == "flood" {
						f.Src, f.DstPort = flow.Addr4(0x14000000+at), 80
					}
					list[k] = f
				}
				list[29] = synth.Flow{Src: flow.Addr4(0x0a000001), Dst: flow.Addr4(0xcb007100 + uint32(i)%100), SrcPort: 50000, DstPort: 443, Protocol: 6, TCPFlags: 0x1b, Packets: 9, Bytes: 900}
				var err error
				if dg.Payload, _, err = e.Encode(dg.Payload[:0], list, testTime); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				d.Decode(&dg)
				took += time.Since(began)
				if i%240 == 0 {
					r.Flush()
				}
				for len(p.Handed()) > 0 {
					write(<-p.Handed())
				}
			}
			p.Turn()
			r.Flush()
			write(<-p.Handed())
			s := p.Stats()
			decoded := uint64((n + 29) / 30 * 30)
			t.Logf("%d flows, %.0f ns each with decoding: %d rows in %d tables, %+v", decoded, float64(took.Nanoseconds())/float64(decoded), rows.Load(), tables.Load(), s)
			if s.sum() != decoded || ours.Load() != int64(decoded/30) {
				t.Errorf("%d flows counted of %d, %d of %d of ours in rows", s.sum(), decoded, ours.Load(), decoded/30)
			}
			if kind == "scanner" && (rows.Load() > 300 || s.Lost > 0 || tables.Load() != 1) || kind == "flood" && (tables.Load() != 7 || s.Lost == 0) {
				t.Errorf("%d rows in %d tables", rows.Load(), tables.Load())
			}
		})
	}
}
