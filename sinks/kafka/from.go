package kafka

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

// From is where reading begins in each partition. The zero value is behind what is
// there: only what comes is read. Of the fields the first that is set holds.
type From struct {
	First  bool      // with the oldest message that is kept
	Time   time.Time // with the first message of this time or later
	Offset int64     // with this offset, or, if it is below 0, with the last -Offset messages
}

// ParseFrom reads first, last, an offset, a number below 0 for so many of the latest
// messages, a time as in RFC 3339, or a duration before now.
func ParseFrom(text string, now time.Time) (From, error) {
	switch text {
	case "first", "0":
		return From{First: true}, nil
	case "last", "-0":
		return From{}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return From{Offset: n}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return From{Time: t}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return From{Time: now.Add(-d)}, nil
	}
	return From{}, fmt.Errorf("%q is not first, last, an offset, -N for the latest N messages of each partition, "+
		"a time as in 2026-11-20T23:00:00Z or a duration as in 1h", text)
}

// begin gives the offset to begin with in a partition. What lies outside of what is
// kept is moved to its nearest end.
func (s *session) begin(ctx context.Context, p place, from From) (int64, error) {
	if from.First || !from.Time.IsZero() && from.Time.UnixMilli() < 0 { // protocol: below 0 is no time
		return s.offset(ctx, kafka.FirstOffsetOf(p.partition), p)
	}
	end, err := s.offset(ctx, kafka.LastOffsetOf(p.partition), p)
	if err != nil || from == (From{}) {
		return end, err
	}
	if !from.Time.IsZero() {
		at, err := s.offset(ctx, kafka.TimeOffsetOf(p.partition, from.Time), p)
		if at < 0 { // no message is so young
			return end, err
		}
		return at, err
	}
	first, err := s.offset(ctx, kafka.FirstOffsetOf(p.partition), p)
	at := from.Offset
	if at < 0 {
		at += end
	}
	return min(max(at, first), end), err
}

// offset asks for one offset of a partition; -1 means that no message is so young.
func (s *session) offset(ctx context.Context, which kafka.OffsetRequest, p place) (int64, error) {
	res, err := s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{p.topic: {which}}})
	if err != nil {
		return 0, bare(err)
	}
	for _, o := range res.Topics[p.topic] {
		switch {
		case o.Partition != p.partition:
			continue
		case o.Error != nil:
			return 0, fmt.Errorf("topic %s: %w", p.topic, withCode(o.Error))
		case which.Timestamp == kafka.FirstOffset:
			return o.FirstOffset, nil
		case which.Timestamp == kafka.LastOffset:
			return o.LastOffset, nil
		}
		for at := range o.Offsets {
			return at, nil
		}
	}
	return 0, fmt.Errorf("topic %s: the broker returns no offset for partition %d", p.topic, p.partition)
}
