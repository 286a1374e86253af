package feeds

import (
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
