package detect

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
)

// lateness is how much older than the newest an observation may be, in s. What is older is
// counted and not judged: its window may be over.
const lateness = 120

// hour is the slot of rules over contacts, in s.
const hour = 3600

// slotsPerWindow is how finely time is divided over hits: windows are exact to a sixtieth.
const slotsPerWindow = 60

// Config are the rules of an engine and its bounds.
type Config struct {
	Over  rule.Over
	Rules []*rule.Rule // as rule.Check gives them; those over something else and disabled ones are ignored
	// MaxGroups and MaxBytes bound the groups of all rules together.
	MaxGroups, MaxBytes int
	// Seed is of the hashes of values; 0 = a random one.
	Seed uint64
}

// Stats are what an engine has done since it was made.
type Stats struct {
	Observations uint64
	Late         uint64 // not judged
	Rewound      uint64 // how often everything was forgotten, because the clock was set back
	Alerts       uint64
	Updates      uint64 // alerts that had doubled
	Excess       uint64 // alerts that were not made, because their rule had too many at once
	Dropped      uint64 // groups that made room
	Groups       int
	Bytes        int // of the groups, estimated
}

// After gives the counters together with those of another engine before.
func (s Stats) After(past Stats) Stats {
	s.Observations += past.Observations
	s.Late += past.Late
	s.Rewound += past.Rewound
	s.Alerts += past.Alerts
	s.Updates += past.Updates
	s.Excess += past.Excess
	s.Dropped += past.Dropped
	return s
}

// An Engine runs rules.
type Engine struct {
	cfg     Config
	watches []*watch
	newest  uint32 // time of the newest observation
	latest  uint32 // latest end of a flow
	since   uint32 // time of the first one, as far as is known
	texts   texts
	stats   Stats
	alerts  []Alert
	saved   int // bytes of the last saved state
}

// New makes an engine.
func New(cfg Config) *Engine {
	for cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	e := &Engine{cfg: cfg, texts: newTexts()}
	for _, r := range cfg.Rules {
		if r.Over == cfg.Over && !r.Disabled {
			e.watches = append(e.watches, newWatch(r, e.watches))
		}
	}
	return e
}

// Rules are the rules that run.
func (e *Engine) Rules() (list []*rule.Rule) {
	for _, w := range e.watches {
		list = append(list, w.rule)
	}
	return list
}

// Wants reports whether where of any rule holds for an observation.
func (e *Engine) Wants(o *rule.Observation) bool {
	return slices.ContainsFunc(e.watches, func(w *watch) bool { return w.fits(e, o) })
}

// Observe takes an observation. Over hits it judges at once.
func (e *Engine) Observe(o *rule.Observation) {
	if e.since == 0 {
		e.since = o.Time
	}
	if o.Time < e.newest && e.newest-o.Time > lateness {
		e.stats.Late++
		return
	}
	e.newest, e.latest = max(e.newest, o.Time), max(e.latest, o.Last)
	e.stats.Observations++
	for _, w := range e.watches {
		w.takes(e, o)
	}
	if e.stats.Groups > e.cfg.MaxGroups || e.stats.Bytes > e.cfg.MaxBytes {
		e.sweep()
	}
}

// EndInterval judges what observations of contacts have changed since the last call; complete
// reports that the hour of the last observation is over.
func (e *Engine) EndInterval(complete bool) {
	for _, w := range e.watches {
		w.judgeChanged(e, complete)
	}
}

// Ahead reports whether the newest observation is of a time that has not come yet: the clock
// was set back, and until it is that time again everything would be late.
func (e *Engine) Ahead(now time.Time) bool {
	return time.Unix(int64(e.newest), 0).After(now.Add(lateness * time.Second))
}

// Rewind forgets all observations, since their times mean nothing any more; the rules and the
// counters stay.
func (e *Engine) Rewind() {
	past, alerts := e.stats, e.alerts
	*e = *New(e.cfg)
	past.Groups, past.Bytes = 0, 0
	past.Rewound++
	e.stats, e.alerts = past, alerts
}

// Alerts gives the alerts since the last call.
func (e *Engine) Alerts() []Alert {
	list := e.alerts
	e.alerts = nil
	for _, w := range e.watches {
		w.made = 0
	}
	return list
}

// Stats may be called by the owner of the engine only.
func (e *Engine) Stats() Stats { return e.stats }

// Text gives the number of a text, for fields of observations.
func (e *Engine) Text(s string) uint32 { return e.texts.number(s) }

// texts are the texts of observations, by number. Feeds, categories, countries and sites are
// few; a stranger cannot make new ones, but a bound is cheap.
type texts struct {
	numbers map[string]uint32
	list    []string
	bytes   int
}

const (
	maxTexts     = 65_536
	maxTextBytes = 1 << 20 // of all of them
	otherText    = "(other)"
)

func newTexts() texts {
	return texts{numbers: map[string]uint32{"": 0, otherText: 1}, list: []string{"", otherText}}
}

func (t *texts) number(s string) uint32 {
	n, ok := t.numbers[s]
	if ok {
		return n
	}
	if len(t.list) >= maxTexts || len(s) > maxTextBytes-t.bytes {
		return 1
	}
	t.bytes += len(s)
	n = uint32(len(t.list))
	t.numbers[s] = n
	t.list = append(t.list, s)
	return n
}

func (t *texts) text(n uint32) string {
	if int(n) < len(t.list) {
		return t.list[n]
	}
	return otherText
}

// A key is the values of the fields that a rule groups by; unused ones are zero.
type key [rule.MaxGroupBy + 1]flow.Addr6
