package webhook

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/mail"
)

// The values of Config.Kind.
const (
	KindJSON  = "json"  // a document with every offender's native event
	KindSlack = "slack" // {"text": …}, which Mattermost takes as well
	KindMail  = "mail"  // SMTP
)

// Config is whom to notify, of what and how often.
type Config struct {
	// Name distinguishes this sink from others in status and errors; default: the kind.
	Name string `yaml:"name"`
	// Kind is json, slack or mail.
	Kind string `yaml:"kind"`
	// URL takes the POST of json and slack. It often is a secret: URLFile names a
	// file that holds it instead.
	URL     secret.Text `yaml:"url"`
	URLFile string      `yaml:"url_file"`
	// Token, if any, goes along as "Authorization: Bearer", TokenFile holds it.
	Token     secret.Text `yaml:"token"`
	TokenFile string      `yaml:"token_file"`
	// Mail is for kind mail.
	Mail mail.Config `yaml:"mail"`

	// MinSeverity is low, medium, high or critical. Alerts are always sent.
	MinSeverity string `yaml:"min_severity"`
	// Interval is the least time between two messages.
	Interval time.Duration `yaml:"interval"`
	// Repeat is the time after which an offender or an alert is reported again.
	Repeat time.Duration `yaml:"repeat"`
	// Timeout bounds one attempt to deliver.
	Timeout time.Duration `yaml:"timeout"`
}

// DefaultConfig gives the defaults. Kind and what belongs to it have none.
func DefaultConfig() Config {
	return Config{
		MinSeverity: event.High.String(),
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
	case c.Interval < time.Second || c.Interval > 24*time.Hour:
		return fmt.Errorf("interval: %v is not valid; use 1s to 24h", c.Interval)
	case c.Repeat < c.Interval || c.Repeat > 365*24*time.Hour:
		return fmt.Errorf("repeat: %v is not valid; use interval (%v) to 8760h", c.Repeat, c.Interval)
	case c.Timeout < time.Second || c.Timeout > 5*time.Minute:
		return fmt.Errorf("timeout: %v is not valid; use 1s to 5m", c.Timeout)
	case c.Token != "" && c.TokenFile != "":
		return errors.New("token_file: is not allowed beside token")
	}
	switch c.Kind {
	case KindJSON, KindSlack:
		return c.validateURL()
	case KindMail:
		return c.Mail.Validate()
	}
	return fmt.Errorf("kind: %q is not valid; use json, slack or mail", c.Kind)
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
