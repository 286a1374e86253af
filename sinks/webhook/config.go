package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// The values of Config.Kind.
const (
	KindJSON  = "json"  // a document with every offender's native event
	KindSlack = "slack" // {"text": …}, which Mattermost takes as well
	KindMail  = "mail"  // SMTP
)

// The values of Mail.TLS.
const (
	TLSStart    = "starttls" // required, usual on ports 587 and 25
	TLSImplicit = "tls"      // from the first byte, usual on port 465
	TLSNone     = "none"     // a mail server on the same host
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
	Mail Mail `yaml:"mail"`

	// MinSeverity is low, medium, high or critical. Alerts are always sent.
	MinSeverity string `yaml:"min_severity"`
	// Interval is the least time between two messages.
	Interval time.Duration `yaml:"interval"`
	// Repeat is the time after which an offender or an alert is reported again.
	Repeat time.Duration `yaml:"repeat"`
	// Timeout bounds one attempt to deliver.
	Timeout time.Duration `yaml:"timeout"`
}

// Mail is how mail is sent.
type Mail struct {
	// Server is host:port.
	Server string `yaml:"server"`
	// TLS is starttls, tls or none. A server that does not offer STARTTLS gets
	// nothing: passwords and hits are not for everybody on the way.
	TLS string `yaml:"tls"`
	// CAFile holds the certificates to trust instead of the system's.
	CAFile string `yaml:"ca_file"`
	// User and Password for AUTH PLAIN; no user, no authentication.
	User         string      `yaml:"user"`
	Password     secret.Text `yaml:"password"`
	PasswordFile string      `yaml:"password_file"`
	From         string      `yaml:"from"`
	To           []string    `yaml:"to"`
}

// DefaultConfig gives the defaults. Kind and what belongs to it have none.
func DefaultConfig() Config {
	return Config{
		MinSeverity: event.High.String(),
		Interval:    time.Minute,
		Repeat:      24 * time.Hour,
		Timeout:     10 * time.Second,
		Mail:        Mail{TLS: TLSStart},
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
		return c.Mail.validate()
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

func (m Mail) validate() error {
	if host, port, err := net.SplitHostPort(m.Server); err != nil || host == "" || port == "" {
		return fmt.Errorf("mail.server: %q is not valid; use host:port", m.Server)
	}
	switch {
	case m.TLS != TLSStart && m.TLS != TLSImplicit && m.TLS != TLSNone:
		return fmt.Errorf("mail.tls: %q is not valid; use starttls, tls or none", m.TLS)
	case m.Password != "" && m.PasswordFile != "":
		return errors.New("mail.password_file: is not allowed beside password")
	case m.User != "" && m.TLS == TLSNone:
		return errors.New("mail.user: is not allowed with tls none, the password would be read on the way")
	case len(m.To) == 0:
		return errors.New("mail.to: is missing")
	}
	for _, a := range append([]string{m.From}, m.To...) {
		if p, err := mail.ParseAddress(a); err != nil || p.Address != a || strings.ContainsAny(a, "\r\n") {
			return fmt.Errorf("mail: %q is not allowed as an address, name@host is", a)
		}
	}
	return nil
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
