package incident

import (
	"cmp"
	"slices"
)

// attempts are the bounds of the histogram of flows per offender.
var attempts = []Bucket{{From: 1, To: 1}, {From: 2, To: 2}, {From: 3, To: 3}, {From: 4, To: 4}, {From: 5, To: 5}, {From: 6, To: 6}, {From: 7, To: 7}, {From: 8, To: 8},
	{From: 9, To: 10}, {From: 11, To: 20}, {From: 21, To: 50}, {From: 51, To: 100}, {From: 101, To: 1000}, {From: 1001, To: 10_000}, {From: 10_001}}

// Attempts gives an empty histogram of flows per offender.
func Attempts() []Bucket { return slices.Clone(attempts) }

// CountAttempts counts an offender with so many flows; none count nowhere.
func CountAttempts(list []Bucket, flows uint64) {
	if flows == 0 {
		return
	}
	if i := slices.IndexFunc(list, func(b Bucket) bool { return b.To == 0 || flows <= b.To }); i >= 0 {
		list[i].Offenders++
	}
}

// Places are sums of countries or networks, by what names one.
type Places[K comparable] map[K]*PlaceSum

// Count counts an offender with so many flows, and gives the sum of its place.
func (p Places[K]) Count(k K, flows uint64) *PlaceSum {
	s := p[k]
	if s == nil {
		s = &PlaceSum{}
		p[k] = s
	}
	s.Offenders++
	s.Flows = plus(s.Flows, flows)
	return s
}

// maxPlaces is how many countries or networks a period has.
const maxPlaces = 100

// Most gives those with the most offenders.
func (p Places[K]) Most() []PlaceSum {
	list := make([]PlaceSum, 0, len(p))
	for _, s := range p {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b PlaceSum) int {
		return cmp.Or(cmp.Compare(b.Offenders, a.Offenders), cmp.Compare(b.Flows, a.Flows), cmp.Compare(a.Country, b.Country), cmp.Compare(a.ASNumber, b.ASNumber))
	})
	return list[:min(len(list), maxPlaces)]
}
