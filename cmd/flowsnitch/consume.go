package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/spf13/cobra"
)

// consumeFlags are the flags of 'consume'.
type consumeFlags struct {
	brokers, topics []string
	from            string
	meta            bool
	count           int
}

// newConsume makes the command that reads what was published to Kafka.
func newConsume() *cobra.Command {
	var file string
	var f consumeFlags
	c := &cobra.Command{
		Use:   "consume [-c FILE] [--brokers HOST:PORT,...] [--topic NAME]... [--from WHERE] [--meta] [--count N]",
		Short: "Print the events in Kafka as a consumer gets them",
		Long: `consume prints the events of a Kafka topic, one a line, until it is interrupted: what
comes from now on, or with --from also what is there. Brokers, TLS, password and the
topic of the hits are those of the first Kafka sink of the configuration. It joins no
group and commits nothing, so it takes nothing away from other consumers. After a
failure it goes on where it was. --from is one of:

  last                  what comes from now on (the default)
  first                 all that is kept
  -N                    the latest N messages of each partition, and what comes
  N                     from this offset on in each partition
  2026-11-20T23:00:00Z  from this time on
  1h                    from so long ago on`,
		Example: `  flowsnitch consume -c /etc/flowsnitch/flowsnitch.yml | jq .flowsnitch.offender
  flowsnitch consume --brokers kafka1:9092 --topic flowsnitch.alerts --from first --count 10
  flowsnitch consume -c flowsnitch.yml --from 1h --meta | cut -f 1-4`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := kafkaConfig(c, file, f.brokers)
			if err != nil {
				return err
			}
			if len(f.topics) == 0 {
				f.topics = []string{cfg.Topics.Hits}
			}
			return consume(c, cfg, &f)
		},
	}
	locateFlag(c, &file)
	c.Flags().StringSliceVar(&f.brokers, "brokers", nil, "`brokers` instead of those of the configuration")
	c.Flags().StringArrayVar(&f.topics, "topic", nil, "`name` of a topic (repeatable); default: that of the hits")
	c.Flags().StringVar(&f.from, "from", "last", "`where` to begin: first, last, an offset, -N, a time or a duration")
	c.Flags().BoolVar(&f.meta, "meta", false, "print topic, partition, offset, key and headers before each event, separated by tabs")
	c.Flags().IntVar(&f.count, "count", 0, "end after so many `events`; 0 = never")
	return c
}

// kafkaConfig gives the first Kafka sink of the configuration, with these brokers if there
// are any.
func kafkaConfig(c *cobra.Command, file string, brokers []string) (kafka.Config, error) {
	cfg, from, err := locate(c, file)
	if err == nil && len(brokers) == 0 {
		cfg, from, err = runningConfig(c.Context(), c, cfg, from)
	}
	if err != nil {
		return kafka.Config{}, err
	}
	k := kafka.DefaultConfig()
	if sink := firstKafka(&cfg); sink != nil {
		k = *sink
	} else if len(brokers) == 0 {
		return k, wrongUse(c, "no Kafka sink in %s; name another with -c, or brokers with --brokers", &from)
	}
	if len(brokers) > 0 {
		k.Brokers = brokers
	}
	if err := k.Validate(); err != nil {
		return k, usageError{err}
	}
	return k, nil
}

func firstKafka(cfg *configs.Config) *kafka.Config {
	for _, s := range cfg.Sinks {
		if s.Kafka != nil {
			return s.Kafka
		}
	}
	return nil
}

// errEnough ends the reading.
var errEnough = errors.New("enough")

func consume(c *cobra.Command, cfg kafka.Config, f *consumeFlags) error {
	from, err := kafka.ParseFrom(f.from, time.Now())
	if err != nil {
		return wrongUse(c, "--from: %w", err)
	}
	if f.count < 0 {
		return wrongUse(c, "--count: %d is not valid; use 1 or more, or 0 for no end", f.count)
	}
	out := bufio.NewWriter(c.OutOrStdout())
	shown := terminalOf(c.OutOrStdout()) != nil
	n := 0
	err = kafka.Consume(c.Context(), kafka.ConsumeConfig{
		Config: cfg, Topics: f.topics, From: from,
		Report: func(err error) { fmt.Fprintf(c.ErrOrStderr(), "%v; reading goes on\n", err) },
	}, func(m *kafka.Message) error {
		if f.meta {
			printMeta(out, m)
		}
		if shown { // others may publish here, too
			m.Value = []byte(show.Printable(string(m.Value)))
		}
		_, _ = out.Write(m.Value)
		_ = out.WriteByte('\n')
		n++
		if err := out.Flush(); err != nil {
			return err // whoever reads has had enough
		}
		if f.count > 0 && n >= f.count {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// printMeta prints what comes with an event. Kafka takes any bytes, so they are made safe
// for a terminal.
func printMeta(w io.Writer, m *kafka.Message) {
	var all []string
	for _, h := range m.Headers {
		all = append(all, h.Key+"="+string(h.Value))
	}
	fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t", m.Topic, m.Partition, m.Offset, show.Printable(string(m.Key)), show.Printable(strings.Join(all, " ")))
}
