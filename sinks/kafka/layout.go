package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// A topic is where messages may go, or why they may not.
type topic struct {
	partitions []partition
	numbers    []int // 0, 1, … as many as there are partitions
	err        error
}

// layout gives the topics of cfg, creating those that are missing if configured.
// kafka-go keeps it for some seconds, so it may be asked for before each batch.
func (s *session) layout(ctx context.Context, cfg Config) (map[string]topic, error) {
	// The first call waits for the connection, then for the answer.
	ctx, cancel := context.WithTimeout(ctx, 2*cfg.Timeout)
	defer cancel()
	topics, err := s.topics(ctx, cfg.Topics.all())
	if err != nil || !cfg.CreateTopics {
		return topics, err
	}
	var missing []string
	for _, name := range cfg.Topics.all() {
		if errors.Is(topics[name].err, kafka.UnknownTopicOrPartition) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return topics, nil
	}
	if err := s.create(ctx, cfg, missing); err != nil {
		return nil, err
	}
	return s.topics(ctx, cfg.Topics.all())
}

// topics asks for topics by name.
func (s *session) topics(ctx context.Context, names []string) (map[string]topic, error) {
	res, err := s.client.Metadata(ctx, &kafka.MetadataRequest{Topics: names})
	if err != nil {
		return nil, bare(err)
	}
	topics := map[string]topic{}
	for i := range res.Topics {
		topics[res.Topics[i].Name] = newTopic(&res.Topics[i])
	}
	for _, name := range names {
		if _, ok := topics[name]; !ok {
			topics[name] = topic{err: fmt.Errorf("topic %s: %w", name, withCode(kafka.UnknownTopicOrPartition))}
		}
	}
	return topics, nil
}

func newTopic(t *kafka.Topic) topic {
	switch {
	case t.Error != nil:
		return topic{err: fmt.Errorf("topic %s: %w", t.Name, withCode(t.Error))}
	case len(t.Partitions) == 0:
		return topic{err: fmt.Errorf("topic %s: %w", t.Name, withCode(kafka.LeaderNotAvailable))}
	}
	var list topic
	for i, p := range t.Partitions {
		list.partitions = append(list.partitions, partition{t.Name, p.ID, p.Leader})
		list.numbers = append(list.numbers, i)
	}
	return list
}

// create creates topics. One that somebody else has just created is fine.
func (s *session) create(ctx context.Context, cfg Config, names []string) error {
	req := &kafka.CreateTopicsRequest{}
	for _, name := range names {
		req.Topics = append(req.Topics, kafka.TopicConfig{
			Topic:             name,
			NumPartitions:     orDefault(cfg.Partitions),
			ReplicationFactor: orDefault(cfg.Replication),
			ConfigEntries:     []kafka.ConfigEntry{{ConfigName: "cleanup.policy", ConfigValue: "delete"}},
		})
	}
	res, err := s.client.CreateTopics(ctx, req)
	if err != nil {
		return fmt.Errorf("create topics: %w", bare(err))
	}
	for name, err := range res.Errors {
		if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", name, withCode(err))
		}
	}
	return nil
}

// orDefault gives what the protocol has for the cluster's default.
func orDefault(n int) int {
	if n == 0 {
		return -1
	}
	return n
}
