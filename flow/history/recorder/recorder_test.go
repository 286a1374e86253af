package recorder

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder/home"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// testHome is a home of prefixes; those of carried stand for addresses that carry one of ours.
type testHome struct{ own, carried []netip.Prefix }

// homesOf makes homes of test homes, by the number of a site.
func homesOf(list ...testHome) (all []home.Home) {
	for _, h := range list {
		all = append(all, home.New(home.NewNetworks(h.own), h.Contains))
	}
	return all
}

func (h testHome) Contains(a netip.Addr) bool {
	in := func(p netip.Prefix) bool { return p.Contains(a.Unmap()) }
	return slices.ContainsFunc(h.own, in) || slices.ContainsFunc(h.carried, in)
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// rowsOf gives the rows of tables.
func rowsOf(n table.Names, tables ...*table.Table) (out []row.Row) {
	var rows table.Rows
	for _, t := range tables {
		rows.Open(t, n)
		for r := (row.Row{}); rows.Next(&r); {
			out = append(out, r)
		}
	}
	return out
}

var testTime = time.Unix(1_800_000_000, 0)

// feed decodes flows of one exporter into a recorder.
func feed(t testing.TB, r decode.Handler, v flow.Version, flows []synth.Flow) {
	t.Helper()
	e, err := synth.NewEncoder(synth.Config{Version: v})
	if err != nil {
		t.Fatal(err)
	}
	d := decode.New(decode.NewExporters(decode.DefaultLimits()), r)
	dg := flow.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: testTime}
	if dg.Payload = e.Templates(nil, testTime); len(dg.Payload) > 0 {
		d.Decode(&dg)
	}
	for len(flows) > 0 {
		p, n, err := e.Encode(nil, flows, testTime)
		if err != nil {
			t.Fatal(err)
		}
		dg.Payload, flows = p, flows[n:]
		d.Decode(&dg)
	}
}

// TestContact: a conversation in two records is one row, seen from our side.
func TestContact(t *testing.T) {
	ours, theirs := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("203.0.113.5")
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		p := NewPool(Config{Homes: homesOf(testHome{own: prefixes("10.0.0.0/8")}), Caps: table.Caps{V4: 1000, V6: 100}, Early: 6})
		r := p.Recorder()
		feed(t, r, v, []synth.Flow{
			{Src: ours, Dst: theirs, SrcPort: 50000, DstPort: 443, Protocol: 6, TCPFlags: 0x1b, Packets: 5, Bytes: 500, Start: testTime.Add(-10 * time.Second), End: testTime.Add(-5 * time.Second)},
			{Src: theirs, Dst: ours, SrcPort: 443, DstPort: 50000, Protocol: 6, TCPFlags: 0x1b, Packets: 7, Bytes: 7000, Start: testTime.Add(-9 * time.Second), End: testTime.Add(-4 * time.Second)},
		})
		p.Turn()
		r.Flush()
		h := <-p.Handed()
		want := row.Row{
			Outside: flow.Addr6Of(theirs), Inside: flow.Addr6Of(ours), Protocol: 6, Port: 443, Exporter: netip.MustParseAddr("192.0.2.1"),
			Direction: row.Outbound, Flags: row.Answered, First: uint32(testTime.Unix() - 10), Last: uint32(testTime.Unix() - 4), Flows: 2,
			PacketsOut: 5, PacketsIn: 7, BytesOut: 500, BytesIn: 7000, Sampling: 1,
		}
		if v == flow.SFlow {
			want.PacketsOut, want.PacketsIn, want.BytesOut, want.BytesIn = 1, 1, 100, 1000
			want.First, want.Last = uint32(testTime.Unix()), uint32(testTime.Unix())
		}
		want.Hours = 1 << (time.Unix(int64(want.First), 0).UTC().Hour())
		if rows := rowsOf(p.Names(), h.Table); len(rows) != 1 || rows[0] != want {
			t.Errorf("%v: %+v, want %+v", v, rows, want)
		}
		if s := p.Stats(); h.Counts != (table.Counts{Kept: 2}) || s.Kept != 2 || s.Interval != 1 {
			t.Errorf("%v: %+v, %+v", v, h.Counts, s)
		}
	}
}
