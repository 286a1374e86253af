package programs

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var errTorLine = errors.New("must begin with ExitNode, Published, LastStatus or ExitAddress")

// TorExit makes the parser of Tor's exit-addresses: the lines of a relay
// follow its fingerprint.
func TorExit(d *document.Document, _ string) (document.RowFunc, error) {
	relay := ""
	return func(line string) error {
		words := strings.Fields(line)
		if d.Comment(document.Trim(line), "#") {
			return nil
		}
		if len(words) < 2 {
			d.Reject(line, document.ErrColumns)
			return nil
		}
		switch words[0] {
		case "Published", "LastStatus":
		case "ExitNode":
			relay = words[1]
		case "ExitAddress":
			return torExit(d, line, words, relay)
		default:
			d.Reject(line, errTorLine)
		}
		return nil
	}, nil
}

func torExit(d *document.Document, line string, words []string, relay string) error {
	a, err := prefix.Addr(words[1])
	if err != nil {
		d.Reject(line, err)
		return nil
	}
	e := document.Entry{Indicator: intel.Indicator{
		Prefix:      netip.PrefixFrom(a, a.BitLen()),
		Category:    "anonymizer",
		Description: "Tor exit",
		NativeID:    relay,
	}}
	if len(words) >= 4 {
		e.LastSeen = dates.Parse(words[2] + " " + words[3])
	}
	return d.Accept(e)
}
