package question

import (
	"slices"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/span"
)

// maxCarried bounds the ranges of IPv6 that are searched for IPv4 addresses within. Of a
// question with more of them everything between its lowest and its highest IPv4 address is
// read, and sorted out.
const maxCarried = 65_536

// Searched gives the ranges to search: those of the question and, for IPv4, those of IPv6
// addresses that may carry one of them, see [intel.Embedding.Carriers]. What is found there is
// an answer if Means reports so.
func (q *Question) Searched() []span.Range { return q.searched(maxCarried) }

func (q *Question) searched(most int) []span.Range {
	var v4 []span.Range
	for _, r := range q.Ranges {
		if r.To.Compare(span.IPv4.From) >= 0 && r.From.Compare(span.IPv4.To) <= 0 {
			v4 = append(v4, span.Range{From: higher(r.From, span.IPv4.From), To: lower(r.To, span.IPv4.To)})
		}
	}
	if len(v4) == 0 {
		return q.Ranges
	}
	if each := 7 + len(q.Embedding.NAT64()); len(v4)*each > most {
		v4 = []span.Range{{From: v4[0].From, To: v4[len(v4)-1].To}}
	}
	all := slices.Clone(q.Ranges)
	for _, r := range v4 {
		for from, to := range q.Embedding.Carriers(uint32(r.From.Lo), uint32(r.To.Lo)) {
			all = append(all, span.Range{From: from, To: to})
		}
	}
	return span.Join(all)
}

// Means reports whether an address, or the IPv4 address that it carries, was asked for.
func (q *Question) Means(a flow.Addr6) bool {
	if span.Within(q.Ranges, span.One(a)) {
		return true
	}
	v4 := q.Embedding.Find(a)
	return v4 != 0 && span.Within(q.Ranges, span.One(flow.Mapped(v4)))
}

func higher(a, b flow.Addr6) flow.Addr6 {
	if a.Compare(b) > 0 {
		return a
	}
	return b
}

func lower(a, b flow.Addr6) flow.Addr6 {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}
