// Package filetest writes single files of a contact history, with rows and totals that a test
// has made up, for the tests of whoever reads a history: hunts, rules, reports, commands.
// Whole months of contacts come from flow/history/monthtest.
package filetest

import (
	"path/filepath"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// Put writes a file of rows, which are in the order of [row.Compare], to the history in root and
// gives its path.
func Put(t testing.TB, root string, name file.Name, form file.Form, info file.Info, rows []row.Row) string {
	t.Helper()
	w, err := file.Create(disk.OS{}, root, name, form, info)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if name, err = w.Commit(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, name.Folder(), name.String())
}
