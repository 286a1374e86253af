package correlate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// historyRecord gives a record whose addresses all differ: of ours, of others, and such as
// carry one of ours.
func historyRecord(r *rand.Rand) flow.Record {
	n := 0
	addr := func() netip.Addr {
		n++
		switch r.IntN(8) {
		case 0:
			return netip.MustParseAddr(fmt.Sprintf("2002:a00:%x::1", n)) // 6to4 of 10.0.0.n
		case 1:
			return netip.MustParseAddr(fmt.Sprintf("64:ff9b::198.51.100.%d", n))
		case 2, 3, 4:
			return netip.MustParseAddr(fmt.Sprintf([...]string{"10.0.0.%d", "fd00::%d"}[r.IntN(2)], n))
		}
		return netip.MustParseAddr(fmt.Sprintf([...]string{"203.0.113.%d", "2001:db8::%d"}[r.IntN(2)], n))
	}
	port := func() uint16 { return [...]uint16{0, 22, 443, 1024, 8080, 32767, 32768, 50000, 65535}[r.IntN(9)] }
	flags := func() uint16 { return [...]uint16{0, 2, 0x12, 0x1b, 4, 0x14, 0x10, 0xc2, 0x54}[r.IntN(9)] }
	some := func(of flow.Fields, share int) flow.Fields {
		if r.IntN(share) == 0 {
			return of
		}
		return 0
	}
	x := flow.Record{
		Exporter: flow.Exporter{Addr: netip.MustParseAddr("192.0.2.1"), Version: flow.IPFIX}, Received: time.Unix(1_800_000_000, 0), Rate: 1,
		Src: addr(), Dst: addr(), SrcPort: port(), DstPort: port(), Bytes: 100, Packets: 1, BytesIE: [...]uint16{1, 1, 1, 231}[r.IntN(4)], PacketsIE: 2,
		Has: flow.HasSrcPort | flow.HasDstPort | flow.HasBytes | flow.HasPackets | some(flow.HasRevBytes|flow.HasRevTCPFlags, 3) | some(flow.HasRespPackets, 4) |
			some(flow.HasBiflowDirection, 4) | some(flow.HasICMP, 3) | some(flow.HasForwarding, 4) | some(flow.HasFirewallEvent, 4) | some(flow.HasProtocol|flow.HasTCPFlags, 1),
	}
	x.Protocol, x.TCPFlags = [...]uint8{6, 6, 6, 17, 1, 58, 47}[r.IntN(7)], flags()
	if x.Has&flow.HasRevBytes != 0 {
		x.RevBytes, x.RevTCPFlags = uint64(r.IntN(2)*50), flags()
	}
	if x.Has&flow.HasRespPackets != 0 {
		x.RespPackets = uint64(r.IntN(2))
	}
	if x.Has&flow.HasBiflowDirection != 0 {
		x.BiflowDirection = uint8(r.IntN(4))
	}
	if x.Has&flow.HasICMP != 0 {
		x.ICMPTypeCode = [...]uint16{0x0301, 0x0100, 0x0800}[r.IntN(3)]
	}
	if x.Has&flow.HasForwarding != 0 {
		x.Forwarding = uint8(r.IntN(256))
	}
	if x.Has&flow.HasFirewallEvent != 0 {
		x.FirewallEvent = uint8(r.IntN(5))
	}
	if r.IntN(4) == 0 {
		x.PostNATDst, x.PostNATDstPort, x.Has = addr(), port(), x.Has|flow.HasPostNATPorts
	}
	if r.IntN(4) == 0 {
		x.PostNATSrc, x.PostNATSrcPort, x.Has = addr(), port(), x.Has|flow.HasPostNATPorts
	}
	if r.IntN(6) == 0 {
		x.InnerSrc, x.InnerDst = addr(), addr()
		if r.IntN(2) == 0 {
			x.InnerSrcPort, x.InnerDstPort, x.InnerProtocol = port(), port(), 6
			x.Has |= flow.HasInnerPorts | flow.HasInnerProtocol
		}
	}
	return x
}

// TestHistoryAgrees: a row that the history makes of a record has the inside end, the service
// port, the direction and the answer that a hit of its outside end has, where it has a
// direction.
func TestHistoryAgrees(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	homes := (&sites.Config{Home: own}).Homes()
	p := recorder.NewPool(recorder.Config{Homes: []home.Home{home.New(home.NewNetworks(own), homes.At(0).Has)}, Caps: table.Caps{V4: 1000, V6: 1000}})
	r := p.Recorder()
	rng := rand.New(rand.NewPCG(1, 2))
	var set decode.Set
	var rows table.Rows
	compared, undecided := 0, 0
	records := 200_000
	if raceDetector { // one goroutine at a time
		records = 20_000
	}
	for range records {
		rec := historyRecord(rng)
		set.Fill([]flow.Record{rec})
		r.Records(&set)
		p.Turn()
		r.Flush()
		h := <-p.Handed()
		if h.Table == nil {
			continue
		}
		rows.Open(h.Table, p.Names())
		for x := (row.Row{}); rows.Next(&x); {
			if x.Direction == row.Transit {
				continue
			}
			hit := lookup.Hit{Record: &rec, Offender: x.Outside.Addr().Unmap()}
			for hit.Side = flow.NumSides - 1; hit.Side > 0; hit.Side-- {
				if a, _ := rec.At(hit.Side); a == hit.Offender {
					break
				}
			}
			s := conversation.Read(&hit, nil, rec.Received)
			s.Serve(newContacts().servicePort(contactKey{}, &s.Ends))
			us := conversation.OursOf(&hit, &s.Ends, homes.At(0))
			direction := map[event.Direction]uint8{event.Outbound: row.Outbound, event.Inbound: row.Inbound, event.Internal: 99, event.Transit: row.Transit}[us.Direction(&s.Ends)]
			if compared++; x.Direction == row.Unknown {
				undecided++
				direction = row.Unknown
			}
			if x.Inside.Addr().Unmap() != s.Local || x.Port != s.ServicePort || x.Direction != direction || x.Protocol != s.Protocol ||
				x.Flags&row.Answered != 0 != s.IsAnswer() || x.Flags&row.Blocked != 0 != s.Blocked {
				t.Fatalf("row %+v\nof %+v\nhit of %v with local %v, port %d, direction %d, answer %t, blocked %t", x, rec, hit.Side, s.Local, s.ServicePort, direction, s.IsAnswer(), s.Blocked)
			}
		}
		p.Return(h)
	}
	if compared < records/4 || undecided > compared/3 {
		t.Errorf("%d rows, %d of them without direction", compared, undecided)
	}
}
