package feeds

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A csvTable is a CSV document while it is read.
type csvTable struct {
	d      *document
	column int      // where the address stands, or -1 as long as it is not known
	name   string   // what the header calls it, empty for documents without header
	header []string // lower-case names of the columns, if they are known
	value  func(string) (netip.Prefix, uint16, error)
	refine func(*csvTable, []string, *Entry) error // may refuse a row; may be nil
	comma  byte                                    // what separates fields; 0 = not known yet

	// Of a table of ranges: the column of their end, or -1, and its name.
	isRange bool
	end     int
	endName string
}

// runCSVName parses CSV with a header row that names the column of the address.
func runCSVName(d *document, src *source, name string) error {
	t := csvTable{d: d, column: -1, name: name, value: parseToken}
	return t.run(src)
}

// runCSVColumn parses CSV without header row, the address in column N from 0.
func runCSVColumn(d *document, src *source, arg string) error {
	return runCSVAt(d, src, arg, parseToken)
}

// runCSVPort is runCSVColumn for values of the form address:port.
func runCSVPort(d *document, src *source, arg string) error {
	return runCSVAt(d, src, arg, parseAddrPort)
}

func runCSVAt(d *document, src *source, arg string, value func(string) (netip.Prefix, uint16, error)) error {
	column, _ := decimal(arg, 3, maxColumn) // as findFormat has checked
	t := csvTable{d: d, column: column, value: value}
	return t.run(src)
}

// runCSVRange parses CSV with the start and the end of a range in two columns, which are
// named by the header or numbered from 0. Addresses may be unsigned integers.
func runCSVRange(d *document, src *source, arg string) error {
	start, end, _ := strings.Cut(arg, ",")
	t := csvTable{d: d, column: -1, end: -1, isRange: true, name: trim(start), endName: trim(end)}
	a, isNumber := decimal(t.name, 3, maxColumn)
	b, areNumbers := decimal(t.endName, 3, maxColumn)
	if isNumber && areNumbers {
		t.column, t.end, t.name, t.endName = a, b, "", ""
	}
	return t.run(src)
}

// rangeHeader tells the header of a table of ranges, and the names of its columns.
func rangeHeader(line string) (arg string, ok bool) {
	line = strings.TrimLeft(line, "#"+asciiSpace)
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
		_, err := silkAddr(trim(cell))
		return err == nil
	}
	_, _, err := t.value(trim(cell))
	return err == nil
}

// fields splits a record.
func (t *csvTable) fields(record string) []string {
	row, _ := splitFields(record, cmp.Or(t.comma, ','))
	return row
}

// runOTXCSV parses the CSV export of the OTX web pages.
func runOTXCSV(d *document, src *source, _ string) error {
	t := csvTable{d: d, column: -1, name: "Indicator", value: parseToken}
	t.refine = func(t *csvTable, row []string, _ *Entry) error {
		if !isOTXAddressType(t.cell(row, "indicator type")) {
			return errOtherType
		}
		return nil
	}
	return t.run(src)
}

func (t *csvTable) run(src *source) error {
	records := recordReader{d: t.d, lines: newLineReader(src), comma: &t.comma}
	for {
		record, err := records.record()
		if errors.Is(err, errOpenQuote) {
			t.d.reject(record, err)
			continue
		}
		if err != nil {
			return eofIsNil(err)
		}
		t.d.longRow = len(record) > maxShared
		if err := t.record(record); err != nil {
			return err
		}
	}
}

func (t *csvTable) record(record string) error {
	line := trim(record)
	if t.d.comment(line, "#") {
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
			return t.d.refuse("no column %q in the header; it has %s", t.name, escape(strings.Join(row, ", ")))
		}
		return nil
	}
	if max(t.column, t.end) >= len(row) {
		t.d.reject(record, errColumns)
		return nil
	}
	return t.row(record, row)
}

// comment looks for the header in a comment line.
func (t *csvTable) comment(line string) {
	t.d.header(line)
	header := strings.TrimLeft(line, "#"+asciiSpace)
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

// setHeader takes a row as header if it names the wanted column.
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
		lower[i] = strings.ToLower(trim(s))
	}
	return lower
}

func (t *csvTable) row(record string, row []string) error {
	if t.isRange {
		ps, err := parseRange(trim(row[t.column])+"-"+trim(row[t.end]), silkAddr)
		if err != nil {
			t.d.reject(record, err)
			return nil
		}
		return t.d.acceptAll(ps, t.evidence(row))
	}
	p, port, err := t.value(trim(row[t.column]))
	if err != nil {
		t.d.reject(record, err)
		return nil
	}
	e := t.evidence(row)
	e.Prefix = p
	if port != 0 {
		e.Port = port
	}
	if t.refine != nil {
		if err := t.refine(t, row, &e); err != nil {
			t.d.reject(record, err)
			return nil
		}
	}
	return t.d.accept(e)
}

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
func (t *csvTable) evidence(row []string) Entry {
	port, _ := parsePort(t.cell(row, "dst_port", "dstport", "port"))
	e := Entry{
		Indicator: intel.Indicator{
			Port:        port,
			Score:       scoreOf(t.cell(row, "confidence_level", "confidence")),
			Category:    categoryOf(t.cell(row, "threat_type"), t.cell(row, "category"), t.cell(row, "tags")),
			Description: t.cell(row, "malware_printable", "malware", "listingreason", "description", "comment", "reason"),
			NativeID:    t.cell(row, "ioc_id"),
			FirstSeen:   parseTime(t.cell(row, "first_seen_utc", "first_seen", "firstseen")),
			LastSeen:    parseTime(t.cell(row, "last_seen_utc", "last_seen", "lastseen", "last_online")),
		},
		Offline: strings.EqualFold(t.cell(row, "c2_status"), "offline"),
	}
	if e.NativeID != "" {
		e.Ref = threatFoxRef(e.NativeID)
	}
	return e
}
