package feeds

import (
	"errors"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errNoRange = errors.New("must be label:A-B")
)

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
