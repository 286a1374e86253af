package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
)

// A lane is what goes to one partition, in order. One batch of it at a time is under
// way, and it ends at its first failure.
type lane struct {
	partition
	batches [][]*message
	room    int // in the last batch, in bytes
	err     error
}

// A partition is the place of messages and who has it.
type partition struct {
	topic  string
	id     int
	leader kafka.Broker
}

// publish delivers messages and notes in each what became of it. The error is the
// first reason why some are still waiting.
func (p *Producer) publish(ctx context.Context, messages []message) error {
	if prefix(messages) == len(messages) {
		return ctx.Err()
	}
	if p.session == nil {
		p.session = newSession(p.cfg, p.cfg.Topics.all())
	}
	lanes, err := p.lanes(ctx, messages)
	for open := lanes; len(open) > 0; open = unfinished(lanes) {
		p.round(ctx, open)
	}
	for _, l := range lanes {
		if err == nil {
			err = l.err
		}
	}
	return err
}

// lanes sorts messages by partition. Those of a topic that cannot be written to are
// left out; the error is about them.
func (p *Producer) lanes(ctx context.Context, messages []message) ([]*lane, error) {
	topics, err := p.session.layout(ctx, p.cfg)
	if err != nil {
		return nil, err
	}
	var list []*lane
	byPlace := map[string][]*lane{}
	balancer := kafka.Murmur2Balancer{Consistent: true}
	for i := range messages {
		m := &messages[i]
		if m.state.done() {
			continue
		}
		t := topics[m.topic]
		if t.err != nil {
			err = t.err
			continue
		}
		lanes := byPlace[m.topic]
		if lanes == nil {
			lanes = make([]*lane, len(t.partitions))
			byPlace[m.topic] = lanes
		}
		n := balancer.Balance(kafka.Message{Key: m.key}, t.numbers...)
		if lanes[n] == nil {
			lanes[n] = &lane{partition: t.partitions[n]}
			list = append(list, lanes[n])
		}
		lanes[n].add(m, p.cfg.BatchBytes)
	}
	return list, err
}

// add puts a message at the end, into the last batch if that has room.
func (l *lane) add(m *message, limit int) {
	if l.room < m.size() {
		l.batches = append(l.batches, nil)
		l.room = limit
	}
	last := len(l.batches) - 1
	l.batches[last] = append(l.batches[last], m)
	l.room -= m.size()
}

func unfinished(lanes []*lane) []*lane {
	var open []*lane
	for _, l := range lanes {
		if l.err == nil && len(l.batches) > 0 {
			open = append(open, l)
		}
	}
	return open
}

// round sends the first batch of each lane, one request to each leader, all at the
// same time.
func (p *Producer) round(ctx context.Context, lanes []*lane) {
	byLeader := map[kafka.Broker][]*lane{}
	for _, l := range lanes {
		byLeader[l.leader] = append(byLeader[l.leader], l)
	}
	var requests sync.WaitGroup
	for _, list := range byLeader {
		p.countRequest()
		requests.Go(func() {
			res, err := p.session.produce(ctx, list)
			for _, l := range list {
				l.settle(res, err)
			}
		})
	}
	requests.Wait()
}

// produce sends the first batch of each lane to their common leader. Without
// acknowledgements the response is nil.
func (s *session) produce(ctx context.Context, lanes []*lane) (*produce.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req := &produce.Request{
		Acks: int16(acks[s.cfg.Acks]),
		// The broker gives up waiting for replicas a little before we do, so that it
		// is heard saying so.
		Timeout: int32(s.cfg.Timeout * 3 / 4 / time.Millisecond),
	}
	for _, l := range lanes {
		req.Topics = append(req.Topics, l.request(compressions[s.cfg.Compression]))
	}
	m, err := s.transport.RoundTrip(ctx, s.client.Addr, req)
	if err != nil || m == nil {
		return nil, err
	}
	res, ok := m.(*produce.Response)
	if !ok {
		return nil, fmt.Errorf("unexpected response %T to a produce request", m)
	}
	return res, nil
}

// request gives the first batch. A topic may occur several times in a request.
func (l *lane) request(compression kafka.Compression) produce.RequestTopic {
	records := make([]kafka.Record, len(l.batches[0]))
	for i, m := range l.batches[0] {
		records[i] = m.record()
	}
	set := protocol.RecordSet{
		Attributes: protocol.Attributes(compression) & 0x7,
		Records:    kafka.NewRecordReader(records...),
	}
	return produce.RequestTopic{
		Topic:      l.topic,
		Partitions: []produce.RequestPartition{{Partition: int32(l.id), RecordSet: set}},
	}
}

// settle notes what became of the first batch.
func (l *lane) settle(res *produce.Response, err error) {
	if err == nil {
		err = l.verdict(res)
	}
	batch := l.batches[0]
	switch {
	case err == nil:
		for _, m := range batch {
			m.state = delivered
		}
		l.batches = l.batches[1:]
	case !unacceptable(err):
		l.err = fmt.Errorf("topic %s: %w", l.topic, err)
	case len(batch) > 1: // one of them, or all together: ask for each half
		half := len(batch) / 2
		l.batches = append([][]*message{batch[:half], batch[half:]}, l.batches[1:]...)
	default:
		m := batch[0]
		m.state, m.err = refused, fmt.Errorf("topic %s: event %v of %d bytes: %w", l.topic, m.id, m.size()-overhead, err)
		l.batches = l.batches[1:]
	}
}

// verdict gives the broker's answer for this partition.
func (l *lane) verdict(res *produce.Response) error {
	if res == nil {
		return nil // nobody asked for acknowledgements
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if t.Topic == l.topic && int(p.Partition) == l.id {
				if p.ErrorCode != 0 {
					return &codeError{kafka.Error(p.ErrorCode), p.ErrorMessage}
				}
				return nil
			}
		}
	}
	return errors.New("the broker's answer leaves this partition out")
}

// unacceptable reports whether a broker will never take what it was sent.
func unacceptable(err error) bool {
	return errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge) ||
		errors.Is(err, kafka.InvalidRecord)
}
