package event

import "time"

// Bounds of the evidence of an alert. Forms leave out what is beyond them, and count it.
const (
	MaxRuleGroup  = 5
	MaxRuleShares = 8
	MaxRulePorts  = 16
	MaxRuleBars   = 16
	MaxRuleStop   = 3
	// RulePrefix stands before the name of a rule in [Event.Alert]: no rule can have the name
	// of an alert of the program itself, whatever those are in a later version.
	RulePrefix = "rule_"
)

// A Rule is what a correlation rule has found in one group: the evidence of its alert. It is
// never changed once an event has it.
type Rule struct {
	Name  string // letters, digits, '_' and '-'
	Title string // one line for people, of whoever wrote the rule
	Type  string // how it counts: value_count, lockstep, ...
	// Group is what the group has in common.
	Group []RuleField
	// Count is what was counted, Threshold what it had to reach. Usual is what is usual at
	// this time of the day, where the rule compares with that; 0 = nothing, or not known.
	Count, Threshold, Usual uint64
	// Error is the standard error of Count as a part of it; 0 = Count is exact.
	Error float64
	// From and To are the window that was counted.
	From, To time.Time
	// Update is set when the group was alerted before, and the count has doubled since.
	Update bool
	// Sources, Targets and Ports are the most frequent of the window, the first most.
	Sources, Targets []RuleShare
	Ports            []RulePort
	// Histogram is how many values were seen how many times, by times. OrMore is set when
	// the last bar has what was seen more often than that, too.
	Histogram []RuleBar
	OrMore    bool
	// Interval is the mean time between two flows and Spread the standard deviation as a part
	// of it, where the rule is about that.
	Interval time.Duration
	Spread   float64
	// Stop are lines ready for a firewall that would stop it.
	Stop []string
	// TLP is the most restricted label of the listings that the evidence rests on: clear, green,
	// amber, amber+strict or red; empty = of none.
	TLP string
	// LeftOut is how many entries of these lists had no room in the line that the event was
	// read from.
	LeftOut uint32
}

// A RuleField is a field of a group with its value as text.
type RuleField struct{ Field, Value string }

// A RuleShare is an address as text, and how many flows it had.
type RuleShare struct {
	Value string
	Count uint64
}

// A RulePort is a service port and how many flows it had.
type RulePort struct {
	Port  uint16 `json:"port"`
	Count uint64 `json:"count"`
}

// A RuleBar is how many values were seen so many times.
type RuleBar struct{ Times, Values uint64 }

// Of gives the value of a field of the group; empty = the rule does not group by it.
func (r *Rule) Of(field string) string {
	for i := range r.Group {
		if r.Group[i].Field == field {
			return r.Group[i].Value
		}
	}
	return ""
}

// shed is what of the evidence has room where texts have at most limit bytes: the longer the
// line would be, the less. The first to go is the histogram.
type shed struct {
	shares, targets, ports, bars, stop int
}

func shedAt(limit int) shed {
	const few = 3
	switch {
	case limit > MaxText/2:
		return shed{MaxRuleShares, MaxRuleShares, MaxRulePorts, MaxRuleBars, MaxRuleStop}
	case limit > MaxText/4:
		return shed{MaxRuleShares, few, MaxRulePorts, 0, MaxRuleStop}
	case limit > MaxText/16:
		return shed{few, few, few, 0, 0}
	}
	return shed{}
}
