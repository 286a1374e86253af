package recorder

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// benchHome are our networks in benchmarks.
var benchHome = testHome{own: prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")}

// benchFlows is the greatest number of flows that are sent over and over, in this order.
const benchFlows = 1 << 22

// An export is datagrams of so many flows.
type export struct {
	templates []byte
	data      [][]byte
	flows     int
}

// contactFlow gives a flow of contact n, in either direction.
func contactFlow(r *rand.Rand, n uint32, six bool) synth.Flow {
	inside, outside := address(0x0a000000+n%1200, false), address(n*2654435761|1<<24, false)
	if six {
		inside, outside = address(n%1200, true), address(n*2654435761, true)
	}
	f := synth.Flow{Src: inside, Dst: outside, SrcPort: uint16(32768 + r.IntN(28000)), DstPort: 443, Protocol: 6, TCPFlags: 0x1b, Bytes: 4000, Packets: 5,
		Start: testTime.Add(-9e9), End: testTime.Add(-2e9)}
	if r.IntN(2) == 0 {
		f.Src, f.Dst, f.SrcPort, f.DstPort = f.Dst, f.Src, f.DstPort, f.SrcPort
	}
	return f
}

// address gives an address; in IPv6 those below 1200 are ours.
func address(n uint32, six bool) netip.Addr {
	if !six {
		return flow.Addr4(n)
	}
	var b [16]byte
	b[0], b[1] = 0x20, 0x01
	if n < 1200 {
		b[0] = 0xfd
	}
	binary.BigEndian.PutUint32(b[4:], n)
	binary.BigEndian.PutUint32(b[12:], n)
	return netip.AddrFrom16(b)
}

// benchData makes datagrams of flows among so many contacts, met as servers are: a few often,
// most seldom, without any order in time; or of a scanner, with one contact.
func benchData(b testing.TB, v flow.Version, six bool, contacts int) (e export) {
	enc, err := synth.NewEncoder(synth.Config{Version: v})
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, uint64(contacts)))
	z := rand.NewZipf(r, 1.0001, 1, uint64(max(contacts, 2)-1))
	var pending []synth.Flow
	for flows := min(max(4*contacts, benchFlows/4), benchFlows); e.flows < flows; {
		for len(pending) < 30 {
			if contacts == 1 {
				pending = append(pending, scanFlow(uint32(e.flows+len(pending))))
				continue
			}
			pending = append(pending, contactFlow(r, uint32(z.Uint64()), six))
		}
		p, n, err := enc.Encode(nil, pending, testTime)
		if err != nil {
			b.Fatal(err)
		}
		e.flows += n
		pending = pending[:copy(pending, pending[n:])]
		e.data = append(e.data, p)
	}
	e.templates = enc.Templates(nil, testTime)
	return e
}

// cpu is the time that the process has worked. It is worth more than the clock where others
// work on the same machine.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// none is a tap that does nothing.
type none struct{}

func (none) Records(*decode.Set) {}

// scanFlow is a try of one source that scans 65,536 addresses of ours on as many ports.
func scanFlow(n uint32) synth.Flow {
	return synth.Flow{Src: flow.Addr4(0xc6336401), Dst: flow.Addr4(0x0a000000 + n%65_536), SrcPort: 50000, DstPort: uint16(n + n>>16), Protocol: 6, TCPFlags: 2, Packets: 1, Bytes: 40,
		Start: testTime, End: testTime}
}

// BenchmarkPath decodes datagrams without the recorder and with it, as a worker does that
// reads eight at a time: the difference is what the history adds to each flow.
//
//	go test ./flow/history/recorder -run '^$' -bench Path -count 5
func BenchmarkPath(b *testing.B) {
	for _, c := range []struct {
		name string
		v    flow.Version
		six  bool
	}{{"v5", flow.V5, false}, {"v9", flow.V9, false}, {"v9-IPv6", flow.V9, true}, {"IPFIX", flow.IPFIX, false}, {"sFlow", flow.SFlow, false}} {
		for _, contacts := range []int{1, 10_000, 100_000, 1_000_000} {
			if contacts == 1 && c.six {
				continue
			}
			made := sync.OnceValue(func() export { return benchData(b, c.v, c.six, contacts) })
			for _, with := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/contacts=%d/history=%t", c.name, contacts, with), func(b *testing.B) {
					benchPath(b, made(), with)
				})
			}
		}
	}
}

func benchPath(b *testing.B, e export, with bool) {
	p := NewPool(Config{Homes: homesOf(benchHome), Exclude: prefixes("198.51.100.77/32"), Caps: table.Caps{V4: 1 << 20, V6: 1 << 20}, Early: 6})
	r := p.Recorder()
	var tap decode.Handler = r
	if !with {
		tap = none{}
	}
	d := decode.New(decode.NewExporters(decode.DefaultLimits()), tap)
	dg := flow.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: testTime}
	if dg.Payload = e.templates; len(dg.Payload) > 0 {
		d.Decode(&dg)
	}
	at := 0
	read := func() { // eight datagrams
		for range 8 {
			dg.Payload = e.data[at]
			if at++; at == len(e.data) {
				at = 0
			}
			d.Decode(&dg)
		}
		r.Flush()
	}
	for range len(e.data)/8 + 1 { // a table that is warm, with all contacts
		read()
	}
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		read()
	}
	took, done := cpu()-before, float64(b.N)*8*float64(e.flows)/float64(len(e.data))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/done, "ns/flow")
	b.ReportMetric(float64(took.Nanoseconds())/done, "cpu-ns/flow")
	b.ReportMetric(float64(p.Stats().Contacts), "contacts")
}
