package database

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// TestLocked: while another process writes, a transaction does not begin; afterwards it does.
func TestLocked(t *testing.T) {
	busy = 50 * time.Millisecond
	defer func() { busy = 5 * time.Second }()
	cfg := Config{Path: filepath.Join(t.TempDir(), "x.db"), Cache: 1 << 20, Checkpoint: 1000, Schema: []Step{"CREATE TABLE a (b BIGINT)"}}
	one, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	held, err := two.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec("INSERT INTO a VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := one.Begin(t.Context()); err == nil || Damaged(err) {
			t.Fatalf("got %v", err)
		}
	}
	var n int
	if err := one.Read().QueryRow("SELECT count(*) FROM a").Scan(&n); err != nil || n != 0 {
		t.Error("readers must not wait", n, err)
	}
	if err := held.Commit(); err != nil {
		t.Fatal(err)
	}
	tx, err := one.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := one.Close(short); err == nil {
		t.Error("closed during a transaction")
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*DB{one, two} {
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error("a second time:", err)
		}
	}
	if _, err := one.Begin(t.Context()); err != ErrClosed {
		t.Error(err)
	}
}
