package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/intake"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"github.com/flowsnitch/flowsnitch/sinks"
	"go.uber.org/zap"
)

// IncidentsFile is the database of incidents in the state directory.
const IncidentsFile = "incidents.db"

const (
	openIncidents  = 5 * time.Second  // for opening the database
	freshIncidents = 10 * time.Second // between two commits that questions cause
	freshWait      = 2500 * time.Millisecond
	pruneIncidents = 10 * time.Minute
)

// An incidentLog keeps the incidents: it follows the journal at a place of its own, and
// answers questions. A database that does not answer holds up nothing else: what it has not
// committed stays in the journal.
type incidentLog struct {
	a    *App
	now  func() time.Time
	edge bool

	runner *sinks.Runner // nil = nothing is kept
	sink   *incidentSink
	pulse  *pulseTaker

	opening chan struct{} // one token: the right to open the database

	mu      sync.Mutex
	cfg     configs.Incidents
	base    *store.Store // nil = not open (yet)
	trouble string       // why it is not
	intake  *intake.Intake
	closed  bool
	fresh   time.Time // when a question caused a commit
}

func newIncidentLog(a *App) *incidentLog {
	l := &incidentLog{a: a, cfg: a.cfg.Incidents, edge: a.cfg.Profile == "edge", now: time.Now, opening: make(chan struct{}, 1)}
	if a.opts.Machine != nil {
		l.now = a.opts.Machine.Wall
	}
	l.opening <- struct{}{}
	l.sink = &incidentSink{l: l}
	l.pulse = newPulseTaker(a, l.edge, l.now, l.opened)
	if !l.cfg.Enabled {
		return l
	}
	l.pulse.chores(a.background)
	a.background.everyUntil("removing old incidents", pruneIncidents, l.prune)
	return l
}

// IncidentsConfig is where the incidents of a configuration are.
func IncidentsConfig(cfg *configs.Config) store.Config {
	c := cfg.Incidents
	s := store.Config{
		Path: filepath.Join(cfg.StateDir, IncidentsFile), Database: c.Database, Keep: c.Keep, KeepJudged: c.KeepJudged, Max: c.Max, Edge: cfg.Profile == "edge",
	}
	if c.PasswordFile != "" {
		s.Password = func() (string, error) { return secret.ReadFile(c.PasswordFile) }
	}
	return s
}

// Start opens the database and follows the journal, which has been opened. A database that
// cannot be opened now is tried again; the journal holds what it has to get.
func (l *incidentLog) Start() error {
	if !l.cfg.Enabled {
		return nil
	}
	l.pulse.meter.start(l.a.since)
	ctx, cancel := context.WithTimeout(context.Background(), openIncidents)
	defer cancel()
	if err := l.open(ctx); err != nil {
		l.a.log.Warn("the database of incidents cannot be opened; it is tried again, and events wait in the journal", zap.Error(err))
	}
	c := sinks.DefaultRunnerConfig()
	c.Batch = 5000
	c.Filter.Kinds = []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert}
	c.Filter.Silenced = true // they are counted, and change no state
	r, err := sinks.NewRunner(l.a.sinks.journal, l.sink, c)
	if err != nil {
		return errors.Join(err, l.close(ctx))
	}
	l.runner = r
	r.Start()
	return nil
}

// open opens the database, unless it is open.
func (l *incidentLog) open(ctx context.Context) error {
	select {
	case <-l.opening:
	case <-ctx.Done():
		return fmt.Errorf("it is being opened: %w", ctx.Err())
	}
	defer func() { l.opening <- struct{}{} }()
	if _, err := l.ready(); err == nil {
		return nil
	}
	cfg := IncidentsConfig(&l.a.cfg)
	cfg.Now = l.now
	s, err := store.Open(ctx, cfg)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.trouble = err.Error()
		return err
	}
	if l.closed {
		_ = s.Close(ctx)
		return errors.New("flowsnitch is stopping")
	}
	l.base, l.intake, l.trouble = s, intake.New(s, intake.DefaultConfig(l.edge)), ""
	return nil
}

// opened gives the database, and opens it where that is still to be done.
func (l *incidentLog) opened(ctx context.Context) (*store.Store, error) {
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	return l.ready()
}

// ready gives the database, or why there is none.
func (l *incidentLog) ready() (*store.Store, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.cfg.Enabled:
		return nil, observe.Unavailable("no incidents are kept (incidents.enabled)")
	case l.base == nil && l.trouble != "":
		return nil, observe.Unavailable("the database of incidents cannot be opened: " + l.trouble)
	case l.base == nil:
		return nil, observe.Unavailable("the database of incidents is not open yet; try again in a moment")
	}
	return l.base, nil
}

// handledLimit is how long a notification waits for what is known of an incident.
const handledLimit = 2 * time.Second

// handled reports whether somebody has taken the incident of an offender, or judged it a false
// alarm; false where that cannot be found out soon.
func (l *incidentLog) handled(ctx context.Context, offender netip.Addr) bool {
	s, err := l.ready()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, handledLimit)
	defer cancel()
	x, err := s.Get(ctx, offender)
	return err == nil && (x.State == incident.Taken || x.State == incident.FalseAlarm)
}

// taker gives the side of the journal, nil while the database is not open.
func (l *incidentLog) taker() *intake.Intake {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.intake
}

// Stop commits what is pending, and closes the database.
func (l *incidentLog) Stop(ctx context.Context) error {
	var err error
	if l.runner != nil {
		err = l.runner.Stop(ctx)
		l.pulse.last(ctx)
	}
	return errors.Join(err, l.close(ctx))
}

func (l *incidentLog) close(ctx context.Context) error {
	l.mu.Lock()
	s := l.base
	l.closed = true
	l.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Close(ctx)
}

// Takes how long and how many incidents are kept.
func (l *incidentLog) Takes(_ *configs.Config, key string) bool {
	return strings.HasPrefix(key, "incidents.keep") || key == "incidents.max"
}

// Reconfigure takes up how long and how many incidents are kept, for when they are removed next.
func (l *incidentLog) Reconfigure(cfg *configs.Config) error {
	c := &cfg.Incidents
	l.mu.Lock()
	l.cfg.Keep, l.cfg.KeepJudged, l.cfg.Max = c.Keep, c.KeepJudged, c.Max
	l.mu.Unlock()
	return nil
}

// prune removes what is too old or too much.
func (l *incidentLog) prune(ctx context.Context) {
	s, err := l.ready()
	if err != nil {
		return
	}
	l.mu.Lock()
	c := l.cfg
	l.mu.Unlock()
	s.SetKeep(c.Keep, c.KeepJudged, c.Max)
	within, cancel := context.WithTimeout(ctx, pruneIncidents/2)
	defer cancel()
	if _, err := s.Prune(within); err != nil && ctx.Err() == nil {
		l.a.log.Warn("old incidents cannot be removed", zap.Error(err))
	}
}

// freshen has pending events committed, so that a question is answered with them. It does
// so once in a while only, and does not wait for long: an answer without the last minute is
// better than none.
func (l *incidentLog) freshen(ctx context.Context) {
	in := l.taker()
	if in == nil || l.runner == nil {
		return
	}
	l.mu.Lock()
	now := time.Now()
	again := now.Sub(l.fresh) >= freshIncidents
	l.mu.Unlock()
	if !again || in.Stats().Waiting == 0 && l.runner.Stats().Pending == 0 {
		return
	}
	l.mu.Lock()
	l.fresh = now
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	select {
	case <-l.sink.commitSoon():
	case <-ctx.Done():
	}
}

// An incidentSink is the intake as a sink of the journal. It opens the database where that
// was not possible before.
type incidentSink struct {
	l *incidentLog

	mu      sync.Mutex
	waiting []chan struct{} // closed after the next commit
}

// Name is that of the place in the journal.
func (s *incidentSink) Name() string { return "incidents" }

// Send takes events, and commits when it is time or somebody asks.
func (s *incidentSink) Send(ctx context.Context, events []event.Event) error {
	in := s.l.taker()
	if in == nil {
		if err := s.l.open(ctx); err != nil {
			return &sinks.RetryError{Err: fmt.Errorf("database of incidents: %w", err)}
		}
		in = s.l.taker()
	}
	err := in.Send(ctx, events)
	if asked := s.asked(); err == nil && len(asked) > 0 {
		err = in.Close(ctx) // which is but a commit
		for _, done := range asked {
			close(done)
		}
		if err != nil {
			err = &intake.TakenError{Taken: len(events), Err: err}
		}
	}
	if taken, ok := errors.AsType[*intake.TakenError](err); ok {
		return &sinks.RetryError{Sent: taken.Taken, Err: taken.Err}
	}
	return err
}

// Held is how many events no commit has yet.
func (s *incidentSink) Held() int {
	if in := s.l.taker(); in != nil {
		return in.Held()
	}
	return 0
}

// Close commits what is held. What cannot be committed now is no failure of a stop: the
// journal has it, for the next start.
func (s *incidentSink) Close(ctx context.Context) error {
	if in := s.l.taker(); in != nil {
		if err := in.Close(ctx); err != nil {
			s.l.a.log.Warn("the last events for the incidents wait in the journal for the next start", zap.Int("events", in.Held()), zap.Error(err))
		}
	}
	return nil
}

// commitSoon asks for a commit; the channel is closed behind it.
func (s *incidentSink) commitSoon() <-chan struct{} {
	done := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, done)
	return done
}

func (s *incidentSink) asked() []chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.waiting
	s.waiting = nil
	return list
}
