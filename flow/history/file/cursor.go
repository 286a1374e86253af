package file

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/parquet-go/parquet-go"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// A kind is how the values of a column are kept.
type kind uint8

const (
	key     kind = iota // 16 bytes
	narrow              // 32 bits
	wide                // 64 bits
	numbers             // dictionary of 32-bit numbers
	texts               // dictionary of texts
	unread              // a column for other readers
)

// A column is one of the file, with how its values get into rows: set takes them from the
// place at of the page that the cursor holds.
type column struct {
	name string
	kind kind
	set  func(c *cursor, at int, rows []row.Row)
}

// columns are in the order of [layout]. First must come before duration.
var columns = [...]column{
	{"outside", unread, nil},
	{"outside_key", key, func(c *cursor, at int, rows []row.Row) {
		for i := range rows {
			rows[i].Outside = flow.ReadAddr6(c.keys[at+i][:])
		}
	}},
	{"inside", texts, func(c *cursor, at int, rows []row.Row) {
		for i, n := range c.index[at : at+len(rows)] {
			rows[i].Inside = c.insides[n]
		}
	}},
	{"protocol", numbers, func(c *cursor, at int, rows []row.Row) {
		for i, n := range c.index[at : at+len(rows)] {
			rows[i].Protocol = uint8(c.numbers[n])
		}
	}},
	{"port", numbers, func(c *cursor, at int, rows []row.Row) {
		for i, n := range c.index[at : at+len(rows)] {
			rows[i].Port = uint16(c.numbers[n])
		}
	}},
	{"exporter", texts, func(c *cursor, at int, rows []row.Row) {
		for i, n := range c.index[at : at+len(rows)] {
			rows[i].Exporter = c.exporters[n]
		}
	}},
	{"site", texts, func(c *cursor, at int, rows []row.Row) {
		for i, n := range c.index[at : at+len(rows)] {
			rows[i].Site = c.sites[n]
		}
	}},
	{"direction", numbers, func(c *cursor, at int, rows []row.Row) {
		for i, n := range c.index[at : at+len(rows)] {
			rows[i].Direction = uint8(c.numbers[n])
		}
	}},
	{"flags", numbers, func(c *cursor, at int, rows []row.Row) {
		for i, n := range c.index[at : at+len(rows)] {
			rows[i].Flags = uint8(c.numbers[n])
		}
	}},
	{"first", wide, func(c *cursor, at int, rows []row.Row) {
		for i, v := range c.wide[at : at+len(rows)] {
			rows[i].First = uint32(v / 1000)
		}
	}},
	{"duration", narrow, func(c *cursor, at int, rows []row.Row) {
		for i, v := range c.narrow[at : at+len(rows)] {
			rows[i].Last = rows[i].First + v
		}
	}},
	{"flows", narrow, func(c *cursor, at int, rows []row.Row) {
		for i, v := range c.narrow[at : at+len(rows)] {
			rows[i].Flows = v
		}
	}},
	{"packets_out", wide, func(c *cursor, at int, rows []row.Row) {
		for i, v := range c.wide[at : at+len(rows)] {
			rows[i].PacketsOut = v
		}
	}},
	{"packets_in", wide, func(c *cursor, at int, rows []row.Row) {
		for i, v := range c.wide[at : at+len(rows)] {
			rows[i].PacketsIn = v
		}
	}},
	{"bytes_out", wide, func(c *cursor, at int, rows []row.Row) {
		for i, v := range c.wide[at : at+len(rows)] {
			rows[i].BytesOut = v
		}
	}},
	{"bytes_in", wide, func(c *cursor, at int, rows []row.Row) {
		for i, v := range c.wide[at : at+len(rows)] {
			rows[i].BytesIn = v
		}
	}},
	{"sampling", numbers, func(c *cursor, at int, rows []row.Row) {
		for i, n := range c.index[at : at+len(rows)] {
			rows[i].Sampling = c.numbers[n]
		}
	}},
	{"hours", narrow, func(c *cursor, at int, rows []row.Row) {
		for i, v := range c.narrow[at : at+len(rows)] {
			rows[i].Hours = v
		}
	}},
	{"folded", numbers, func(c *cursor, at int, rows []row.Row) {
		for i, n := range c.index[at : at+len(rows)] {
			rows[i].Folded = c.numbers[n]
		}
	}},
}

// keyColumn is the place of outside_key among the columns.
const keyColumn = 1

// A cursor reads one column of one row group, page by page. It holds one page, and the
// dictionary in the types of rows.
type cursor struct {
	column *column
	view   view
	chunk  *parquet.FileColumnChunk
	pages  *parquet.FilePages
	page   parquet.Page
	from   int64 // the rows of the page, within the group
	to     int64

	// Values of the page, by kind. They belong to the page.
	keys   [][16]byte
	narrow []uint32
	wide   []uint64
	index  []int32

	// Dictionaries. They belong to the cursor.
	dictionary parquet.Dictionary
	numbers    []uint32
	insides    []flow.Addr6
	exporters  []netip.Addr
	sites      []string
}

// enter opens a row group for all cursors; nothing is read before it is needed.
func (f *File) enter(group int) error {
	if f.group == group {
		return nil
	}
	f.leave()
	chunks := f.groups[group].ColumnChunks()
	if len(chunks) != len(columns) {
		return fmt.Errorf("row group %d has %d columns", group, len(chunks))
	}
	for i, c := range f.cursors {
		chunk, ok := chunks[i].(*parquet.FileColumnChunk)
		if !ok {
			return errors.New("a column is not in the file")
		}
		c.chunk = chunk
	}
	f.group = group
	return nil
}

// leave closes the row group.
func (f *File) leave() {
	for _, c := range f.cursors {
		c.close()
	}
	f.group = -1
}

func (c *cursor) close() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	if c.pages != nil {
		_ = c.pages.Close()
	}
	c.page, c.pages, c.chunk, c.dictionary = nil, nil, nil, nil
	c.from, c.to = 0, 0
	c.keys, c.narrow, c.wide, c.index = nil, nil, nil, nil
}

// fill sets one column of rows, which are those of the group from the row at on.
func (c *cursor) fill(at int64, rows []row.Row) error {
	for len(rows) > 0 {
		if err := c.seek(at); err != nil {
			return err
		}
		n := min(int64(len(rows)), c.to-at)
		c.column.set(c, int(at-c.from), rows[:n])
		rows, at = rows[n:], at+n
	}
	return nil
}

// seek makes the page with a row the one that the cursor holds. It may begin with that row.
func (c *cursor) seek(at int64) error {
	if c.page != nil && c.from <= at && at < c.to {
		return nil
	}
	if c.pages == nil {
		c.pages = c.chunk.PagesFrom(&c.view)
	}
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
	if err := c.pages.SeekToRow(at); err != nil {
		return err
	}
	page, err := c.pages.ReadPage()
	if err != nil {
		return fmt.Errorf("column %s, row %d: %w", c.column.name, at, err)
	}
	c.page, c.from, c.to = page, at, at+page.NumRows()
	return c.take()
}

// take gets at the values of the page.
func (c *cursor) take() error {
	values := c.page.Data()
	count := 0
	switch c.column.kind {
	case key:
		c.keys = values.Uint128()
		count = len(c.keys)
	case narrow:
		c.narrow = values.Uint32()
		count = len(c.narrow)
	case wide:
		c.wide = values.Uint64()
		count = len(c.wide)
	default:
		d := c.page.Dictionary()
		if d == nil {
			return fmt.Errorf("column %s has no dictionary", c.column.name)
		}
		c.index = values.Int32()
		count = len(c.index)
		if c.dictionary == nil { // one for all pages of the group
			c.dictionary = d
			if err := c.learn(d.Page()); err != nil {
				return err
			}
		}
	}
	if int64(count) != c.to-c.from || count == 0 {
		return fmt.Errorf("column %s has %d values for %d rows", c.column.name, count, c.to-c.from)
	}
	return nil
}

// learn turns a dictionary into the types of rows, once for all rows that refer to it.
func (c *cursor) learn(page parquet.Page) error {
	values := page.Data()
	if c.column.kind == numbers {
		c.numbers = append(c.numbers[:0], values.Uint32()...)
		return nil
	}
	data, offsets := values.ByteArray()
	c.insides, c.exporters, c.sites = c.insides[:0], c.exporters[:0], nil
	for i := range len(offsets) - 1 {
		text := string(data[offsets[i]:offsets[i+1]])
		if c.column.name == "site" {
			c.sites = append(c.sites, text)
			continue
		}
		var a netip.Addr
		if text != everyone && text != "" {
			var err error
			if a, err = netip.ParseAddr(text); err != nil {
				return err
			}
		}
		if c.column.name == "exporter" {
			c.exporters = append(c.exporters, a)
		} else if a.IsValid() {
			c.insides = append(c.insides, flow.Addr6Of(a))
		} else {
			c.insides = append(c.insides, flow.Addr6{})
		}
	}
	return nil
}

// read sets all columns of rows, which are those of the group from the row at on.
func (f *File) read(at int64, rows []row.Row) error {
	clear(rows)
	for _, c := range f.cursors {
		if c.column.kind == unread {
			continue
		}
		if err := c.fill(at, rows); err != nil {
			return err
		}
	}
	return nil
}
