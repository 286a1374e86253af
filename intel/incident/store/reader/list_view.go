package reader

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// A view is one state of the database: what is read from it fits together, whatever is written
// meanwhile. It belongs to one goroutine.
type view struct {
	ctx      context.Context
	tx       *sql.Tx
	postgres bool
	limits   Limits
}

// look begins a view, which the caller closes.
func (s *Reader) look(ctx context.Context) (*view, error) {
	o := &sql.TxOptions{ReadOnly: true}
	if s.db.Postgres {
		o.Isolation = sql.LevelRepeatableRead
	}
	tx, err := s.db.Read().BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return &view{ctx, tx, s.db.Postgres, s.limits}, nil
}

func (v *view) close() { _ = v.tx.Rollback() }

// A query is a statement that is put together, with its values.
type query struct {
	text strings.Builder
	args []any
}

// add appends a part, in which each ? stands for the next value.
func (q *query) add(text string, args ...any) *query {
	for {
		before, after, more := strings.Cut(text, "?")
		q.text.WriteString(before)
		if !more {
			return q
		}
		q.args = append(q.args, args[0])
		args, text = args[1:], after
		q.text.WriteString("$" + strconv.Itoa(len(q.args)))
	}
}

// wrap puts an inner query between two parts of a query that has no values yet.
func (q *query) wrap(before string, inner *query, after string) *query {
	q.text.WriteString(before + inner.text.String() + after)
	q.args = append(q.args, inner.args...)
	return q
}

// each calls row for each row of the answer.
func (v *view) each(q *query, row func(*sql.Rows) error) error {
	rows, err := v.tx.QueryContext(v.ctx, q.text.String(), q.args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// number reads one number.
func (v *view) number(q *query) (n int64, err error) {
	err = v.tx.QueryRowContext(v.ctx, q.text.String(), q.args...).Scan(&n)
	return n, err
}

// marks gives n placeholders.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// values gives a list as values of a query.
func values[T any](list []T) []any {
	out := make([]any, len(list))
	for i, x := range list {
		out[i] = x
	}
	return out
}
