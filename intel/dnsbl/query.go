package dnsbl

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"golang.org/x/net/dns/dnsmessage"
)

// queryName gives the name of an address in a zone (RFC 5782, 2.1 and 2.4): the octets
// of IPv4 or the nibbles of IPv6 in reverse order.
func queryName(a netip.Addr, zone string) string {
	var b strings.Builder
	if a.Is4() {
		o := a.As4()
		for i := len(o) - 1; i >= 0; i-- {
			b.WriteString(strconv.Itoa(int(o[i])))
			b.WriteByte('.')
		}
		return b.String() + zone
	}
	o := a.As16()
	const hex = "0123456789abcdef"
	for i := len(o) - 1; i >= 0; i-- {
		b.WriteByte(hex[o[i]&15])
		b.WriteByte('.')
		b.WriteByte(hex[o[i]>>4])
		b.WriteByte('.')
	}
	return b.String() + zone
}

var (
	loopback   = netip.MustParsePrefix("127.0.0.0/8")
	errorCodes = netip.MustParsePrefix("127.255.255.0/24")
	rewritten  = netip.MustParseAddr("127.0.0.1")
)

// isListing distinguishes answers that mean "listed" from those that mean that something is
// wrong: 127.255.255.0/24 are errors by convention, 127.0.0.1 and all outside 127/8
// come from resolvers that rewrite answers and from zones that were given up.
func isListing(a netip.Addr) bool {
	return loopback.Contains(a) && !errorCodes.Contains(a) && a != rewritten
}

// An answer is what a zone returned for one address.
type answer struct {
	codes []netip.Addr // none = not listed
	text  string
	ttl   time.Duration
}

// errNotSaid is wrapped by the errors of answers that say neither "listed" nor "not
// listed".
var errNotSaid = errors.New("no answer to the question")

// parseA reads the answer to a question for the A records of a name.
func parseA(m *dnsmessage.Message, name string) (answer, error) {
	switch m.RCode {
	case dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError:
	default:
		return answer{}, fmt.Errorf("%w: %s", errNotSaid, m.RCode)
	}
	var a answer
	ttl := uint32(1<<32 - 1)
	for r := range belonging(m, name) {
		body, ok := r.Body.(*dnsmessage.AResource)
		if !ok {
			continue
		}
		code := netip.AddrFrom4(body.A)
		if !isListing(code) {
			return answer{}, fmt.Errorf("%w: %s is an error code or a rewritten answer", errNotSaid, code)
		}
		if !slices.Contains(a.codes, code) {
			a.codes = append(a.codes, code)
		}
		ttl = min(ttl, r.Header.TTL)
	}
	if len(a.codes) == 0 {
		ttl = negativeTTL(m)
	}
	a.ttl = time.Duration(ttl) * time.Second
	return a, nil
}

// maxAliases bounds the aliases that lead from a name to its records.
const maxAliases = 8

// belonging yields the records of a name in an answer, or those of the name that it is
// an alias of: whatever else stands there answers another question. Resolvers may put
// the aliases in any place.
func belonging(m *dnsmessage.Message, name string) iter.Seq[*dnsmessage.Resource] {
	for range maxAliases {
		i := slices.IndexFunc(m.Answers, func(r dnsmessage.Resource) bool {
			_, alias := r.Body.(*dnsmessage.CNAMEResource)
			return alias && isOf(&r, name)
		})
		if i < 0 {
			break
		}
		name = m.Answers[i].Body.(*dnsmessage.CNAMEResource).CNAME.String()
	}
	return func(yield func(*dnsmessage.Resource) bool) {
		for i := range m.Answers {
			if r := &m.Answers[i]; isOf(r, name) && !yield(r) {
				return
			}
		}
	}
}

// isOf reports whether a record is one of the name.
func isOf(r *dnsmessage.Resource, name string) bool {
	return r.Header.Class == dnsmessage.ClassINET && strings.EqualFold(r.Header.Name.String(), name)
}

// negativeTTL is the life of "not listed" (RFC 2308, 5).
func negativeTTL(m *dnsmessage.Message) uint32 {
	for _, r := range m.Authorities {
		if soa, ok := r.Body.(*dnsmessage.SOAResource); ok {
			return min(r.Header.TTL, soa.MinTTL)
		}
	}
	return 1<<32 - 1
}

// maxText bounds the evidence.
const maxText = 512

// parseTXT gives the first text of an answer for a name.
func parseTXT(m *dnsmessage.Message, name string) string {
	for r := range belonging(m, name) {
		if txt, ok := r.Body.(*dnsmessage.TXTResource); ok {
			return fit.Cut(strings.ToValidUTF8(strings.Join(txt.TXT, ""), "\uFFFD"), maxText)
		}
	}
	return ""
}
