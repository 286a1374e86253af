package database

import (
	"context"
	"database/sql"
	"errors"
)

// lockKey is the number of the lock that writers of PostgreSQL share, of whatever process.
const lockKey = 0x666c6f77736e7463 // "flowsntc"

// ErrClosed means that the database was closed.
var ErrClosed = errors.New("the database is closed")

// A Tx is the one writing transaction. It belongs to one goroutine, which ends it by Commit
// or Rollback.
type Tx struct {
	db   *DB
	ctx  context.Context
	conn *writer
	done bool
}

// Begin waits for its turn and begins a transaction that alone may write, in this process and
// among others.
func (d *DB) Begin(ctx context.Context) (*Tx, error) {
	if err := d.takeTurn(ctx); err != nil {
		return nil, err
	}
	t := &Tx{db: d, ctx: ctx}
	if err := t.begin(); err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// takeTurn waits for the right to write.
func (d *DB) takeTurn(ctx context.Context) error {
	select {
	case <-d.turn:
		return nil
	case <-d.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Tx) begin() (err error) {
	if t.conn, err = t.db.writer(t.ctx); err != nil {
		return err
	}
	start := "BEGIN IMMEDIATE"
	if t.db.Postgres {
		start = "BEGIN"
	}
	if _, err = t.conn.ExecContext(t.ctx, start); err != nil || !t.db.Postgres {
		return err
	}
	_, err = t.conn.ExecContext(t.ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockKey))
	return err
}

// writer gives the connection that writes.
func (d *DB) writer(ctx context.Context) (*writer, error) {
	if d.conn != nil {
		return d.conn, nil
	}
	d.mu.Lock()
	pool := d.pool
	d.mu.Unlock()
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	d.conn = &writer{c, map[statement]*sql.Stmt{}}
	return d.conn, nil
}

// Commit makes everything last that was done. An error means that it may not: the
// connection to a server can break before its answer has come.
func (t *Tx) Commit() error {
	if t.done {
		return sql.ErrTxDone
	}
	_, err := t.conn.ExecContext(t.ctx, "COMMIT")
	if err != nil {
		return errors.Join(err, t.Rollback())
	}
	t.done = true
	t.db.turn <- struct{}{}
	return nil
}

// Rollback undoes everything, unless the transaction has ended. The connection is not used
// again: what state it is in after an error is not worth finding out.
func (t *Tx) Rollback() error {
	if t.done {
		return nil
	}
	_, err := t.conn.ExecContext(context.WithoutCancel(t.ctx), "ROLLBACK")
	t.end()
	return err
}

// end gives the turn back without the connection.
func (t *Tx) end() {
	t.done = true
	_ = t.db.drop()
	t.db.turn <- struct{}{}
}

// Postgres reports whether the database is PostgreSQL, and not SQLite.
func (t *Tx) Postgres() bool { return t.db.Postgres }

// Exec runs a statement; it is prepared once for each connection.
func (t *Tx) Exec(statement string, args ...any) (sql.Result, error) {
	s, err := t.prepared(shape{}, statement)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(t.ctx, args...)
}

// QueryRow runs a query for one row.
func (t *Tx) QueryRow(statement string, args ...any) *sql.Row {
	return t.conn.QueryRowContext(t.ctx, t.db.SQL(statement), args...)
}

// Err is why the transaction must not go on: its context has ended.
func (t *Tx) Err() error { return t.ctx.Err() }

// prepared gives a statement that is made once for each connection: one of a table, or of
// any text.
func (t *Tx) prepared(of shape, text string) (*sql.Stmt, error) {
	key := statement{of, text}
	if s, ok := t.conn.ready[key]; ok {
		return s, nil
	}
	if of.table != nil {
		text = of.text()
	}
	s, err := t.conn.PrepareContext(t.ctx, t.db.SQL(text))
	if err != nil {
		return nil, err
	}
	t.conn.ready[key] = s
	return s, nil
}

// A statement is what a prepared one is known by.
type statement struct {
	shape
	text string
}
