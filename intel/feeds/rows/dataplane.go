package rows

import (
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// Pipe makes the parser of DataPlane reports: ASN, AS name, address, time of
// last sighting and category, separated by bars. The name may hold bars itself, so
// the columns are counted from the right.
func Pipe(d *document.Document, _ string) (document.RowFunc, error) {
	return func(line string) error {
		if d.Comment(document.Trim(line), "#") {
			d.Header(document.Trim(line))
			return nil
		}
		cols := strings.Split(line, "|")
		n := len(cols)
		if n < 3 {
			d.Reject(line, document.ErrColumns)
			return nil
		}
		p, err := prefix.Parse(document.Trim(cols[n-3]))
		if err != nil {
			d.Reject(line, err)
			return nil
		}
		return d.Accept(document.Entry{Indicator: intel.Indicator{
			Prefix:      p,
			Category:    document.CategoryOf(cols[n-1]),
			Description: document.Trim(cols[n-1]),
			LastSeen:    dates.Parse(cols[n-2]),
		}})
	}, nil
}

// IsPipeRow recognises a row of a DataPlane report.
func IsPipeRow(line string) bool {
	cols := strings.Split(line, "|")
	n := len(cols)
	if n < 5 || strings.HasPrefix(document.Trim(line), "#") {
		return false
	}
	_, err := prefix.Parse(document.Trim(cols[n-3]))
	return err == nil && !dates.Parse(cols[n-2]).IsZero()
}
