package incident

import "slices"

// MaxFindings is how many texts of an hour are kept.
const MaxFindings = 3

// Add adds what was in another part of the same hour: counts are summed, minutes up to 60,
// and the findings of the worse part come first, at most [MaxFindings].
func (p *Pulse) Add(q Pulse) {
	p.Minutes = min(60, p.Minutes+q.Minutes)
	p.Flows, p.Lost, p.Hits = plus(p.Flows, q.Flows), plus(p.Lost, q.Lost), plus(p.Hits, q.Hits)
	first, second := p.Findings, q.Findings
	if worse(q.Worst) > worse(p.Worst) || p.Worst == "" {
		p.Worst, first, second = q.Worst, q.Findings, p.Findings
	}
	var all []string // a new one: who was given the old pulse may still have it
	for _, f := range slices.Concat(first, second) {
		if f != "" && len(all) < MaxFindings && !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	p.Findings = all
}

func worse(worst string) int { return slices.Index(Worsts[:], worst) }
