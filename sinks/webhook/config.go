package webhook

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/mail"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/templates"
	"golang.org/x/net/http/httpguts"
)

// The values of Config.Kind.
const (
	KindJSON     = "json"     // a document with every offender's native event
	KindSlack    = "slack"    // {"text": …}, which Mattermost takes as well
	KindTemplate = "template" // what a template makes of a message
	KindMail     = "mail"     // SMTP
)

// pagerDuty takes events where no URL is configured.
const pagerDuty = "https://events.pagerduty.com/v2/enqueue"

// Config is whom to notify, of what and how often.
type Config struct {
	// Name distinguishes this sink from others in status and errors; default: the kind.
	Name string `yaml:"name"`
	// Kind is json, slack, template or mail.
	Kind string `yaml:"kind"`
	// URL takes the POST of json, slack and template. It often is a secret: URLFile names a
	// file that holds it instead. Template pagerduty needs none.
	URL     secret.Text `yaml:"url"`
	URLFile string      `yaml:"url_file"`
	// Token, if any, goes along as "Authorization: Bearer", TokenFile holds it.
	Token     secret.Text `yaml:"token"`
	TokenFile string      `yaml:"token_file"`
	// Template is the name of a template that ships with the program, see [templates.Names];
	// TemplateFile is one of the operator's instead, which makes documents of ContentType, one
	// for each offender and alert with Each.
	Template     string `yaml:"template"`
	TemplateFile string `yaml:"template_file"`
	ContentType  string `yaml:"content_type"`
	Each         bool   `yaml:"each"`
	// Headers of requests, as "Name: value".
	Headers []secret.Text `yaml:"headers"`
	// Topic is that of ntfy; RoutingKey the integration key of PagerDuty, RoutingKeyFile holds
	// it.
	Topic          string      `yaml:"topic"`
	RoutingKey     secret.Text `yaml:"routing_key"`
	RoutingKeyFile string      `yaml:"routing_key_file"`
	// Mail is for kind mail.
	Mail mail.Config `yaml:"mail"`

	// MinSeverity is low, medium, high or critical. Alerts are always sent.
	MinSeverity string `yaml:"min_severity"`
	// MaxTLP is the most restricted label of listings that are shown, see [intel.TLPs]. Listings
	// without a label are always shown.
	MaxTLP string `yaml:"max_tlp"`
	// Interval is the least time between two messages.
	Interval time.Duration `yaml:"interval"`
	// Repeat is the time after which an offender or an alert is reported again, unless it
	// has got worse before.
	Repeat time.Duration `yaml:"repeat"`
	// Timeout bounds one request, or one mail.
	Timeout time.Duration `yaml:"timeout"`

	// StateDir is the directory that keeps what was reported; empty = nothing is kept.
	StateDir string `yaml:"-"`
	// Page is the address of the web page for links, without a slash at its end; empty = none.
	Page string `yaml:"-"`
	// Handled reports whether somebody has taken the incident of an offender, or judged it a
	// false alarm: it is not reported again then, unless it gets worse. It is called by the
	// goroutine of the sink, and must return soon; nil = nothing is known.
	Handled func(context.Context, netip.Addr) bool `yaml:"-"`
}

// DefaultConfig gives the defaults. Kind and what belongs to it have none.
func DefaultConfig() Config {
	return Config{
		ContentType: templates.ContentJSON,
		Topic:       "flowsnitch",
		MinSeverity: event.High.String(),
		MaxTLP:      "green",
		Interval:    time.Minute,
		Repeat:      24 * time.Hour,
		Timeout:     10 * time.Second,
		Mail:        mail.Config{TLS: mail.TLSStart},
	}
}

// Validate reports which key is wrong and what is allowed. Files are not read.
func (c Config) Validate() error {
	if _, err := severity(c.MinSeverity); err != nil {
		return err
	}
	switch {
	case !slices.Contains(intel.TLPs, c.MaxTLP):
		return fmt.Errorf("max_tlp: %q is not valid; use %s", c.MaxTLP, strings.Join(intel.TLPs, ", "))
	case c.Interval < time.Second || c.Interval > 24*time.Hour:
		return fmt.Errorf("interval: %v is not valid; use 1s to 24h", c.Interval)
	case c.Repeat < c.Interval || c.Repeat > 365*24*time.Hour:
		return fmt.Errorf("repeat: %v is not valid; use interval (%v) to 8760h", c.Repeat, c.Interval)
	case c.Timeout < time.Second || c.Timeout > 5*time.Minute:
		return fmt.Errorf("timeout: %v is not valid; use 1s to 5m", c.Timeout)
	case c.Token != "" && c.TokenFile != "":
		return errors.New("token_file: is not allowed beside token")
	case c.Kind != KindTemplate && (c.Template != "" || c.TemplateFile != ""):
		return errors.New("template: is for kind template")
	}
	if _, err := c.headers(); err != nil {
		return err
	}
	switch c.Kind {
	case KindJSON, KindSlack:
		return c.validateURL()
	case KindTemplate:
		return c.validateTemplate()
	case KindMail:
		return c.Mail.Validate()
	}
	return fmt.Errorf("kind: %q is not valid; use json, slack, template or mail", c.Kind)
}

// topics are what ntfy takes as a topic.
var topics = regexp.MustCompile(`^[-_A-Za-z0-9]{1,64}$`)

func (c Config) validateTemplate() error {
	_, _, badType := mime.ParseMediaType(c.ContentType)
	switch {
	case c.Template == "" && c.TemplateFile == "":
		return fmt.Errorf("template: is missing; use one of %s, or template_file", strings.Join(templates.Names, ", "))
	case c.Template != "" && c.TemplateFile != "":
		return errors.New("template_file: is not allowed beside template")
	case c.Template != "" && !templates.Known(c.Template):
		return fmt.Errorf("template: %q is not valid; use one of %s, or template_file", c.Template, strings.Join(templates.Names, ", "))
	case c.TemplateFile != "" && !filepath.IsAbs(c.TemplateFile):
		return fmt.Errorf("template_file: %q is not valid; use the whole path of a file", c.TemplateFile)
	case badType != nil:
		return fmt.Errorf("content_type: %q is not valid; use such as %s", c.ContentType, templates.ContentJSON)
	case c.Template != "" && (c.Each || c.ContentType != templates.ContentJSON):
		return errors.New("template: has its own content_type and each; they are for template_file")
	case !topics.MatchString(c.Topic):
		return fmt.Errorf("topic: %q is not valid; use up to 64 letters, digits, - and _", c.Topic)
	case c.RoutingKey != "" && c.RoutingKeyFile != "":
		return errors.New("routing_key_file: is not allowed beside routing_key")
	case c.Template == "pagerduty" && c.RoutingKey == "" && c.RoutingKeyFile == "":
		return errors.New("routing_key: is missing; PagerDuty calls it the integration key of Events API v2")
	case c.Template == "pagerduty" && c.URL == "" && c.URLFile == "":
		return nil
	}
	return c.validateURL()
}

// CheckFiles makes samples with the template of a file. The error begins with its key.
func (c Config) CheckFiles() error {
	if c.Kind != KindTemplate || c.TemplateFile == "" {
		return nil
	}
	if _, err := templates.Own(c.TemplateFile, c.ContentType, c.Each); err != nil {
		return fmt.Errorf("template_file: %w", err)
	}
	return nil
}

// headers gives the headers of requests. The errors do not show values.
func (c Config) headers() (http.Header, error) {
	h := http.Header{}
	for i, line := range c.Headers {
		name, value, ok := strings.Cut(string(line), ":")
		if value = strings.TrimSpace(value); !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf(`headers[%d]: is not valid; use "Name: value" (it is not shown, it may be a secret)`, i)
		}
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection":
			return nil, fmt.Errorf("headers[%d]: %s cannot be set here", i, name)
		}
		h.Add(name, value)
	}
	return h, nil
}

func (c Config) validateURL() error {
	switch {
	case c.URL == "" && c.URLFile == "":
		return errors.New("url: is missing")
	case c.URL != "" && c.URLFile != "":
		return errors.New("url_file: is not allowed beside url")
	case c.URL == "":
		return nil
	}
	_, err := parseURL(string(c.URL))
	return err
}

// parseURL reads a URL. The errors do not show it.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("url: is not valid; use https://… or http://… (it is not shown, it may be a secret)")
	}
	return u, nil
}

// severity gives the severity that a word stands for.
func severity(word string) (event.Severity, error) {
	for s := event.Low; s <= event.Critical; s++ {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("min_severity: %q is not valid; use low, medium, high or critical", word)
}
