package match_test

import (
	"fmt"
	"net/netip"
	"slices"
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

// A curious asker claims every address once and takes as many as it has room for.
type curious struct {
	known   map[netip.Addr]bool
	room    int
	refused []netip.Addr
	asked   []string
}

func (c *curious) claim(a netip.Addr) bool {
	was := c.known[a]
	c.known[a] = true
	return !was
}

func (c *curious) Claim4(addrs []uint32, _ time.Time, claimed []int32) []int32 {
	for i, a := range addrs {
		if c.claim(flow.Addr4(a)) {
			claimed = append(claimed, int32(i))
		}
	}
	return claimed
}

func (c *curious) Claim6(addrs []flow.Addr6, _ time.Time, claimed []int32) []int32 {
	for i, a := range addrs {
		if c.claim(a.Addr()) {
			claimed = append(claimed, int32(i))
		}
	}
	return claimed
}

func (c *curious) Room(a netip.Addr, _ time.Time) bool {
	if len(c.asked) < c.room {
		return true
	}
	c.refused = append(c.refused, a)
	return false
}

func (c *curious) Ask(r *flow.Record, side flow.Side, a netip.Addr, forms [2]netip.Addr, now time.Time) {
	at, port := r.At(side)
	if at != a || !now.Equal(r.Received) {
		c.asked = append(c.asked, fmt.Sprintf("%s is not the %s of %+v", a, side, r))
		return
	}
	text := fmt.Sprintf("%s %s %d", a, side, port)
	if forms[0] != a {
		text += " not itself"
	}
	if forms[1].IsValid() {
		text += " as " + forms[1].String()
	}
	c.asked = append(c.asked, text)
}

// bothTaps are a matcher and an asking tap, as a worker has them.
type bothTaps struct {
	*match.Matcher
	asking *match.Asking
}

func (b bothTaps) Records(s *decode.Set) {
	b.Matcher.Records(s)
	b.asking.Records(s)
}

// TestAsk: the asker is given each outside address once, with a record that shows it:
// none that is listed, ours, special or claimed before, and none without room.
func TestAsk(t *testing.T) {
	a := netip.MustParseAddr
	b := lookup.NewBuilder(lookup.Policy{
		Home:  []netip.Prefix{netip.MustParsePrefix("62.0.0.0/24")},
		Allow: []netip.Prefix{netip.MustParsePrefix("8.0.0.13/32"), netip.MustParsePrefix("2002:800:e::/48")},
		NAT64: []netip.Prefix{netip.MustParsePrefix("2a01:64::/96")},
	})
	b.Add(intel.Indicator{Prefix: netip.MustParsePrefix("45.155.205.99/32"), Feed: "x"}, lookup.OriginFeed)
	table, _ := b.Build("v1")
	store := lookup.NewStore()
	store.Swap(table)
	now := time.Unix(1_800_000_000, 0)
	var flows []synth.Flow
	for i, ends := range [][2]string{
		{"62.0.0.1", "8.0.0.1"}, {"8.0.0.1", "62.0.0.1"}, {"8.0.0.2", "10.0.0.1"}, {"62.0.0.2", "45.155.205.99"},
		{"8.0.0.3", "8.0.0.4"}, {"62.0.0.1", "0.0.0.0"}, {"62.0.0.1", "8.0.0.5"}, {"62.0.0.1", "8.0.0.6"},
		{"2a00::1", "2a00::2"}, {"fe80::1", "2a00::2"},
		// IPv4 within IPv6: NAT64, the operator's, 6to4, Teredo and ISATAP.
		{"2a00::1", "64:ff9b::800:a"}, {"2a00::1", "2a01:64::800:b"}, {"2a00::1", "2002:800:c::1"}, {"2a00::1", "2001:0:1:2::f7ff:fff0"}, {"2a00::1", "2a03::5efe:800:10"},
		// Allowed in either form, ours, private and listed.
		{"2a00::1", "64:ff9b::800:d"}, {"2a00::1", "2002:800:e::1"}, {"2a00::1", "64:ff9b::3e00:1"}, {"2a00::1", "64:ff9b::a00:1"}, {"2a00::1", "64:ff9b::2d9b:cd63"},
		{"2a00::1", "2a00::3"},
	} {
		flows = append(flows, synth.Flow{Src: a(ends[0]), Dst: a(ends[1]), SrcPort: uint16(1000 + i), DstPort: 443, Protocol: 6, Bytes: 1, Packets: 1, Start: now, End: now})
	}
	ask := &curious{known: map[netip.Addr]bool{a("8.0.0.5"): true}, room: 12}
	contacts := correlate.DefaultConfig()
	m := match.NewMatcher(store, queue.NewGatherer(correlate.New(contacts, nil).Bound, (*queue.Batch).Reset))
	both := bothTaps{m, match.NewAsking(store, ask)}
	enc, err := synth.NewEncoder(synth.Config{Version: flow.V9})
	if err != nil {
		t.Fatal(err)
	}
	d := decode.New(decode.NewExporters(decode.DefaultLimits()), both)
	send := func(payload []byte) {
		dg := flow.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: now, Payload: payload}
		d.Decode(&dg)
	}
	send(enc.Templates(nil, now))
	for range 2 { // the second time all is known
		for rest := flows; len(rest) > 0; {
			payload, n, err := enc.Encode(nil, rest, now)
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			send(payload)
			rest = rest[n:]
		}
	}
	want := []string{"8.0.0.1 dst 443", "8.0.0.2 src 1002", "8.0.0.3 src 1004", "8.0.0.4 dst 443", "8.0.0.6 dst 443", "2a00::1 src 1008",
		"2a00::2 dst 443", "64:ff9b::800:a dst 443 not itself as 8.0.0.10",
		"2a01:64::800:b dst 443 not itself as 8.0.0.11", "2002:800:c::1 dst 443 not itself as 8.0.0.12",
		"2001:0:1:2::f7ff:fff0 dst 443 not itself as 8.0.0.15", "2a03::5efe:800:10 dst 443 as 8.0.0.16"}
	if slices.Sort(want); !slices.Equal(slices.Sorted(slices.Values(ask.asked)), want) {
		t.Errorf("asked\n%q\nwant\n%q", ask.asked, want)
	}
	if !slices.Equal(ask.refused, []netip.Addr{a("2a00::3")}) {
		t.Errorf("no room for %v", ask.refused)
	}
	if m.Matched() != 4 {
		t.Errorf("%d hits", m.Matched())
	}
}
