package feeds

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

// startPipe makes the parser of DataPlane reports: ASN, AS name, address, time of
// last sighting and category, separated by bars. The name may hold bars itself, so
// the columns are counted from the right.
func startPipe(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		if d.comment(trim(line), "#") {
			d.header(trim(line))
			return nil
		}
		cols := strings.Split(line, "|")
		n := len(cols)
		if n < 3 {
			d.reject(line, errColumns)
			return nil
		}
		p, err := parsePrefix(trim(cols[n-3]))
		if err != nil {
			d.reject(line, err)
			return nil
		}
		return d.accept(Entry{Indicator: intel.Indicator{
			Prefix:      p,
			Category:    categoryOf(cols[n-1]),
			Description: trim(cols[n-1]),
			LastSeen:    parseTime(cols[n-2]),
		}})
	}, nil
}

// isPipeRow tells a row of a DataPlane report.
func isPipeRow(line string) bool {
	cols := strings.Split(line, "|")
	n := len(cols)
	if n < 5 || strings.HasPrefix(trim(line), "#") {
		return false
	}
	_, err := parsePrefix(trim(cols[n-3]))
	return err == nil && !parseTime(cols[n-2]).IsZero()
}

var errTorLine = errors.New("want ExitNode, Published, LastStatus or ExitAddress")

// startTorExit makes the parser of Tor's exit-addresses: the lines of a relay
// follow its fingerprint.
func startTorExit(d *document, _ string) (rowFunc, error) {
	relay := ""
	return func(line string) error {
		words := strings.Fields(line)
		if d.comment(trim(line), "#") {
			return nil
		}
		if len(words) < 2 {
			d.reject(line, errColumns)
			return nil
		}
		switch words[0] {
		case "Published", "LastStatus":
		case "ExitNode":
			relay = words[1]
		case "ExitAddress":
			return d.torExit(line, words, relay)
		default:
			d.reject(line, errTorLine)
		}
		return nil
	}, nil
}

func (d *document) torExit(line string, words []string, relay string) error {
	a, err := parseAddr(words[1])
	if err != nil {
		d.reject(line, err)
		return nil
	}
	e := Entry{Indicator: intel.Indicator{
		Prefix:      netip.PrefixFrom(a, a.BitLen()),
		Category:    "anonymizer",
		Description: "Tor exit",
		NativeID:    relay,
	}}
	if len(words) >= 4 {
		e.LastSeen = parseTime(words[2] + " " + words[3])
	}
	return d.accept(e)
}
