package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Damaged reports whether an error means that the file is no longer a valid database: its end
// is torn off, or bytes of it have changed.
func Damaged(err error) bool {
	if _, ok := errors.AsType[*DamageError](err); ok {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB)
}

// CheckFile reads the whole file and gives an error for which [Damaged] is true when its
// structure is not valid. It takes about a second for each 200 MB.
func (d *DB) CheckFile(ctx context.Context) error {
	if d.Postgres {
		return nil
	}
	own, err := d.sqlite(true) // with a cache of its own: what others have in theirs may not be what is on the disk
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	var found string
	if err := own.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return &DamageError{d.cfg.Path, found}
	}
	return nil
}

// A DamageError is what a check has found.
type DamageError struct{ Path, Found string }

// Error gives the first fault.
func (e *DamageError) Error() string { return fmt.Sprintf("%s is damaged: %s", e.Path, e.Found) }

// Aside renames a damaged file and its log to names that end in .bad, where a file that was
// there before is replaced, and begins a new one. The caller must not have a transaction.
func (d *DB) Aside(ctx context.Context) error {
	if err := d.takeTurn(ctx); err != nil {
		return err
	}
	_ = d.shut()
	err := moveAside(d.cfg.Path)
	if again := d.connect(); again != nil {
		err = errors.Join(err, again)
	}
	d.turn <- struct{}{}
	if err != nil {
		return err
	}
	return d.migrate(ctx)
}

// Bad is where a damaged file is moved to.
func Bad(path string) string { return path + ".bad" }

// moveAside renames the files of a database.
func moveAside(path string) error {
	bad := Bad(path)
	for _, suffix := range []string{"-wal", ""} { // the log first: a new file must not meet the old one
		if err := os.Rename(path+suffix, bad+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(path + "-shm"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Renew moves a file aside that cannot be opened, and opens a new one.
func Renew(ctx context.Context, cfg Config) (*DB, error) {
	if err := moveAside(cfg.Path); err != nil {
		return nil, err
	}
	return Open(ctx, cfg)
}
