package programs

import (
	"errors"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var (
	errIPRepColumns  = errors.New("must be address,category,score")
	errIPRepCategory = errors.New("category must be 1 to 60")
	errIPRepScore    = errors.New("score must be 1 to 127; 0 means no data")
)

// IPRep makes the parser of Suricata's reputation lists: address or prefix,
// category, score.
func IPRep(d *document.Document, _ string) (document.RowFunc, error) {
	return func(line string) error {
		if d.Comment(document.Trim(line), "#") {
			return nil
		}
		e, err := ipRepEntry(strings.Split(line, ","))
		if err != nil {
			d.Reject(line, err)
			return nil
		}
		return d.Accept(e)
	}, nil
}

func ipRepEntry(cols []string) (document.Entry, error) {
	if len(cols) != 3 {
		return document.Entry{}, errIPRepColumns
	}
	category, ok := prefix.Decimal(document.Trim(cols[1]), 3, 60)
	if !ok || category == 0 {
		return document.Entry{}, errIPRepCategory
	}
	score, ok := prefix.Decimal(document.Trim(cols[2]), 3, 127)
	if !ok || score == 0 {
		return document.Entry{}, errIPRepScore
	}
	p, err := prefix.Parse(document.Trim(cols[0]))
	return document.Entry{Indicator: intel.Indicator{
		Prefix:      p,
		Score:       uint8(max(1, score*100/127)),
		Description: "category " + document.Trim(cols[1]),
	}}, err
}
