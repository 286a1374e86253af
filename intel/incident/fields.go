package incident

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// fields are all filters: the one place where they are named.
var fields = []Field{
	timeField("first-before", "first seen at this time or before", "2026-11-01", func(f *Filter) *time.Time { return &f.FirstBefore }),
	timeField("first-after", "first seen at this time or later", "7d", func(f *Filter) *time.Time { return &f.FirstAfter }),
	timeField("last-before", "last seen at this time or before", "30d", func(f *Filter) *time.Time { return &f.LastBefore }),
	timeField("last-after", "last seen at this time or later", "24h", func(f *Filter) *time.Time { return &f.LastAfter }),
	{
		Name: "severity", Help: "at least this severity: low, medium, high or critical", Example: "high",
		set: func(f *Filter, s string, _ time.Time) (err error) { f.MinSeverity, err = parseSeverity(s); return err },
		get: func(f *Filter) []string {
			if f.MinSeverity == event.Low {
				return nil
			}
			return []string{f.MinSeverity.String()}
		},
	},
	many("state", "what has been made of it: new, open, taken, closed or false_alarm", "new,open", func(f *Filter) *[]State { return &f.States }, ParseState, State.String),
	many("feed", "listed by this feed", "feodo", func(f *Filter) *[]string { return &f.Feeds }, asIs, same),
	many("category", "listed as this", "c2", func(f *Filter) *[]string { return &f.Categories }, lower, same),
	many("service", "contacts to this port", "tcp/22", func(f *Filter) *[]ServiceFilter { return &f.Services }, parseService, ServiceFilter.String),
	many("offender", "an address or prefix of offenders", "203.0.113.0/24", func(f *Filter) *[]netip.Prefix { return &f.Offenders }, parsePrefix, prefixText),
	many("host", "contact with this address or prefix of ours", "10.0.0.5", func(f *Filter) *[]netip.Prefix { return &f.Hosts }, parsePrefix, prefixText),
	many("site", "contact with hosts at this site", "oslo", func(f *Filter) *[]string { return &f.Sites }, asIs, same),
	many("country", "the offender's country, two letters", "NL", func(f *Filter) *[]string { return &f.Countries }, parseCountry, same),
	many("as", "the offender's autonomous system", "AS64500", func(f *Filter) *[]uint32 { return &f.AS }, parseAS, func(n uint32) string { return fmt.Sprint(n) }),
	choice("answered", "whether a contact was answered: yes or no", func(f *Filter) *Choice { return &f.Answered }),
	many("direction", "a contact in this direction: inbound, outbound, internal or transit", "outbound", func(f *Filter) *[]event.Direction { return &f.Directions }, parseDirection, func(d event.Direction) string { return string(d) }),
	choice("retro", "whether a contact was found in the history, from before the listing: yes or no", func(f *Filter) *Choice { return &f.Retro }),
	{
		Name: "text", Help: "in a feed's name, a category, the network's name or a note, or the beginning of the address", Example: "botnet",
		set: func(f *Filter, s string, _ time.Time) error { f.Text = s; return nil },
		get: func(f *Filter) []string {
			if f.Text == "" {
				return nil
			}
			return []string{f.Text}
		},
	},
}

// many makes a field of a list.
func many[T comparable](name, help, example string, at func(*Filter) *[]T, parse func(string) (T, error), text func(T) string) Field {
	return Field{
		Name: name, Help: help, Example: example, Many: true,
		set: func(f *Filter, s string, _ time.Time) error {
			v, err := parse(s)
			if list := at(f); err == nil && !slices.Contains(*list, v) {
				*list = append(*list, v)
			}
			return err
		},
		get: func(f *Filter) (values []string) {
			for _, v := range *at(f) {
				values = append(values, text(v))
			}
			return values
		},
	}
}

func timeField(name, help, example string, at func(*Filter) *time.Time) Field {
	return Field{
		Name: name, Help: help, Example: example,
		set: func(f *Filter, s string, now time.Time) (err error) { *at(f), err = ParseTime(s, now); return err },
		get: func(f *Filter) []string {
			if at(f).IsZero() {
				return nil
			}
			return []string{at(f).UTC().Format(time.RFC3339)}
		},
	}
}

func choice(name, help string, at func(*Filter) *Choice) Field {
	return Field{
		Name: name, Help: help, Example: "yes",
		set: func(f *Filter, s string, _ time.Time) (err error) { *at(f), err = parseChoice(s); return err },
		get: func(f *Filter) []string {
			switch *at(f) {
			case Yes:
				return []string{"yes"}
			case No:
				return []string{"no"}
			}
			return nil
		},
	}
}

// plain refuses what no name, address or text of ours has in it.
func plain(s string) error {
	switch {
	case len(s) > maxText:
		return fmt.Errorf("%d bytes; at most %d are allowed", len(s), maxText)
	case !utf8.ValidString(s):
		return errors.New("is not UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("has control characters")
	}
	return nil
}

// short gives foreign text as it may stand in an error.
func short(s string) string { return string(fit.AppendPlain(nil, s, 60)) }

func asIs(s string) (string, error)  { return s, nil }
func same(s string) string           { return s }
func lower(s string) (string, error) { return strings.ToLower(s), nil }

// ParseTime reads a time: RFC 3339, a day or month (its first second, local time), or a
// span before now such as 7d or 12h. Parts of a second are dropped.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if d, ok := parseSpan(s); ok {
		return now.Add(-d).Truncate(time.Second), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly, "2006-01"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t.Truncate(time.Second), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; use a span such as 30d or 12h, a day such as 2026-11-01, or 2026-11-01T13:00:00Z", short(s))
}

// parseSpan reads a duration, also in days and weeks.
func parseSpan(s string) (time.Duration, bool) {
	if days := map[byte]int{'d': 1, 'w': 7}[s[len(s)-1]]; days > 0 {
		n, err := strconv.Atoi(s[:len(s)-1])
		return time.Duration(n*days) * 24 * time.Hour, err == nil && n >= 0 && n < 10_000
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

func parseSeverity(s string) (event.Severity, error) {
	for sev := range event.Critical + 1 {
		if sev.String() == s {
			return sev, nil
		}
	}
	return 0, fmt.Errorf("%q is no severity; use low, medium, high or critical", short(s))
}

func parseChoice(s string) (Choice, error) {
	switch s {
	case "yes", "true", "1":
		return Yes, nil
	case "no", "false", "0":
		return No, nil
	}
	return Any, fmt.Errorf("%q; use yes or no", short(s))
}

func parseDirection(s string) (event.Direction, error) {
	switch d := event.Direction(s); d {
	case event.Inbound, event.Outbound, event.Internal, event.Transit:
		return d, nil
	}
	return "", fmt.Errorf("%q is no direction; use inbound, outbound, internal or transit", short(s))
}

// parsePrefix reads an address or a prefix, IPv4 within IPv6 as IPv4.
func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is neither address nor prefix", short(s))
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// prefixText gives a prefix of one address as the address.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// parseService reads tcp/22, 22 (of any protocol) or icmp (any port).
func parseService(s string) (ServiceFilter, error) {
	protocol, port, both := strings.Cut(strings.ToLower(s), "/")
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		return ServiceFilter{AnyProtocol: true, Port: uint16(n)}, nil
	}
	p, ok := flow.ParseProtocol(protocol)
	if !ok {
		return ServiceFilter{}, fmt.Errorf("%q is no service; use tcp/22, 22 or icmp", short(s))
	}
	if !both {
		return ServiceFilter{Protocol: p, AnyPort: true}, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ServiceFilter{}, fmt.Errorf("%q is no port; 0 to 65535 is allowed", short(port))
	}
	return ServiceFilter{Protocol: p, Port: uint16(n)}, nil
}

// String gives what is read: tcp/22, 22 or icmp.
func (s ServiceFilter) String() string {
	switch {
	case s.AnyProtocol:
		return strconv.Itoa(int(s.Port))
	case s.AnyPort:
		return flow.ProtocolName(s.Protocol)
	}
	return flow.ProtocolName(s.Protocol) + "/" + strconv.Itoa(int(s.Port))
}

func parseCountry(s string) (string, error) {
	up := strings.ToUpper(s)
	if len(up) != 2 || up[0] < 'A' || up[0] > 'Z' || up[1] < 'A' || up[1] > 'Z' {
		return "", fmt.Errorf("%q is no country; use its two letters, such as NL", short(s))
	}
	return up, nil
}

func parseAS(s string) (uint32, error) {
	digits := s
	if len(s) > 2 && strings.EqualFold(s[:2], "AS") {
		digits = s[2:]
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no autonomous system; use AS64500 or 64500", short(s))
	}
	return uint32(n), nil
}
