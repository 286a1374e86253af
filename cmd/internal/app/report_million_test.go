package app

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
)

// TestReportOfMillion times reports of 1,000,000 incidents, by hand, of the file that
// TestMillion of intel/incident/store makes:
//
//	FLOWSNITCH_MILLION=/tmp/million.db go test -run 'TestMillion$' ./intel/incident/store
//	FLOWSNITCH_MILLION=/tmp/million.db go test -run TestReportOfMillion -v ./cmd/internal/app
//
// It prints for a day, a week, a month and a year how long a report took, and the most that was
// resident. It fails for nothing: machines differ.
func TestReportOfMillion(t *testing.T) {
	path := os.Getenv("FLOWSNITCH_MILLION")
	if !strings.Contains(path, "/") || strings.Contains(path, "://") {
		t.Skip("set FLOWSNITCH_MILLION to the file of TestMillion to time reports of 1,000,000 incidents")
	}
	cfg := configs.Default()
	c := IncidentsConfig(&cfg)
	c.Path = path
	s, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for _, days := range []int{1, 7, 30, 365} {
		began := time.Now()
		r, err := report.Make(t.Context(), s, report.Options{Sensor: "pi", From: now.AddDate(0, 0, -days), Until: now, MaxTLP: report.DefaultTLP, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		began = time.Now()
		_, err = s.Period(t.Context(), now.AddDate(0, 0, -days), now)
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		t.Logf("%3d days: %v, of which Period %v; %d offenders, resident at most %d MB", days, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), r.Figures.Offenders, residentPeak(t)>>20)
	}
}

// residentPeak is the most memory of this process so far, in bytes.
func residentPeak(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kb, _ := strconv.Atoi(strings.Fields(rest)[0])
	return kb << 10
}
