package webhook

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestValidate(t *testing.T) {
	for _, kind := range []string{KindJSON, KindSlack, KindMail} {
		if err := config(kind).Validate(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for want, change := range map[string]func(*Config){
		`kind: "sms" is not valid; use json, slack or mail`:     func(c *Config) { c.Kind = "sms" },
		`min_severity: "bad" is not valid`:                      func(c *Config) { c.MinSeverity = "bad" },
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
