package recorder

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// An oracle makes rows of whole records with a map, as plainly as it can be written.
type oracle struct {
	cfg  Config
	rows map[string]*row.Row
	seen map[string]uint64 // flows by outcome, and transit, clamped
}

func newOracle(cfg Config) *oracle {
	return &oracle{cfg, map[string]*row.Row{}, map[string]uint64{}}
}

// An end of a flow.
type end struct {
	addr netip.Addr
	port uint16
}

func empty(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }

func (o *oracle) home(site uint16) testHome {
	if int(site) >= len(testHomes) {
		site = 0
	}
	return testHomes[site]
}

// strict reports whether an address is in the networks of a site.
func (o *oracle) strict(site uint16, a netip.Addr) bool {
	return !empty(a) && slices.ContainsFunc(o.home(site).own, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

func (o *oracle) carries(site uint16, a netip.Addr) bool {
	return !empty(a) && !a.Unmap().Is4() && o.home(site).Contains(a)
}

// flow takes one record.
func (o *oracle) flow(r *flow.Record) {
	outcome := ""
	better := map[string]int{"": 0, "no_address": 1, "internal": 2, "excluded": 3, "kept": 4}
	note := func(s string) {
		if better[s] > better[outcome] {
			outcome = s
		}
	}
	before := o.seen["transit"]
	first := ""
	for _, p := range o.pairs(r) {
		got := o.pair(r, p)
		note(got)
		if got == "kept" && first == "" {
			first = "kept"
			if o.seen["transit"] > before {
				before++
			}
		}
	}
	o.seen["transit"] = before
	o.seen[outcome]++
	if far(r.Start, r.Received) || far(r.End, r.Received) {
		if outcome == "kept" {
			o.seen["clamped"]++
		}
	}
}

func far(t, received time.Time) bool {
	return !t.IsZero() && t.UnixMilli() != 0 && t.Sub(received).Abs() > 24*time.Hour
}

// A flowPair is two ends, with what their transport is.
type flowPair struct {
	src, dst, redirected, translatedSrc end // redirected: the destination before translation
	protocol                            uint8
	known                               bool // the protocol
	flags, back                         uint16
	unreachable                         bool
}

func (o *oracle) pairs(r *flow.Record) (all []flowPair) {
	p := flowPair{
		src: end{r.Src, r.SrcPort}, dst: end{r.Dst, r.DstPort}, redirected: end{r.Dst, r.DstPort},
		translatedSrc: end{r.PostNATSrc, r.PostNATSrcPort},
		protocol:      r.Protocol, known: r.Has&flow.HasProtocol != 0,
	}
	or := func(a, b uint16) uint16 {
		if a != 0 {
			return a
		}
		return b
	}
	if empty(p.src.addr) {
		p.src = end{r.PostNATSrc, or(r.PostNATSrcPort, r.SrcPort)}
	}
	if !empty(r.PostNATDst) {
		p.dst = end{r.PostNATDst, or(r.PostNATDstPort, r.DstPort)}
	}
	if r.Protocol == 6 {
		p.flags, p.back = r.TCPFlags, r.RevTCPFlags
	}
	code := r.ICMPTypeCode
	if r.Has&flow.HasICMP == 0 {
		code = r.DstPort
	}
	p.unreachable = r.Protocol == 1 && code>>8 == 3 || r.Protocol == 58 && code>>8 == 1
	all = append(all, p)
	for side := flow.SideInnerSrc; side < flow.NumSides; side += 2 {
		src, srcPort := r.At(side)
		dst, dstPort := r.At(side + 1)
		if empty(src) && empty(dst) {
			continue
		}
		q := flowPair{src: end{src, srcPort}, dst: end{dst, dstPort}, redirected: end{dst, dstPort}}
		switch {
		case side >= flow.SideTunnels:
		case r.Has&(flow.HasInnerPorts|flow.HasInnerProtocol) != 0:
			q.protocol, q.known = r.InnerProtocol, r.Has&flow.HasInnerProtocol != 0
		default:
			q.protocol, q.known, q.flags, q.back, q.unreachable = p.protocol, p.known, p.flags, p.back, p.unreachable
			q.src.port, q.dst.port = or(srcPort, r.SrcPort), or(dstPort, r.DstPort)
			q.redirected.port = q.dst.port
		}
		all = append(all, q)
	}
	return all
}

// pair makes the rows of one pair of ends.
func (o *oracle) pair(r *flow.Record, p flowPair) string {
	site := r.Exporter.Site
	if empty(p.src.addr) || empty(p.dst.addr) {
		return "no_address"
	}
	src := o.strict(site, p.src.addr)
	dst := o.strict(site, p.dst.addr) || o.strict(site, p.redirected.addr)
	if !dst {
		src = src || o.strict(site, p.translatedSrc.addr)
	}
	if src && dst && !o.strict(site, p.dst.addr) {
		dst = false
	}
	if src && dst && !empty(p.redirected.addr) && !o.strict(site, p.redirected.addr) {
		dst, p.dst = false, p.redirected
	}
	if !src && !dst {
		src = o.carries(site, p.src.addr) || o.carries(site, p.translatedSrc.addr)
		dst = o.carries(site, p.dst.addr) || o.carries(site, p.redirected.addr)
		if src && dst {
			src, dst = false, false
		}
	}
	if src && dst {
		return "internal"
	}
	a, b := p.dst.addr, p.redirected.addr
	nat64 := a.Is4() && b.Is6() && a.As4() == [4]byte(b.AsSlice()[12:])
	redirected := src && !empty(b) && a != b && !o.strict(site, b) && !nat64
	if slices.ContainsFunc(o.cfg.Exclude, func(x netip.Prefix) bool {
		return x.Contains(p.src.addr.Unmap()) || x.Contains(p.dst.addr.Unmap()) || redirected && x.Contains(b.Unmap())
	}) {
		return "excluded"
	}
	if !src && !dst {
		o.seen["transit"]++
		o.row(r, p, p.dst, p.src, true, true)
		o.row(r, p, p.src, p.dst, false, true)
	} else if src {
		o.row(r, p, p.dst, p.src, true, false)
		if redirected {
			p.dst = p.redirected
			o.row(r, p, p.dst, p.src, true, false)
		}
	} else {
		o.row(r, p, p.src, p.dst, false, false)
	}
	return "kept"
}

// row adds the flow to a row. sent: the inside end is the source.
func (o *oracle) row(r *flow.Record, p flowPair, outside, inside end, sent, transit bool) {
	has := func(f flow.Fields) bool { return r.Has&f != 0 }
	rst := func(flags uint16) bool { return flags&0x3f == 4 || flags&0x3f == 0x14 }
	if p.known && !slices.Contains([]uint8{6, 17, 33, 132, 136}, p.protocol) {
		p.src.port, p.dst.port, inside.port, outside.port = 0, 0, 0, 0
	}
	// who opened it: "", "src", "dst"
	opener := ""
	switch {
	case has(flow.HasBiflowDirection) && r.BiflowDirection == 1:
		opener = "src"
	case has(flow.HasBiflowDirection) && r.BiflowDirection == 2:
		opener = "dst"
	case has(flow.HasRespBytes|flow.HasRespPackets) || r.BytesIE == 231 || r.PacketsIE == 298:
		opener = "src"
	case p.flags&0x12 == 2:
		opener = "src"
	case p.back&0x12 == 2:
		opener = "dst"
	}
	refusal := rst(p.flags) || p.unreachable
	responds := refusal && (p.src.port < 32768 || p.dst.port >= 32768)
	port := uint16(0)
	client := func(service, client uint16) bool {
		return service < 1024 && client >= 1024 || service < 32768 && client >= 32768
	}
	switch {
	case p.src.port == 0 || p.dst.port == 0:
		port = max(p.src.port, p.dst.port)
	case opener == "src":
		port = p.dst.port
	case opener == "dst":
		port = p.src.port
	default:
		if port = min(p.src.port, p.dst.port); responds {
			port = p.src.port
		}
		switch {
		case p.src.port == p.dst.port:
		case port == p.src.port && client(port, p.dst.port):
			opener = "dst"
		case port == p.dst.port && client(port, p.src.port):
			opener = "src"
		}
	}
	x := row.Row{Outside: flow.Addr6Of(outside.addr), Inside: flow.Addr6Of(inside.addr), Protocol: p.protocol, Port: port, Exporter: r.Exporter.Addr, Flows: 1, Direction: row.Unknown}
	if n := int(r.Exporter.Site); n < len(o.cfg.Sites) {
		x.Site = o.cfg.Sites[n]
	}
	switch {
	case transit:
		x.Direction = row.Transit
	case opener == "src" && sent, opener == "dst" && !sent:
		x.Direction = row.Outbound
	case opener != "", responds && sent:
		x.Direction = row.Inbound
	}
	backBytes, backPackets := r.RespBytes, r.RespPackets
	if has(flow.HasRevBytes | flow.HasRevPackets) {
		backBytes, backPackets = r.RevBytes, r.RevPackets
	}
	if r.Forwarding>>6 == 2 || r.FirewallEvent == 3 {
		x.Flags = row.Blocked
	} else {
		back := backBytes+backPackets > 0
		backRefuses := rst(p.back)
		answered := back && !backRefuses && (!refusal || opener == "src") || !refusal && opener == "dst" || !refusal && !sent && p.flags&0x10 != 0
		refused := refusal && opener != "src" || back && backRefuses && opener != "dst"
		if answered {
			x.Flags |= row.Answered
		}
		if refused {
			x.Flags |= row.Refused
		}
	}
	rate := r.Rate
	if n, ok := o.cfg.Sampling[r.Exporter.Addr]; ok {
		rate = n
	}
	x.Sampling = max(rate, 1)
	times := func(n uint64) uint64 {
		b := new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(int64(x.Sampling)))
		if !b.IsUint64() {
			return 1<<64 - 1
		}
		return b.Uint64()
	}
	x.BytesOut, x.PacketsOut, x.BytesIn, x.PacketsIn = times(r.Bytes), times(r.Packets), times(backBytes), times(backPackets)
	if !sent {
		x.BytesOut, x.PacketsOut, x.BytesIn, x.PacketsIn = x.BytesIn, x.PacketsIn, x.BytesOut, x.PacketsOut
	}
	start, stop := r.Start, r.End
	if start.IsZero() || start.UnixMilli() == 0 {
		start = stop
	}
	if stop.IsZero() || stop.UnixMilli() == 0 {
		stop = start
	}
	if start.IsZero() || far(start, r.Received) {
		start = r.Received
	}
	if stop.IsZero() || far(stop, r.Received) {
		stop = r.Received
	}
	x.First, x.Last = uint32(min(start.Unix(), stop.Unix())), uint32(max(start.Unix(), stop.Unix()))
	o.add(&x)
}

// add adds a row to that of its key.
func (o *oracle) add(x *row.Row) {
	k := keyOf(x)
	if have := o.rows[k]; have != nil {
		have.Add(x)
		return
	}
	o.rows[k] = x
}

func keyOf(x *row.Row) string {
	return fmt.Sprint(x.Outside, x.Inside, x.Protocol, x.Port, x.Exporter, x.Site, x.Direction)
}

// merged adds up the rows of several tables, without their hours, which depend on how the
// flows are spread over tables.
func merged(all []row.Row) map[string]*row.Row {
	o := oracle{rows: map[string]*row.Row{}}
	for i := range all {
		all[i].Hours = 0
		o.add(&all[i])
	}
	return o.rows
}

// check compares rows and counters.
func (o *oracle) check(t *testing.T, got map[string]*row.Row, s Stats) {
	t.Helper()
	bad := 0
	for k, want := range o.rows {
		if got[k] == nil || *got[k] != *want {
			if bad++; bad < 4 {
				t.Errorf("%s\n got %+v\nwant %+v", k, got[k], *want)
			}
		}
	}
	for k := range got {
		if o.rows[k] == nil {
			if bad++; bad < 4 {
				t.Errorf("not expected: %+v", *got[k])
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d rows of %d, expected %d, are wrong", bad, len(got), len(o.rows))
	}
	for name, n := range map[string]uint64{
		"kept": s.Kept + s.Folded + s.Lost, "internal": s.Internal, "excluded": s.Excluded, "no_address": s.NoAddress,
		"transit": s.Transit, "clamped": s.Clamped,
	} {
		if n != o.seen[name] {
			t.Errorf("%d flows %s, expected %d", n, name, o.seen[name])
		}
	}
}

// testHomes are the homes of testConfig.
var testHomes = []testHome{
	{own: prefixes("10.0.0.0/8", "192.0.2.64/26", "fd00::/8", "2001:db8:1::/48"), carried: prefixes("2002:a00::/24")},
	{own: prefixes("10.1.0.0/16", "203.0.113.0/25")},
}

// testConfig has two sites, whose home networks differ, and an exporter whose rate is configured.
func testConfig() Config {
	return Config{
		Homes:    homesOf(testHomes...),
		Sites:    []string{"", "oslo", "bergen"},
		Exclude:  prefixes("10.0.9.0/24", "198.51.100.77/32", "2001:db8:1:9::/64"),
		Sampling: map[netip.Addr]uint32{netip.MustParseAddr("192.0.2.3"): 7},
		Caps:     table.Caps{V4: 1 << 16, V6: 1 << 15}, Early: 6,
	}
}

// anyAddr gives an address of a family: ours at either site or none, excluded, carried, or none at all.
func anyAddr(r *rand.Rand, six bool) netip.Addr {
	if six {
		s := [...]string{"2001:db8:2::%x", "2001:db8:1::%x", "fd00::%x", "2002:a00::%x", "64:ff9b::%x", "2001:db8:1:9::%x"}[r.IntN(6)]
		return netip.MustParseAddr(fmt.Sprintf(s, 1+r.IntN(200)))
	}
	s := [...]string{"198.51.100.%d", "198.51.100.%d", "203.0.113.%d", "192.0.2.%d", "10.0.0.%d", "10.1.2.%d", "10.0.9.%d", "172.16.0.%d"}[r.IntN(8)]
	return netip.MustParseAddr(fmt.Sprintf(s, 1+r.IntN(200)))
}

// anyPort likes services, clients and the borders between them.
func anyPort(r *rand.Rand) uint16 {
	return [...]uint16{0, 22, 80, 443, 1023, 1024, 8080, 32767, 32768, 50000, 65535, uint16(r.Uint32())}[r.IntN(12)]
}

// anyFlow gives a flow that a protocol can express.
func anyFlow(r *rand.Rand, v flow.Version, now time.Time) synth.Flow {
	six := v != flow.V5 && r.IntN(3) == 0
	f := synth.Flow{
		Src: anyAddr(r, six), Dst: anyAddr(r, six), SrcPort: anyPort(r), DstPort: anyPort(r),
		Protocol: [...]uint8{6, 6, 6, 17, 1, 47, 58, 132}[r.IntN(8)], TCPFlags: [...]uint16{2, 0x12, 0x1b, 4, 0x14, 0x10, 0, 0x18}[r.IntN(8)],
		Bytes: uint64(r.Uint32()), Packets: uint64(1 + r.IntN(100_000)),
		Start: now.Add(-time.Duration(r.IntN(100_000)) * time.Millisecond), End: now.Add(-time.Duration(r.IntN(60_000)) * time.Millisecond),
	}
	if f.Protocol == 1 || f.Protocol == 58 {
		f.DstPort = [...]uint16{0x0301, 0x0100, 0x0800}[r.IntN(3)]
	}
	if v == flow.SFlow {
		f.Bytes = f.Packets * uint64(64+r.IntN(1400))
	}
	if (v == flow.V9 || v == flow.IPFIX) && r.IntN(4) == 0 {
		f.PostNATSrc, f.PostNATDst, f.PostNATSrcPort, f.PostNATDstPort = anyAddr(r, six), anyAddr(r, six), anyPort(r), anyPort(r)
		if r.IntN(2) == 0 {
			f.PostNATSrc, f.PostNATDst = f.Src, f.Dst
		}
	}
	if v == flow.IPFIX && r.IntN(4) == 0 {
		f.RevBytes, f.RevPackets, f.RevTCPFlags = uint64(r.Uint32()), uint64(r.IntN(1000)), [...]uint16{2, 0x12, 4, 0x14, 0}[r.IntN(5)]
	}
	switch r.IntN(30) {
	case 0: // far away, as far as the protocol allows
		f.Start = now.Add(-30 * time.Hour)
	case 1:
		f.Start, f.End = f.End, f.Start
	}
	return f
}

// locked lets the taps of several workers share an oracle.
type locked struct {
	mu sync.Mutex
	*oracle
	decoded uint64
}

// A watched recorder shows the records to the oracle, too.
type watched struct {
	*Recorder
	all *locked
}

func (w watched) Records(s *decode.Set) {
	w.Recorder.Records(s)
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	var r flow.Record
	for i := range s.Len() {
		s.Record(i, &r)
		w.all.flow(&r)
		w.all.decoded++
	}
}

// work feeds a worker with rounds of random flows of one exporter and protocol.
func work(t testing.TB, seed uint64, v flow.Version, exporter netip.Addr, d *decode.Decoder, flush func(), rounds int) {
	r := rand.New(rand.NewPCG(seed, uint64(v)))
	cfg := synth.Config{Version: v, Boot: testTime.Add(-80 * time.Hour)}
	if seed%2 == 0 {
		cfg.Sampling = 100
	}
	e, err := synth.NewEncoder(cfg)
	if err != nil {
		t.Error(err)
		return
	}
	dg := flow.Datagram{Source: netip.AddrPortFrom(exporter, 2055)}
	for i := range rounds {
		now := testTime.Add(time.Duration(i) * time.Minute)
		dg.Received = now
		if dg.Payload = e.Templates(nil, now); len(dg.Payload) > 0 && i%10 == 0 {
			d.Decode(&dg)
		}
		flows := make([]synth.Flow, 1+r.IntN(80))
		for k := range flows {
			flows[k] = anyFlow(r, v, now)
		}
		for len(flows) > 0 {
			p, n, err := e.Encode(nil, flows, now)
			if err != nil {
				t.Error(err)
				return
			}
			dg.Payload, flows = p, flows[n:]
			d.Decode(&dg)
		}
		flush()
	}
}

// run has workers record at the same time, while intervals turn, tables go back and counters
// are read, and gives the rows of all tables.
func run(t *testing.T, cfg Config, workers, rounds int) (*Pool, *locked, []row.Row) {
	p := NewPool(cfg)
	all := &locked{oracle: newOracle(cfg)}
	x := decode.NewExporters(decode.DefaultLimits())
	x.SetSites(map[netip.Addr]uint16{netip.MustParseAddr("192.0.2.2"): 1, netip.MustParseAddr("192.0.2.4"): 9})
	versions := []flow.Version{flow.V9, flow.IPFIX, flow.SFlow, flow.V5}
	var group sync.WaitGroup
	for w := range workers {
		r := p.Recorder()
		d := decode.New(x, watched{r, all})
		group.Go(func() {
			for k := w; k < 4; k += workers { // four exporters, spread over the workers
				work(t, uint64(k), versions[k], netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + k)}), d, r.Flush, rounds)
			}
			r.Flush()
		})
	}
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	var rows []row.Row
	write := func(h Handed) {
		if h.Table == nil {
			return
		}
		got := rowsOf(p.Names(), h.Table)
		flows := uint64(0)
		for i := range got {
			flows += uint64(got[i].Flows)
		}
		if c := h.Table.Counts(); c.Kept+c.Folded != flows || h.Counts.Kept > c.Kept {
			t.Errorf("a table with %d flows in its rows, counts %+v and %+v", flows, c, h.Counts)
		}
		rows = append(rows, got...)
		p.Return(h)
	}
	for working := true; working; {
		select {
		case h := <-p.Handed():
			write(h)
		case <-done:
			working = false
		case <-time.After(time.Millisecond):
			p.Turn()
			p.Stats()
			p.Workers()
		}
	}
	for _, h := range p.Drain() {
		write(h)
	}
	for len(p.Handed()) > 0 {
		write(<-p.Handed())
	}
	return p, all, rows
}

// TestOracle: what the tables hold is what a map holds, in all protocols, with one worker or
// several.
func TestOracle(t *testing.T) {
	for _, workers := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			p, all, rows := run(t, testConfig(), workers, 60)
			s := p.Stats()
			all.check(t, merged(rows), s)
			if n := s.Kept + s.Folded + s.Lost + s.Internal + s.Excluded + s.NoAddress; n != all.decoded {
				t.Errorf("%d flows counted, %d decoded", n, all.decoded)
			}
			if s.Folded+s.Lost != 0 || s.Kept < 3000 || s.Internal < 300 || s.Excluded < 300 || s.Transit < 300 || s.Clamped < 50 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// anyRecord gives a record with everything that a record may have.
func anyRecord(r *rand.Rand, now time.Time, site uint16) flow.Record {
	six := r.IntN(3) == 0
	one := func() netip.Addr {
		switch r.IntN(12) {
		case 0:
			return netip.Addr{}
		case 1:
			return netip.IPv4Unspecified()
		case 2:
			return anyAddr(r, !six)
		}
		return anyAddr(r, six)
	}
	has := func(f flow.Fields) flow.Fields { return f * flow.Fields(r.IntN(2)) }
	counter := func() uint64 { return r.Uint64() >> r.IntN(64) * uint64(r.IntN(2)) }
	flags := func() uint16 { return [...]uint16{0, 2, 0x12, 0x1b, 4, 0x14, 0x10, 0xc2, 0x54}[r.IntN(9)] }
	x := flow.Record{
		Exporter: flow.Exporter{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + r.IntN(4))}), Site: site, Version: flow.IPFIX}, Received: now,
		Src: one(), Dst: one(), SrcPort: anyPort(r), DstPort: anyPort(r),
		Has:   has(flow.HasProtocol) | has(flow.HasRevBytes) | has(flow.HasRespPackets) | has(flow.HasBiflowDirection) | has(flow.HasICMP) | has(flow.HasInnerPorts) | has(flow.HasInnerProtocol),
		Bytes: counter(), Packets: counter(), Rate: [...]uint32{1, 1, 0, 1000, 1 << 23}[r.IntN(5)],
		BytesIE: [...]uint16{1, 1, 85, 231}[r.IntN(4)], PacketsIE: [...]uint16{2, 2, 2, 298}[r.IntN(4)],
		Forwarding: [...]uint8{0, 0, 0x40, 0x80, 0x85, 0xc0}[r.IntN(6)], FirewallEvent: [...]uint8{0, 0, 1, 3}[r.IntN(4)],
	}
	if x.Has&flow.HasProtocol != 0 {
		x.Protocol = [...]uint8{0, 6, 6, 6, 17, 1, 58, 47, 136}[r.IntN(9)]
		x.TCPFlags = flags()
	}
	if x.Protocol == 1 || x.Protocol == 58 {
		x.DstPort = [...]uint16{0x0301, 0x0100, 0x0800}[r.IntN(3)]
	}
	if x.Has&flow.HasICMP != 0 {
		x.ICMPTypeCode = [...]uint16{0x0301, 0x0100, 0x0800}[r.IntN(3)]
	}
	if x.Has&flow.HasRevBytes != 0 {
		x.RevBytes, x.RevPackets, x.RevTCPFlags = counter(), counter(), flags()
	}
	if x.Has&flow.HasRespPackets != 0 {
		x.RespBytes, x.RespPackets = counter(), counter()
	}
	if x.Has&flow.HasBiflowDirection != 0 {
		x.BiflowDirection = uint8(r.IntN(4))
	}
	if r.IntN(3) == 0 {
		x.PostNATSrc, x.PostNATDst, x.PostNATSrcPort, x.PostNATDstPort = one(), one(), anyPort(r), anyPort(r)
	}
	if r.IntN(4) == 0 {
		x.InnerSrc, x.InnerDst = one(), one()
		if x.Has&flow.HasInnerPorts != 0 {
			x.InnerSrcPort, x.InnerDstPort = anyPort(r), anyPort(r)
		}
		if x.Has&flow.HasInnerProtocol != 0 {
			x.InnerProtocol = [...]uint8{6, 17, 1}[r.IntN(3)]
		}
		if r.IntN(2) == 0 {
			x.Tunnels = &[2 * flow.MaxTunnels]netip.Addr{one(), one(), one(), one()}
		}
	}
	for _, at := range []*time.Time{&x.Start, &x.End} {
		switch r.IntN(6) {
		case 0: // not exported
		case 1:
			*at = now.Add(time.Duration(r.Int64()>>10) - 1<<52)
		default:
			*at = now.Add(-time.Duration(r.IntN(3600_000)) * time.Millisecond)
		}
	}
	return x
}

// TestRecords: the same with records that have anything, in sets without templates.
func TestRecords(t *testing.T) {
	cfg := testConfig()
	cfg.Caps = table.Caps{V4: 1 << 18, V6: 1 << 18}
	p := NewPool(cfg)
	r := p.Recorder()
	all := &locked{oracle: newOracle(cfg)}
	rng := rand.New(rand.NewPCG(5, 6))
	var rows []row.Row
	write := func() {
		p.Turn()
		r.Flush()
		h := <-p.Handed()
		rows = append(rows, rowsOf(p.Names(), h.Table)...)
		p.Return(h)
	}
	for i := range 3000 {
		now, site := testTime.Add(time.Duration(i)*time.Second), uint16(rng.IntN(4))
		records := make([]flow.Record, 1+rng.IntN(40))
		for k := range records {
			records[k] = anyRecord(rng, now, site)
			records[k].Exporter = records[0].Exporter
			records[k].Exporter.Site = site
		}
		var s decode.Set
		s.Fill(records)
		watched{r, all}.Records(&s)
		if i%60 == 59 { // before scans fold
			write()
		}
	}
	s := p.Stats()
	all.check(t, merged(rows), s)
	if n := s.Kept + s.Folded + s.Lost + s.Internal + s.Excluded + s.NoAddress; n != all.decoded || s.Folded+s.Lost > 0 {
		t.Errorf("%+v of %d flows", s, all.decoded)
	}
}

// TestLostRows: of flows with several rows, those beyond the first that a full table refuses
// are counted, whether there is a table or not: each row that the oracle expects is in
// a table or lost.
func TestLostRows(t *testing.T) {
	for _, caps := range []table.Caps{{V4: 0, V6: 0}, {V4: 1, V6: 1}, {V4: 200, V6: 200}, {V4: 1 << 18, V6: 1 << 18}} {
		for _, early := range []int{0, 1, 6} { // with 1, both tables are away
			cfg := testConfig()
			cfg.Caps, cfg.Early = caps, early
			p := NewPool(cfg)
			r := p.Recorder()
			all := &locked{oracle: newOracle(cfg)}
			rng := rand.New(rand.NewPCG(7, 8))
			for range 40 {
				records := make([]flow.Record, 1+rng.IntN(40))
				for k := range records {
					records[k] = anyRecord(rng, testTime, 0)
					records[k].Exporter = records[0].Exporter
				}
				var s decode.Set
				s.Fill(records)
				watched{r, all}.Records(&s)
				r.Flush()
			}
			var expected, held uint64
			for _, x := range all.rows {
				expected += uint64(x.Flows)
			}
			tables := p.Drain()
			for len(p.Handed()) > 0 {
				tables = append(tables, <-p.Handed())
			}
			for _, h := range tables {
				if h.Table != nil {
					c := h.Table.Counts()
					held += c.Kept + c.Folded
				}
			}
			s := p.Stats()
			if held+s.Lost+s.LostRows != expected || s.sum() != all.decoded {
				t.Errorf("%+v, %d: %d rows in tables, %d expected; %d flows; %+v", caps, early, held, expected, all.decoded, s)
			}
			if (s.LostRows > 0) != (caps.V4 < 1<<18) {
				t.Errorf("%+v, %d: %+v", caps, early, s)
			}
		}
	}
}
