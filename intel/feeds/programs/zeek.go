package programs

import (
	"errors"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var errNoFields = errors.New("no #fields line with indicator and indicator_type before the row")

// zeekTable is a Zeek intelligence file while it is read.
type zeekTable struct {
	d         *document.Document
	columns   []string // of the #fields line
	value     int      // the column of the indicator, or -1
	valueType int
}

// Zeek makes the parser of Zeek intelligence files: TAB separates the
// columns, which #fields names. A cell is taken as it stands, without trimming.
func Zeek(d *document.Document, _ string) (document.RowFunc, error) {
	z := zeekTable{d: d, value: -1, valueType: -1}
	return z.line, nil
}

func (z *zeekTable) line(line string) error {
	if rest, ok := strings.CutPrefix(line, "#fields\t"); ok {
		z.columns = strings.Split(rest, "\t")
		z.value = slices.Index(z.columns, "indicator")
		z.valueType = slices.Index(z.columns, "indicator_type")
		return nil
	}
	if z.d.Comment(document.Trim(line), "#") {
		return nil
	}
	cells := strings.Split(line, "\t")
	e, err := z.entry(cells)
	if err != nil {
		z.d.Reject(line, err)
		if !errors.Is(err, document.ErrOtherType) || cells[z.valueType] != "Intel::DOMAIN" {
			return nil
		}
		e = z.evidence(cells)
		if e.Name, e.OfURL = z.d.NameOf(cells[z.value]); e.Name == "" {
			return nil
		}
		z.d.Named()
	}
	return z.d.Accept(e)
}

func (z *zeekTable) entry(cells []string) (document.Entry, error) {
	if z.value < 0 || z.valueType < 0 {
		return document.Entry{}, errNoFields
	}
	if len(cells) < len(z.columns) {
		return document.Entry{}, document.ErrColumns
	}
	if t := cells[z.valueType]; t != "Intel::ADDR" && t != "Intel::SUBNET" {
		return document.Entry{}, document.ErrOtherType
	}
	p, err := prefix.Parse(cells[z.value])
	e := z.evidence(cells)
	e.Prefix = p
	return e, err
}

// evidence gives what an entry has beside its value.
func (z *zeekTable) evidence(cells []string) document.Entry {
	ref := z.cell(cells, "meta.url")
	return document.Entry{Indicator: intel.Indicator{
		Category:    document.CategoryOf(z.cell(cells, "meta.desc")),
		Ref:         document.WebURL(ref),
		Description: document.JoinWords(z.cell(cells, "meta.source"), z.cell(cells, "meta.desc")),
	}}
}

// cell gives the cell of a column, empty when it is unset or not there.
func (z *zeekTable) cell(cells []string, column string) string {
	i := slices.Index(z.columns, column)
	if i < 0 || cells[i] == "-" {
		return ""
	}
	return cells[i]
}
