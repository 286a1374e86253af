package fetch

import (
	"fmt"

	"github.com/flowsnitch/flowsnitch/intel/feeds"
)

// The guards of a generation against the last good one, in percent, and the numbers
// of entries below which a change of that size is everyday life.
const (
	maxShrink = 50
	maxGrowth = 300
	minBefore = 10
	minAfter  = 100
)

// judge says why a generation must not be used without a word of the operator;
// empty = it may. before is the last good number of entries, -1 when there is none.
func (s *spec) judge(p Parsed, declared, entries, before int) string {
	if s.Operator {
		return "" // no guard applies to the operator's own word
	}
	if reason := s.judgeDocument(p, declared); reason != "" {
		return reason
	}
	return judgeSize(entries, before, s.MayBeEmpty && entries == 0)
}

// judgeDocument looks at the document alone.
func (s *spec) judgeDocument(p Parsed, declared int) string {
	rows := p.Accepted + p.Excluded + p.Rejected + p.Skipped
	switch {
	case p.Verdict == feeds.Truncated:
		return fmt.Sprintf("truncated: its end is missing after %d entries", p.Accepted)
	case p.Verdict == feeds.Mismatch || declared > rows:
		return fmt.Sprintf("incomplete: it announces %d entries and holds %d", declared, rows)
	case p.Verdict == feeds.NoPrefix && len(p.Samples) > 0:
		first := p.Samples[0]
		return fmt.Sprintf("no prefix in it; line %d is %q: %s", first.Line, first.Text, first.Reason)
	case p.Verdict == feeds.NoPrefix:
		return fmt.Sprintf("no prefix in %d rows", p.Rejected)
	case p.Verdict == feeds.Empty && !s.MayBeEmpty:
		return "empty"
	}
	return ""
}

// judgeSize compares with the last good generation.
func judgeSize(entries, before int, emptyIsGood bool) string {
	switch {
	case before < 0 || emptyIsGood:
		return ""
	case before >= minBefore && entries*100 < before*(100-maxShrink):
		return fmt.Sprintf("shrunk from %d to %d entries, more than %d %%", before, entries, maxShrink)
	case entries >= minAfter && entries*100 > before*(100+maxGrowth):
		return fmt.Sprintf("grown from %d to %d entries, more than %d %%", before, entries, maxGrowth)
	}
	return ""
}
