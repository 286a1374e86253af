package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// A codeError is what a broker has answered, in words that help.
type codeError struct {
	code kafka.Error
	text string // of the broker, may be empty
}

// Error gives advice, the code's name and the broker's own message.
func (e *codeError) Error() string {
	s := cmp.Or(codes[e.code], e.code.Description()) + " (" + cmp.Or(e.code.Title(), strconv.Itoa(int(e.code)))
	if e.text != "" {
		s += ": " + e.text
	}
	return s + ")"
}

// Unwrap gives the code.
func (e *codeError) Unwrap() error { return e.code }

// withCode makes a codeError of an error in which kafka-go wraps a code. Others it
// gives back.
func withCode(err error) error {
	code, ok := errors.AsType[kafka.Error](err)
	if !ok {
		return err
	}
	_, text, _ := strings.Cut(err.Error(), code.Error()+": ")
	return &codeError{code, text}
}

// bare takes the name of its own function off an error of kafka-go.
func bare(err error) error {
	if inner := errors.Unwrap(err); inner != nil && strings.HasPrefix(err.Error(), "kafka.(*Client)") {
		return inner
	}
	return err
}

// explain describes what went wrong on the way to the brokers and what can be
// done about it. The original error stays within. s may be nil.
func explain(cfg Config, s *session, err error) error {
	where := strings.Join(cfg.Brokers, ", ")
	if _, ok := errors.AsType[*codeError](err); ok {
		return fmt.Errorf("%s: %w", where, err) // it has advice
	}
	if _, ok := errors.AsType[kafka.Error](err); ok { // of connecting: no codeError was made of it
		return fmt.Errorf("%s: %w", where, withCode(err))
	}
	if hungUp(err) && s != nil && s.authenticating.Load() > 0 {
		return fmt.Errorf("%s: the broker closed the connection during authentication, is the password of user %s right?: %w", where, cfg.SASL.User, err)
	}
	if d, ok := errors.AsType[*dialError](err); !ok {
		err = fmt.Errorf("%s: %w", where, err)
	} else if !slices.Contains(cfg.Brokers, d.address) {
		err = fmt.Errorf("%w (an address that the brokers give for themselves, see advertised.listeners)", err)
	}
	if advice := advice(err); advice != "" {
		return fmt.Errorf("%s: %w", advice, err)
	}
	return err
}

// hungUp reports whether the other side closed the connection.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}

// advice is what may be done about an error without a code; empty = nobody knows.
func advice(err error) string {
	if text := tlsfiles.Advice("broker", err); text != "" {
		return text
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time, is the broker up, is there a firewall, does tls.enabled match the port?"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "broker not found, check its name"
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "stopped"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "broker not reachable"
	case errors.Is(err, protocol.ErrNoLeader):
		return "the partition has no leader now"
	case hungUp(err):
		return "the broker closed the connection, does the port require tls.enabled or sasl?"
	}
	return ""
}

// codes is the advice for what brokers answer.
var codes = map[kafka.Error]string{
	kafka.UnknownTopicOrPartition:    "unknown there, create it or set create_topics",
	kafka.InvalidTopic:               "topic name not allowed there",
	kafka.TopicAuthorizationFailed:   "not authorised, the user needs Write and Describe on the topic",
	kafka.ClusterAuthorizationFailed: "not authorised, the user needs Create on the topics or the cluster",
	kafka.SASLAuthenticationFailed:   "authentication failed, check sasl.user and the password",
	kafka.UnsupportedSASLMechanism:   "the broker does not offer this sasl.mechanism",
	kafka.IllegalSASLState:           "the broker's port expects no SASL, or another kind",
	kafka.MessageSizeTooLarge:        "larger than max.message.bytes of the topic allows",
	kafka.RecordListTooLarge:         "larger than a segment of the topic",
	kafka.InvalidRecord:              "the topic does not take such a message",
	kafka.InvalidTimestamp:           "clocks of this sensor and the broker are too far apart",
	kafka.InvalidReplicationFactor:   "not so many brokers, lower replication",
	kafka.InvalidPartitionNumber:     "number of partitions not allowed there",
	kafka.PolicyViolation:            "the cluster's policy forbids it",
	kafka.NotEnoughReplicas:          "too few replicas in sync (min.insync.replicas)",
	kafka.UnsupportedCompressionType: "the broker is too old for this compression",
	kafka.UnsupportedForMessageFormat: "the topic's message format is too old, " +
		"brokers from 0.11 on are needed",
	kafka.LeaderNotAvailable:      "the partition has no leader now",
	kafka.NotLeaderForPartition:   "the partition's leader has changed",
	kafka.RequestTimedOut:         "the replicas did not acknowledge in time",
	kafka.ThrottlingQuotaExceeded: "the cluster's quota is used up",
}
