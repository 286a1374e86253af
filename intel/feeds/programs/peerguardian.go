package programs

import (
	"errors"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var (
	errNoRange = errors.New("must be label:A-B")
)

// P2P makes the parser of PeerGuardian text: label:A-B. The label may hold
// colons, so the last one counts.
func P2P(d *document.Document, _ string) (document.RowFunc, error) {
	return func(line string) error {
		line = document.Trim(line)
		if d.Comment(line, "#") {
			return nil
		}
		i := strings.LastIndexByte(line, ':')
		if i < 0 {
			d.Reject(line, errNoRange)
			return nil
		}
		ps, err := prefix.Range(line[i+1:], prefix.Addr)
		if err != nil {
			d.Reject(line, err)
			return nil
		}
		return d.AcceptAll(ps, document.Entry{Indicator: intel.Indicator{Description: line[:i]}})
	}, nil
}

// allowedLevel is the access level from which eMule lets a range through.
const allowedLevel = 128

// Dat makes the parser of eMule's ipfilter.dat: A - B , level , label, with
// octets padded by zeros. What has no level is blocked.
func Dat(d *document.Document, _ string) (document.RowFunc, error) {
	return func(line string) error {
		line = document.Trim(line)
		if d.Comment(line, "#", ";", "//") {
			return nil
		}
		addresses, rest, _ := strings.Cut(line, ",")
		ps, err := prefix.Range(addresses, prefix.Padded)
		if err != nil {
			d.Reject(line, err)
			return nil
		}
		level, label, _ := strings.Cut(rest, ",")
		if n, ok := prefix.Decimal(document.Trim(level), 5, 99999); ok && n >= allowedLevel {
			d.Report.Skipped++
			return nil
		}
		return d.AcceptAll(ps, document.Entry{Indicator: intel.Indicator{Description: label}})
	}, nil
}
