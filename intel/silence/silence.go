package silence

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// Bounds of one entry.
const (
	maxReason = 256 // bytes
	maxWord   = 128 // bytes of a name or an author
	longest   = 10 * 366 * 24 * time.Hour
)

// A Service is a protocol and a port. The zero Service is every service; with port 0 it is
// every service of the protocol. Text: "tcp/22", "gre".
type Service struct {
	Protocol uint8 // IP protocol, never 0
	Port     uint16
}

// IsZero reports whether it is every service.
func (s Service) IsZero() bool { return s == Service{} }

// String gives the text form.
func (s Service) String() string {
	if s.IsZero() {
		return ""
	}
	b := flow.AppendProtocol(nil, s.Protocol)
	if s.Port != 0 {
		b = strconv.AppendUint(append(b, '/'), uint64(s.Port), 10)
	}
	return string(b)
}

// MarshalText gives the text form.
func (s Service) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the text form.
func (s *Service) UnmarshalText(b []byte) (err error) {
	*s, err = ParseService(string(b))
	return err
}

// ParseService reads "tcp/22" or a protocol alone; an empty text is every service.
func ParseService(text string) (s Service, err error) {
	if text == "" {
		return s, nil
	}
	protocol, port, hasPort := strings.Cut(strings.ToLower(text), "/")
	var ok bool
	if s.Protocol, ok = flow.ParseProtocol(protocol); !ok || s.Protocol == 0 {
		return Service{}, fmt.Errorf("%.40q is not a service; give protocol and port, such as tcp/22, or a protocol alone", text)
	}
	if !hasPort {
		return s, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return Service{}, fmt.Errorf("%.40q: the port must be 1 to 65535", text)
	}
	s.Port = uint16(n)
	return s, nil
}

// Conditions are what an event must be for a silence to fit. What is zero is not asked for;
// all others must fit.
type Conditions struct {
	// Offender has the listed address, or the IPv4 address that it carries. Masked.
	Offender netip.Prefix `json:"offender,omitzero"`
	// Host has the address of ours. An event that stands for several hosts does not fit.
	Host netip.Prefix `json:"host,omitzero"`
	// Site is where our address is.
	Site    string  `json:"site,omitempty"`
	Service Service `json:"service,omitzero"`
	// Feed is the only feed that lists the offender: what others list as well stays audible.
	Feed string `json:"feed,omitempty"`
	// Rule is the name of an alert, or of the correlation rule that has raised it. With it,
	// nothing but alerts fits.
	Rule string `json:"rule,omitempty"`
}

// OffenderOnly reports whether the offender is the only condition: whatever it does is
// silenced.
func (c *Conditions) OffenderOnly() bool {
	return c.Offender.IsValid() && *c == Conditions{Offender: c.Offender}
}

// String gives the conditions in the words of the command line.
func (c *Conditions) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("offender", prefixText(c.Offender))
	add("host", prefixText(c.Host))
	add("site", c.Site)
	add("service", c.Service.String())
	add("feed", c.Feed)
	add("rule", c.Rule)
	return strings.Join(parts, ", ")
}

// prefixText gives a prefix, a single address without its length.
func prefixText(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return ""
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// A Silence is the operator's word that what fits it shall be quiet until a date.
type Silence struct {
	ID string `json:"id"` // 8 letters and digits
	Conditions
	Reason string    `json:"reason"`
	Author string    `json:"author"`
	Made   time.Time `json:"made"`
	Until  time.Time `json:"until"`
	// Removed and RemovedBy are when and by whom it was ended before its time.
	Removed   time.Time `json:"removed,omitzero"`
	RemovedBy string    `json:"removed_by,omitempty"`
	// Events is how many it has silenced, BySeverity those of low to critical, Last the time of
	// the last one.
	Events     uint64    `json:"events"`
	BySeverity [4]uint64 `json:"events_by_severity"`
	Last       time.Time `json:"last,omitzero"`
}

// InForce reports whether it holds at a time.
func (s *Silence) InForce(now time.Time) bool { return s.Removed.IsZero() && now.Before(s.Until) }

// An Allowed is an entry of the allowlist that ends: no feed may list what is in Prefix.
type Allowed struct {
	Prefix netip.Prefix `json:"prefix"`
	Reason string       `json:"reason"`
	Author string       `json:"author"`
	Made   time.Time    `json:"made"`
	Until  time.Time    `json:"until"`
}

// InForce reports whether it holds at a time.
func (a *Allowed) InForce(now time.Time) bool { return now.Before(a.Until) }

// ParsePrefix reads an address or a prefix. IPv4 within IPv6 is IPv4, host bits are cleared.
func ParsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if err != nil || !p.IsValid() {
		return netip.Prefix{}, fmt.Errorf("%.64q is neither an address nor a prefix such as 192.0.2.0/24", text)
	}
	return p.Masked(), nil
}

// The keys of a silence in requests and on the command line.
const (
	KeyOffender = "offender"
	KeyHost     = "host"
	KeySite     = "site"
	KeyService  = "service"
	KeyFeed     = "feed"
	KeyRule     = "rule"
	KeyReason   = "reason"
	KeyFor      = "for"
	KeyUntil    = "until"
)

// Parse reads the conditions, the reason and the end of a silence from a request. for is a
// duration from now, as time.ParseDuration reads it, until a time of RFC 3339; one of them
// is required.
func Parse(v url.Values, now time.Time) (s Silence, err error) {
	for key, read := range map[string]func(string) error{
		KeyOffender: prefixTo(&s.Offender), KeyHost: prefixTo(&s.Host), KeyService: func(t string) (err error) { s.Service, err = ParseService(t); return err },
		KeySite: textTo(&s.Site), KeyFeed: textTo(&s.Feed), KeyRule: textTo(&s.Rule), KeyReason: textTo(&s.Reason),
	} {
		if text := v.Get(key); text != "" {
			if e := read(text); e != nil {
				err = cmp.Or(err, fmt.Errorf("%s: %w", key, e))
			}
		}
	}
	if err != nil {
		return s, err
	}
	s.Until, err = ParseEnd(v, now)
	return s, err
}

func prefixTo(p *netip.Prefix) func(string) error {
	return func(text string) (err error) { *p, err = ParsePrefix(text); return err }
}

func textTo(s *string) func(string) error {
	return func(text string) error { *s = text; return nil }
}

// ParseEnd reads for or until, see [Parse].
func ParseEnd(v url.Values, now time.Time) (time.Time, error) {
	span, until := v.Get(KeyFor), v.Get(KeyUntil)
	switch {
	case span != "" && until != "":
		return time.Time{}, errors.New("for and until: give only one of them")
	case span != "":
		d, err := time.ParseDuration(span)
		if err != nil || d <= 0 {
			return time.Time{}, fmt.Errorf("for: %.40q is not a duration such as 168h", span)
		}
		return now.Add(min(d, 2*longest)), nil
	case until != "":
		t, err := time.Parse(time.RFC3339, until)
		if err != nil {
			return time.Time{}, fmt.Errorf("until: %.40q is not a time of RFC 3339, such as 2026-12-31T00:00:00Z", until)
		}
		return t, nil
	}
	return time.Time{}, errors.New("until when? give for or until")
}

// ReasonOf gives a text of any length as a reason: what is too long is cut.
func ReasonOf(text string) string {
	return strings.TrimSpace(string(fit.AppendPlain(nil, text, maxReason-len(fit.Ellipsis))))
}

// plain makes what people wrote harmless: one line, no control characters.
func plain(s string) string {
	return strings.TrimSpace(string(fit.AppendPlain(nil, s, len(s))))
}

// checkText makes reason and author harmless and complains of what is missing or too long.
func checkText(reason, author *string) error {
	*reason, *author = plain(*reason), plain(*author)
	switch {
	case *reason == "":
		return errors.New("reason: give one, in one line: somebody will read it when you are not there")
	case len(*reason) > maxReason:
		return fmt.Errorf("reason: %d bytes, at most %d are kept", len(*reason), maxReason)
	case *author == "":
		return errors.New("author: is missing")
	}
	for len(*author) > maxWord {
		_, n := utf8.DecodeLastRuneInString(*author)
		*author = (*author)[:len(*author)-n]
	}
	return nil
}

// checkEnd complains of an end that has passed, or is absurdly far away.
func checkEnd(until, now time.Time) error {
	switch {
	case !until.After(now):
		return fmt.Errorf("the end %s has passed", until.UTC().Format(time.RFC3339))
	case until.Sub(now) > longest:
		return errors.New("the end is more than ten years away")
	}
	return nil
}

// errEverything refuses a silence that nothing narrows.
var errEverything = errors.New("this would silence everything; narrow it by an offender, a host, a service, a feed or a rule")

// check completes the conditions of a new silence and refuses those that fit everything.
func (c *Conditions) check(home []netip.Prefix) error {
	for _, p := range []*netip.Prefix{&c.Offender, &c.Host} {
		*p = p.Masked()
	}
	for _, s := range []*string{&c.Site, &c.Feed, &c.Rule} {
		if *s = plain(*s); len(*s) > maxWord {
			return fmt.Errorf("%.20q…: names have at most %d bytes", *s, maxWord)
		}
	}
	narrow := c.Offender.IsValid() && c.Offender.Bits() >= leastBits(c.Offender) || c.Site != "" || c.Feed != "" || c.Rule != "" ||
		c.Host.Bits() > 0 && !coversAll(c.Host, home) || !c.Service.IsZero() && !c.Service.common()
	switch {
	case narrow:
		return nil
	case c.Service.common():
		return fmt.Errorf("%s alone would silence nearly everything; add a port, such as %s/22, or an offender, a host or a feed", c.Service, c.Service)
	case c.Offender.Bits() > 0:
		return fmt.Errorf("%s is too large a part of the internet to be silenced; at least /%d, or add a host, a service or a feed", c.Offender, leastBits(c.Offender))
	case c.Host.Bits() > 0:
		return fmt.Errorf("host %s has all home networks: %w", c.Host, errEverything)
	}
	return errEverything
}

// common reports whether most flows are of the service: it is all of TCP or of UDP.
func (s Service) common() bool {
	return s.Port == 0 && (s.Protocol == flow.ProtocolTCP || s.Protocol == flow.ProtocolUDP)
}

// leastBits is the length of the largest prefix that may be silenced by itself, or allowed.
func leastBits(p netip.Prefix) int {
	if p.Addr().Is6() {
		return 16
	}
	return 8
}

// coversAll reports whether all home networks are in p; without any, none is.
func coversAll(p netip.Prefix, home []netip.Prefix) bool {
	for _, h := range home {
		if !p.Contains(h.Addr()) || p.Bits() > h.Bits() {
			return false
		}
	}
	return len(home) > 0
}

// checkPrefix refuses an entry of the allowlist that would end the program's use.
func checkPrefix(p *netip.Prefix) error {
	*p = p.Masked()
	switch {
	case !p.IsValid():
		return errors.New("prefix: is missing")
	case p.Bits() < leastBits(*p):
		return fmt.Errorf("%s is too large a part of the internet to be allowed; at least /%d", p, leastBits(*p))
	}
	return nil
}
