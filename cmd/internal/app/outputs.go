package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/console"
	"github.com/flowsnitch/flowsnitch/sinks/journal"
	"github.com/flowsnitch/flowsnitch/sinks/jsonlog"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
	"github.com/flowsnitch/flowsnitch/sinks/webhook"
	"go.uber.org/zap"
)

// outputs are the journal and all sinks, each at its own place in it.
type outputs struct {
	cfg   *configs.Config
	opts  *Options
	since func() time.Time // when the instance started

	journal *journal.Journal
	found   journal.OpenReport // when the journal was opened
	runners []*sinks.Runner
	opened  []sinks.Sink // of the runners, in their order
	logs    []*jsonlog.Log
	date    func() time.Time                       // that can be trusted
	stamps  []func(*event.Event)                   // see deliver; in the order of the list, set before Start
	handled func(context.Context, netip.Addr) bool // see webhook.Config; set before Start
	trouble atomic.Bool                            // the journal does not take events to the disk
	told    map[string]lastLogged                  // by sink; only for tell
	watch   *canary.Watch
	recent  recentList
	latest  latestList
	log     *zap.Logger
}

func newOutputs(cfg *configs.Config, opts *Options, since, date func() time.Time, watch *canary.Watch, b *background, log *zap.Logger) *outputs {
	o := &outputs{cfg: cfg, opts: opts, since: since, told: make(map[string]lastLogged), date: date, watch: watch, log: log}
	b.every("the log of sinks", often, func(time.Time) { o.tell() })
	return o
}

// Register shows and judges the journal and the sinks. On loopback everybody on the host may
// ask the web server: the last events are for the control socket.
func (o *outputs) Register(c *observe.Component) {
	recent, latest := observe.Silent("recent", o.recent.events), observe.Silent("latest", o.latest.list)
	recent.Plain, latest.Plain = true, true
	recent.Private, latest.Private = true, true
	c.Add(observe.Printed("sinks", o.status, printSinks), observe.Printed("journal", o.journalStatus, printJournal), recent, latest,
		sinkCheck(o.status), spoolCheck(o.journalStatus, o.since))
}

// Start opens the journal and the sinks.
func (o *outputs) Start() error {
	jc := o.cfg.Journal
	jc.Date = o.date
	j, report, err := journal.Open(jc)
	if err != nil {
		return err
	}
	if report.Damaged() {
		o.log.Warn("the journal was damaged; the rest of it is used", zap.Stringer("found", report))
	}
	o.journal, o.found = j, report
	j.Start()
	for _, c := range o.cfg.Sinks {
		if err := o.add(c); err != nil {
			ctx, cancel := context.WithTimeout(context.Background(), sinkTime+sinkGrace)
			defer cancel()
			return errors.Join(err, o.Stop(ctx))
		}
	}
	return nil
}

// add opens a sink and lets it follow the journal.
func (o *outputs) add(c configs.Sink) error {
	s, err := o.open(c)
	if err != nil {
		return err
	}
	r, err := sinks.NewRunner(o.journal, s, *c.Delivery)
	if err != nil {
		return errors.Join(err, s.Close(context.Background()))
	}
	if _, proves := s.(sinks.Prober); proves || c.Delivery.Filter.Passes(event.KindCanary) {
		o.watch.Sink(r.Name())
		r.OnCanary(func(c event.Canary, at time.Time) { o.watch.Delivered(r.Name(), c, at) })
	}
	o.told[r.Name()] = lastLogged{failed: r.Stats().Failed} // of earlier runs
	r.Start()
	o.runners, o.opened = append(o.runners, r), append(o.opened, s)
	return nil
}

func (o *outputs) open(c configs.Sink) (sinks.Sink, error) {
	if c.Console != nil {
		colour := o.opts.Colour
		switch c.Console.Colour {
		case "always":
			colour = true
		case "never":
			colour = false
		}
		return console.New(o.opts.Out, colour), nil
	}
	if c.Webhook != nil {
		to := *c.Webhook
		to.StateDir = o.cfg.StateDir // and no Page from web.address: the web server has no page of an incident yet
		to.Handled = o.handled
		return webhook.New(to)
	}
	if c.Kafka != nil {
		to := *c.Kafka
		to.Date = o.date
		return kafka.New(to)
	}
	if c.Syslog != nil {
		to := *c.Syslog
		to.Release = o.opts.Version
		return syslog.New(to)
	}
	hits := *c.JSONLog
	hits.Date = o.date
	if err := linked(o.cfg.StateDir, hits.Path); err != nil {
		return nil, err
	}
	l, err := jsonlog.New(hits)
	if err != nil {
		return nil, err
	}
	if err := l.Open(); err != nil {
		_ = l.Close(context.Background()) // it may hold the lock
		return nil, hitLogError(err)
	}
	if l.Stats().Torn > 0 {
		o.log.Warn("the hit log ended in half a line, which is left as it is; the next one begins anew", zap.String("file", hits.Path))
	}
	o.logs = append(o.logs, l)
	return l, nil
}

// hitLogError names the file that makes trouble, once.
func hitLogError(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("hit log %s: %w", pe.Path, pe.Err)
	}
	return fmt.Errorf("hit log %w", err) // begins with the path
}

// publish gives events to the journal. When the disk fails they are in memory only,
// which is logged when it begins and when it ends.
func (o *outputs) publish(events []event.Event) { _ = o.deliver(events) }

// deliver is publish for those that must know whether a crash would lose the events. Here
// they come into existence, and get what is known of their addresses and what the operator
// has silenced: each stamp is called for each event, by any goroutine that has some.
func (o *outputs) deliver(events []event.Event) error {
	for i := range events {
		for _, stamp := range o.stamps {
			stamp(&events[i])
		}
	}
	err := o.journal.Append(events)
	o.watch.Journaled(events)
	o.recent.add(events)
	o.latest.add(events)
	switch {
	case err != nil && o.trouble.CompareAndSwap(false, true):
		o.log.Error("the journal does not take events to the disk; a crash would lose them now", zap.Error(err))
	case err == nil && o.trouble.CompareAndSwap(true, false):
		o.log.Info("the journal takes events to the disk again")
	}
	return err
}

// secure is deliver for those that note elsewhere what they have published: a power cut must not
// take the events and leave the note.
func (o *outputs) secure(events []event.Event) error {
	if err := o.deliver(events); err != nil {
		return err
	}
	return o.journal.Sync()
}

// lastLogged is what the log has about a sink.
type lastLogged struct {
	failing bool
	failed  uint64 // events
}

// tell logs when a sink begins to fail, when it works again, and what it has given up,
// once each. Only the app's chores call it.
func (o *outputs) tell() {
	for _, r := range o.runners {
		s, name := r.Stats(), r.Name()
		now, before := lastLogged{s.Failing > 0, s.Failed}, o.told[name]
		o.told[name] = now
		switch {
		case now.failing && !before.failing:
			o.log.Error("a sink cannot deliver; its events wait in the journal", zap.String("sink", name), zap.String("error", s.LastError))
		case !now.failing && before.failing:
			o.log.Info("a sink delivers again", zap.String("sink", name), zap.Uint64("waiting", s.Pending))
		}
		if now.failed > before.failed {
			o.log.Error("a sink has given up events that it can never deliver", zap.String("sink", name),
				zap.Uint64("events", now.failed-before.failed), zap.String("error", s.LastError))
		}
	}
}

// Reopen opens the hit logs anew, for logrotate.
func (o *outputs) Reopen() {
	for _, l := range o.logs {
		if err := l.Reopen(); err != nil {
			o.log.Error("cannot open anew: " + hitLogError(err).Error())
		}
	}
}

// closeTime is what the journal has to write and close.
const closeTime = time.Second

// Stop sends what waits, for a time, closes the sinks and then the journal. What a sink
// has not had stays there for the next start. Sinks end side by side: one that hangs takes
// no time from the others.
func (o *outputs) Stop(ctx context.Context) error {
	within := sinkTime
	if end, ok := ctx.Deadline(); ok {
		within = min(within, max(time.Until(end)-sinkGrace, leastStep))
	}
	send, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	errs := make([]error, len(o.runners)+1)
	var ends sync.WaitGroup
	for i, r := range o.runners {
		ends.Go(func() { errs[i] = r.Stop(send) })
	}
	ends.Wait()
	last, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	errs[len(o.runners)] = o.journal.Stop(last)
	return errors.Join(errs...)
}
