//go:build integration || soak

package sums

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A meaning is a list of fields that a template stands for: pairs of an element and its
// width in bytes.
type meaning [][2]uint16

// meanings are what one template id stands for in turn. Read with the other one, a
// record has its ends the other way round, or none of the addresses that it should have.
var meanings = [2]meaning{
	{{8, 4}, {12, 4}, {7, 2}, {11, 2}, {4, 1}, {1, 4}, {2, 4}},
	{{4, 1}, {12, 4}, {8, 4}, {11, 2}, {7, 2}, {2, 8}, {10, 4}, {1, 8}},
}

const (
	turncoat   = 256 // the template id
	perMeaning = 100 // datagrams
	perSet     = 5   // records
)

// listed is where the sources of all flows lie.
var listed = netip.MustParsePrefix("198.18.0.0/16")

// hitLog is a sink that takes every hit of a run.
const hitLog = "sinks: [{jsonlog: {}}]"

// A contact is one flow as it was meant and as a line of the hit log tells it.
type contact struct {
	exporter, src, dst netip.Addr
	sport, dport       uint16
	bytes, packets     uint64
	role               string // of the listed end
}

// A changer is an exporter that gives its template another meaning again and again.
type changer struct {
	version  flow.Version
	addr     netip.Addr
	conn     *net.UDPConn
	sequence uint32
	flows    uint32
	want     map[contact]bool
}

// record appends the next flow, as the meaning has it, and notes it.
func (c *changer) record(b []byte, m meaning) []byte {
	c.flows++
	n := c.flows
	f := contact{
		exporter: c.addr,
		src:      netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}),
		dst:      netip.AddrFrom4([4]byte{10, c.addr.As4()[3], byte(n >> 16), byte(n)}),
		sport:    443, dport: uint16(20000 + n%20000),
		bytes: uint64(n), packets: uint64(n%7 + 1), role: "src",
	}
	c.want[f] = true
	values := map[uint16]uint64{4: 6, 7: uint64(f.sport), 11: uint64(f.dport), 1: f.bytes, 2: f.packets,
		8: uint64(addr4(f.src)), 12: uint64(addr4(f.dst))}
	for _, field := range m {
		var wide [8]byte
		binary.BigEndian.PutUint64(wide[:], values[field[0]])
		b = append(b, wide[8-field[1]:]...)
	}
	return b
}

func addr4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// data appends a data set.
func (c *changer) data(b []byte, m meaning) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, turncoat<<16)
	for range perSet {
		b = c.record(b, m)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

// template appends a template set.
func (c *changer) template(b []byte, m meaning) []byte {
	id := uint16(0)
	if c.version == flow.IPFIX {
		id = 2
	}
	for _, v := range []uint16{id, uint16(8 + 4*len(m)), turncoat, uint16(len(m))} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	for _, field := range m {
		b = binary.BigEndian.AppendUint16(b, field[0])
		b = binary.BigEndian.AppendUint16(b, field[1])
	}
	return b
}

// message puts the header in front of sets with so many records.
func (c *changer) message(sets []byte, records uint32) []byte {
	be, now := binary.BigEndian, uint32(time.Now().Unix())
	var b []byte
	if c.version == flow.V9 {
		b = be.AppendUint32(be.AppendUint32(b, 9<<16|records), 3_600_000)
		b = be.AppendUint32(be.AppendUint32(be.AppendUint32(b, now), c.sequence), 1)
		c.sequence++
	} else {
		b = be.AppendUint32(be.AppendUint32(b, 10<<16|uint32(16+len(sets))), now)
		b = be.AppendUint32(be.AppendUint32(b, c.sequence), 1)
		c.sequence += records
	}
	return append(b, sets...)
}

// turn gives the datagrams of one meaning. The first has data with the old meaning
// before the new template, and data with the new one behind it.
func (c *changer) turn(i int) (all [][]byte) {
	m, before := meanings[i%2], meanings[(i+1)%2]
	var sets []byte
	records := uint32(perSet)
	if i > 0 {
		sets, records = c.data(sets, before), 2*perSet
	}
	sets = c.data(c.template(sets, m), m)
	all = append(all, c.message(sets, records))
	for len(all) < perMeaning {
		all = append(all, c.message(c.data(nil, m), perSet))
	}
	return all
}

// TestMeanings: an exporter whose template changes its meaning every 100 datagrams is
// read as it means it, with any number of sockets: every record is there, as it was
// sent, and no other.
func TestMeanings(t *testing.T) {
	for _, sockets := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("%d sockets", sockets), func(t *testing.T) { meaningsWith(t, sockets) })
	}
}

func meaningsWith(t *testing.T, sockets int) {
	site := newSite(t, options{sockets: sockets, listed: listed.String(), sinks: hitLog})
	c := site.start(t)
	var all changers
	for i, v := range []flow.Version{flow.V9, flow.IPFIX, flow.V9, flow.IPFIX} {
		all = append(all, newChanger(t, v, netip.AddrFrom4([4]byte{127, 0, 0, byte(50 + i)})))
	}
	sent := all.sendTo(t, c)
	want := make(map[contact]bool)
	for _, ch := range all {
		maps.Copy(want, ch.want)
	}
	st := c.settle(t, sent)
	if st.Listeners[0].KernelDrops != 0 || st.Decoded.UnknownSets != 0 || st.Hits.HitQueueFull != 0 {
		t.Fatalf("something was lost: %+v", st)
	}
	if st.Hits.Found != uint64(len(want)) {
		t.Errorf("%d hits, want %d", st.Hits.Found, len(want))
	}
	for _, x := range st.Exporters.List {
		if s := x.Streams[0]; len(x.Streams) != 1 || s.Lost+s.Resets+s.Late+s.Repeated+s.Undecoded != 0 || x.Split {
			t.Errorf("exporter %s: %+v", x.Address, x)
		}
	}
	c.stop(t)
	compareContacts(t, site.contacts(t), want)
}

// newChanger makes an exporter with an address of its own.
func newChanger(t *testing.T, v flow.Version, addr netip.Addr) *changer {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &changer{version: v, addr: addr, conn: conn, want: make(map[contact]bool)}
}

type changers []*changer

// sendTo lets all of them send at the same time and gives the number of datagrams. Now
// and then it waits until their hits are in the hit log: every record is one, which no
// queue is made for.
func (all changers) sendTo(t *testing.T, c *collector) (sent uint64) {
	t.Helper()
	for i := range changes {
		var turn sync.WaitGroup
		for _, ch := range all {
			turn.Go(func() {
				for _, d := range ch.turn(i) {
					if _, err := ch.conn.WriteToUDPAddrPort(d, c.target); err != nil {
						t.Error(err)
					}
				}
			})
		}
		turn.Wait()
		sent += perMeaning * uint64(len(all))
		if i%4 == 3 {
			c.logged(t, all.flows())
		}
	}
	return sent
}

// flows is the number of records that all of them have sent.
func (all changers) flows() (n uint64) {
	for _, ch := range all {
		n += uint64(ch.flows)
	}
	return n
}

// logged waits until so many hits have been written or lost.
func (c *collector) logged(t *testing.T, hits uint64) {
	t.Helper()
	c.eventually(t, "all hits are written", func() bool {
		st, err := c.ask()
		return err == nil && st.Sinks[0].Sent+st.Sinks[0].Dropped+st.Hits.HitQueueFull >= hits
	})
}

// contacts reads the hit log.
func (s *site) contacts(t *testing.T) map[contact]int {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.dir, "hits.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[contact]int)
	for line := range bytes.Lines(log) {
		var e struct {
			Event      string     `json:"kind"`
			Src        netip.Addr `json:"srcip"`
			Dst        netip.Addr `json:"dstip"`
			SrcPort    uint16     `json:"srcport"`
			DstPort    uint16     `json:"dstport"`
			Flowsnitch struct {
				Role     string     `json:"role"`
				Bytes    uint64     `json:"bytes"`
				Packets  uint64     `json:"packets"`
				Exporter netip.Addr `json:"exporter"`
			} `json:"flowsnitch"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("hit log: %v in %s", err, line)
		}
		if e.Event == "hit" {
			f := e.Flowsnitch
			all[contact{f.Exporter, e.Src, e.Dst, e.SrcPort, e.DstPort, f.Bytes, f.Packets, f.Role}]++
		}
	}
	return all
}

// compareContacts wants every contact exactly once, and shows some of those that differ.
func compareContacts(t *testing.T, got map[contact]int, want map[contact]bool) {
	t.Helper()
	byFlow := func(a, b contact) int { return int(a.bytes) - int(b.bytes) }
	var missing, foreign []contact
	for c := range want {
		if got[c] != 1 {
			missing = append(missing, c)
		}
	}
	for c := range maps.Keys(got) {
		if !want[c] {
			foreign = append(foreign, c)
		}
	}
	if len(missing)+len(foreign) == 0 {
		t.Logf("%d records as they were sent", len(got))
		return
	}
	slices.SortFunc(missing, byFlow)
	slices.SortFunc(foreign, byFlow)
	t.Errorf("%d of %d records are missing or not there once, %d are there that nobody sent; the first:\n%+v\n%+v",
		len(missing), len(want), len(foreign), missing[:min(5, len(missing))], foreign[:min(5, len(foreign))])
}
