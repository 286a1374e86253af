package feeds

import (
	"errors"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errIPRepColumns  = errors.New("must be address,category,score")
	errIPRepCategory = errors.New("category must be 1 to 60")
	errIPRepScore    = errors.New("score must be 1 to 127; 0 means no data")
)

// startIPRep makes the parser of Suricata's reputation lists: address or prefix,
// category, score.
func startIPRep(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		if d.comment(trim(line), "#") {
			return nil
		}
		e, err := ipRepEntry(strings.Split(line, ","))
		if err != nil {
			d.reject(line, err)
			return nil
		}
		return d.accept(e)
	}, nil
}

func ipRepEntry(cols []string) (Entry, error) {
	if len(cols) != 3 {
		return Entry{}, errIPRepColumns
	}
	category, ok := decimal(trim(cols[1]), 3, 60)
	if !ok || category == 0 {
		return Entry{}, errIPRepCategory
	}
	score, ok := decimal(trim(cols[2]), 3, 127)
	if !ok || score == 0 {
		return Entry{}, errIPRepScore
	}
	p, err := parsePrefix(trim(cols[0]))
	return Entry{Indicator: intel.Indicator{
		Prefix:      p,
		Score:       uint8(max(1, score*100/127)),
		Description: "category " + trim(cols[1]),
	}}, err
}
