package database

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// A NewerError means that a newer version of the program has written the database.
type NewerError struct {
	Where     string
	Has, Know int // versions of the schema
}

// Error names what can be done.
func (e *NewerError) Error() string {
	return fmt.Sprintf("%s was written by a newer version of flowsnitch (schema %d, this version knows %d): install that version again, or name another database",
		e.Where, e.Has, e.Know)
}

// Where names the database in messages, without a password.
func (d *DB) Where() string {
	if !d.Postgres {
		return d.cfg.Path
	}
	_, rest, _ := strings.Cut(d.cfg.URL, "://")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	return "PostgreSQL " + rest
}

const migrations = "CREATE TABLE IF NOT EXISTS migration (version BIGINT PRIMARY KEY, applied BIGINT NOT NULL)"

// migrate brings the schema up to date, all steps in one transaction.
func (d *DB) migrate(ctx context.Context) error {
	if d.cfg.ReadOnly {
		return d.checkVersion(ctx)
	}
	t, err := d.Begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Where(), err)
	}
	if err := d.steps(t); err != nil {
		_ = t.Rollback()
		return err
	}
	return t.Commit()
}

func (d *DB) steps(t *Tx) error {
	if _, err := t.Exec(migrations); err != nil {
		return fmt.Errorf("%s: %w", d.Where(), err)
	}
	var has sql.NullInt64
	if err := t.QueryRow("SELECT max(version) FROM migration").Scan(&has); err != nil {
		return fmt.Errorf("%s: %w", d.Where(), err)
	}
	if err := d.known(int(has.Int64)); err != nil {
		return err
	}
	for v := int(has.Int64); v < len(d.cfg.Schema); v++ {
		for s := range strings.SplitSeq(string(d.cfg.Schema[v]), ";\n") {
			if strings.TrimSpace(s) == "" {
				continue
			}
			if _, err := t.conn.ExecContext(t.ctx, d.SQL(s)); err != nil {
				return fmt.Errorf("%s: schema %d: %w", d.Where(), v+1, err)
			}
		}
		if _, err := t.Exec("INSERT INTO migration (version, applied) VALUES ($1, $2)", int64(v+1), time.Now().Unix()); err != nil {
			return fmt.Errorf("%s: %w", d.Where(), err)
		}
	}
	return nil
}

func (d *DB) known(has int) error {
	if has > len(d.cfg.Schema) {
		return &NewerError{d.Where(), has, len(d.cfg.Schema)}
	}
	return nil
}

// checkVersion is for a database that is only read.
func (d *DB) checkVersion(ctx context.Context) error {
	var has sql.NullInt64
	if err := d.Read().QueryRowContext(ctx, "SELECT max(version) FROM migration").Scan(&has); err != nil {
		return fmt.Errorf("%s: %w", d.Where(), err)
	}
	if err := d.known(int(has.Int64)); err != nil {
		return err
	}
	if int(has.Int64) < len(d.cfg.Schema) {
		return fmt.Errorf("%s has schema %d of an older version; start the instance once, which brings it to %d", d.Where(), has.Int64, len(d.cfg.Schema))
	}
	return nil
}
