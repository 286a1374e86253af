package reader

import (
	"context"
	"database/sql"

	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
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

// each calls row for each row of the answer.
func (v *view) each(q *database.Query, row func(*sql.Rows) error) error {
	rows, err := v.tx.QueryContext(v.ctx, q.Text(), q.Args()...)
	if err != nil {
		return err
	}
	return database.EachRow(rows, row)
}

// number reads one number.
func (v *view) number(q *database.Query) (n int64, err error) {
	err = v.tx.QueryRowContext(v.ctx, q.Text(), q.Args()...).Scan(&n)
	return n, err
}

// integers gives numbers as values of a query.
func integers[T ~uint8 | ~uint32](list []T) []any {
	out := make([]any, len(list))
	for i, n := range list {
		out[i] = int64(n)
	}
	return out
}

// values gives a list as values of a query.
func values[T any](list []T) []any {
	out := make([]any, len(list))
	for i, x := range list {
		out[i] = x
	}
	return out
}
