package syslog

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/form"
)

// The values of Config.Transport.
const (
	UDP  = "udp"
	TCP  = "tcp"
	TLS  = "tls"
	Unix = "unix" // a local socket: datagrams if it takes them, else a stream
)

// The values of Config.Protocol.
const (
	RFC5424 = "rfc5424"
	RFC3164 = "rfc3164"
)

// The values of Config.Framing.
const (
	Octet = "octet" // LEN SP MSG, RFC 6587 section 3.4.1 and RFC 5425
	LF    = "lf"    // MSG LF, RFC 6587 section 3.4.2
)

// Limits of a message in bytes, framing not counted.
const (
	limit3164    = 1024   // all that RFC 3164 (section 4.1) allows
	limit5424    = 1180   // a datagram for any path of IPv6 (RFC 5426, section 3.2)
	limitSchema  = 2048   // for ecs and ocsf, which are long; receivers should take it (the same section)
	defaultLimit = 8000   // rsyslog cuts at 8,096 into two
	maxLimit     = 65_000 // what a datagram holds
)

// Config is where events are sent and in which form.
type Config struct {
	// Name distinguishes this sink from others in status and errors; default: transport and
	// first server.
	Name string `yaml:"name"`
	// Servers are host:port, or paths of sockets for transport unix. One at a time is
	// used; when it fails the next one is tried, around.
	Servers []string `yaml:"servers"`
	// Transport is udp, tcp, tls or unix.
	Transport string `yaml:"transport"`
	// Protocol is rfc5424 or rfc3164; default rfc5424, on unix rfc3164.
	Protocol string `yaml:"protocol"`
	// Framing is octet or lf, for streams; default octet for rfc5424 over tcp and
	// tls, else lf.
	Framing string `yaml:"framing"`
	// Format of the message: text (key=value), json, ecs, ocsf, cef, leef or leef1.
	Format string `yaml:"format"`
	// AlertIP is flow or indicator, see [form.Options]; for text and json.
	AlertIP string `yaml:"alert_ip"`
	// CEE puts "@cee: " before JSON, for receivers that look for it.
	CEE bool `yaml:"cee"`
	// Limit is the longest message in bytes; default 8000, over udp 1180 (rfc5424), 1024
	// (rfc3164) or 2048 (format ecs and ocsf).
	Limit int `yaml:"limit"`
	// Facility is one of the names of RFC 5424, section 6.2.1.
	Facility string `yaml:"facility"`
	// AppName is APP-NAME or TAG.
	AppName string `yaml:"app_name"`
	// Hostname is HOSTNAME; default: the sensor's name.
	Hostname string `yaml:"hostname"`
	// EnterpriseID, if not 0, adds structured data [flowsnitch@ID …] to rfc5424. It
	// is a private enterprise number of yours.
	EnterpriseID uint32 `yaml:"enterprise_id"`
	// Timeout bounds connecting, and how long a server may take nothing of what it is
	// sent. One that is slow may take its time.
	Timeout time.Duration `yaml:"timeout"`
	// Resend is the age up to which events come again after a connection has broken, or
	// a server has stopped reading.
	Resend time.Duration `yaml:"resend"`

	TLS TLSConfig `yaml:"tls"`

	// Release is the version of the program, for the headers of CEF and LEEF.
	Release string `yaml:"-" json:"-"`
}

// TLSConfig is how TLS is done. Files are read for each new connection.
type TLSConfig struct {
	// CA is a file of certificates to trust instead of the system's.
	CA string `yaml:"ca"`
	// Cert and Key are files with our own certificate, where servers want one.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ServerName is the name in the servers' certificates, where it is not the one
	// they are reached by.
	ServerName string `yaml:"server_name"`
}

// DefaultConfig gives the defaults. Servers has none; Protocol, Framing and Limit
// depend on other keys.
func DefaultConfig() Config {
	return Config{
		Transport: UDP,
		Format:    form.Text,
		AlertIP:   form.AlertFlow,
		Facility:  "local0",
		AppName:   "flowsnitch",
		Timeout:   10 * time.Second,
		Resend:    10 * time.Second,
	}
}

// facilities are the names by number.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit",
	"alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// filled gives the configuration with the defaults that depend on other keys.
func (c Config) filled() Config {
	local := c.Transport == Unix
	if c.Protocol == "" {
		c.Protocol = choose(local, RFC3164, RFC5424)
	}
	if c.Framing == "" {
		c.Framing = choose(c.Protocol == RFC5424 && !local, Octet, LF)
	}
	if c.Limit == 0 {
		c.Limit = choose(c.Transport != UDP, defaultLimit, c.leastLimit())
	}
	return c
}

func (c Config) leastLimit() int {
	if c.Format == form.ECS || c.Format == form.OCSF {
		return limitSchema
	}
	return choose(c.Protocol == RFC3164, limit3164, limit5424)
}

func choose[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// Validate reports which key is wrong and what is allowed. Files are not read.
func (c Config) Validate() error {
	c = c.filled()
	return cmp.Or(c.validateServers(), c.validateWords(), c.validateNames(), c.validateNumbers(), c.validateTLS())
}

func (c Config) validateServers() error {
	if len(c.Servers) == 0 {
		return errors.New("servers: required, at least one")
	}
	for i, s := range c.Servers {
		if c.Transport == Unix {
			if !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "@") {
				return fmt.Errorf("servers[%d]: %q is not allowed with transport unix, the path of a socket is", i, s)
			}
			continue
		}
		host, port, err := net.SplitHostPort(s)
		if n, e := strconv.ParseUint(port, 10, 16); err != nil || host == "" || e != nil || n == 0 {
			return fmt.Errorf("servers[%d]: %q is not valid; use host:port", i, s)
		}
	}
	return nil
}

func (c Config) validateWords() error {
	oneOf := func(key, value string, allowed ...string) error {
		if slices.Contains(allowed, value) {
			return nil
		}
		return fmt.Errorf("%s: %q is not valid; use one of %s", key, value, strings.Join(allowed, ", "))
	}
	return cmp.Or(
		oneOf("transport", c.Transport, UDP, TCP, TLS, Unix),
		oneOf("protocol", c.Protocol, RFC5424, RFC3164),
		oneOf("framing", c.Framing, Octet, LF),
		oneOf("format", c.Format, form.Text, form.JSON, form.ECS, form.OCSF, form.CEF, form.LEEF, form.LEEF1),
		oneOf("facility", c.Facility, facilities...),
		c.validateForm(),
	)
}

func (c Config) validateForm() error {
	if c.CEE && !c.isJSON() {
		return fmt.Errorf("cee: is not allowed with format %s, only with json, ecs and ocsf", c.Format)
	}
	_, err := c.form(0)
	return err
}

// form gives the form of messages of at most limit bytes, newline included; 0 = as
// long as they get.
func (c Config) form(limit int) (form.Form, error) {
	return form.ByName(c.Format, form.Options{AlertIP: c.AlertIP, Limit: limit, Release: c.Release})
}

// isJSON reports whether a message is a JSON document.
func (c Config) isJSON() bool {
	return c.Format == form.JSON || c.Format == form.ECS || c.Format == form.OCSF
}

// isTagged reports whether the name of the program stands before a message of RFC 3164.
// Receivers of CEF and LEEF look for the form at its place.
func (c Config) isTagged() bool { return c.isJSON() || c.Format == form.Text }

func (c Config) validateNames() error {
	longest := choose(c.Protocol == RFC5424, 48, 32)
	if !printable(c.AppName) || len(c.AppName) > longest || strings.ContainsAny(c.AppName, ":[") {
		return fmt.Errorf("app_name: %q is not valid; use 1 to %d printable ASCII characters but blank, colon or bracket", c.AppName, longest)
	}
	if len(c.Hostname) > maxHost || string(word(nil, c.Hostname, maxHost)) != c.Hostname {
		return fmt.Errorf("hostname: %q is not valid; use up to %d letters, digits, hyphens, dots or underscores", c.Hostname, maxHost)
	}
	return nil
}

// printable reports whether s is a word of PRINTUSASCII, RFC 5424 section 6.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (c Config) validateNumbers() error {
	switch {
	case c.Limit < c.leastLimit() || c.Limit > maxLimit:
		return fmt.Errorf("limit: %d bytes are not valid; use %d to %d with %s and format %s", c.Limit, c.leastLimit(), maxLimit, c.Protocol, c.Format)
	case c.EnterpriseID != 0 && c.Protocol != RFC5424:
		return errors.New("enterprise_id: is not allowed with rfc3164, which has no structured data")
	case c.Timeout < 100*time.Millisecond || c.Timeout > 5*time.Minute:
		return fmt.Errorf("timeout: %v is not valid; use 100ms to 5m", c.Timeout)
	case c.Resend < 0 || c.Resend > time.Hour:
		return fmt.Errorf("resend: %v is not valid; use 0 to 1h", c.Resend)
	}
	return nil
}

func (c Config) validateTLS() error {
	switch {
	case c.Transport != TLS && c.TLS != TLSConfig{}:
		return fmt.Errorf("tls: is not allowed with transport %s, only with tls", c.Transport)
	case c.TLS.Cert != "" && c.TLS.Key == "":
		return errors.New("tls.key: is missing beside tls.cert")
	case c.TLS.Cert == "" && c.TLS.Key != "":
		return errors.New("tls.cert: is missing beside tls.key")
	}
	return nil
}
