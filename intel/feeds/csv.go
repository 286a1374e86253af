package feeds

import (
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
	records := recordReader{d: t.d, lines: newLineReader(src)}
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
	row, _ := splitCSV(record)
	if t.column < 0 {
		if !t.setHeader(row) {
			return t.d.refuse("no column %q in the header; it has %s", t.name, escape(strings.Join(row, ", ")))
		}
		return nil
	}
	if t.column >= len(row) {
		t.d.reject(record, errColumns)
		return nil
	}
	return t.row(record, row)
}

// comment looks for the header in a comment line.
func (t *csvTable) comment(line string) {
	t.d.header(line)
	row, _ := splitCSV(strings.TrimLeft(line, "#"+asciiSpace))
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
