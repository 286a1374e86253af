package feeds

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errNoKey = errors.New("must be key:value")
)

// startCDB makes the parser of OSSEC and Wazuh lists in text form: key:value. A
// key may be quoted; one that ends in a dot is a prefix on an octet's bound.
func startCDB(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		line = trim(line)
		if d.comment(line, "#") {
			return nil
		}
		key, value, ok := cutKey(line)
		if !ok {
			d.reject(line, errNoKey)
			return nil
		}
		p, err := cdbPrefix(key)
		if err != nil {
			d.reject(line, err)
			return nil
		}
		return d.accept(Entry{Indicator: intel.Indicator{
			Prefix:      p,
			Category:    categoryOf(unquote(value)),
			Description: unquote(value),
		}})
	}, nil
}

func cutKey(line string) (key, value string, ok bool) {
	if rest, quoted := strings.CutPrefix(line, `"`); quoted {
		key, rest, closed := strings.Cut(rest, `"`)
		value, colon := strings.CutPrefix(trim(rest), ":")
		return trim(key), trim(value), closed && colon
	}
	key, value, ok = strings.Cut(line, ":")
	return trim(key), trim(value), ok
}

// cdbPrefix reads "10.", "10.1." and "10.1.2." as /8, /16 and /24.
func cdbPrefix(key string) (netip.Prefix, error) {
	octets, dotted := strings.CutSuffix(key, ".")
	if !dotted {
		return parsePrefix(key)
	}
	n := strings.Count(octets, ".") + 1
	if n > 3 {
		return netip.Prefix{}, errNotAddress
	}
	a, err := parseAddr(octets + strings.Repeat(".0", 4-n))
	if err != nil {
		return netip.Prefix{}, err
	}
	return makePrefix(a, 8*n)
}
