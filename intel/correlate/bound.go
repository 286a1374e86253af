package correlate

import (
	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// A bound grades hits at the time of the match, before anything is known of their
// contacts: how severe one can make its contact at most, as far as its record shows.
// The queue gives way by it. It is cheap, and never exact: the contact is the judge.
type bound struct {
	home       sites.Homes
	severities [numGrades][101]event.Severity // by the score of the listings
}

// A grade is what the record shows of a contact; each has one of the factors.
type grade int

const (
	gradeInternal grade = iota
	gradeTransit
	gradeOutbound // answered, or that may still come
	gradeOutboundBlocked
	gradeInbound
	gradeInboundAnswered
	gradeInboundBlocked
	numGrades
)

func newBound(f *Factors, home sites.Homes) *bound {
	factors := [numGrades]float64{
		gradeInternal:        f.Internal,
		gradeTransit:         f.Transit,
		gradeOutbound:        max(f.Outbound, f.OutboundAnswered),
		gradeOutboundBlocked: f.OutboundBlocked,
		gradeInbound:         f.Inbound,
		gradeInboundAnswered: max(f.Inbound, f.InboundAnswered),
		gradeInboundBlocked:  f.InboundBlocked,
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
	return b.severities[b.grade(h)][score]
}

func (b *bound) grade(h *lookup.Hit) grade {
	e := endsOf(h)
	us := homesOf(h, &e, b.home.At(e.site))
	switch {
	case us.offender && us.local:
		return gradeInternal
	case !us.offender && !us.local:
		return gradeTransit
	}
	ours, initiator := local, e.initiator
	if us.offender {
		ours = offender
	}
	switch {
	case initiator != nobody:
	case e.refuses() != nobody:
		initiator = e.refuses().other()
	case e.offenderPort != 0 && e.localPort != 0:
		initiator = e.initiatorBy(min(e.offenderPort, e.localPort))
	}
	drop, back := blocked(h.Record), backward(h.Record)
	switch {
	case initiator == nobody || initiator == ours:
		if drop {
			return gradeOutboundBlocked
		}
		return gradeOutbound
	case drop:
		return gradeInboundBlocked
	case e.sender == ours && !e.refusal || e.isAnswer(back):
		return gradeInboundAnswered
	}
	return gradeInbound
}

// backward reports whether the record counts anything of the way back.
func backward(r *flow.Record) bool {
	return r.RevPackets|r.RevBytes|r.RespPackets|r.RespBytes != 0
}
