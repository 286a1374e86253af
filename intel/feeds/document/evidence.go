package document

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// What can be wrong with a row, beside its address.
var (
	ErrColumns   = errors.New("too few columns")
	ErrOtherType = errors.New("not of an address type")
	ErrExpired   = errors.New("expired")
)

// Caps of the foreign text that an entry carries.
const (
	MaxDescription = 512
	maxRef         = 1024
	maxNativeID    = 256
)

// Bounded gives foreign text in at most n bytes. Text that is cut is copied, so
// that the rest of it can go.
func Bounded(s string, n int) string {
	if s = valid(Trim(s)); len(s) > n {
		return strings.Clone(fit.Cut(s, n))
	}
	return s
}

// ObjectID gives the id of an object as its entries have it.
func ObjectID[T ~string](id T) string { return Bounded(string(id), maxNativeID) }

// valid copies foreign text only if it is not UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// PathEscape makes a foreign id safe as one segment of a URL's path.
func PathEscape[T ~string](id T) string {
	return url.PathEscape(fit.Cut(string(id), maxNativeID))
}

// WebURL gives a foreign link back if it is one for a browser.
func WebURL(s string) string {
	if strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") {
		return s
	}
	return ""
}

// ScoreOf reads a confidence of 1 to 100; anything else is 0, unknown.
func ScoreOf(s string) uint8 {
	n, ok := prefix.Decimal(s, 3, 100)
	if !ok {
		return 0
	}
	return uint8(n)
}

// JoinWords joins what is not empty with ": ".
func JoinWords(a, b string) string {
	if a, b = Trim(a), Trim(b); a == "" || b == "" {
		return a + b
	}
	return a + ": " + b
}

// ISCRef is the page of an address at the SANS Internet Storm Center.
func ISCRef(a netip.Addr) string { return "https://isc.sans.edu/ipinfo/" + a.String() }
