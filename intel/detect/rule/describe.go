package rule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Describe gives what must hold, for people: "distinct outside >= 50, each <= 8". A base rule
// has nothing beside where.
func (r *Rule) Describe() string {
	c := &r.Correlation
	switch c.Type {
	case EventCount:
		if r.Over == Logins {
			return "logins " + c.Condition.bounds()
		}
		return "flows " + c.Condition.bounds()
	case ValueCount:
		return "distinct " + c.Condition.Field.Name + " " + c.Condition.bounds() + c.each()
	case ValueSum:
		return c.Condition.Field.Name + " " + c.Condition.bounds()
	case Temporal:
		return "all of " + strings.Join(c.Rules, ", ")
	case TemporalOrdered:
		return strings.Join(c.Rules, ", then ")
	case Lockstep:
		return fmt.Sprintf("ports in step %s, within %s, of each at least %s", c.Condition.bounds(), Short(c.Within), percent(c.Share))
	case Regular:
		return fmt.Sprintf("flows %s, spread <= %s", c.Condition.bounds(), percent(c.Spread))
	case Rise:
		cold := ""
		if c.Cold > 0 {
			cold = fmt.Sprintf(" (unknown: %d)", c.Cold)
		}
		return fmt.Sprintf("distinct %s %s and %g times the usual%s%s", c.Condition.Field.Name, c.Condition.bounds(), c.Times, cold, c.each())
	}
	return "-"
}

// Window gives the timespan as rules write it, "-" for a base rule.
func (c *Correlation) Window() string {
	if c.Timespan == 0 {
		return "-"
	}
	return Short(c.Timespan)
}

func (c *Correlation) each() string {
	if c.Each.IsZero() {
		return ""
	}
	return ", each " + c.Each.bounds()
}

// bounds gives the condition as a comparison.
func (c *Condition) bounds() string {
	switch {
	case c.Min == c.Max:
		return "= " + strconv.FormatUint(c.Min, 10)
	case c.Max == math.MaxUint64:
		return ">= " + strconv.FormatUint(c.Min, 10)
	case c.Min == 0:
		return "<= " + strconv.FormatUint(c.Max, 10)
	}
	return fmt.Sprintf("%d to %d", c.Min, c.Max)
}

func percent(x float64) string { return strconv.FormatFloat(math.Round(x*1000)/10, 'f', -1, 64) + " %" }
