package feeds

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errIPRepColumns  = errors.New("want address,category,score")
	errIPRepCategory = errors.New("category must be 1 to 60")
	errIPRepScore    = errors.New("score must be 1 to 127; 0 means no data")
	errNoKey         = errors.New("want key:value")
	errNoRange       = errors.New("want label:A-B")
	errCommand       = errors.New("want add SET ENTRY")
)

// startIPRep makes the parser of Suricata's reputation lists: address or prefix,
// category, score.
func startIPRep(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		if d.comment(trim(line), "#") {
			return nil
		}
		e, err := ipRepEntry(strings.Split(line, ","))
		if err != nil {
			d.reject(line, err)
			return nil
		}
		return d.accept(e)
	}, nil
}

func ipRepEntry(cols []string) (Entry, error) {
	if len(cols) != 3 {
		return Entry{}, errIPRepColumns
	}
	category, ok := decimal(trim(cols[1]), 3, 60)
	if !ok || category == 0 {
		return Entry{}, errIPRepCategory
	}
	score, ok := decimal(trim(cols[2]), 3, 127)
	if !ok || score == 0 {
		return Entry{}, errIPRepScore
	}
	p, err := parsePrefix(trim(cols[0]))
	return Entry{Indicator: intel.Indicator{
		Prefix:      p,
		Score:       uint8(max(1, score*100/127)),
		Description: "category " + trim(cols[1]),
	}}, err
}

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

// startP2P makes the parser of PeerGuardian text: label:A-B. The label may hold
// colons, so the last one counts.
func startP2P(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		line = trim(line)
		if d.comment(line, "#") {
			return nil
		}
		i := strings.LastIndexByte(line, ':')
		if i < 0 {
			d.reject(line, errNoRange)
			return nil
		}
		ps, err := parseRange(line[i+1:], parseAddr)
		if err != nil {
			d.reject(line, err)
			return nil
		}
		return d.acceptAll(ps, Entry{Indicator: intel.Indicator{Description: line[:i]}})
	}, nil
}

// allowedLevel is the access level from which eMule lets a range through.
const allowedLevel = 128

// startDat makes the parser of eMule's ipfilter.dat: A - B , level , label, with
// octets padded by zeros. What has no level is blocked.
func startDat(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		line = trim(line)
		if d.comment(line, "#", ";", "//") {
			return nil
		}
		addresses, rest, _ := strings.Cut(line, ",")
		ps, err := parseRange(addresses, parsePadded)
		if err != nil {
			d.reject(line, err)
			return nil
		}
		level, label, _ := strings.Cut(rest, ",")
		if n, ok := decimal(trim(level), 5, 99999); ok && n >= allowedLevel {
			d.report.Skipped++
			return nil
		}
		return d.acceptAll(ps, Entry{Indicator: intel.Indicator{Description: label}})
	}, nil
}
