package programs

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var (
	errCommand = errors.New("must be add SET ENTRY")
)

// IPSet makes the parser of what "ipset save" writes.
func IPSet(d *document.Document, _ string) (document.RowFunc, error) {
	return func(line string) error {
		line = document.Trim(line)
		if d.Comment(line, "#") || strings.HasPrefix(line, "create ") {
			return nil
		}
		command, comment := cutIPSetComment(line)
		words := strings.Fields(command)
		if len(words) < 3 || words[0] != "add" {
			d.Reject(line, errCommand)
			return nil
		}
		ps, port, err := IPSetEntry(words[2])
		if err != nil {
			d.Reject(line, err)
			return nil
		}
		return d.AcceptAll(ps, document.Entry{
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

// IPSetEntry reads an address, prefix or range, with ",proto:port" behind it in
// sets of that type. A second address makes a pair, which means more than a list of
// addresses; other dimensions of a set, such as an interface, are not kept.
func IPSetEntry(s string) ([]netip.Prefix, uint16, error) {
	s, second, _ := strings.Cut(s, ",")
	_, number, _ := strings.Cut(second, ":")
	port, _ := prefix.Port(number)
	for other := range strings.SplitSeq(second, ",") {
		if _, err := prefix.Parse(other); err == nil {
			return nil, 0, errNFTPair
		}
	}
	if strings.IndexByte(s, '-') >= 0 {
		ps, err := prefix.Range(s, prefix.Addr)
		return ps, port, err
	}
	p, err := prefix.Parse(s)
	return []netip.Prefix{p}, port, err
}
