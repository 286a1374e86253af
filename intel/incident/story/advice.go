package story

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// Advice gives what to do about an incident, the first thing first.
func Advice(i *incident.Incident) (steps []string) {
	a := i.Offender
	if s := settled(i); s != "" {
		return []string{s}
	}
	switch {
	case i.Called && i.Worst >= event.High:
		who, n := callers(i)
		steps = append(steps,
			fmt.Sprintf("Take %s off the network, or block %s at the firewall, before anything else.", who, a),
			fmt.Sprintf("On %s, find the program that calls: 'ss -tunp dst %s' on Linux, 'netstat -nob' on Windows.", verb(n, "that host", "these hosts"), a),
			fmt.Sprintf("See who else talked to it: flowsnitch hunt %s", a))
	case i.Called:
		who, _ := callers(i)
		steps = append(steps,
			fmt.Sprintf("Find out what %s does there: at this score it may be a server that many share.", who),
			"If it is harmless, mark it as a false alarm; that counts against the feeds that list it.")
	case i.Outbound:
		who, _ := callers(i)
		steps = append(steps,
			fmt.Sprintf("No answer was seen, so little can have left; still, find out which program on %s tries it.", who))
		if i.Worst >= event.High {
			steps = append(steps, fmt.Sprintf("Block %s at the firewall, in case it answers the next time.", a))
		}
	case i.Inbound && i.Answered:
		who, _ := named(i, func(h *incident.HostShare) bool { return h.Answered })
		steps = append(steps,
			fmt.Sprintf("Look in the logs of %s for what %s did, and whether a login of it succeeded.", who, a),
			fmt.Sprintf("Block %s, and close the service if it need not be open to everybody.", a))
	case i.Inbound:
		steps = append(steps, "No host of yours has answered: this needs nobody at night. Block it if its noise disturbs you.")
	case i.Internal:
		steps = append(steps, fmt.Sprintf("Find out who lists %s, an address of yours, and why: it may have been seen attacking others.", a))
	case i.Transit:
		steps = append(steps, "If one of the ends is yours, add its network to 'home'; if it is a customer's, inform them.")
	default:
		steps = append(steps, fmt.Sprintf("Find out who began, and whether your side answers: flowsnitch hunt %s", a))
	}
	if i.Retro && i.Last.Equal(i.First) {
		steps = append(steps, "It was before the listing: look at the host as it was then (logs, backups).")
	}
	return steps
}

// settled is why there is nothing to do; empty = there is.
func settled(i *incident.Incident) string {
	switch i.State {
	case incident.Closed:
		return "It is closed: nothing to do unless it comes back; then it opens again by itself."
	case incident.FalseAlarm:
		return "It is marked as a false alarm: nothing to do unless it gets worse."
	}
	return ""
}

// callers names the hosts that opened contacts: those that were answered, if any was. Where
// that is not known, as their contacts were folded, it counts all.
func callers(i *incident.Incident) (string, int) {
	opened := func(h *incident.HostShare) bool { return h.Outbound }
	switch {
	case i.Called:
		return named(i, func(h *incident.HostShare) bool { return h.Called })
	case i.Inbound && i.Hosts != 1 && !slices.ContainsFunc(i.HostList, func(h incident.HostShare) bool { return opened(&h) }):
		return fmt.Sprintf("at least one of %s%d hosts of yours", moreThan(i.MoreHosts), i.Hosts), 1
	}
	return named(i, opened)
}

// A Line is what blocks one address, ready to be pasted into a firewall.
type Line struct {
	Program string `json:"program"`
	Text    string `json:"text"`
}

// BlockSources gives lines that block what these addresses send to us, for nft and pf as with
// [Block]: at most three, each with at most 200 bytes; what has no room, the last, is left out,
// and so is what no line of ours should block.
func BlockSources(all []netip.Addr) (lines []string) {
	const most = 200
	list := func(begin, between, end string, has func(netip.Addr) bool) {
		line := begin
		for _, a := range all {
			if a = a.Unmap(); !mayBlock(a) || a.Zone() != "" || !has(a) {
				continue
			}
			next := a.String()
			if line != begin {
				next = between + next
			}
			if len(line)+len(next)+len(end) > most {
				break
			}
			line += next
		}
		if line != begin {
			lines = append(lines, line+end)
		}
	}
	list("nft insert rule inet filter forward ip saddr { ", ", ", " } drop", netip.Addr.Is4)
	list("nft insert rule inet filter forward ip6 saddr { ", ", ", " } drop", netip.Addr.Is6)
	list("pfctl -t flowsnitch -T add ", " ", "", netip.Addr.IsValid)
	return lines
}

// Block gives lines that block an address both ways, for several firewalls; none for one that
// no line of ours should block. nft is for the usual table "inet filter", pf and mikrotik
// (RouterOS) for a table and an address list "flowsnitch" that a rule blocks.
func Block(a netip.Addr) []Line {
	if !mayBlock(a) {
		return nil
	}
	ip, tables, mikrotik := "ip", "iptables", "ip"
	if a.Is6() {
		ip, tables, mikrotik = "ip6", "ip6tables", "ipv6"
	}
	return []Line{
		{"nft", fmt.Sprintf("nft insert rule inet filter forward %s daddr %s drop", ip, a)},
		{"nft", fmt.Sprintf("nft insert rule inet filter forward %s saddr %s drop", ip, a)},
		{"iptables", fmt.Sprintf("%s -I FORWARD -d %s -j DROP", tables, a)},
		{"iptables", fmt.Sprintf("%s -I FORWARD -s %s -j DROP", tables, a)},
		{"pf", fmt.Sprintf("pfctl -t flowsnitch -T add %s", a)},
		{"mikrotik", fmt.Sprintf("/%s firewall address-list add list=flowsnitch address=%s", mikrotik, a)},
	}
}
