package webhook

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/goccy/go-yaml"
)

func TestValidate(t *testing.T) {
	for _, kind := range []string{KindJSON, KindSlack, KindMail} {
		if err := config(kind).Validate(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for want, change := range map[string]func(*Config){
		`kind: "sms" is not valid; use json, slack, template or mail`:                                  func(c *Config) { c.Kind = "sms" },
		`min_severity: "bad" is not valid`:                                                             func(c *Config) { c.MinSeverity = "bad" },
		`max_tlp: "white" is not valid; use clear, green, amber, amber+strict, red`:                    func(c *Config) { c.MaxTLP = "white" },
		"template: is for kind template":                                                               func(c *Config) { c.Template = "slack" },
		"template: is missing; use one of mattermost, ntfy, pagerduty, slack, teams, or template_file": func(c *Config) { c.Kind = KindTemplate },
		`template: "sms" is not valid; use one of mattermost`:                                          func(c *Config) { c.Kind, c.Template = KindTemplate, "sms" },
		"template_file: is not allowed beside template":                                                func(c *Config) { c.Kind, c.Template, c.TemplateFile = KindTemplate, "slack", "/f" },
		`template_file: "f" is not valid; use the whole path`:                                          func(c *Config) { c.Kind, c.TemplateFile = KindTemplate, "f" },
		"template_file: stat /nowhere/f":                                                               func(c *Config) { c.Kind, c.TemplateFile = KindTemplate, "/nowhere/f" },
		`content_type: "a b" is not valid`:                                                             func(c *Config) { c.Kind, c.TemplateFile, c.ContentType = KindTemplate, "/f", "a b" },
		"template: has its own content_type and each":                                                  func(c *Config) { c.Kind, c.Template, c.Each = KindTemplate, "slack", true },
		`topic: "a/b" is not valid`:                                                                    func(c *Config) { c.Kind, c.Template, c.Topic = KindTemplate, "ntfy", "a/b" },
		"routing_key: is missing":                                                                      func(c *Config) { c.Kind, c.Template = KindTemplate, "pagerduty" },
		"routing_key_file: is not allowed beside": func(c *Config) {
			c.Kind, c.Template, c.RoutingKey, c.RoutingKeyFile = KindTemplate, "pagerduty", "s3cret", "f"
		},
		`headers[0]: is not valid; use "Name: value"`:           func(c *Config) { c.Headers = []secret.Text{"s3cret"} },
		`headers[1]: is not valid; use`:                         func(c *Config) { c.Headers = []secret.Text{"A: b", "X: s3cret\r\nY: z"} },
		`headers[0]: host cannot be set here`:                   func(c *Config) { c.Headers = []secret.Text{"host: s3cret"} },
		"interval: 0s is not valid; use 1s to 24h":              func(c *Config) { c.Interval = 0 },
		"repeat: 1s is not valid":                               func(c *Config) { c.Repeat = 1e9 },
		"timeout: 0s":                                           func(c *Config) { c.Timeout = 0 },
		"token_file: is not allowed beside token":               func(c *Config) { c.Token, c.TokenFile = "a", "b" },
		"url: is missing":                                       func(c *Config) { c.Kind, c.URL = KindJSON, "" },
		"url_file: is not allowed beside url":                   func(c *Config) { c.Kind, c.URLFile = KindJSON, "f" },
		"url: is not valid; use https://… or http://…":          func(c *Config) { c.Kind, c.URL = KindSlack, "ftp://s3cret" },
		"url: is not valid; use https://… or http://… (it":      func(c *Config) { c.Kind, c.URL = KindSlack, "https://s3cret\x00" },
		`mail.server: "host" is not valid; use host:port`:       func(c *Config) { c.Mail.Server = "host" },
		`mail.server: ":25" is not valid; use host:port`:        func(c *Config) { c.Mail.Server = ":25" },
		`mail.server: "host:" is not valid; use host:port`:      func(c *Config) { c.Mail.Server = "host:" },
		`mail.tls: "ssl" is not valid`:                          func(c *Config) { c.Mail.TLS = "ssl" },
		"mail.password_file: is not allowed beside":             func(c *Config) { c.Mail.Password, c.Mail.PasswordFile = "a", "b" },
		"mail.user: is not allowed with tls none":               func(c *Config) { c.Mail.User, c.Mail.TLS = "u", "none" },
		"mail.to: is missing":                                   func(c *Config) { c.Mail.To = nil },
		`mail: "a" is not allowed as an address`:                func(c *Config) { c.Mail.To = []string{"a"} },
		`mail: "x@y\r\nBcc: z@y" is not allowed as an address`:  func(c *Config) { c.Mail.From = "x@y\r\nBcc: z@y" },
		`mail: "A <a@b.example>" is not allowed as an address,`: func(c *Config) { c.Mail.To = []string{"A <a@b.example>"} },
	} {
		cfg := config(KindMail)
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	cfg := config(KindMail)
	cfg.URL, cfg.Token, cfg.Mail.Password = "https://s3cret", "s3cret", "s3cret"
	b, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(b), fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg.Token)} {
		if strings.Contains(text, "s3cret") || !strings.Contains(text, "(hidden)") {
			t.Errorf("got %s", text)
		}
	}
	var back Config
	if err := yaml.UnmarshalWithOptions([]byte("token: s3cret\nmail: {password: \"x\"}"), &back, yaml.Strict()); err != nil || back.Token != "s3cret" || back.Mail.Password != "x" {
		t.Errorf("%q, %v", string(back.Token), err)
	}
}
