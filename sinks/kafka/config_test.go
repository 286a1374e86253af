package kafka

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		want   string // the error begins so; empty = good
		change func(*Config)
	}{
		{"", func(*Config) {}},
		{"", func(c *Config) { c.Brokers = []string{"[2001:db8::1]:9092", "kafka:9093"} }},
		{"", func(c *Config) { c.Linger, c.Compression, c.Acks = 0, "zstd", AcksNone }},
		{"", func(c *Config) { c.SASL = SASL{SASLPlain, "u", "", "/etc/password"} }},
		{"brokers: required", func(c *Config) { c.Brokers = nil }},
		{"brokers[1]: \"kafka\"", func(c *Config) { c.Brokers = []string{"a:1", "kafka"} }},
		{"brokers[0]: \":9092\"", func(c *Config) { c.Brokers = []string{":9092"} }},
		{"brokers[0]: \"a:0\"", func(c *Config) { c.Brokers = []string{"a:0"} }},
		{"topics.hits: \"\"", func(c *Config) { c.Topics.Hits = "" }},
		{"topics.alerts: \"a b\"", func(c *Config) { c.Topics.Alerts = "a b" }},
		{"topics.canary: \"..\"", func(c *Config) { c.Topics.Canary = ".." }},
		{"topics.hits: ", func(c *Config) { c.Topics.Hits = strings.Repeat("x", 250) }},
		{"", func(c *Config) { c.Format = "ecs" }},
		{"", func(c *Config) { c.Format, c.AlertIP = "", "indicator" }},
		{"format: \"cef\" is not valid; use native, ecs or ocsf", func(c *Config) { c.Format = "cef" }},
		{"alert_ip: indicator is not allowed with format ecs", func(c *Config) { c.Format, c.AlertIP = "ecs", "indicator" }},
		{"acks: \"2\"", func(c *Config) { c.Acks = "2" }},
		{"compression: \"zip\"", func(c *Config) { c.Compression = "zip" }},
		{"linger: 51ms", func(c *Config) { c.Linger = 51 * time.Millisecond }},
		{"batch_bytes: 0", func(c *Config) { c.BatchBytes = 0 }},
		{"timeout: 0s", func(c *Config) { c.Timeout = 0 }},
		{"partitions: -1", func(c *Config) { c.Partitions = -1 }},
		{"replication: 101", func(c *Config) { c.Replication = 101 }},
		{"tls.enabled: must be true", func(c *Config) { c.TLS.CA = "ca.pem" }},
		{"tls.key: is missing", func(c *Config) { c.TLS = TLS{Enabled: true, Cert: "c"} }},
		{"tls.cert: is missing", func(c *Config) { c.TLS = TLS{Enabled: true, Key: "k"} }},
		{"sasl.mechanism: \"gssapi\"", func(c *Config) { c.SASL.Mechanism = "gssapi" }},
		{"sasl.mechanism: is missing", func(c *Config) { c.SASL.User = "u" }},
		{"sasl.user: is missing", func(c *Config) { c.SASL = SASL{Mechanism: SASLPlain, Password: "p"} }},
		{"sasl.password_file: is missing", func(c *Config) { c.SASL = SASL{Mechanism: SASLPlain, User: "u"} }},
		{"sasl.password_file: is not allowed beside", func(c *Config) { c.SASL = SASL{SASLPlain, "u", "p", "f"} }},
	} {
		cfg := testConfig([]string{"a:1"}, tt.change)
		_, err := New(cfg)
		if got := fmt.Sprint(err); (err != nil || tt.want != "") && !strings.HasPrefix(got, tt.want) {
			t.Errorf("got %q, want %q…", got, tt.want)
		}
	}
}

// TestSecrets: a password shows nowhere.
func TestSecrets(t *testing.T) {
	cfg := testConfig([]string{"a:1"}, user(SASLPlain, "hunter2"))
	asYAML, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg.SASL.Password), string(asYAML), string(asJSON)} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "hidden") {
			t.Errorf("the password is not hidden in: %s", text)
		}
	}
}

// TestYAML: the keys are those that the documentation has, and what is written can be
// read.
func TestYAML(t *testing.T) {
	const text = `
name: main
brokers: [a:9092, b:9092]
topics: {hits: h, alerts: a, canary: c}
format: ecs
alert_ip: flow
create_topics: true
partitions: 6
replication: 3
acks: one
compression: zstd
linger: 20ms
batch_bytes: 500000
timeout: 5s
client_id: pi
tls: {enabled: true, ca: ca.pem, cert: c.pem, key: k.pem, server_name: kafka}
sasl: {mechanism: scram-sha-512, user: u, password: p, password_file: ""}
`
	cfg := DefaultConfig()
	if err := yaml.UnmarshalWithOptions([]byte(text), &cfg, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	want := Config{
		Name: "main", Brokers: []string{"a:9092", "b:9092"}, Topics: Topics{"h", "a", "c"}, Format: "ecs", AlertIP: "flow", CreateTopics: true, Partitions: 6,
		Replication: 3, Acks: AcksOne, Compression: "zstd", Linger: 20 * time.Millisecond, BatchBytes: 500_000,
		Timeout: 5 * time.Second, ClientID: "pi", TLS: TLS{true, "ca.pem", "c.pem", "k.pem", "kafka"},
		SASL: SASL{SASLSCRAM512, "u", "p", ""},
	}
	if fmt.Sprintf("%#v", cfg) != fmt.Sprintf("%#v", want) || cfg.SASL.Password != "p" || cfg.Validate() != nil {
		t.Errorf("got %#v, want %#v, %v", cfg, want, cfg.Validate())
	}
}

func TestName(t *testing.T) {
	if got := newProducer(t, []string{"a:1", "b:1"}).Name(); got != "kafka:a:1" {
		t.Errorf("got %q", got)
	}
	if got := newProducer(t, []string{"a:1"}, func(c *Config) { c.Name = "main" }).Name(); got != "kafka:main" {
		t.Errorf("got %q", got)
	}
}
