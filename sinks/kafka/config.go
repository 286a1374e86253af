package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/segmentio/kafka-go"
)

// The values of Config.Acks.
const (
	AcksAll  = "all"  // every replica in sync has it
	AcksOne  = "one"  // the leader has it; lost if the leader dies at once
	AcksNone = "none" // no acknowledgement: losses are not noticed
)

// The values of SASL.Mechanism.
const (
	SASLPlain    = "plain"
	SASLSCRAM256 = "scram-sha-256"
	SASLSCRAM512 = "scram-sha-512"
)

// Config is where events are published and how.
type Config struct {
	// Name distinguishes this sink from others in status and errors; default: the first
	// broker.
	Name string `yaml:"name"`
	// Brokers are host:port of one or more brokers; they name the others.
	Brokers []string `yaml:"brokers"`
	// Topics are the names of the topics.
	Topics Topics `yaml:"topics"`
	// Format of the value: native, ecs or ocsf. Empty means native.
	Format string `yaml:"format"`
	// AlertIP is flow or indicator, see [form.Options]; for native. Empty means flow.
	AlertIP string `yaml:"alert_ip"`
	// CreateTopics creates topics that do not exist, with cleanup.policy=delete.
	CreateTopics bool `yaml:"create_topics"`
	// Partitions and Replication are for topics created; 0 = as the cluster's default
	// by default.
	Partitions  int `yaml:"partitions"`
	Replication int `yaml:"replication"`

	// Acks is all, one or none.
	Acks string `yaml:"acks"`
	// Compression is none, gzip, snappy, lz4 or zstd.
	Compression string `yaml:"compression"`
	// Linger is the least time between two small requests, at most 50 ms. The first
	// event after a pause goes at once; those that come meanwhile share the next.
	Linger time.Duration `yaml:"linger"`
	// BatchBytes is the largest batch for one partition in bytes, before compression.
	// It should not be above message.max.bytes of the brokers (1,048,588).
	BatchBytes int `yaml:"batch_bytes"`
	// Timeout bounds connecting and each request.
	Timeout time.Duration `yaml:"timeout"`
	// ClientID is what the brokers' logs and quotas call this sensor.
	ClientID string `yaml:"client_id"`

	TLS  TLS  `yaml:"tls"`
	SASL SASL `yaml:"sasl"`

	// Date gives the date that can be trusted, for the times of messages; nil = the wall
	// clock. A broker deletes by them, and refuses those far in the future.
	Date func() time.Time `yaml:"-" json:"-"`
}

// Topics are the topics by kind of event. Two may be the same.
type Topics struct {
	Hits   string `yaml:"hits"` // hit and update
	Alerts string `yaml:"alerts"`
	Canary string `yaml:"canary"`
}

// TLS is how connections are encrypted. Files are read for each new connection.
type TLS struct {
	Enabled bool `yaml:"enabled"`
	// CA is a file of certificates to trust instead of the system's.
	CA string `yaml:"ca"`
	// Cert and Key are files with our own certificate, where brokers want one.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ServerName is the name in the brokers' certificates, where it is not the one
	// they are reached by.
	ServerName string `yaml:"server_name"`
}

// SASL is how we authenticate. PLAIN sends the password as it is: use it with TLS.
type SASL struct {
	// Mechanism is plain, scram-sha-256 or scram-sha-512; empty = none.
	Mechanism string `yaml:"mechanism"`
	User      string `yaml:"user"`
	// Password, or the file that holds it, read at each authentication.
	Password     secret.Text `yaml:"password"`
	PasswordFile string      `yaml:"password_file"`
}

// DefaultConfig gives the defaults; Brokers has none.
func DefaultConfig() Config {
	return Config{
		Topics:      Topics{Hits: "flowsnitch.hits", Alerts: "flowsnitch.alerts", Canary: "flowsnitch.canary"},
		Format:      form.Native,
		AlertIP:     form.AlertFlow,
		Acks:        AcksAll,
		Compression: "none",
		Linger:      10 * time.Millisecond,
		BatchBytes:  1_000_000,
		Timeout:     10 * time.Second,
		ClientID:    "flowsnitch",
	}
}

var (
	acks         = map[string]kafka.RequiredAcks{AcksAll: kafka.RequireAll, AcksOne: kafka.RequireOne, AcksNone: kafka.RequireNone}
	compressions = map[string]kafka.Compression{
		"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
	}
)

// Validate reports which key is wrong and what is allowed. Files are not read.
func (c Config) Validate() error {
	_, form := c.form()
	return cmp.Or(c.validateBrokers(), c.Topics.validate(), form, c.validateSending(), c.TLS.validate(), c.SASL.validate())
}

// form gives the form of a value.
func (c Config) form() (form.Form, error) {
	name := cmp.Or(c.Format, form.Native)
	switch name {
	case form.Native, form.ECS, form.OCSF:
		return form.ByName(name, form.Options{AlertIP: c.AlertIP})
	}
	return form.Form{}, fmt.Errorf("format: %q is not valid; use native, ecs or ocsf", name)
}

func (c Config) validateBrokers() error {
	if len(c.Brokers) == 0 {
		return errors.New("brokers: required, host:port of at least one broker")
	}
	for i, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		if n, e := strconv.ParseUint(port, 10, 16); err != nil || host == "" || e != nil || n == 0 {
			return fmt.Errorf("brokers[%d]: %q is not valid; use host:port", i, b)
		}
	}
	return nil
}

func (c Config) validateSending() error {
	_, knownAcks := acks[c.Acks]
	_, knownCompression := compressions[c.Compression]
	switch {
	case c.Partitions < 0 || c.Partitions > 10_000:
		return fmt.Errorf("partitions: %d is not valid; use 1 to 10000, or 0 for the cluster's default", c.Partitions)
	case c.Replication < 0 || c.Replication > 100:
		return fmt.Errorf("replication: %d is not valid; use 1 to 100, or 0 for the cluster's default", c.Replication)
	case !knownAcks:
		return fmt.Errorf("acks: %q is not valid; use all, one or none", c.Acks)
	case !knownCompression:
		return fmt.Errorf("compression: %q is not valid; use none, gzip, snappy, lz4 or zstd", c.Compression)
	case c.Linger < 0 || c.Linger > 50*time.Millisecond:
		return fmt.Errorf("linger: %v is not valid; use 0 to 50ms", c.Linger)
	case c.BatchBytes < 1_000 || c.BatchBytes > 100_000_000:
		return fmt.Errorf("batch_bytes: %d is not valid; use 1000 to 100000000", c.BatchBytes)
	case c.Timeout < 100*time.Millisecond || c.Timeout > 5*time.Minute:
		return fmt.Errorf("timeout: %v is not valid; use 100ms to 5m", c.Timeout)
	}
	return nil
}

func (t Topics) validate() error {
	return cmp.Or(validTopic("topics.hits", t.Hits), validTopic("topics.alerts", t.Alerts), validTopic("topics.canary", t.Canary))
}

// validTopic checks a name as brokers do.
func validTopic(key, name string) error {
	legal := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
	}
	bad := slices.ContainsFunc([]rune(name), func(c rune) bool { return !legal(c) })
	if bad || name == "" || name == "." || name == ".." || len(name) > 249 {
		return fmt.Errorf("%s: %q is not valid; use 1 to 249 letters, digits, dots, underscores or hyphens", key, name)
	}
	return nil
}

// all gives the names, each once, in alphabetical order.
func (t Topics) all() []string {
	names := []string{t.Hits, t.Alerts, t.Canary}
	slices.Sort(names)
	return slices.Compact(names)
}

func (t TLS) validate() error {
	switch {
	case !t.Enabled && (t.CA != "" || t.Cert != "" || t.Key != "" || t.ServerName != ""):
		return errors.New("tls.enabled: must be true, or the other keys of tls mean nothing")
	case t.Cert != "" && t.Key == "":
		return errors.New("tls.key: is missing beside tls.cert")
	case t.Cert == "" && t.Key != "":
		return errors.New("tls.cert: is missing beside tls.key")
	}
	return nil
}

func (s SASL) validate() error {
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" || s.PasswordFile != "" {
			return errors.New("sasl.mechanism: is missing, plain, scram-sha-256 and scram-sha-512 are allowed")
		}
		return nil
	case SASLPlain, SASLSCRAM256, SASLSCRAM512:
	default:
		return fmt.Errorf("sasl.mechanism: %q is not valid; use plain, scram-sha-256 or scram-sha-512", s.Mechanism)
	}
	switch {
	case s.User == "":
		return errors.New("sasl.user: is missing")
	case s.Password == "" && s.PasswordFile == "":
		return errors.New("sasl.password_file: is missing, or sasl.password")
	case s.Password != "" && s.PasswordFile != "":
		return errors.New("sasl.password_file: is not allowed beside sasl.password")
	}
	return nil
}
