package question

import (
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
)

// maxCarried bounds the ranges of IPv6 that are searched for IPv4 addresses within. Of a
// question with more of them everything between its lowest and its highest IPv4 address is
// read, and sorted out.
const maxCarried = 65_536

var mapped = file.Range{From: flow.Addr6{Lo: 0xffff << 32}, To: flow.Addr6{Lo: 0xffff_ffff_ffff}}

// Searched gives the ranges to search: those of the question and, for IPv4, those of IPv6
// addresses that may carry one of them, see [intel.Embedding.Carriers]. What is found there is
// an answer if Means reports so.
func (q *Question) Searched() []file.Range { return q.searched(maxCarried) }

func (q *Question) searched(most int) []file.Range {
	var v4 []file.Range
	for _, r := range q.Ranges {
		if compare(r.To, mapped.From) >= 0 && compare(r.From, mapped.To) <= 0 {
			v4 = append(v4, file.Range{From: higher(r.From, mapped.From), To: lower(r.To, mapped.To)})
		}
	}
	if len(v4) == 0 {
		return q.Ranges
	}
	if each := 7 + len(q.Embedding.NAT64()); len(v4)*each > most {
		v4 = []file.Range{{From: v4[0].From, To: v4[len(v4)-1].To}}
	}
	all := slices.Clone(q.Ranges)
	for _, r := range v4 {
		for from, to := range q.Embedding.Carriers(uint32(r.From.Lo), uint32(r.To.Lo)) {
			all = append(all, file.Range{From: from, To: to})
		}
	}
	return Join(all)
}

// Means reports whether an address, or the IPv4 address that it carries, was asked for.
func (q *Question) Means(a flow.Addr6) bool {
	if within(file.Range{From: a, To: a}, q.Ranges) {
		return true
	}
	v4 := q.Embedding.Find(a)
	carried := flow.Addr6{Lo: mapped.From.Lo | uint64(v4)}
	return v4 != 0 && within(file.Range{From: carried, To: carried}, q.Ranges)
}

func higher(a, b flow.Addr6) flow.Addr6 {
	if compare(a, b) > 0 {
		return a
	}
	return b
}

func lower(a, b flow.Addr6) flow.Addr6 {
	if compare(a, b) < 0 {
		return a
	}
	return b
}
