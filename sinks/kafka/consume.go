package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	fetchWait  = 500 * time.Millisecond // how long a broker waits for messages
	fetchBytes = 4 << 20                // of one answer
	retryMin   = 250 * time.Millisecond // pause after a failure, doubled up to
	retryMax   = 10 * time.Second
)

// ConsumeConfig is what to read.
type ConsumeConfig struct {
	// Config has the brokers and how to reach them.
	Config Config
	// Topics to read; default: those of Config.
	Topics []string
	// From is where to begin.
	From From
	// Report is notified of failures after which reading goes on; nil = nobody.
	Report func(error)
}

// A Header is a header of a message.
type Header = kafka.Header

// A Message is one message of a topic. Its bytes belong to the receiver.
type Message struct {
	Topic     string
	Partition int
	Offset    int64     // in the partition
	Time      time.Time // as stored by the broker: of the event, or of its arrival
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Consume calls fn for each message until ctx is done, which is no error, or fn
// returns an error, which it returns. Calls do not overlap. The messages of one
// partition come in order; what fn is given is its own.
//
// It belongs to no group and commits nothing: any number of readers may watch. A
// failure before the first contact with the topics is returned; after later ones it
// goes on where it was. Partitions that are added are found after the next failure.
func Consume(ctx context.Context, cfg ConsumeConfig, fn func(*Message) error) error {
	if err := cfg.Config.Validate(); err != nil {
		return err
	}
	if len(cfg.Topics) == 0 {
		cfg.Topics = cfg.Config.Topics.all()
	}
	for _, name := range cfg.Topics {
		if err := validTopic("topic", name); err != nil {
			return err
		}
	}
	slices.Sort(cfg.Topics)
	cfg.Topics = slices.Compact(cfg.Topics)
	r := &reader{cfg: cfg, fn: fn, next: map[place]int64{}}
	return r.run(ctx)
}

// A place is a partition of a topic.
type place struct {
	topic     string
	partition int
}

// A reader is one run of Consume.
type reader struct {
	cfg ConsumeConfig

	mu      sync.Mutex
	fn      func(*Message) error
	next    map[place]int64 // offsets to read next; complete once found is true
	found   bool
	stopped error // what fn returned
}

// run reads, with a new session after each failure.
func (r *reader) run(ctx context.Context) error {
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		err := r.session(ctx)
		switch {
		case r.stopped != nil:
			return r.stopped
		case ctx.Err() != nil:
			return nil
		case !r.found:
			return err
		}
		if r.cfg.Report != nil {
			r.cfg.Report(err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// session reads until something fails.
func (r *reader) session(ctx context.Context) error {
	s := newSession(r.cfg.Config, r.cfg.Topics)
	defer s.close()
	places, err := r.locate(ctx, s)
	if err != nil {
		return fmt.Errorf("kafka: %w", explain(r.cfg.Config, s, err))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var readers sync.WaitGroup
	for _, p := range places {
		readers.Go(func() { cancel(r.read(ctx, s, p)) })
	}
	readers.Wait()
	return fmt.Errorf("kafka: %w", explain(r.cfg.Config, s, context.Cause(ctx)))
}

// locate finds the partitions and where to begin in those that are new.
func (r *reader) locate(ctx context.Context, s *session) ([]place, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*r.cfg.Config.Timeout)
	defer cancel()
	topics, err := s.topics(ctx, r.cfg.Topics)
	if err != nil {
		return nil, err
	}
	var places []place
	for name, t := range topics {
		if t.err != nil {
			return nil, t.err
		}
		for _, p := range t.partitions {
			places = append(places, place{name, p.id})
		}
	}
	for _, p := range places {
		if _, known := r.next[p]; known {
			continue
		}
		// A partition that is added later is read from its beginning: nobody can have
		// seen anything of it.
		from := r.cfg.From
		if r.found {
			from = From{First: true}
		}
		if r.next[p], err = s.begin(ctx, p, from); err != nil {
			return nil, err
		}
	}
	r.found = true
	return places, nil
}

// read reads one partition until something fails.
func (r *reader) read(ctx context.Context, s *session, p place) error {
	r.mu.Lock()
	next := r.next[p]
	r.mu.Unlock()
	for {
		records, err := s.fetch(ctx, p, next)
		if errors.Is(err, kafka.OffsetOutOfRange) { // deleted by age or size meanwhile
			next, err = s.begin(ctx, p, From{First: true})
		}
		if err != nil {
			return err
		}
		if next, err = r.deliver(p, next, records); err != nil {
			return err
		}
	}
}

func (s *session) fetch(ctx context.Context, p place, offset int64) (kafka.RecordReader, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout+fetchWait)
	defer cancel()
	res, err := s.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: p.topic, Partition: p.partition, Offset: offset,
		MinBytes: 1, MaxBytes: fetchBytes, MaxWait: fetchWait,
	})
	if err != nil {
		return nil, bare(err)
	}
	if res.Error != nil {
		return nil, fmt.Errorf("topic %s: %w", p.topic, withCode(res.Error))
	}
	return res.Records, nil
}

// deliver gives records to fn and returns the offset that follows them.
func (r *reader) deliver(p place, next int64, records kafka.RecordReader) (int64, error) {
	if records == nil {
		return next, nil
	}
	for {
		record, err := records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return next, nil
		}
		if err != nil {
			return next, err
		}
		if record.Offset < next {
			continue // batches come whole
		}
		if err := r.call(p, record); err != nil {
			return next, err
		}
		next = record.Offset + 1
	}
}

// call hands one record to fn.
func (r *reader) call(p place, record *kafka.Record) error {
	key, err := kafka.ReadAll(record.Key)
	if err != nil {
		return err
	}
	value, err := kafka.ReadAll(record.Value)
	if err != nil {
		return err
	}
	m := &Message{
		Topic: p.topic, Partition: p.partition, Offset: record.Offset, Time: record.Time,
		Key: key, Value: value, Headers: record.Headers,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped != nil {
		return r.stopped
	}
	if r.stopped = r.fn(m); r.stopped != nil {
		return r.stopped
	}
	r.next[p] = record.Offset + 1
	return nil
}
