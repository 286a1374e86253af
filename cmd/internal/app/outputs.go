package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/jsonlog"
	"github.com/flowsnitch/flowsnitch/sinks/webhook"
	"go.uber.org/zap"
)

// outputs are all sinks, each behind a queue of its own.
type outputs struct {
	queues []*sinks.Queue
	logs   []*jsonlog.Log
}

// openOutputs opens the sinks; on an error those that were opened are closed.
func openOutputs(cfg []configs.Sink, opts Options, log *zap.Logger) (*outputs, error) {
	o := &outputs{}
	for _, c := range cfg {
		s, err := o.open(c, opts)
		if err != nil {
			o.stop(context.Background())
			return nil, err
		}
		q := sinks.NewQueue(s, *c.Queue)
		q.Start()
		o.queues = append(o.queues, q)
		log.Debug("sink opened", zap.String("sink", s.Name()))
	}
	return o, nil
}

func (o *outputs) open(c configs.Sink, opts Options) (sinks.Sink, error) {
	if c.Console != nil {
		colour := opts.Colour
		switch c.Console.Colour {
		case "always":
			colour = true
		case "never":
			colour = false
		}
		return sinks.NewConsole(opts.Out, colour), nil
	}
	if c.Webhook != nil {
		return webhook.New(*c.Webhook)
	}
	l, err := jsonlog.New(*c.JSONLog)
	if err != nil {
		return nil, err
	}
	if err := l.Open(); err != nil {
		_ = l.Close(context.Background()) // it may hold the lock
		return nil, hitLogError(err)
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

// publish hands events to every sink; it never waits.
func (o *outputs) publish(events []intel.Event) {
	for _, q := range o.queues {
		q.Offer(events)
	}
}

// reopen opens the hit logs anew, for logrotate.
func (o *outputs) reopen(log *zap.Logger) {
	for _, l := range o.logs {
		if err := l.Reopen(); err != nil {
			log.Error("cannot open anew: " + hitLogError(err).Error())
		}
	}
}

// stop sends what waits, as far as the time allows, and closes the sinks.
func (o *outputs) stop(ctx context.Context) error {
	var errs []error
	for _, q := range o.queues {
		if err := q.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", q.Name(), err))
		}
	}
	return errors.Join(errs...)
}
