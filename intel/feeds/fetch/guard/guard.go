package guard

import (
	"cmp"
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// The guards of a generation against the last good one, in percent, and the numbers
// of entries below which a change of that size is everyday life.
const (
	maxShrink = 50
	maxGrowth = 300
	minBefore = 10
	minAfter  = 100
)

// judge gives the reason why a generation must not be used without a word of the operator;
// empty = it may. before is the last good number of entries, -1 when there is none.
func judge(s *spec.Spec, p store.Parsed, declared, entries, before int) string {
	if s.Operator {
		return "" // no guard applies to the operator's own word
	}
	if reason := JudgeDocument(s, p, declared); reason != "" {
		return reason
	}
	return judgeSize(entries, before, s.MayBeEmpty && entries == 0)
}

// Guards of what a generation covers and of how much of it is new. They apply to feeds and
// warninglists, not to the operator's own lists.
const (
	// minTurnover is the number of entries from which a turnover of maxTurnover percent at
	// once is no everyday life.
	minTurnover = 100
	maxTurnover = 90
	// turnoverAge is the age from which a copy is too old to be compared with.
	turnoverAge = 7 * 24 * time.Hour
	// acceptedGrowth is how far the space of a feed may grow beyond what was accepted.
	acceptedGrowth = 2
	// peakAge is how long the largest generation is remembered, and maxDecline the percentage
	// of it that may go in several steps.
	peakAge    = 7 * 24 * time.Hour
	maxDecline = 75
)

// An Accepted is what an operator has accepted of a feed, see Manager.Accept.
type Accepted struct {
	Space4   uint64 `json:"space4,omitempty"`
	Space6   uint64 `json:"space6,omitempty"`
	Turnover bool   `json:"turnover,omitempty"`
}

// judgeSpace gives the reason why a generation covers too much; empty = it does not.
func judgeSpace(s *spec.Spec, d *store.Description, ok Accepted) string {
	limit4 := max(uint64(1)<<(32-s.MaxSpace), acceptedGrowth*ok.Space4)
	limit6 := max(uint64(1)<<(64-s.MaxSpace6), acceptedGrowth*ok.Space6)
	switch {
	case d.Space4 > limit4:
		return fmt.Sprintf("covers %d IPv4 addresses, more than the %d of a /%d", d.Space4, limit4, s.MaxSpace)
	case d.Space6 > limit6:
		return fmt.Sprintf("covers %d IPv6 networks of /64, more than the %d of a /%d", d.Space6, limit6, s.MaxSpace6)
	}
	return ""
}

// A Case is a new generation that is complete but for its name.
type Case struct {
	Spec   *spec.Spec
	Writer *store.Writer
	New    *store.Description // gets what is found of the space and the turnover
	// Last is the one in use; nil = there is none. LastDate is when its source last stood
	// by it, Before its entries; -1 = it is not compared with.
	Last     *store.Description
	LastDate time.Time
	Before   int
	// Declared is the number of entries that the source announces; -1 = it does not.
	Declared int
	Accepted Accepted
	Now      time.Time
	// Open opens the one in use, nil when there is none; Warn is given the error of it.
	Open func() (*store.Reader, error)
	Warn func(error)
}

// judgeTurnover gives the reason why too much of a generation is new. An old copy that cannot be read
// is not compared with, nor is one that the source has not confirmed for a week.
func (c *Case) judgeTurnover(last *store.Description) string {
	if c.Writer.Entries == 0 || c.Accepted.Turnover || c.Spec.MayTurnOver || last == nil || last.Entries < minTurnover || c.Now.Sub(c.LastDate).Abs() > turnoverAge {
		return ""
	}
	g, err := c.Open()
	if g == nil {
		if err != nil {
			c.Warn(err)
		}
		return ""
	}
	defer g.Close()
	var old intel.Coverage
	if err := g.Each(nil, func(e *document.Entry) error {
		if !e.Exclude && !e.Offline {
			old.Add(e.Prefix)
		}
		return nil
	}); err != nil {
		c.Warn(err)
		return ""
	}
	n := old.Len()
	if gone := old.Missing(&c.Writer.Covers); n >= minTurnover && gone*100 >= n*maxTurnover {
		c.New.Turnover = true
		return fmt.Sprintf("nearly all is new: %d of the %d prefixes in use are not in it", gone, n)
	}
	return ""
}

// judgeDecline compares with the largest generation of the last days: a list that halves
// and halves again shrinks as surely as one that does so at once.
func judgeDecline(s *spec.Spec, d *store.Description, last *store.Description, entries int, now time.Time) string {
	d.Peak, d.PeakAt = entries, now
	if last == nil || last.PeakAt.IsZero() || now.Sub(last.PeakAt).Abs() > peakAge || last.Peak <= entries {
		return ""
	}
	d.Peak, d.PeakAt = last.Peak, last.PeakAt
	if last.Peak >= minTurnover && entries*100 < last.Peak*(100-maxDecline) && !(s.MayBeEmpty && entries == 0) {
		return fmt.Sprintf("shrunk from %d to %d entries within days, more than %d %%", last.Peak, entries, maxDecline)
	}
	return ""
}

// Judge gives the reason of the first guard that does not let a generation through; empty = all do.
func (c *Case) Judge() string {
	s, d, last := c.Spec, c.New, c.Last
	if s.Operator {
		return ""
	}
	d.Space4, d.Space6 = c.Writer.Covers.Space()
	if c.Before < 0 {
		last = nil
	}
	decline := judgeDecline(s, d, last, c.Writer.Entries, c.Now)
	return cmp.Or(judge(s, d.Parsed, c.Declared, c.Writer.Entries, c.Before), decline, judgeSpace(s, d, c.Accepted), c.judgeTurnover(last))
}

// JudgeDocument looks at the document alone.
func JudgeDocument(s *spec.Spec, p store.Parsed, declared int) string {
	rows := p.Accepted + p.Excluded + p.Rejected + p.Skipped
	switch {
	case p.Verdict == document.Truncated:
		return fmt.Sprintf("truncated: its end is missing after %d entries", p.Accepted)
	case p.Verdict == document.Mismatch || declared > rows:
		return fmt.Sprintf("incomplete: it announces %d entries and holds %d", declared, rows)
	case p.Verdict == document.NoPrefix && len(p.Samples) > 0:
		first := p.Samples[0]
		return fmt.Sprintf("no prefix in it; line %d is %q: %s", first.Line, first.Text, first.Reason)
	case p.Verdict == document.NoPrefix:
		return fmt.Sprintf("no prefix in %d rows", p.Rejected+p.Skipped)
	case p.Verdict == document.Empty && !s.MayBeEmpty:
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
