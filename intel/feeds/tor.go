package feeds

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

var errTorLine = errors.New("must begin with ExitNode, Published, LastStatus or ExitAddress")

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
