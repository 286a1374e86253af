package synth_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/synth"
)

// A recordCount counts the records of all sets.
type recordCount int

func (n *recordCount) Records(s *decode.Set) { *n += recordCount(s.Len()) }

// TestEncodeAlone: each datagram is read by a decoder that has seen no other, and the
// sequence numbers of a row of them show no loss.
func TestEncodeAlone(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	flows := []synth.Flow{
		{Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("203.0.113.9"), Protocol: 17, Packets: 1, Bytes: 100},
		{Src: netip.MustParseAddr("10.0.0.6"), Dst: netip.MustParseAddr("203.0.113.9"), Protocol: 17, Packets: 1, Bytes: 100},
	}
	for _, v := range []flow.Version{flow.V5, flow.V9, flow.IPFIX, flow.SFlow} {
		e, err := synth.NewEncoder(synth.Config{Version: v})
		if err != nil {
			t.Fatal(err)
		}
		all := decode.NewExporters(decode.DefaultLimits())
		var n recordCount
		d := decode.New(all, &n)
		for turn := range 5 {
			b, err := e.EncodeAlone([]byte("before"), flows, now)
			if err != nil || !bytes.HasPrefix(b, []byte("before")) {
				t.Fatalf("%v: %v", v, err)
			}
			dg := flow.Datagram{Payload: b[len("before"):], Source: netip.MustParseAddrPort("192.0.2.1:9"), Received: now}
			var one recordCount
			fresh := decode.New(decode.NewExporters(decode.DefaultLimits()), &one)
			fresh.Decode(&dg)
			d.Decode(&dg)
			if one != 2 || int(n) != 2*(turn+1) {
				t.Errorf("%v: %d records of the one, %d of all", v, one, n)
			}
			if s := fresh.Stats(); len(s.Problems) != 0 || s.UnknownSets != 0 {
				t.Errorf("%v: %+v", v, s)
			}
		}
		if l := all.Stats().Lost; l.Flows+l.Records+l.Datagrams+l.Undecoded != 0 {
			t.Errorf("%v: lost %+v", v, l)
		}
	}
}

// TestEncodeAloneAll: all flows or none.
func TestEncodeAloneAll(t *testing.T) {
	e, err := synth.NewEncoder(synth.Config{Version: flow.V9, MaxFlows: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := synth.Flow{Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("203.0.113.9")}
	b, err := e.EncodeAlone([]byte("x"), []synth.Flow{f, f}, time.Unix(1_800_000_000, 0))
	if err == nil || !strings.Contains(err.Error(), "2 flows do not fit") || string(b) != "x" || e.Sequence() != 0 {
		t.Errorf("%q, %v, sequence %d", b, err, e.Sequence())
	}
}
