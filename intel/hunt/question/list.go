package question

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel/feeds"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
)

// maxList is how many entries a list may have.
const maxList = 5_000_000

// ReadList reads a list of indicators in any format that feeds have. What the list excludes
// is left out of the ranges. The report counts the rows that could not be read. A list that
// is no list, or has not one prefix, is an error.
func ReadList(r io.Reader) ([]span.Range, document.Report, error) { return readList(r, maxList) }

func readList(r io.Reader, most int) ([]span.Range, document.Report, error) {
	var listed, excluded []netip.Prefix
	report, err := feeds.Parse(r, document.Options{}, func(e document.Entry) error {
		switch {
		case len(listed)+len(excluded) == most:
			return fmt.Errorf("more than %d entries; split the list", most)
		case e.Exclude:
			excluded = append(excluded, e.Prefix)
		default:
			listed = append(listed, e.Prefix)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, report, err
	case report.Verdict == document.Truncated:
		return nil, report, errors.New("its end is missing")
	case len(listed) == 0 && report.Rejected+report.Skipped > 0:
		return nil, report, fmt.Errorf("no address or prefix in %d rows", report.Rejected+report.Skipped)
	case len(listed) == 0:
		return nil, report, errors.New("an empty list: no address or prefix in it")
	}
	ranges := without(span.OfAll(listed), span.OfAll(excluded))
	if len(ranges) == 0 {
		return nil, report, errors.New("the list excludes all that it lists")
	}
	return ranges, report, nil
}
