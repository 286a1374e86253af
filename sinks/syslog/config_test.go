package syslog

import (
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
		{"", func(c *Config) { c.Servers = []string{"[2001:db8::1]:514", "log:514"} }},
		{"", func(c *Config) { c.Transport, c.Servers = Unix, []string{"/dev/log"} }},
		{"", func(c *Config) { c.Transport, c.TLS = TLS, TLSConfig{"ca", "c", "k", "n"} }},
		{"", func(c *Config) { c.Format, c.CEE, c.Limit = "json", true, 65000 }},
		{"servers: required", func(c *Config) { c.Servers = nil }},
		{"servers[0]: \"log\"", func(c *Config) { c.Servers = []string{"log"} }},
		{"servers[1]: \"log:514\"", func(c *Config) { c.Transport, c.Servers = Unix, []string{"/dev/log", "log:514"} }},
		{"transport: \"sctp\"", func(c *Config) { c.Transport = "sctp" }},
		{"protocol: \"rfc5425\"", func(c *Config) { c.Protocol = "rfc5425" }},
		{"framing: \"nul\"", func(c *Config) { c.Framing = "nul" }},
		{"", func(c *Config) { c.Format, c.CEE = "ecs", true }},
		{"", func(c *Config) { c.Format, c.CEE = "ocsf", true }},
		{"limit: 1180 bytes are not valid; use 2048 to 65000 with rfc5424 and format ecs", func(c *Config) { c.Format, c.Limit = "ecs", 1180 }},
		{"format: \"native\"", func(c *Config) { c.Format = "native" }},
		{"cee: is not allowed with format cef, only with json, ecs and ocsf", func(c *Config) { c.Format, c.CEE = "cef", true }},
		{"alert_ip: indicator is not allowed with format ecs", func(c *Config) { c.Format, c.AlertIP = "ecs", "indicator" }},
		{"facility: \"local8\"", func(c *Config) { c.Facility = "local8" }},
		{"alert_ip: \"x\"", func(c *Config) { c.AlertIP = "x" }},
		{"alert_ip: indicator is not allowed with format cef", func(c *Config) { c.Format, c.AlertIP = "cef", "indicator" }},
		{"cee: is not allowed", func(c *Config) { c.CEE = true }},
		{"limit: 1179", func(c *Config) { c.Limit = 1179 }},
		{"limit: 1023", func(c *Config) { c.Protocol, c.Limit = RFC3164, 1023 }},
		{"limit: 65001", func(c *Config) { c.Limit = 65_001 }},
		{"app_name: \"\"", func(c *Config) { c.AppName = "" }},
		{"app_name: \"a b\"", func(c *Config) { c.AppName = "a b" }},
		{"app_name: \"a:b\"", func(c *Config) { c.AppName = "a:b" }},
		{"app_name: ", func(c *Config) { c.AppName = strings.Repeat("a", 49) }},
		{"app_name: ", func(c *Config) { c.Protocol, c.AppName = RFC3164, strings.Repeat("a", 33) }},
		{"hostname: \"a b\"", func(c *Config) { c.Hostname = "a b" }},
		{"enterprise_id: is not allowed", func(c *Config) { c.Protocol, c.EnterpriseID = RFC3164, 32473 }},
		{"timeout: 0s", func(c *Config) { c.Timeout = 0 }},
		{"resend: -1s", func(c *Config) { c.Resend = -time.Second }},
		{"tls: is not allowed with transport udp", func(c *Config) { c.TLS.CA = "ca.pem" }},
		{"tls.key: is missing", func(c *Config) { c.Transport, c.TLS.Cert = TLS, "c" }},
		{"tls.cert: is missing", func(c *Config) { c.Transport, c.TLS.Key = TLS, "k" }},
	} {
		cfg := DefaultConfig()
		cfg.Servers = []string{"127.0.0.1:514"}
		tt.change(&cfg)
		_, err := New(cfg)
		if got := fmt.Sprint(err); (err != nil || tt.want != "") && !strings.HasPrefix(got, tt.want) {
			t.Errorf("got %q, want %q…", got, tt.want)
		}
	}
}

// TestDefaults: what depends on other keys.
func TestDefaults(t *testing.T) {
	for _, tt := range []struct {
		transport, protocol, wantProtocol, wantFraming string
		wantLimit                                      int
	}{
		{UDP, "", RFC5424, Octet, 1180},
		{UDP, RFC3164, RFC3164, LF, 1024},
		{TCP, "", RFC5424, Octet, 8000},
		{TLS, RFC5424, RFC5424, Octet, 8000},
		{TLS, RFC3164, RFC3164, LF, 8000},
		{Unix, "", RFC3164, LF, 8000},
		{Unix, RFC5424, RFC5424, LF, 8000},
	} {
		c := DefaultConfig()
		c.Transport, c.Protocol = tt.transport, tt.protocol
		if c = c.filled(); c.Protocol != tt.wantProtocol || c.Framing != tt.wantFraming || c.Limit != tt.wantLimit {
			t.Errorf("%s %q: %s, %s, %d", tt.transport, tt.protocol, c.Protocol, c.Framing, c.Limit)
		}
	}
}

func TestYAML(t *testing.T) {
	const text = `
name: siem
servers: [a:6514, b:6514]
transport: tls
protocol: rfc5424
framing: octet
format: json
alert_ip: indicator
cee: true
limit: 4000
facility: daemon
app_name: snitch
hostname: edge
enterprise_id: 32473
timeout: 5s
resend: 30s
tls: {ca: ca.pem, cert: c.pem, key: k.pem, server_name: log}
`
	cfg := DefaultConfig()
	if err := yaml.UnmarshalWithOptions([]byte(text), &cfg, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	want := Config{
		"siem", []string{"a:6514", "b:6514"}, TLS, RFC5424, Octet, "json", "indicator", true, 4000, "daemon", "snitch", "edge", 32473,
		5 * time.Second, 30 * time.Second, TLSConfig{"ca.pem", "c.pem", "k.pem", "log"}, "",
	}
	if fmt.Sprintf("%#v", cfg) != fmt.Sprintf("%#v", want) || cfg.Validate() != nil {
		t.Errorf("got %#v, want %#v, %v", cfg, want, cfg.Validate())
	}
}

func TestName(t *testing.T) {
	s := newSender(t, TCP, []string{"a:1", "b:1"})
	if got := s.Name(); got != "syslog:tcp:a:1" {
		t.Errorf("got %q", got)
	}
	if got := newSender(t, TCP, []string{"a:1"}, func(c *Config) { c.Name = "siem" }).Name(); got != "syslog:siem" {
		t.Errorf("got %q", got)
	}
}
