package score

import (
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// Bounds grade hits at the time of the match, before anything is known of their
// contacts: how severe one can make its contact at most, as far as its record shows.
// The queue gives way by them. They never change: any goroutine may use them.
type Bounds struct {
	home       sites.Homes
	severities [conversation.NumGrades][101]event.Severity // by the score of the listings
}

// NewBounds makes the bounds of hits by factors and home networks.
func NewBounds(f *Factors, home sites.Homes) *Bounds {
	factors := [conversation.NumGrades]float64{
		conversation.Internal:        f.Internal,
		conversation.Transit:         f.Transit,
		conversation.Outbound:        max(f.Outbound, f.OutboundAnswered),
		conversation.OutboundBlocked: f.OutboundBlocked,
		conversation.Inbound:         f.Inbound,
		conversation.InboundAnswered: max(f.Inbound, f.InboundAnswered),
		conversation.InboundBlocked:  f.InboundBlocked,
	}
	b := &Bounds{home: home}
	for g, factor := range factors {
		for score := range b.severities[g] {
			b.severities[g][score] = event.SeverityOf(int(weigh(score, factor)))
		}
	}
	return b
}

// Of gives the bound of a hit.
func (b *Bounds) Of(h *lookup.Hit) event.Severity {
	agree := min(perProvider*(h.Match.Len()-1), maxAgree)
	score := min(100, max(0, int(h.Match.MaxScore())+agree))
	return b.severities[conversation.GradeOf(h, b.home)][score]
}
