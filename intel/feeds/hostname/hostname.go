package hostname

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// What can be wrong with a name.
var (
	// ErrAddress is the error of an address in the place of a name.
	ErrAddress = errors.New("an address, not a name")
	errLength  = errors.New("a name has at most 253 characters, and 63 between dots")
	errLabels  = errors.New("a name has at least two labels")
	errLabel   = errors.New("a label has letters, digits, hyphens inside it, and underscores")
	errIDN     = errors.New("not an internationalised name")
	errURL     = errors.New("not a URL with a host")
)

// Limits of the DNS (RFC 1035, 2.3.4): 255 octets on the wire are 253 characters.
const (
	MaxName  = 253
	maxLabel = 63
	// maxText is longer than any spelling of a name: a character beyond ASCII has at most
	// four bytes.
	maxText = 4*MaxName + 8
)

// Parse reads a name as lists write it: in any case, with a full stop behind it, with "*."
// or a full stop before it for all names below, with "[.]" for the dots, in Unicode. The
// result is in lower case and ASCII (RFC 5891), of at least two labels, without full stop.
func Parse(s string) (string, error) {
	if len(s) > maxText {
		return "", errLength
	}
	s = strings.ReplaceAll(s, "[.]", ".")
	if rest, ok := strings.CutPrefix(s, "*."); ok { // "*example.org" is more than the names below it
		s = rest
	} else {
		s = strings.TrimPrefix(s, ".")
	}
	s = strings.TrimSuffix(s, ".")
	if _, err := netip.ParseAddr(s); err == nil {
		return "", ErrAddress
	}
	ascii, encoded := true, false
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		s = strings.ToLower(s)
		encoded = strings.HasPrefix(s, "xn--") || strings.Contains(s, ".xn--")
	}
	if !ascii || encoded {
		if !utf8.ValidString(s) {
			return "", errIDN
		}
		var err error
		if s, err = idna.Lookup.ToASCII(s); err != nil {
			return "", errIDN
		}
		s = strings.TrimSuffix(s, ".")
		if again, err := idna.Lookup.ToASCII(s); err != nil || again != s {
			return "", errIDN
		}
	}
	return s, check(s)
}

// ParseTop is Parse for a name that may be of one label, such as lan.
func ParseTop(s string) (string, error) {
	name, err := Parse(s)
	if err != errLabels || strings.Trim(s, ".") == "" {
		return name, err
	}
	name, err = Parse("x." + strings.TrimLeft(s, "*."))
	return strings.TrimPrefix(name, "x."), err
}

// check reports what is wrong with a name in ASCII and lower case.
func check(s string) error {
	if len(s) > MaxName {
		return errLength
	}
	labels := strings.Split(s, ".")
	if len(labels) < 2 {
		return errLabels
	}
	for _, l := range labels {
		switch {
		case len(l) > maxLabel:
			return errLength
		case l == "", l[0] == '-', l[len(l)-1] == '-', strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
			return errLabel
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return ErrAddress // 192.0.2.256, or a part of an address
	}
	return nil
}

// OfURL gives the host of a URL, which may be written as hxxp://.
func OfURL(s string) (string, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme == "" || strings.ContainsAny(scheme, " /?#.") {
		return "", errURL
	}
	if i := strings.IndexAny(rest, "/?#\\"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if strings.HasPrefix(rest, "[") && !strings.HasPrefix(rest, "[.]") {
		return "", ErrAddress
	}
	host, _, _ := strings.Cut(rest, ":")
	return Parse(host)
}

// IsShared reports whether a name in the form of Parse belongs to no single owner: a public
// suffix such as co.uk or github.io (publicsuffix.org).
func IsShared(name string) bool {
	suffix, _ := publicsuffix.PublicSuffix(name)
	return suffix == name
}

// everybodys are names that the whole DNS needs, with all below them; hosts are shared ones, of
// which a name above must not be listed: public resolvers, time, and the platforms whose
// customers have names below these.
var (
	everybodys = []string{"root-servers.net", "gtld-servers.net"}
	hosts      = []string{
		"dns.google", "one.one.one.one", "cloudflare-dns.com", "dns.quad9.net", "dns.opendns.com", "pool.ntp.org", "time.windows.com", "time.apple.com",
		"s3.amazonaws.com", "compute.amazonaws.com", "elb.amazonaws.com", "blob.core.windows.net", "cloudapp.azure.com", "trafficmanager.net",
		"storage.googleapis.com", "fonts.gstatic.com", "raw.githubusercontent.com", "github.com", "update.microsoft.com", "login.microsoftonline.com",
		"outlook.office365.com", "www.google.com", "drive.google.com", "www.apple.com", "security.debian.org", "archive.ubuntu.com",
		"akamaiedge.net", "akadns.net", "edgekey.net", "edgesuite.net", "cdn.cloudflare.net", "global.fastly.net", "letsencrypt.org", "ocsp.digicert.com",
	}
)

// IsCritical reports whether to block a name in the form of Parse, with all below it, would cut
// off much more than what it is listed for, as intel.CriticalServices has addresses. Names
// below shared hosts are not critical.
func IsCritical(name string) bool {
	return slices.ContainsFunc(everybodys, func(s string) bool { return Below(name, s) || Below(s, name) }) ||
		slices.ContainsFunc(hosts, func(s string) bool { return Below(s, name) })
}

// IsPublic reports whether a name in the form of Parse is below a suffix that the public
// list has, so that a word with a dot in it is hardly anything but a name.
func IsPublic(name string) bool {
	suffix, managed := publicsuffix.PublicSuffix(name)
	return (managed || strings.Contains(suffix, ".")) && suffix != name
}

// IsLocal reports whether a name in the form of Parse is for special use (RFC 6761, 6762,
// 8375, 9476) or of a network's own, and so not one that a list can be about.
func IsLocal(name string) bool {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "localhost", "localdomain", "local", "arpa", "invalid", "test", "example", "internal", "alt", "lan", "home", "corp", "intranet":
		return true
	}
	return false
}

// Below reports whether a name is another one or below it.
func Below(name, top string) bool {
	return strings.HasSuffix(name, top) && (len(name) == len(top) || name[len(name)-len(top)-1] == '.')
}
