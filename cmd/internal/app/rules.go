package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/follow"
	"github.com/flowsnitch/flowsnitch/intel/detect/hits"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"go.uber.org/zap"
)

// RulesFolder is the folder in the state directory with what rules remember.
const RulesFolder = "rules"

// The pace of rules.
const (
	saveRules     = 10 * time.Second
	saveRulesEdge = 5 * time.Minute
	saveRate      = 100_000 // bytes a second that each state may write on average
	saveRateEdge  = 500     // both together 86 MB a day
	eventBytes    = 500     // of an event in the journal, roughly
	learnContacts = 28 * 24 * time.Hour
	falseAlarms   = time.Minute // between two looks at which offenders are false alarms
)

// A ruleRunner runs the correlation rules: those over hits follow the journal, those over
// contacts the history.
type ruleRunner struct {
	a     *App
	edge  bool
	alert func(name, text string, about *intel.Indicator)

	raised   *follow.Raised
	hits     *follow.Hits
	contacts *follow.Contacts
	runner   *sinks.Runner
	quiet    atomic.Pointer[RuleQuiet] // what is not judged

	mu    sync.Mutex
	cfg   rulebook.Config
	book  *rulebook.Book
	since time.Time // this run counts alerts
}

// alertNoisy is the alert that a rule is quarantined. It does not begin with rule_, which is for
// the alerts of the rules.
const alertNoisy = "quarantined_rule"

func newRuleRunner(a *App, alert func(name, text string, about *intel.Indicator)) *ruleRunner {
	r := &ruleRunner{a: a, alert: alert, cfg: a.cfg.Rules, edge: a.cfg.Profile == "edge"}
	r.quiet.Store(NewRuleQuiet(a.silences.book, nil))
	a.background.every("looking which offenders are false alarms", falseAlarms, func(time.Time) { r.refreshQuiet() })
	return r
}

// Start reads the rules and follows journal and history. A bad rule is no reason not to start.
func (r *ruleRunner) Start() error {
	r.load(r.cfg)
	r.mu.Lock()
	r.since = r.a.watch.Now()
	r.mu.Unlock()
	dir := filepath.Join(r.a.cfg.StateDir, RulesFolder)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	raised, err := follow.OpenRaised(disk.OS{}, filepath.Join(dir, "raised"), r.a.watch.Now, r.send)
	if err != nil {
		return err
	}
	raised.Noisy = func(name string) {
		r.alert(alertNoisy, fmt.Sprintf("rule %s raised more than %d alerts within an hour: its alerts are not sent for an hour; make its condition stricter, or name it in rules.disable", name, follow.MostAlerts), nil)
	}
	r.raised = raised
	r.hits = follow.NewHits(follow.HitsConfig{
		Engine: r.engine(rule.Hits), Hits: hits.Config{FalseAlarm: func(a netip.Addr) bool { return r.quiet.Load().IsFalseAlarm(a) }, MaxContacts: contactsOfRules(r.cfg)},
		FS: disk.OS{}, Path: filepath.Join(dir, "hits"), Every: r.every(), Rate: r.rate(), MaxHeld: r.maxHeld(), Now: time.Now,
	}, raised)
	r.contacts = follow.NewContacts(follow.ContactsConfig{
		Engine: r.engine(rule.Contacts), History: r.a.history, FS: disk.OS{}, Path: filepath.Join(dir, "contacts"), Rate: r.rate(),
		Learn: learnContacts, Quiet: func(a netip.Addr) bool { return r.quiet.Load().IsQuiet(a) }, Now: r.a.watch.Now,
	}, raised)
	c := sinks.DefaultRunnerConfig()
	c.Batch = 5000
	c.Filter.Kinds = []event.Kind{event.KindHit, event.KindUpdate}
	c.Filter.Silenced = true // they are counted, and not judged
	if r.runner, err = sinks.NewRunner(r.a.sinks.journal, ruleSink{r.hits}, c); err != nil {
		return errors.Join(err, raised.Close())
	}
	r.runner.Start()
	r.contacts.Start()
	return nil
}

// rate is how many bytes a second each state may write on average.
func (r *ruleRunner) rate() int {
	if r.edge {
		return saveRateEdge
	}
	return saveRate
}

// maxHeld is how many events may wait in the journal for a state that has them: a quarter of its
// room.
func (r *ruleRunner) maxHeld() int {
	room := r.a.cfg.Journal.MaxBytes
	if r.a.cfg.Journal.Durability == journal.InMemory {
		room = r.a.cfg.Journal.MemoryBytes
	}
	return int(room / 4 / eventBytes)
}

func (r *ruleRunner) every() time.Duration {
	if r.edge {
		return saveRulesEdge
	}
	return saveRules
}

// contactsOfRules is how many contacts of hits rules remember: they take a part of the room, at
// most a quarter.
func contactsOfRules(cfg rulebook.Config) int {
	return min(cfg.MaxGroups, int(cfg.MaxBytes)/4/hits.ContactBytes)
}

// engine is the configuration of the engine over hits or contacts. Each has half of the room
// that the contacts of hits leave.
func (r *ruleRunner) engine(over rule.Over) detect.Config {
	return detect.Config{Over: over, Rules: r.book.On(), MaxGroups: r.cfg.MaxGroups / 2, MaxBytes: (int(r.cfg.MaxBytes) - contactsOfRules(r.cfg)*hits.ContactBytes) / 2}
}

// load reads the rules.
func (r *ruleRunner) load(cfg rulebook.Config) {
	book := rulebook.Load(cfg)
	for _, err := range book.Bad {
		r.a.log.Warn("a rule is left out", zap.Error(err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg, r.book = cfg, book
}

// send sends alerts the way of all events.
func (r *ruleRunner) send(alerts []detect.Alert) error {
	table := r.a.feeds.store.Load()
	never, err := table.Untouchable()
	if err != nil {
		r.a.log.Warn("alerts of rules have no lines for firewalls: it is not known what must not be blocked", zap.Error(err))
		never = nil
	}
	events := make([]event.Event, len(alerts))
	for i := range alerts {
		e := alerts[i].Event(r.a.cfg.Name)
		e.IntelVersion = table.Version()
		if r.a.watch.Unsynced() {
			e.Clock = "unsynced"
		}
		if never != nil {
			e.Rule.Stop = stopLines(&e, never)
		}
		events[i] = e
	}
	return r.a.sinks.deliver(events)
}

// Stop ends the rules over contacts.
func (r *ruleRunner) Stop(ctx context.Context) error { return r.contacts.Stop(ctx) }

// hitRules are the rules over hits when it comes to stopping: after the correlator, so that what
// it gives at its end is judged as well.
type hitRules struct {
	passive
	r *ruleRunner
}

// Stop saves what rules remember. Nothing is there if the start did not come so far.
func (h hitRules) Stop(ctx context.Context) error {
	if h.r.runner == nil {
		return nil
	}
	return errors.Join(h.r.runner.Stop(ctx), h.r.raised.Close())
}

// Takes everything of the rules but their room in memory.
func (r *ruleRunner) Takes(_ *configs.Config, key string) bool {
	return strings.HasPrefix(key, "rules.") && key != "rules.max_groups" && key != "rules.max_bytes"
}

// Reconfigure reads the rules anew; files may have changed.
func (r *ruleRunner) Reconfigure(cfg *configs.Config) error {
	r.takeUp(cfg.Rules)
	return nil
}

// Reopen reads the files with rules anew.
func (r *ruleRunner) Reopen() {
	r.mu.Lock()
	cfg := r.cfg
	r.mu.Unlock()
	r.takeUp(cfg)
}

// takeUp reads the rules and puts them into force.
func (r *ruleRunner) takeUp(cfg rulebook.Config) {
	r.load(cfg)
	r.hits.Use(r.book.On())
	r.contacts.Use(r.book.On())
}

// refreshQuiet reads which offenders are false alarms.
func (r *ruleRunner) refreshQuiet() {
	base, err := r.a.incidents.ready()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), falseAlarms/2)
	defer cancel()
	all, err := FalseAlarms(ctx, base.List)
	if err != nil {
		return
	}
	r.quiet.Store(NewRuleQuiet(r.a.silences.book, all))
}

// A ruleSink is the rules over hits as a sink of the journal.
type ruleSink struct{ *follow.Hits }

// Send judges events. They are taken once: after an error what they raised is sent again, and
// not they.
func (s ruleSink) Send(ctx context.Context, events []event.Event) error {
	err := s.Hits.Send(ctx, events)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, follow.ErrNotTaken):
		return &sinks.RetryError{Err: err}
	}
	return &sinks.RetryError{Sent: len(events), Err: err}
}

// Register shows and judges the rules, and lists them.
func (r *ruleRunner) Register(c *observe.Component) {
	c.Add(observe.Printed("rules", r.status, printRules), ruleCheck(r.status))
	c.Add(observe.Route{Method: http.MethodGet, Path: RulesPath, Role: observe.Local, Handler: observe.JSON(func(*http.Request) (any, error) {
		return r.list(), nil
	})})
}
