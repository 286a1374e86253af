package rule

import (
	"math"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
)

// An Over is what a rule looks at.
type Over uint8

// The values of Over.
const (
	Hits     Over = iota // hits and updates of the journal
	Contacts             // all contacts of the history, listed or not
	Logins               // tries to log in; nothing reads them yet
)

var overs = []string{"hits", "contacts", "logins"}

// String gives hits, contacts or logins.
func (o Over) String() string { return overs[o] }

// A Type is how a rule counts.
type Type uint8

// The types. Base rules have no correlation: others refer to them.
const (
	Base            Type = iota
	EventCount           // flows
	ValueCount           // distinct values of a field
	ValueSum             // the sum of a numeric field
	Temporal             // all of several rules, in any order
	TemporalOrdered      // all of several rules, in their order
	Lockstep             // the same ports from several addresses in the same seconds
	Regular              // equal intervals
	Rise                 // distinct values of a field, against what is usual
)

var types = []string{"", "event_count", "value_count", "value_sum", "temporal", "temporal_ordered", "lockstep", "regular", "rise"}

// String gives the word of the type; base rules have none.
func (t Type) String() string { return types[t] }

// The limits of what a rule may ask for.
const (
	// MaxName is so long that the name of an alert, which is event.RulePrefix and that of the
	// rule, has room in every form.
	MaxName     = event.MaxName - len(event.RulePrefix)
	MaxGroupBy  = 4
	MaxRefs     = 8
	MaxSteps    = 256 // ports of lockstep: of an address so many contacts with a host are remembered
	MaxTimespan = 7 * 24 * time.Hour
	minTimespan = time.Second
	// DefaultCooldown is how long a group is quiet after an alert.
	DefaultCooldown = 24 * time.Hour
	maxCooldown     = 31 * 24 * time.Hour
)

// A Rule is one rule, complete and valid as [Read] gives it.
type Rule struct {
	Name        string // letters, digits, '_' and '-'; unique
	Title       string
	Description string
	Origin      string // where the rule comes from, for people
	Level       event.Severity
	Over        Over
	Where       []Test
	Correlation Correlation
	Cooldown    time.Duration
	// Generate is whether the rule raises alerts itself; one that is only there for others
	// to refer to does not.
	Generate bool
	Disabled bool

	// File and Line are where the rule begins.
	File string
	Line int
}

// A Correlation is what makes an alert of many observations.
type Correlation struct {
	Type     Type
	Rules    []string // names; temporal and temporal_ordered
	GroupBy  []*Field
	Timespan time.Duration
	// Condition is on the count; Condition.Field is what is counted or summed up.
	Condition Condition
	// Each leaves out values that were seen more or less often than this; value_count and rise.
	Each Condition
	// Within is how far apart two contacts may be and still be in step; lockstep.
	Within time.Duration
	// Share is the least part of an address's ports that must be in step, 0 to 1; lockstep.
	Share float64
	// Spread is the greatest standard deviation of intervals, as a part of their mean; regular.
	Spread float64
	// Times is how much more than usual it must be, and Cold the least count while it is not
	// known what is usual; rise.
	Times float64
	Cold  uint64
}

// A Condition compares a number. The zero Condition always holds.
type Condition struct {
	Field    *Field // nil = none
	Min, Max uint64 // inclusive
	text     string
}

// Holds reports whether the condition holds for n.
func (c *Condition) Holds(n uint64) bool { return c.text == "" || n >= c.Min && n <= c.Max }

// IsZero reports whether there is no condition.
func (c *Condition) IsZero() bool { return c.text == "" }

// Open reports whether there is no greatest number.
func (c *Condition) Open() bool { return c.text == "" || c.Max == math.MaxUint64 }

// String gives the condition as in the rule: "gte: 16".
func (c *Condition) String() string { return c.text }

// Monotone reports whether the count of a group only grows while its window has the same
// beginning, so that it may be judged before the window is complete.
func (c *Correlation) Monotone() bool {
	return c.Each.IsZero() && c.Condition.Open() && c.Type != Rise && c.Type != Regular
}
