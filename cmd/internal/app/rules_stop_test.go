package app

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// TestStopLines: lines block the sources of what comes to us, never ours, allowed, special and
// critical addresses, nothing for what a host of ours does, and nothing that is no address.
func TestStopLines(t *testing.T) {
	table, _ := lookup.NewBuilder(lookup.Policy{
		Home:  []netip.Prefix{netip.MustParsePrefix("62.1.0.0/16")},
		Allow: []netip.Prefix{netip.MustParsePrefix("62.2.0.0/16")},
	}).Build("v")
	never, err := table.Untouchable()
	if err != nil {
		t.Fatal(err)
	}
	bad, us := netip.MustParseAddr("62.0.0.9"), netip.MustParseAddr("62.1.0.5")
	var many []string
	for i := range 8 {
		many = append(many, fmt.Sprintf("2a00:1450:4001:81b:aaaa:bbbb:cccc:%x", 0xfff0+i))
	}
	for name, tc := range map[string]struct {
		e       event.Event
		sources []string
		want    []string
	}{
		"swarm": {event.Event{Local: us, Direction: event.Inbound}, []string{"62.0.0.7", "2a00::9"}, []string{
			"nft insert rule inet filter forward ip saddr { 62.0.0.7 } drop", "nft insert rule inet filter forward ip6 saddr { 2a00::9 } drop", "pfctl -t flowsnitch -T add 62.0.0.7 2a00::9"}},
		"an offender": {event.Event{Offender: bad, Local: us, Direction: event.Inbound}, []string{"62.0.0.7"}, []string{
			"nft insert rule inet filter forward ip saddr { 62.0.0.9 } drop", "pfctl -t flowsnitch -T add 62.0.0.9"}},
		"mapped": {event.Event{Direction: event.Inbound}, []string{"::ffff:62.0.0.7"}, []string{
			"nft insert rule inet filter forward ip saddr { 62.0.0.7 } drop", "pfctl -t flowsnitch -T add 62.0.0.7"}},
		"unknown direction":             {event.Event{Offender: bad}, nil, []string{"nft insert rule inet filter forward ip saddr { 62.0.0.9 } drop", "pfctl -t flowsnitch -T add 62.0.0.9"}},
		"our calls":                     {event.Event{Offender: bad, Local: us, Direction: event.Outbound}, []string{"62.0.0.7"}, nil},
		"a host of ours":                {event.Event{Local: us}, []string{"62.0.0.7"}, nil},
		"ours, allowed, special":        {event.Event{Direction: event.Inbound}, []string{"62.1.0.7", "62.2.0.7", "10.0.0.1", "127.0.0.1", "224.0.0.1", "0.0.0.0", "fe80::1%eth0", "::ffff:62.1.0.8", "fc00::1"}, nil},
		"critical":                      {event.Event{Direction: event.Inbound}, []string{"8.8.8.8", "1.1.1.1", "198.41.0.4", "2620:fe::fe"}, nil},
		"no addresses":                  {event.Event{Direction: event.Inbound}, slices.Concat([]string{"", "62.0.0.7; reboot", "62.0.0.0/8", "$(id)", "2a00::9%`id`"}, []string{"\n"}), nil},
		"as many as have room, of IPv6": {event.Event{Direction: event.Inbound}, many, []string{"nft insert rule inet filter forward ip6 saddr { " + strings.Join(many[:3], ", ") + " } drop", "pfctl -t flowsnitch -T add " + strings.Join(many[:4], " ")}},
	} {
		tc.e.Rule = &event.Rule{Name: "x"}
		for i, s := range tc.sources {
			tc.e.Rule.Sources = append(tc.e.Rule.Sources, event.RuleShare{Value: s, Count: uint64(100 - i)})
		}
		got := stopLines(&tc.e, never)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
		for _, line := range got {
			if len(line) > 200 {
				t.Errorf("%s: %d bytes", name, len(line))
			}
		}
	}
}
