package database

import (
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Kind is the type of a column.
type Kind uint8

// The kinds: int64, []byte and string.
const (
	Int Kind = iota
	Bytes
	Text
)

// A Column of a table.
type Column struct {
	Name string
	Kind Kind
}

// A Table is what rows are written to and read from in batches.
type Table struct {
	Name string
	// Columns are all that are written and read; the first Key of them are its key.
	Columns []Column
	Key     int
	// Conflict is what happens to a row that is there: what follows DO UPDATE SET, with
	// excluded for the new values; empty = all columns are replaced; "nothing" = it stays.
	Conflict string
}

// together is how many rows one statement of SQLite has.
const together = 32

// Put writes rows, values one after another, all columns of a row together. A key must not
// come twice.
func (t *Tx) Put(table *Table, values []any) error {
	n := len(table.Columns)
	if len(values) == 0 {
		return nil
	}
	if t.db.Postgres {
		return named(table, t.put(table, 0, arrays(table.Columns, values)))
	}
	for len(values) > 0 {
		rows := 1
		if len(values) >= together*n {
			rows = together
		}
		if err := t.Err(); err != nil {
			return err
		}
		if err := t.put(table, rows, values[:rows*n]); err != nil {
			return named(table, err)
		}
		values = values[rows*n:]
	}
	return nil
}

// Fetch reads the rows of keys, all columns of a key together, and calls row for each that
// is there, in no order.
func (t *Tx) Fetch(table *Table, keys []any, row func(*sql.Rows) error) error {
	for len(keys) > 0 {
		rows := 1
		var args []any
		switch {
		case t.db.Postgres:
			rows, args = len(keys)/table.Key, arrays(table.Columns[:table.Key], keys)
		case len(keys) >= together*table.Key:
			rows, args = together, keys[:together*table.Key]
		default:
			args = keys[:table.Key]
		}
		keys = keys[rows*table.Key:]
		if t.db.Postgres {
			rows = 0
		}
		s, err := t.prepared(shape{table, true, rows}, "")
		if err == nil {
			err = t.each(s, args, row)
		}
		if err != nil {
			return named(table, err)
		}
	}
	return nil
}

// put runs one statement.
func (t *Tx) put(table *Table, rows int, args []any) error {
	s, err := t.prepared(shape{table, false, rows}, "")
	if err == nil {
		_, err = s.ExecContext(t.ctx, args...)
	}
	return err
}

// Each runs a query and calls row for each of its rows.
func (t *Tx) Each(statement string, row func(*sql.Rows) error, args ...any) error {
	s, err := t.prepared(shape{}, statement)
	if err != nil {
		return err
	}
	return t.each(s, args, row)
}

func (t *Tx) each(s *sql.Stmt, args []any, row func(*sql.Rows) error) error {
	if err := t.Err(); err != nil {
		return err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return err
	}
	return EachRow(rows, row)
}

// EachRow calls row for each of the rows, and closes them.
func EachRow(rows *sql.Rows, row func(*sql.Rows) error) error {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func named(table *Table, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", table.Name, err)
	}
	return nil
}

// A shape is a statement of a table for a number of rows, 0 = any, from arrays.
type shape struct {
	table *Table
	fetch bool
	rows  int
}

// text is the statement itself.
func (s shape) text() string {
	if s.fetch {
		return s.table.selectFrom(source(s.table.Columns[:s.table.Key], s.rows))
	}
	return s.table.insertFrom(source(s.table.Columns, s.rows))
}

// source gives the rows of a statement as a table: from arrays, or as parameters.
func source(columns []Column, rows int) string {
	var b strings.Builder
	if rows == 0 {
		b.WriteString("SELECT * FROM unnest(")
		for i, c := range columns {
			fmt.Fprintf(&b, "%s$%d::%s[]", comma(i), i+1, [...]string{"bigint", "bytea", "text"}[c.Kind])
		}
		return b.String() + ")"
	}
	b.WriteString("VALUES ")
	for r := range rows {
		b.WriteString(comma(r) + "(")
		for i := range columns {
			b.WriteString(comma(i) + "$" + strconv.Itoa(r*len(columns)+i+1))
		}
		b.WriteString(")")
	}
	return b.String()
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

// Names gives the names of columns, separated by commas.
func Names(columns []Column) string {
	var b strings.Builder
	for i, c := range columns {
		b.WriteString(comma(i) + c.Name)
	}
	return b.String()
}

func (table *Table) insertFrom(source string) string {
	set := table.Conflict
	if set == "" {
		for i, c := range table.Columns[table.Key:] {
			set += comma(i) + c.Name + " = excluded." + c.Name
		}
	}
	do := "DO UPDATE SET " + set
	if set == "nothing" {
		do = "DO NOTHING"
	}
	return fmt.Sprintf("INSERT INTO %s (%s) %s ON CONFLICT (%s) %s", table.Name, Names(table.Columns), source, Names(table.Columns[:table.Key]), do)
}

func (table *Table) selectFrom(source string) string {
	on, columns := "", ""
	for i, c := range table.Columns[:table.Key] {
		if i > 0 {
			on += " AND "
		}
		on += "t." + c.Name + " = k." + c.Name
	}
	for i, c := range table.Columns {
		columns += comma(i) + "t." + c.Name
	}
	// CROSS JOIN: SQLite takes the tables in this order then.
	return fmt.Sprintf("WITH k(%s) AS (%s) SELECT %s FROM k CROSS JOIN %s t WHERE %s", Names(table.Columns[:table.Key]), source, columns, table.Name, on)
}

// arrays makes one array of each column.
func arrays(columns []Column, values []any) []any {
	n := len(values) / len(columns)
	out := make([]any, len(columns))
	for i, c := range columns {
		switch c.Kind {
		case Int:
			out[i] = column[int64](values, i, len(columns), n)
		case Bytes:
			out[i] = column[[]byte](values, i, len(columns), n)
		case Text:
			out[i] = column[string](values, i, len(columns), n)
		}
	}
	return out
}

func column[T any](values []any, at, step, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = values[i*step+at].(T)
	}
	return out
}

// Count makes a count fit into a column: no database has unsigned numbers of 64 bits.
func Count(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
