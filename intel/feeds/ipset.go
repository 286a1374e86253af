package feeds

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errCommand = errors.New("must be add SET ENTRY")
)

// startIPSet makes the parser of what "ipset save" writes.
func startIPSet(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		line = trim(line)
		if d.comment(line, "#") || strings.HasPrefix(line, "create ") {
			return nil
		}
		command, comment := cutIPSetComment(line)
		words := strings.Fields(command)
		if len(words) < 3 || words[0] != "add" {
			d.reject(line, errCommand)
			return nil
		}
		ps, port, err := ipsetEntry(words[2])
		if err != nil {
			d.reject(line, err)
			return nil
		}
		return d.acceptAll(ps, Entry{
			Exclude:   slices.Contains(words[3:], "nomatch"),
			Indicator: intel.Indicator{Port: port, Description: comment},
		})
	}, nil
}

// cutIPSetComment takes the quoted comment out of a command; quotes in it cannot
// occur.
func cutIPSetComment(line string) (command, comment string) {
	before, after, ok := strings.Cut(line, ` comment "`)
	if !ok {
		return line, ""
	}
	comment, after, _ = strings.Cut(after, `"`)
	return before + " " + after, comment
}

// ipsetEntry reads an address, prefix or range, with ",proto:port" behind it in
// sets of that type. A second address makes a pair, which says more than a list of
// addresses; other dimensions of a set, such as an interface, are not kept.
func ipsetEntry(s string) ([]netip.Prefix, uint16, error) {
	s, second, _ := strings.Cut(s, ",")
	_, number, _ := strings.Cut(second, ":")
	port, _ := parsePort(number)
	for other := range strings.SplitSeq(second, ",") {
		if _, err := parsePrefix(other); err == nil {
			return nil, 0, errNFTPair
		}
	}
	if strings.IndexByte(s, '-') >= 0 {
		ps, err := parseRange(s, parseAddr)
		return ps, port, err
	}
	p, err := parsePrefix(s)
	return []netip.Prefix{p}, port, err
}
