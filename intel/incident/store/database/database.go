package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Config sets where the database is.
type Config struct {
	// Path is the SQLite file; it is used when URL is empty.
	Path string
	// URL is a PostgreSQL database: postgres://user@host/name. Password, if not nil, gives
	// its password each time a connection is made, so that it can change.
	URL      string
	Password func() (string, error)
	// Cache is the memory of SQLite for pages, in bytes, Checkpoint the pages that its log
	// may have before they are put into the file.
	Cache, Checkpoint int
	ReadOnly          bool
	// Schema are the steps of the schema, see [Step]. A step is never changed once it was
	// released.
	Schema []Step
}

// A Step brings a schema from one version to the next. Its statements are separated by ";\n"
// and go through [DB.SQL].
type Step string

// busy is how long a statement of SQLite waits for another process; tests wait less.
var busy = 5 * time.Second

// A DB is an open database. Its methods may be called from any goroutine.
type DB struct {
	cfg      Config
	Postgres bool

	turn   chan struct{} // one token: the right to write
	closed chan struct{} // closed by Close
	mu     sync.Mutex    // of what follows, never held during a query
	read   *sql.DB
	pool   *sql.DB // for the writer
	conn   *writer // kept with its statements, for the holder of the turn
}

// A writer is a connection with the statements that were prepared on it.
type writer struct {
	*sql.Conn
	ready map[statement]*sql.Stmt
}

// Open opens the database, makes it where there is none, and brings its schema up to date. A
// database that a newer version has written is refused.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	d := &DB{cfg: cfg, Postgres: cfg.URL != "", turn: make(chan struct{}, 1), closed: make(chan struct{})}
	d.turn <- struct{}{}
	if err := d.connect(); err != nil {
		return nil, err
	}
	if err := d.migrate(ctx); err != nil {
		_ = d.shut()
		return nil, err
	}
	return d, nil
}

// connect makes the pools; connections are made when they are needed.
func (d *DB) connect() (err error) {
	pool, read := (*sql.DB)(nil), (*sql.DB)(nil)
	if d.Postgres {
		if pool, err = d.postgres(false); err == nil {
			read, err = d.postgres(true)
		}
	} else {
		if pool, err = d.sqlite(d.cfg.ReadOnly); err == nil {
			read, err = d.sqlite(true)
		}
	}
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(1)
	read.SetMaxOpenConns(2)
	read.SetMaxIdleConns(2)
	d.mu.Lock()
	d.pool, d.read = pool, read
	d.mu.Unlock()
	return nil
}

// makePrivate makes the file, or keeps one that is there from all but our user and group: it is
// personal data. SQLite gives its other files the mode of this one.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o027 != 0 {
		err = f.Chmod(info.Mode().Perm() &^ 0o027)
	}
	return errors.Join(err, f.Close())
}

// sqlite opens a pool of connections to the file. A reader has a fourth of the cache.
func (d *DB) sqlite(readOnly bool) (*sql.DB, error) {
	cache, mode := d.cfg.Cache, "rwc"
	if readOnly {
		cache, mode = cache/4, "rw" // a reader needs the index of the log, which it may have to make
		if d.cfg.ReadOnly {
			if _, err := os.Stat(d.cfg.Path); err != nil {
				return nil, err
			}
			mode = "ro"
		}
	}
	if !readOnly {
		if err := makePrivate(d.cfg.Path); err != nil {
			return nil, err
		}
	}
	pragmas := []string{fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), fmt.Sprintf("cache_size(-%d)", max(cache>>10, 512)),
		"foreign_keys(0)", "temp_store(2)"}
	if readOnly {
		pragmas = append(pragmas, "query_only(1)")
	} else {
		pragmas = append(pragmas, "page_size(4096)", "journal_mode(WAL)", "synchronous(FULL)",
			fmt.Sprintf("wal_autocheckpoint(%d)", d.cfg.Checkpoint), "journal_size_limit(67108864)")
	}
	return sql.Open("sqlite", "file:"+escape(d.cfg.Path)+"?mode="+mode+"&_pragma="+strings.Join(pragmas, "&_pragma="))
}

// escape makes a path fit into a file: URI.
func escape(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

// postgres opens a pool of connections to the server.
func (d *DB) postgres(readOnly bool) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(d.cfg.URL)
	if err != nil {
		return nil, errors.New("database: not a PostgreSQL URL; use postgres://user@host/name") // the error may have the password
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	cfg.RuntimeParams["application_name"] = "flowsnitch"
	cfg.RuntimeParams["timezone"] = "UTC"
	if readOnly || d.cfg.ReadOnly {
		cfg.RuntimeParams["default_transaction_read_only"] = "on"
	}
	password := func(_ context.Context, c *pgx.ConnConfig) (err error) {
		if d.cfg.Password != nil {
			c.Password, err = d.cfg.Password()
		}
		return err
	}
	return stdlib.OpenDB(*cfg, stdlib.OptionBeforeConnect(password)), nil
}

// Read gives the connections for reading. They never wait for the writer.
func (d *DB) Read() *sql.DB {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.read
}

// SQL puts the words of the database in use into a statement: {blob}, {id} (a number made by
// the program, as primary key), {least}, {greatest} (of two values), {without} (at the end of a
// table whose rows stand in the order of its primary key).
func (d *DB) SQL(statement string) string {
	words := []string{"{blob}", "BLOB", "{id}", "INTEGER PRIMARY KEY", "{least}", "min", "{greatest}", "max", "{without}", "WITHOUT ROWID", "{text}", "TEXT", "{tie}", ""}
	if d.Postgres {
		words = []string{"{blob}", "BYTEA", "{id}", "BIGINT PRIMARY KEY", "{least}", "least", "{greatest}", "greatest", "{without}", "", "{text}", `TEXT COLLATE "C"`, "{tie}", ", id"}
	}
	return strings.NewReplacer(words...).Replace(statement)
}

// Close closes all connections, after the transaction under way. When ctx ends before that
// one does, because the disk hangs, it is left alone.
func (d *DB) Close(ctx context.Context) error {
	switch err := d.takeTurn(ctx); {
	case errors.Is(err, ErrClosed):
		return nil
	case err != nil:
		return fmt.Errorf("%s: a transaction has not ended: %w", d.Where(), err)
	}
	close(d.closed)
	return d.shut()
}

// shut closes all connections; the caller has the turn.
func (d *DB) shut() error {
	err := d.drop()
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(err, d.read.Close(), d.pool.Close())
}

// drop closes the connection of the writer.
func (d *DB) drop() error {
	if d.conn == nil {
		return nil
	}
	for _, s := range d.conn.ready {
		_ = s.Close()
	}
	err := d.conn.Close()
	d.conn = nil
	return err
}
