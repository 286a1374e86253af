package rows

import (
	"encoding/json"
	"errors"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var (
	errNoCIDR = errors.New("no cidr")
)

// dropRow is a line of a Spamhaus DROP list: an entry or the closing metadata.
type dropRow struct {
	CIDR      *jsonwalk.Text `json:"cidr"`
	SBLID     jsonwalk.Text  `json:"sblid"`
	RIR       jsonwalk.Text  `json:"rir"`
	Type      jsonwalk.Text  `json:"type"`
	Timestamp jsonwalk.Text  `json:"timestamp"`
	Records   *jsonwalk.Text `json:"records"`
}

// Drop makes the parser of the Spamhaus DROP lists: one JSON object a line,
// the last one metadata with the number of entries. Without it the document was
// cut off.
func Drop(d *document.Document, _ string) (document.RowFunc, error) {
	d.Verdict = document.Truncated
	rows := 0
	first := true
	return func(line string) error {
		line = document.Trim(line)
		if line == "" {
			return nil
		}
		var row dropRow
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			if first {
				return d.Refuse("%v: must be one JSON object per line", jsonwalk.ErrNotObject)
			}
			d.Reject(line, jsonwalk.ErrNotObject)
			return nil
		}
		first = false
		if row.CIDR != nil {
			rows++
			return dropEntry(d, line, row)
		}
		if row.Type == "metadata" {
			dropMetadata(d, row, rows)
			return document.ErrStop
		}
		d.Reject(line, errNoCIDR)
		return nil
	}, nil
}

func dropEntry(d *document.Document, line string, row dropRow) error {
	p, err := prefix.Parse(document.Trim(string(*row.CIDR)))
	if err != nil {
		d.Reject(line, err)
		return nil
	}
	id := string(row.SBLID)
	e := document.Entry{Indicator: intel.Indicator{Prefix: p, NativeID: id}}
	if isSBL(id) {
		e.Ref = sblRef(id)
	}
	if row.RIR != "" {
		e.Description = "registry " + string(row.RIR)
	}
	return d.Accept(e)
}

// dropMetadata compares the announced number of entries with that of the rows,
// usable or not.
func dropMetadata(d *document.Document, row dropRow, rows int) {
	d.Verdict = ""
	d.Report.Updated = dates.Parse(string(row.Timestamp))
	if row.Records == nil {
		return
	}
	n, ok := prefix.Decimal(string(*row.Records), 9, 1<<30)
	if ok {
		d.Report.Declared = n
	}
	if n != rows || !ok {
		d.Verdict = document.Mismatch
	}
}

// isSBL recognises the number of an entry in the Spamhaus Block List.
func isSBL(s string) bool {
	if len(s) < 4 || s[:3] != "SBL" {
		return false
	}
	_, ok := prefix.Decimal(s[3:], 9, 1<<30)
	return ok
}

func sblRef(id string) string {
	return "https://check.spamhaus.org/listed/?searchterm=" + id
}
