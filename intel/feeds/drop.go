package feeds

import (
	"encoding/json"
	"errors"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errNoCIDR = errors.New("no cidr")
)

// dropRow is a line of a Spamhaus DROP list: an entry or the closing metadata.
type dropRow struct {
	CIDR      *text `json:"cidr"`
	SBLID     text  `json:"sblid"`
	RIR       text  `json:"rir"`
	Type      text  `json:"type"`
	Timestamp text  `json:"timestamp"`
	Records   *text `json:"records"`
}

// startDrop makes the parser of the Spamhaus DROP lists: one JSON object a line,
// the last one metadata with the number of entries. Without it the document was
// cut off.
func startDrop(d *document, _ string) (rowFunc, error) {
	d.verdict = Truncated
	rows := 0
	first := true
	return func(line string) error {
		line = trim(line)
		if line == "" {
			return nil
		}
		var row dropRow
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			if first {
				return d.refuse("%v: must be one JSON object per line", errNotObject)
			}
			d.reject(line, errNotObject)
			return nil
		}
		first = false
		if row.CIDR != nil {
			rows++
			return d.dropEntry(line, row)
		}
		if row.Type == "metadata" {
			d.dropMetadata(row, rows)
			return errStop
		}
		d.reject(line, errNoCIDR)
		return nil
	}, nil
}

func (d *document) dropEntry(line string, row dropRow) error {
	p, err := parsePrefix(trim(string(*row.CIDR)))
	if err != nil {
		d.reject(line, err)
		return nil
	}
	id := string(row.SBLID)
	e := Entry{Indicator: intel.Indicator{Prefix: p, NativeID: id}}
	if isSBL(id) {
		e.Ref = sblRef(id)
	}
	if row.RIR != "" {
		e.Description = "registry " + string(row.RIR)
	}
	return d.accept(e)
}

// dropMetadata compares the announced number of entries with that of the rows,
// usable or not.
func (d *document) dropMetadata(row dropRow, rows int) {
	d.verdict = ""
	d.report.Updated = parseTime(string(row.Timestamp))
	if row.Records == nil {
		return
	}
	n, ok := decimal(string(*row.Records), 9, 1<<30)
	if ok {
		d.report.Declared = n
	}
	if n != rows || !ok {
		d.verdict = Mismatch
	}
}

// isSBL tells the number of an entry in the Spamhaus Block List.
func isSBL(s string) bool {
	if len(s) < 4 || s[:3] != "SBL" {
		return false
	}
	_, ok := decimal(s[3:], 9, 1<<30)
	return ok
}

func sblRef(id string) string {
	return "https://check.spamhaus.org/listed/?searchterm=" + id
}
