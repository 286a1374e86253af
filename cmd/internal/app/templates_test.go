package app_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"go.uber.org/zap"
)

// TestCleanIsOnlyTheEnd: sequence numbers on disk count as exact only while nobody
// receives what moves them on. A crash leaves a file that does not say so.
func TestCleanIsOnlyTheEnd(t *testing.T) {
	dir := stateDir(t)
	clean := func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "templates"))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(b, []byte(`"clean":true`))
	}
	for range 2 {
		a := app.New(config(t, dir, fmt.Sprintf(listen, 1)), app.Options{Out: io.Discard}, zap.NewNop())
		if err := a.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "templates")); err == nil && clean() {
			t.Error("the file says that the end was clean while the app runs")
		}
		if err := a.Stop(); err != nil {
			t.Fatal(err)
		}
		if !clean() {
			t.Error("the file does not say that the end was clean")
		}
	}
}
