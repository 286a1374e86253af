package contacts_test

import (
	"context"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
	"github.com/flowsnitch/flowsnitch/flow/history/monthtest"
	"github.com/flowsnitch/flowsnitch/intel/detect"
	"github.com/flowsnitch/flowsnitch/intel/detect/contacts"
	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
)

// TestMonth measures the shipped rules over a history of 30 files of days:
//
//	FLOWSNITCH_MONTH_ROWS=100000 go test -v -count=1 -timeout 30m -run Month ./intel/detect/contacts
//
// The number is that of the rows of a day.
func TestMonth(t *testing.T) {
	rows, err := strconv.Atoi(os.Getenv("FLOWSNITCH_MONTH_ROWS"))
	if err != nil || rows <= 0 {
		t.Skip("SKIPPED: the figures of a month need FLOWSNITCH_MONTH_ROWS=100000 (rows of a day)")
	}
	root := t.TempDir()
	m := monthtest.Month{Seed: 15, Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Rows: rows}
	for day := range 30 {
		if _, err := m.Write(disk.OS{}, root, day, file.Form{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, list := range map[string][]*rule.Rule{"shipped rules": rulebook.Load(rulebook.Config{Shipped: true}).On(), "reading alone": nil} {
		e := detect.New(detect.Config{Over: rule.Contacts, Rules: list, MaxGroups: 100_000, MaxBytes: 64e6})
		began, cpu := time.Now(), used()
		done, err := contacts.Read(context.Background(), folder.Open(disk.OS{}, root), e, contacts.Query{MaxBuffered: 1_000_000})
		if err != nil {
			t.Fatal(err)
		}
		cpu = used() - cpu
		s := e.Stats()
		t.Logf("%s: %d rows, %.1f s, %.1f s of CPU, %.0f rows per CPU second, %d observations, %d alerts, %d groups, %d dropped, %d MB",
			name, done.Rows, time.Since(began).Seconds(), cpu.Seconds(), float64(done.Rows)/cpu.Seconds(), s.Observations, s.Alerts, s.Groups, s.Dropped, s.Bytes>>20)
	}
}

func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it never fails
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
