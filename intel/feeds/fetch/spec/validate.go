package spec

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds"
)

func isUnprintable(r rune) bool { return r < ' ' || r > '~' || r == '(' || r == ')' }

// Validate checks one feed; names holds the key of every name so far.
func (f Feed) Validate(key string, warninglist bool, names map[string]string) error {
	if err := f.validateSource(); err != nil {
		return fmt.Errorf("%s.%w", key, err)
	}
	s := f.Resolve()
	for _, check := range []func() error{s.validateName, s.validateJudgement, s.validateTimes, s.validateRequests} {
		if err := check(); err != nil {
			return fmt.Errorf("%s.%w", key, err)
		}
	}
	if err := s.validateClass(warninglist); err != nil {
		return fmt.Errorf("%s.%w", key, err)
	}
	if other, taken := names[s.Name]; taken {
		return fmt.Errorf("%s.name: %q is that of %s too; hits could not be distinguished", key, s.Name, other)
	}
	names[s.Name] = key
	return nil
}

// validateSource makes sure that there is one place to read from.
func (f *Feed) validateSource() error {
	var p Preset
	if f.Preset != "" {
		var ok bool
		if p, ok = findPreset(f.Preset); !ok {
			return fmt.Errorf("preset: %q is unknown; %s'flowsnitch intel presets' lists all %d", f.Preset, nearPresets(f.Preset), len(presetNames()))
		}
	}
	n := 0
	for _, place := range []string{string(f.URL), f.File, f.Dir} {
		if place != "" {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("url: url, file and dir are three sources; make them three feeds")
	case n == 0 && p.URL == "" && p.Name != "":
		return fmt.Errorf("url: required; the preset %s has none, it is specific to you", p.Name)
	case n == 0 && p.URL == "":
		return errors.New("url: missing; one of preset, url, file, dir is required")
	}
	return f.validateBlocks()
}

// DenyFeed is the name of the operator's own listed prefixes among the feeds.
const DenyFeed = "deny"

// maxNear is how many names are suggested for one that is unknown.
const maxNear = 5

// nearPresets suggests the presets whose names begin alike or have the name in them.
func nearPresets(name string) string {
	likeness := func(known string) int {
		n := 0
		for n < min(len(name), len(known)) && name[n] == known[n] {
			n++
		}
		if name != "" && strings.Contains(known, name) {
			n += len(name)
		}
		return n
	}
	names := slices.DeleteFunc(presetNames(), func(known string) bool { return likeness(known) < 2 })
	slices.SortStableFunc(names, func(a, b string) int { return likeness(b) - likeness(a) })
	if len(names) == 0 {
		return ""
	}
	return "perhaps " + strings.Join(names[:min(len(names), maxNear)], ", ") + " is meant; "
}

// validateBlocks makes sure that a url is one kind of service.
func (f *Feed) validateBlocks() error {
	n := 0
	for _, there := range []bool{f.OTX != nil, f.TAXII != nil, f.MISP != nil} {
		if there {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("otx: otx, taxii and misp are three services; make them three feeds")
	case n == 1 && (f.File != "" || f.Dir != ""):
		return errors.New("file: the blocks otx, taxii and misp require a url")
	case f.MISP != nil && f.MISP.Source != "" && f.MISP.Source != mispFeed && f.MISP.Source != mispSearch:
		return fmt.Errorf("misp.source: %q; allowed are %s, %s", f.MISP.Source, mispFeed, mispSearch)
	case f.OTX != nil && !within(f.OTX.Limit, 0, 100):
		return fmt.Errorf("otx.limit: %d is outside 1 to 100", f.OTX.Limit)
	case f.MISP != nil && !within(f.MISP.Limit, 0, 1000):
		return fmt.Errorf("misp.limit: %d is outside 1 to 1000", f.MISP.Limit)
	case f.TAXII != nil && !within(f.TAXII.Limit, 0, 100_000):
		return fmt.Errorf("taxii.limit: %d is outside 1 to 100000", f.TAXII.Limit)
	}
	return nil
}

func within(n, low, high int) bool { return low <= n && n <= high }

func (s *Spec) validateName() error {
	switch {
	case s.Name == "":
		return errors.New("name: required; it is the name of the feed in hits")
	case len(s.Name) > maxName || strings.ContainsFunc(s.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("name: %.80q; must be at most %d characters without control characters", s.Name, maxName)
	case s.Name == DenyFeed && !s.Operator:
		return fmt.Errorf("name: %q is the operator's own list", s.Name)
	}
	return nil
}

// tlps are the colours of the Traffic Light Protocol.
var tlps = []string{"white", "green", "amber", "red"}

func (s *Spec) validateJudgement() error {
	switch {
	case !within(s.Score, 1, 100):
		return fmt.Errorf("score: %d is outside 1 to 100", s.Score)
	case !within(s.MinScore, 0, 100):
		return fmt.Errorf("min_score: %d is outside 0 to 100", s.MinScore)
	case !within(s.MaxSpace, 1, 32):
		return fmt.Errorf("max_space: %d is outside 1 to 32", s.MaxSpace)
	case !within(s.MaxSpace6, 1, 64):
		return fmt.Errorf("max_space6: %d is outside 1 to 64", s.MaxSpace6)
	case s.TLP != "" && !slices.Contains(tlps, s.TLP):
		return fmt.Errorf("tlp: %q; allowed are %s", s.TLP, strings.Join(tlps, ", "))
	}
	if s.Path != "" {
		switch err := feeds.CheckPath(s.Path); {
		case err != nil:
			return err
		case s.Kind.paged():
			return errors.New("path: belongs to a document of JSON, not to a service")
		case s.Format != "json":
			return fmt.Errorf("path: the format %s has none; it belongs to json", s.Format)
		}
	}
	if s.Format != "" {
		if err := feeds.CheckFormat(s.Format); err != nil {
			return fmt.Errorf("format: %w", err)
		}
	}
	return nil
}

func (s *Spec) validateClass(warninglist bool) error {
	switch {
	case !warninglist && s.Class != "":
		return errors.New("class: belongs under warninglists; a feed has no class")
	case warninglist && s.Kind.paged():
		return errors.New("url: a warninglist is a document or a file")
	case warninglist && !slices.Contains(intel.Classes(), intel.Class(s.Class)):
		return fmt.Errorf("class: %q; allowed are %s", s.Class, join(intel.Classes()))
	}
	return nil
}

func join[T ~string](list []T) string {
	var out []string
	for _, t := range list {
		out = append(out, string(t))
	}
	return strings.Join(out, ", ")
}

func (s *Spec) validateTimes() error {
	low := minInterval
	if s.Kind.Local() {
		low = time.Second
	}
	switch {
	case s.Interval < low || s.Interval > maxInterval:
		return fmt.Errorf("interval: %v is outside %v to %v", s.Interval, low, maxInterval)
	case s.Interval < s.Floor:
		return fmt.Errorf("interval: %v is below the provider's minimum of %v", s.Interval, s.Floor)
	case s.MaxAge < 0:
		return fmt.Errorf("max_age: %v is negative", s.MaxAge)
	case s.MaxBytes < 1 || s.MaxBytes > 1<<34:
		return fmt.Errorf("max_bytes: %d is outside 1 to %d", s.MaxBytes, int64(1<<34))
	}
	return nil
}

// validateRequests checks what goes over the wire.
func (s *Spec) validateRequests() error {
	switch {
	case s.APIKey != "" && s.APIKeyFile != "":
		return errors.New("api_key_file: is not allowed beside api_key")
	case s.Password != "" && s.PasswordFile != "":
		return errors.New("password_file: is not allowed beside password")
	case s.User == "" && (s.Password != "" || s.PasswordFile != ""):
		return errors.New("user: required with a password")
	case (s.CertFile == "") != (s.KeyFile == ""):
		return errors.New("cert_file: cert_file and key_file belong together")
	}
	for i, h := range s.Headers {
		if !isToken(h.Name) || strings.ContainsFunc(string(h.Value), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("headers[%d]: must be a name and a value of one line", i)
		}
	}
	if s.Kind.Local() {
		return nil
	}
	return s.validateURL()
}

// isToken reports whether s can be the name of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// validateURL also keeps keys off the open wire.
func (s *Spec) validateURL() error {
	u, err := url.Parse(string(s.URL))
	switch {
	case err != nil:
		return errors.New("url: is not a URL such as https://example.org/list.txt")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("url: %q; must begin with https:// or http://", s.URL)
	case u.User != nil:
		return errors.New("url: a password in a URL gets into logs; use user and password_file")
	case u.Scheme == "http" && s.keyed() && !isLoopback(u.Hostname()):
		return errors.New("url: a key would travel in clear text; use https")
	}
	return nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
