package rows

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/platforms"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// MaxColumn is the highest number of a column that can be asked for.
const MaxColumn = 255

// A csvTable is a CSV document while it is read.
type csvTable struct {
	d      *document.Document
	column int      // where the address stands, or -1 as long as it is not known
	name   string   // what the header calls it, empty for documents without header
	header []string // lower-case names of the columns, if they are known
	value  func(string) (netip.Prefix, uint16, error)
	refine func(*csvTable, []string, *document.Entry) error // may refuse a row; may be nil
	comma  byte                                             // what separates fields; 0 = not known yet

	// Of a table of ranges: the column of their end, or -1, and its name.
	isRange bool
	end     int
	endName string
}

// CSVNamed parses CSV with a header row that names the column of the address.
func CSVNamed(d *document.Document, src *document.Source, name string) error {
	t := csvTable{d: d, column: -1, name: name, value: prefix.Token}
	return t.run(src)
}

// CSVColumn parses CSV without header row, the address in column N from 0.
func CSVColumn(d *document.Document, src *document.Source, arg string) error {
	return runCSVAt(d, src, arg, prefix.Token)
}

// CSVPort is CSVColumn for values of the form address:port.
func CSVPort(d *document.Document, src *document.Source, arg string) error {
	return runCSVAt(d, src, arg, prefix.AddrPort)
}

func runCSVAt(d *document.Document, src *document.Source, arg string, value func(string) (netip.Prefix, uint16, error)) error {
	column, _ := prefix.Decimal(arg, 3, MaxColumn) // as findFormat has checked
	t := csvTable{d: d, column: column, value: value}
	return t.run(src)
}

// CSVRange parses CSV with the start and the end of a range in two columns, which are
// named by the header or numbered from 0. Addresses may be unsigned integers.
func CSVRange(d *document.Document, src *document.Source, arg string) error {
	start, end, _ := strings.Cut(arg, ",")
	t := csvTable{d: d, column: -1, end: -1, isRange: true, name: document.Trim(start), endName: document.Trim(end)}
	a, isNumber := prefix.Decimal(t.name, 3, MaxColumn)
	b, areNumbers := prefix.Decimal(t.endName, 3, MaxColumn)
	if isNumber && areNumbers {
		t.column, t.end, t.name, t.endName = a, b, "", ""
	}
	return t.run(src)
}

// RangeHeader recognises the header of a table of ranges, and gives the names of its columns.
func RangeHeader(line string) (arg string, ok bool) {
	line = strings.TrimLeft(line, "#"+document.Space)
	for _, comma := range csvCommas {
		row, _ := splitFields(line, comma)
		for i := range lowerAll(row)[:max(len(row)-1, 0)] {
			start, end := plainName(row[i]), plainName(row[i+1])
			if slices.Contains(rangeNames, start+" "+end) {
				return row[i] + "," + row[i+1], true
			}
		}
	}
	return "", false
}

// plainName strips a column's name of what spellings differ in.
func plainName(s string) string {
	s = strings.ToLower(strings.Trim(s, "# \t\""))
	return strings.NewReplacer("_", "", "-", "", " ", "", "ip", "", "addr", "", "ress", "", "range", "", "network", "").Replace(s)
}

// rangeNames are the pairs of names that only ranges have.
var rangeNames = []string{"start end", "from to", "first last", "begin end", "low high", "startend endstart", "lower upper", "min max", "starting ending"}

// csvCommas are the characters that separate the fields of a CSV document.
var csvCommas = []byte{',', ';', '\t', '|'}

// setComma finds out what separates the fields: a comma, unless the named column, or the
// address in the numbered one, shows with another.
func (t *csvTable) setComma(record string) {
	for _, comma := range csvCommas {
		row, _ := splitFields(record, comma)
		switch {
		case t.column < 0 && slices.Contains(lowerAll(row), strings.ToLower(t.name)) && (len(row) > 1 || t.endName == ""):
		case t.column >= 0 && t.column < len(row) && t.isValue(row[t.column]):
		default:
			continue
		}
		t.comma = comma
		return
	}
}

// isValue reports whether a cell holds what the table is about.
func (t *csvTable) isValue(cell string) bool {
	if t.isRange {
		_, err := prefix.IntegerAddr(document.Trim(cell))
		return err == nil
	}
	_, _, err := t.value(document.Trim(cell))
	return err == nil
}

// fields splits a record.
func (t *csvTable) fields(record string) []string {
	row, _ := splitFields(record, cmp.Or(t.comma, ','))
	return row
}

// OTXCSV parses the CSV export of the OTX web pages.
func OTXCSV(d *document.Document, src *document.Source, _ string) error {
	t := csvTable{d: d, column: -1, name: "Indicator", value: prefix.Token}
	t.refine = func(t *csvTable, row []string, _ *document.Entry) error {
		if !platforms.IsOTXAddressType(t.cell(row, "indicator type")) {
			return document.ErrOtherType
		}
		return nil
	}
	return t.run(src)
}

func (t *csvTable) run(src *document.Source) error {
	records := recordReader{d: t.d, lines: document.NewLineReader(src), comma: &t.comma}
	for {
		record, err := records.record()
		if errors.Is(err, errOpenQuote) {
			t.d.Reject(record, err)
			continue
		}
		if err != nil {
			return document.EOFIsNil(err)
		}
		t.d.LongRow = len(record) > document.MaxShared
		if err := t.record(record); err != nil {
			return err
		}
	}
}

func (t *csvTable) record(record string) error {
	line := document.Trim(record)
	if t.d.Comment(line, "#") {
		t.comment(line)
		return nil
	}
	if sep, ok := strings.CutPrefix(line, "sep="); ok && len(sep) == 1 {
		t.comma = sep[0] // as spreadsheets announce it
		return nil
	}
	if t.comma == 0 {
		t.setComma(record)
	}
	row := t.fields(record)
	if t.column < 0 {
		if !t.setHeader(row) {
			return t.d.Refuse("no column %q in the header; it has %s", t.name, document.Escape(strings.Join(row, ", ")))
		}
		return nil
	}
	if max(t.column, t.end) >= len(row) {
		t.d.Reject(record, document.ErrColumns)
		return nil
	}
	return t.row(record, row)
}

// comment looks for the header in a comment line.
func (t *csvTable) comment(line string) {
	t.d.Header(line)
	header := strings.TrimLeft(line, "#"+document.Space)
	if t.comma == 0 && t.column < 0 {
		t.setComma(header)
	}
	row := t.fields(header)
	switch {
	case t.name == "" && len(row) > t.column && len(row) > 1:
		t.header = lowerAll(row)
	case t.name != "" && t.column < 0:
		t.setHeader(row)
	}
}

// setHeader takes a row as header if it names the column of the address.
func (t *csvTable) setHeader(row []string) bool {
	row = lowerAll(row)
	i := slices.Index(row, strings.ToLower(t.name))
	if i < 0 {
		return false
	}
	if t.isRange {
		if t.end = slices.Index(row, strings.ToLower(t.endName)); t.end < 0 {
			return false
		}
	}
	t.column, t.header = i, row
	return true
}

func lowerAll(row []string) []string {
	lower := make([]string, len(row))
	for i, s := range row {
		lower[i] = strings.ToLower(document.Trim(s))
	}
	return lower
}

func (t *csvTable) row(record string, row []string) error {
	if t.isRange {
		ps, err := prefix.Range(document.Trim(row[t.column])+"-"+document.Trim(row[t.end]), prefix.IntegerAddr)
		if err != nil {
			t.d.Reject(record, err)
			return nil
		}
		return t.d.AcceptAll(ps, t.evidence(row))
	}
	p, port, err := t.value(document.Trim(row[t.column]))
	if err != nil {
		t.d.Reject(record, err)
		return t.acceptName(row)
	}
	e := t.evidence(row)
	e.Prefix = p
	if port != 0 {
		e.Port = port
	}
	if t.refine != nil {
		if err := t.refine(t, row, &e); err != nil {
			t.d.Reject(record, err)
			return nil
		}
	}
	return t.d.Accept(e)
}

// acceptName hands on the name, or the host of the URL, that stands in the place of an address.
// Where a column has the type of the value, that must be one of them.
func (t *csvTable) acceptName(row []string) error {
	if !slices.Contains(nameTypes, strings.ToLower(t.cell(row, "ioc_type", "indicator type", "type", "indicator_type"))) {
		return nil
	}
	name, ofURL := t.d.NameOf(row[t.column])
	if name == "" {
		return nil
	}
	t.d.Named()
	e := t.evidence(row)
	e.Name, e.OfURL, e.Port = name, ofURL, 0
	return t.d.Accept(e)
}

// nameTypes are what lists call names and URLs; without a column of types any row may be one.
var nameTypes = []string{"", "domain", "hostname", "fqdn", "domain-name", "url"}

// cell gives the first column that the header knows by one of the names and that
// is not empty.
func (t *csvTable) cell(row []string, names ...string) string {
	for _, name := range names {
		i := slices.Index(t.header, name)
		if i >= 0 && i < len(row) && row[i] != "" && row[i] != "None" {
			return row[i]
		}
	}
	return ""
}

// evidence reads the columns by the names that the known lists give them.
func (t *csvTable) evidence(row []string) document.Entry {
	port, _ := prefix.Port(t.cell(row, "dst_port", "dstport", "port"))
	e := document.Entry{
		Indicator: intel.Indicator{
			Port:        port,
			Score:       document.ScoreOf(t.cell(row, "confidence_level", "confidence")),
			Category:    document.CategoryOf(t.cell(row, "threat_type"), t.cell(row, "threat"), t.cell(row, "category"), t.cell(row, "tags")),
			Description: t.cell(row, "malware_printable", "malware", "listingreason", "description", "comment", "reason"),
			NativeID:    t.cell(row, "ioc_id"),
			FirstSeen:   dates.Parse(t.cell(row, "first_seen_utc", "first_seen", "firstseen", "dateadded")),
			LastSeen:    dates.Parse(t.cell(row, "last_seen_utc", "last_seen", "lastseen", "last_online")),
		},
		Offline: strings.EqualFold(t.cell(row, "c2_status", "url_status"), "offline"),
	}
	if e.NativeID != "" {
		e.Ref = platforms.ThreatFoxRef(e.NativeID)
	}
	return e
}
