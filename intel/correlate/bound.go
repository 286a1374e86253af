package correlate

import (
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// A bound grades hits at the time of the match, before anything is known of their
// contacts: how severe one can make its contact at most, as far as its record shows.
// The queue gives way by it. It is cheap, and never exact: the contact is the judge.
type bound struct {
	home       sites.Homes
	severities [conversation.NumGrades][101]event.Severity // by the score of the listings
}

func newBound(f *Factors, home sites.Homes) *bound {
	factors := [conversation.NumGrades]float64{
		conversation.Internal:        f.Internal,
		conversation.Transit:         f.Transit,
		conversation.Outbound:        max(f.Outbound, f.OutboundAnswered),
		conversation.OutboundBlocked: f.OutboundBlocked,
		conversation.Inbound:         f.Inbound,
		conversation.InboundAnswered: max(f.Inbound, f.InboundAnswered),
		conversation.InboundBlocked:  f.InboundBlocked,
	}
	b := &bound{home: home}
	for g, factor := range factors {
		for score := range b.severities[g] {
			b.severities[g][score] = event.SeverityOf(int(weigh(score, factor)))
		}
	}
	return b
}

// of gives the bound of a hit.
func (b *bound) of(h *lookup.Hit) event.Severity {
	agree := min(perProvider*(h.Match.Len()-1), maxAgree)
	score := min(100, max(0, int(h.Match.MaxScore())+agree))
	return b.severities[conversation.GradeOf(h, b.home)][score]
}
