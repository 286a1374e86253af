package programs

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var (
	errNoKey = errors.New("must be key:value")
)

// CDB makes the parser of OSSEC and Wazuh lists in text form: key:value. A
// key may be quoted; one that ends in a dot is a prefix on an octet's bound.
func CDB(d *document.Document, _ string) (document.RowFunc, error) {
	return func(line string) error {
		line = document.Trim(line)
		if d.Comment(line, "#") {
			return nil
		}
		key, value, ok := cutKey(line)
		if !ok {
			d.Reject(line, errNoKey)
			return nil
		}
		p, err := cdbPrefix(key)
		if err != nil {
			d.Reject(line, err)
			return nil
		}
		return d.Accept(document.Entry{Indicator: intel.Indicator{
			Prefix:      p,
			Category:    document.CategoryOf(document.Unquote(value)),
			Description: document.Unquote(value),
		}})
	}, nil
}

func cutKey(line string) (key, value string, ok bool) {
	if rest, quoted := strings.CutPrefix(line, `"`); quoted {
		key, rest, closed := strings.Cut(rest, `"`)
		value, colon := strings.CutPrefix(document.Trim(rest), ":")
		return document.Trim(key), document.Trim(value), closed && colon
	}
	key, value, ok = strings.Cut(line, ":")
	return document.Trim(key), document.Trim(value), ok
}

// cdbPrefix reads "10.", "10.1." and "10.1.2." as /8, /16 and /24.
func cdbPrefix(key string) (netip.Prefix, error) {
	octets, dotted := strings.CutSuffix(key, ".")
	if !dotted {
		return prefix.Parse(key)
	}
	n := strings.Count(octets, ".") + 1
	if n > 3 {
		return netip.Prefix{}, prefix.ErrNotAddress
	}
	a, err := prefix.Addr(octets + strings.Repeat(".0", 4-n))
	if err != nil {
		return netip.Prefix{}, err
	}
	return prefix.Make(a, 8*n)
}
